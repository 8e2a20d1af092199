# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""One connected client: where its eyes are, what it has been sent and what came back."""

import secrets
from collections import deque
from dataclasses import dataclass

import numpy as np

from avatar_ros.streaming.xr import protocol
from avatar_ros.streaming.xr.protocol import Eyes, Hello, Lane, ProtocolError
from avatar_ros.types import FloatArray

#: Frames that may be on the way, unacknowledged: one more than a lost packet holds up, unless the
#: way itself is full. Then another would only make all that is on it later.
WINDOW, FULL_WINDOW = 3, 2
#: Above the shortest round trip; frames that wait so long wait for each other.
_FULL_MS = 40.0
#: Eyes and acknowledgements a second that a client may send, and how many at once.
_MESSAGES_PER_S, _BURST = 400.0, 120.0
_KEYS_PER_S = 2.0
#: Changes of lane or size, each of which costs a new encoder.
_CHANGES_PER_S, _CHANGES_AT_ONCE = 1.0, 6.0
#: An acknowledgement that never comes (a reload, a lost page) must not block for ever.
_LOST_S = 2.0
_MOST_EXTRAPOLATED_S = 0.1
#: Slower is noise; faster is a jump (a new place, a new view), which does not go on.
_SLOWEST_M_S, _FASTEST_M_S = 0.02, 3.0


@dataclass(frozen=True)
class InFlight:
    """A frame on the way."""

    frame_id: int
    sent_s: float


class Allowance:
    """A token bucket."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s, self._burst = per_s, burst
        self._left, self._at_s = burst, 0.0

    def take(self, now_s: float, amount: float = 1.0) -> bool:
        """So much more; False if not so much is left."""
        self._left = min(self._burst, self._left + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._left < min(amount, self._burst):  # more than a burst is paid off afterwards
            return False
        self._left -= amount
        return True


class Viewer:
    """Everything about one client but its socket. Not thread-safe; see `Hub`."""

    def __init__(self, hello: Hello) -> None:
        self.id = secrets.token_hex(4)
        self.hello = hello
        self.lane: Lane = hello.lanes[0]
        self.eyes: Eyes | None = None
        self.wants_key = True
        self.in_flight: deque[InFlight] = deque()
        self.blocked_since_s: float | None = None
        self.next_frame_id = 1
        self.round_trips_ms: deque[float] = deque(maxlen=90)
        self._shortest_ms = np.inf
        self.sent, self.skipped, self.bytes = 0, 0, 0
        self._messages = Allowance(_MESSAGES_PER_S, _BURST)
        self._keys = Allowance(_KEYS_PER_S, _KEYS_PER_S)
        self._changes = Allowance(_CHANGES_PER_S, _CHANGES_AT_ONCE)
        self._velocity: FloatArray = np.zeros(3)

    # -- what it says ------------------------------------------------------------------------

    def spend(self, now_s: float) -> None:
        """Count a message.

        :raises ProtocolError: if there are too many.
        """
        if not self._messages.take(now_s):
            raise ProtocolError(f'more than {_MESSAGES_PER_S:.0f} messages a second')

    def spend_change(self, now_s: float) -> None:
        """Count a change of lane or size.

        :raises ProtocolError: if there are too many.
        """
        if not self._changes.take(now_s):
            raise ProtocolError(f'more than {_CHANGES_PER_S:.0f} change of lane or size a second')

    def see(self, eyes: Eyes) -> None:
        """Its eyes are there now; older ones that arrive late are left out."""
        last = self.eyes
        if last is not None and not protocol.newer(eyes.view_id, last.view_id):
            return
        if last is not None and len(last.views) == len(eyes.views):
            dt = (eyes.t_client_ms - last.t_client_ms) * 1e-3
            step = protocol.centre(eyes.views) - protocol.centre(last.views)
            moves = 1e-3 < dt < 0.25 and float(np.linalg.norm(step)) < _FASTEST_M_S * dt
            if moves:
                share = 1 - np.exp(-dt / 0.04)
                self._velocity = self._velocity + share * (step / dt - self._velocity)
            else:
                self._velocity = np.zeros(3)
        self.eyes = eyes

    def acknowledge(self, frame_id: int, now_s: float) -> list[float]:
        """It has decoded this frame and those before it; their round trips in ms."""
        trips = []
        while self.in_flight and not protocol.newer(self.in_flight[0].frame_id, frame_id):
            frame = self.in_flight.popleft()
            trips.append((now_s - frame.sent_s) * 1e3)
        self.round_trips_ms.extend(trips)
        for trip in trips:  # forgotten slowly: a route may have become longer for good
            self._shortest_ms = min(self._shortest_ms * 1.002, trip)
        return trips

    def ask_key(self, now_s: float) -> None:
        """The next frame should stand alone; too many such wishes are left out."""
        if self._keys.take(now_s):
            self.wants_key = True
            self.in_flight.clear()  # it cannot decode them, and need not acknowledge them

    # -- what it gets ------------------------------------------------------------------------

    def has_room(self, now_s: float) -> bool:
        """Another frame may be sent."""
        while self.in_flight and now_s - self.in_flight[0].sent_s > _LOST_S:
            self.in_flight.popleft()
        room = len(self.in_flight) < (FULL_WINDOW if self._way_is_full() else WINDOW)
        if room:
            self.blocked_since_s = None
        elif self.blocked_since_s is None:
            self.blocked_since_s = now_s
        return room

    def _way_is_full(self) -> bool:
        trips = self.round_trips_ms
        return bool(trips) and trips[-1] > self._shortest_ms + _FULL_MS

    def predicted_views(self) -> FloatArray:
        """Its eyes (n, 11), where they will be when the picture of them is shown."""
        assert self.eyes is not None
        views = self.eyes.views.copy()
        # The client measures it, from its eyes to their picture on its display.
        ahead_s = (self.eyes.t_display_ms - self.eyes.t_client_ms) * 1e-3
        ahead_s = min(max(ahead_s, 0.0), _MOST_EXTRAPOLATED_S)
        if float(np.linalg.norm(self._velocity)) > _SLOWEST_M_S:
            views[:, :3] += self._velocity * ahead_s
        return views

    def send(self, size: int, now_s: float) -> int:
        """Book a frame of so many bytes; its id."""
        frame_id = self.next_frame_id
        self.next_frame_id = (frame_id + 1) % protocol.FORGOTTEN or 1
        self.in_flight.append(InFlight(frame_id, now_s))
        self.sent += 1
        self.bytes += size
        return frame_id
