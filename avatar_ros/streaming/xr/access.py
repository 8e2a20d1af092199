# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Who may watch: a token, a cookie, the page's own origin; and a certificate for headsets.

Browsers give WebXR and WebCodecs to secure pages only: https, or this machine itself.
"""

import datetime
import hmac
import ipaddress
import os
import secrets
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

COOKIE = 'avatar_xr'
#: 192 bits.
_TOKEN_BYTES = 24
_LOOPBACK = ('127.0.0.1', 'localhost', '::1')
#: Browsers refuse certificates of more than 14 days for some uses.
_VALID_DAYS = 13
_COOKIE_S = 24 * 3600


def is_loopback(host: str) -> bool:
    """Only this machine can reach the address."""
    return host in _LOOPBACK


def new_token() -> str:
    """A secret of 192 bits."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


@dataclass(frozen=True)
class Access:
    """The rules of one server."""

    host: str
    token: str = field(default_factory=new_token, repr=False)
    """Empty: everybody who reaches the server may watch."""
    origins: tuple[str, ...] = ()
    """Other origins whose pages may connect, such as ``https://lab.example``."""

    def check_page(self, request: web.Request) -> bool:
        """May it have the page? True if the token came in the address and belongs in a cookie.

        :raises web.HTTPForbidden, web.HTTPUnauthorized: if not.
        """
        self._check_name(request)
        given = request.query.get('token', '')
        if self.token and given and self._right(given):
            return True
        self._check_cookie(request)
        return False

    def check_socket(self, request: web.Request) -> None:
        """May it watch? Its page must be ours: browsers always say whose page it is.

        :raises web.HTTPForbidden, web.HTTPUnauthorized: if not.
        """
        self._check_name(request)
        origin = request.headers.get('Origin', '')
        if origin not in (f'{request.scheme}://{request.host}', *self.origins):
            raise web.HTTPForbidden(text='Only the page of this server may connect here.')
        self._check_cookie(request)

    def _check_cookie(self, request: web.Request) -> None:
        if self.token and not self._right(request.cookies.get(COOKIE, '')):
            raise web.HTTPUnauthorized(
                text='Open the address with ?token=..., as the server printed it.'
            )

    def _check_name(self, request: web.Request) -> None:
        """On loopback only its own names count, so that no site can point its name here."""
        name = request.host.rsplit(':', 1)[0].strip('[]')
        if is_loopback(self.host) and not is_loopback(name):
            raise web.HTTPForbidden(text=f'This server is not called {name}.')

    def _right(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self.token.encode())

    def remember(self, response: web.StreamResponse, secure: bool) -> None:
        """Put the token into a cookie that no script can read and no other site sends."""
        response.set_cookie(
            COOKIE, self.token, httponly=True, samesite='Strict', secure=secure, max_age=_COOKIE_S
        )


def reachable_addresses() -> list[str]:
    """IP addresses under which others may reach this machine, the likeliest first."""
    found: list[str] = []
    for family, probe in ((socket.AF_INET, '198.51.100.1'), (socket.AF_INET6, '2001:db8::1')):
        try:
            # No packet is sent: connecting a datagram socket only chooses the way out.
            with socket.socket(family, socket.SOCK_DGRAM) as one:
                one.connect((probe, 9))
                found.append(str(one.getsockname()[0]))
        except OSError:
            continue
    try:
        for info in socket.getaddrinfo(socket.gethostname(), None):
            found.append(str(info[4][0]).partition('%')[0])
    except OSError:
        pass
    return [a for a in dict.fromkeys(found) if not ipaddress.ip_address(a).is_loopback]


def tls_context(certificate: str, key: str) -> ssl.SSLContext:
    """TLS 1.2 or newer with the user's own certificate.

    :raises ValueError: if the files are not a certificate and its key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key or None)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(
            f'certificate {certificate!r} with key {key!r} cannot be used ({error}); expected PEM '
            'files of a certificate chain and of its private key without a password.'
        ) from error
    return context


def generated_certificate(folder: Path, addresses: list[str]) -> tuple[Path, Path]:
    """Paths of a self-signed certificate for these names and addresses, and of its key.

    One that is valid for another day and for all of them is used again, so that a headset that
    has accepted it is not asked at every start.
    """
    names = list(dict.fromkeys(['localhost', '127.0.0.1', '::1', *addresses]))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    certificate, key = folder / 'xr_certificate.pem', folder / 'xr_key.pem'
    if not (certificate.exists() and key.exists() and _serves(certificate, names)):
        _write_certificate(certificate, key, names)
    return certificate, key


def _serves(certificate: Path, names: list[str]) -> bool:
    from cryptography import x509

    try:
        known = x509.load_pem_x509_certificate(certificate.read_bytes())
    except ValueError:
        return False
    tomorrow = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    san = known.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    held = {str(n.value) for n in san}
    return known.not_valid_after_utc > tomorrow and set(names) <= held


def _write_certificate(certificate: Path, key: Path, names: list[str]) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    secret = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, 'avatar_ros')])
    san: list[x509.GeneralName] = []
    for name in names:
        try:
            san.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            san.append(x509.DNSName(name))
    now = datetime.datetime.now(datetime.timezone.utc)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=_VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(san), False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .sign(secret, hashes.SHA256())
    )
    pem = secret.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    key.unlink(missing_ok=True)
    # Nobody else may read it, not even for a moment; and no file that lay there is followed.
    with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'wb') as file:
        file.write(pem)
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
