# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""UDP packets from trackers off ROS, one thread a socket."""

import socket
import threading
from collections.abc import Callable

_LARGEST = 65535


class UdpListener:
    """Hands every packet to `on_packet`, which must not raise."""

    def __init__(self, host: str, port: int, on_packet: Callable[[bytes], None]) -> None:
        """:raises ValueError: if the address cannot be listened to."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind((host, port))
        except (OSError, OverflowError) as error:
            self._socket.close()
            raise ValueError(
                f'cannot listen on UDP {host}:{port}: {error}. Choose another "port", or for '
                '"host" an address of this machine.'
            ) from None
        self.port = int(self._socket.getsockname()[1])
        self._socket.settimeout(0.2)
        self._on_packet = on_packet
        self._closed = False
        self._thread = threading.Thread(target=self._run, name='udp', daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closed:
            try:
                packet = self._socket.recv(_LARGEST)
            except TimeoutError:
                continue
            except OSError:
                return  # closed meanwhile
            self._on_packet(packet)

    def close(self) -> None:
        """Stop listening."""
        self._closed = True
        self._socket.close()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=2.0)
