# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""A bad network on one machine: two network namespaces, joined by TUN devices and this program.

For kernels without sch_netem. Packets are delayed, lost and queued behind a bottleneck of so many
Mbit/s with 100 ms of drop-tail queue. Needs root. As a program, `python -m benchmarks.netem`, it
reads lines `delay_ms jitter_ms loss rate_mbit` (rate 0: no bottleneck) and obeys the last.
"""

import contextlib
import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

NAMESPACES = ('avatar_xr_a', 'avatar_xr_b')
ADDRESSES = ('198.18.0.1', '198.18.0.2')
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_CLONE_NEWNET = 0x40000000
_MTU = 1400
_QUEUE_S = 0.1


@dataclass
class Link:
    """How bad it is."""

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    rate_mbit: float = 0.0


def _ip(*words: str) -> None:
    subprocess.run(['ip', *words], check=True, stderr=subprocess.DEVNULL)


def _remove() -> None:
    for name in NAMESPACES:
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip('netns', 'del', name)


def _tun(namespace: str, address: str, libc: ctypes.CDLL) -> int:
    """File descriptor of a TUN device inside a new namespace."""
    _ip('netns', 'add', namespace)
    home = os.open('/proc/self/ns/net', os.O_RDONLY)
    inside = os.open(f'/var/run/netns/{namespace}', os.O_RDONLY)
    if libc.setns(inside, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f'cannot enter the network namespace {namespace}')
    try:
        device = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(device, _TUNSETIFF, struct.pack('16sH', b'tun0', _IFF_TUN | _IFF_NO_PI))
    finally:
        libc.setns(home, _CLONE_NEWNET)
        os.close(home)
        os.close(inside)
    for words in (
        ('link', 'set', 'lo', 'up'),
        ('addr', 'add', f'{address}/24', 'dev', 'tun0'),
        ('link', 'set', 'tun0', 'mtu', str(_MTU), 'up'),
    ):
        _ip('-n', namespace, *words)
    return device


def forward() -> None:
    """Run until standard input ends."""
    libc = ctypes.CDLL('libc.so.6', use_errno=True)
    _remove()
    devices = [_tun(n, a, libc) for n, a in zip(NAMESPACES, ADDRESSES, strict=True)]
    link, rng, count = Link(), random.Random(1), 0
    waiting: list[tuple[float, int, int, bytes]] = []
    free_s = [0.0, 0.0]
    print('ready', flush=True)
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else 0.5
        readable, _, _ = select.select([*devices, sys.stdin], [], [], timeout)
        if sys.stdin in readable:
            line = sys.stdin.readline()
            if not line:
                break
            link = Link(*map(float, line.split()))
        for side, device in enumerate(devices):
            while device in readable:
                try:
                    packet = os.read(device, 2048)
                except BlockingIOError:
                    break
                now = time.monotonic()
                leave = max(now, free_s[side])
                late = link.rate_mbit and leave - now > _QUEUE_S
                if rng.random() < link.loss or late:
                    continue
                if link.rate_mbit:
                    leave += len(packet) * 8 / (link.rate_mbit * 1e6)
                    free_s[side] = leave
                jitter = rng.uniform(-link.jitter_ms, link.jitter_ms)
                count += 1
                due = leave + max(0.0, link.delay_ms + jitter) * 1e-3
                heapq.heappush(waiting, (due, count, devices[1 - side], packet))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, target, packet = heapq.heappop(waiting)
            with contextlib.suppress(OSError):
                os.write(target, packet)


class Network:
    """The running program."""

    def __init__(self, process: 'subprocess.Popen[str]') -> None:
        self._process = process

    def set(self, link: Link) -> None:
        """From now on."""
        assert self._process.stdin is not None
        values = (link.delay_ms, link.jitter_ms, link.loss, link.rate_mbit)
        self._process.stdin.write(' '.join(map(str, values)) + '\n')
        self._process.stdin.flush()


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """Both namespaces, for as long as the block lasts.

    :raises OSError: if namespaces cannot be made here.
    """
    process = subprocess.Popen(
        [sys.executable, '-m', 'benchmarks.netem'],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != 'ready':
            raise OSError('network namespaces need root and /dev/net/tun')
        yield Network(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=10)
        _remove()


if __name__ == '__main__':
    try:
        forward()
    finally:
        _remove()
