# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Who gets which pictures: viewers with nearly the same eyes share a render and an encoder.

The thread that renders asks for the `Work` of a frame, draws it, and hands it back as pictures;
the thread of the web server reports what clients say. Nothing queues: a frame is made when all
viewers of a stream have room for it. One who has had none for `_PATIENCE_S` gets a stream of
its own, so that it holds up nobody.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from avatar_ros.geometry import Camera
from avatar_ros.streaming.xr import protocol
from avatar_ros.streaming.xr.encoder import Encoded, Encoder, H264Encoder, JpegEncoder
from avatar_ros.streaming.xr.packing import Views, depth_range
from avatar_ros.streaming.xr.protocol import Eyes, FrameTimes, Hello, Lane
from avatar_ros.streaming.xr.rate import RateControl, peak_rate
from avatar_ros.streaming.xr.viewers import Allowance, Viewer
from avatar_ros.streaming.xr.viewport import LockedViewport, cameras_of_eyes, eyes_of_cameras
from avatar_ros.types import FloatArray

#: Eyes as near as this join a stream; farther away than that they leave it. The depth mesh of
#: the client covers the difference.
_JOIN_M, _LEAVE_M = 0.03, 0.06
_PATIENCE_S = 0.06
#: A viewer that was left behind stays apart for so long.
_APART_S = 3.0
_PIXEL_BURST_S = 0.25
_STRETCH = 1.6

Send = Callable[[Viewer, bytes], None]


@dataclass(eq=False)
class Stream:
    """Viewers who get the same pictures; the first one's eyes count."""

    lane: Lane
    members: list[Viewer]
    rate: RateControl = field(default_factory=RateControl)
    viewport: LockedViewport = field(default_factory=LockedViewport)
    encoder: Encoder | None = None
    size: tuple[int, int] = (0, 0)
    views: int = 0
    apart_until_s: float = 0.0

    @property
    def leader(self) -> Viewer:
        return self.members[0]

    def takes(self, viewer: Viewer, within_m: float, most: int) -> bool:
        """Would this viewer see what it needs? `most` pixels are sent to nobody's eye."""
        mine, eyes = self.leader.eyes, viewer.eyes
        return (
            mine is not None
            and eyes is not None
            and viewer.lane == self.lane
            and min(viewer.hello.height, most) == min(self.leader.hello.height, most)
            and len(mine.views) == len(eyes.views)
            and float(np.abs(mine.views[:, :3] - eyes.views[:, :3]).max()) <= within_m
        )


@dataclass(frozen=True)
class Work:
    """Views that are to be drawn."""

    stream: Stream
    members: tuple[Viewer, ...]
    view_ids: tuple[int, ...]
    cameras: tuple[Camera, ...]


class Hub:
    """All viewers and streams."""

    def __init__(
        self,
        send: Send,
        *,
        height: int = 464,
        fps: float = 30.0,
        max_pixels_per_s: float = 80e6,
    ) -> None:
        """`send` is called in the thread that renders."""
        self._send = send
        self._height, self._fps = height, fps
        self._pixels = Allowance(max_pixels_per_s, max_pixels_per_s * _PIXEL_BURST_S)
        self._lock = threading.Lock()
        self._streams: list[Stream] = []
        self._of: dict[Viewer, Stream | None] = {}

    # -- from the web server's thread --------------------------------------------------------

    def join(self, viewer: Viewer) -> None:
        """A viewer came."""
        with self._lock:
            self._of[viewer] = None

    def leave(self, viewer: Viewer) -> None:
        """It went."""
        with self._lock:
            self._part(viewer)
            self._of.pop(viewer, None)

    def see(self, viewer: Viewer, eyes: Eyes, now_s: float) -> None:
        """Its eyes have moved."""
        with self._lock:
            self._report(viewer, viewer.acknowledge(eyes.frame_id, now_s), now_s)
            viewer.see(eyes)

    def acknowledge(self, viewer: Viewer, frame_id: int, now_s: float) -> None:
        """It has decoded a frame."""
        with self._lock:
            self._report(viewer, viewer.acknowledge(frame_id, now_s), now_s)

    def _report(self, viewer: Viewer, trips_ms: Sequence[float], now_s: float) -> None:
        stream = self._of.get(viewer)
        for trip in trips_ms if stream else ():
            assert stream is not None
            stream.rate.acknowledged(now_s, trip)

    def ask_key(self, viewer: Viewer, now_s: float) -> None:
        """It cannot decode."""
        with self._lock:
            viewer.ask_key(now_s)

    def change_lane(self, viewer: Viewer, lane: Lane) -> None:
        """It wants other pictures."""
        with self._lock:
            if lane != viewer.lane:
                self._part(viewer)
                viewer.lane, viewer.wants_key = lane, True

    def greet_again(self, viewer: Viewer, hello: Hello) -> None:
        """It entered or left a headset, or has another size."""
        with self._lock:
            if hello.height != viewer.hello.height:
                self._part(viewer)
            viewer.hello = hello

    def count(self) -> tuple[int, int]:
        """Viewers and streams."""
        with self._lock:
            return len(self._of), len(self._streams)

    def size_of(self, viewer: Viewer) -> tuple[int, int]:
        """Pixels of one view of what it gets; zeros before the first."""
        with self._lock:
            stream = self._of.get(viewer)
            return (0, 0) if stream is None else stream.size

    def all_eyes(self) -> dict[str, FloatArray]:
        """Id -> eyes (n, 11) of everybody who has sent some."""
        with self._lock:
            return {v.id: v.eyes.views for v in self._of if v.eyes is not None}

    # -- from the thread that renders --------------------------------------------------------

    def watched(self) -> bool:
        """Somebody waits for pictures or poses."""
        return any(viewer.eyes is not None for viewer in list(self._of))

    def wants_pictures(self) -> bool:
        """Somebody does not draw the avatar himself."""
        return any(v.eyes is not None and v.lane != 'pose' for v in list(self._of))

    def takers(self, fresh: bool, now_s: float) -> list[Viewer]:
        """Who takes a pose now; one that is not `fresh` only who has had none."""
        with self._lock:
            wanting = [
                viewer
                for viewer in self._of
                if viewer.lane == 'pose' and viewer.eyes is not None and (fresh or viewer.wants_key)
            ]
            takers = [viewer for viewer in wanting if viewer.has_room(now_s)]
            for viewer in wanting:
                viewer.skipped += viewer not in takers
            return takers

    def send_pose(
        self, takers: Sequence[Viewer], pose: bytes, t_sample_ms: float, now_s: float
    ) -> None:
        """To those who draw the avatar themselves."""
        for viewer in takers:
            with self._lock:
                if viewer not in self._of or viewer.lane != 'pose':
                    continue  # it left, or changed lanes, meanwhile
                viewer.wants_key = False
                frame_id = viewer.send(len(pose), now_s)
            self._send(viewer, protocol.pose_message(frame_id, t_sample_ms, pose))

    def work(self, points: FloatArray, now_s: float) -> list[Work]:
        """What to draw now, for those who have room.

        :param points: (n, 3) some of the avatar's surface, in the stage frame.
        """
        with self._lock:
            self._regroup(now_s)
            # Whoever came first last time comes last now, so that a budget of pixels is shared.
            self._streams[:] = self._streams[1:] + self._streams[:1]
            works = [self._work_of(stream, points, now_s) for stream in list(self._streams)]
            return [work for work in works if work is not None]

    def _regroup(self, now_s: float) -> None:
        for viewer, stream in list(self._of.items()):
            if viewer.eyes is None or viewer.lane == 'pose':
                continue
            lonely = stream is not None and len(stream.members) == 1
            if stream and not lonely and not stream.takes(viewer, _LEAVE_M, self._height):
                # Not back at once: each joining costs everybody a key frame.
                self._alone(viewer, now_s + _APART_S)
                continue
            if stream is None or (lonely and now_s > stream.apart_until_s):
                self._assign(viewer, stream, now_s)

    def _assign(self, viewer: Viewer, own: Stream | None, now_s: float) -> None:
        for other in self._streams:
            free = other is not own and now_s > other.apart_until_s
            if free and other.takes(viewer, _JOIN_M, self._height):
                self._part(viewer)
                other.members.append(viewer)
                self._of[viewer] = other
                viewer.wants_key = True
                return
        if own is None:
            self._alone(viewer)

    def _alone(self, viewer: Viewer, apart_until_s: float = 0.0) -> None:
        self._part(viewer)
        stream = Stream(viewer.lane, [viewer], apart_until_s=apart_until_s)
        viewer.wants_key = True
        self._streams.append(stream)
        self._of[viewer] = stream

    def _part(self, viewer: Viewer) -> None:
        stream = self._of.get(viewer)
        if stream is None:
            return
        stream.members.remove(viewer)
        self._of[viewer] = None
        if not stream.members:
            self._streams.remove(stream)

    def _work_of(self, stream: Stream, points: FloatArray, now_s: float) -> Work | None:
        ready = [viewer for viewer in stream.members if viewer.has_room(now_s)]
        for viewer in stream.members if ready else ():
            late = viewer.blocked_since_s
            if late is not None and now_s - late > _PATIENCE_S:
                self._alone(viewer, now_s + _APART_S)
        complete = bool(ready) and len(ready) == len(stream.members)
        stream.rate.offered(now_s, complete)
        stream.rate.decide(now_s)
        if not complete:
            for viewer in stream.members:
                viewer.skipped += 1
            return None
        views = stream.leader.predicted_views()
        wanted = min(self._height, stream.leader.hello.height)
        rows = wanted * stream.rate.step.scale
        cameras = stream.viewport.cameras(
            cameras_of_eyes(views, *picture_size(rows, 1.0)), points, now_s
        )
        size = self._size_for(stream, picture_size(rows, stream.viewport.aspect))
        if not self._pixels.take(now_s, size[0] * size[1] * len(views)):
            return None
        members = tuple(stream.members)
        view_ids = tuple(v.eyes.view_id if v.eyes else 0 for v in members)
        return Work(stream, members, view_ids, tuple(c.scaled(*size) for c in cameras))

    def _size_for(self, stream: Stream, wanted: tuple[int, int]) -> tuple[int, int]:
        """The size as it is, unless pixels became far from square: a new one is a new encoder."""
        width, height = stream.size
        same = height == wanted[1] and 1 / _STRETCH < width / wanted[0] < _STRETCH
        return stream.size if same else wanted

    def finish(
        self,
        work: Work,
        layers: Views,
        t_sample_ms: float,
        render_ms: float,
        clock: Callable[[], float],
    ) -> float:
        """Encode the drawn views and send them; milliseconds of encoding. Clock in seconds."""
        start = clock()
        near, far = depth_range(layers)
        stream = work.stream
        encoder = self._encoder_for(stream, work.cameras)
        with self._lock:
            key = any(viewer.wants_key for viewer in work.members)
        picture = encoder.encode(layers, near, far, key)
        encode_ms = (clock() - start) * 1e3
        times = FrameTimes(t_sample_ms, render_ms, encode_ms)
        eyes = eyes_of_cameras(work.cameras)
        with self._lock:
            stream.rate.carried(clock(), len(picture.data))
        for viewer, view_id in zip(work.members, work.view_ids, strict=True):
            self._deliver(viewer, stream, view_id, picture, times, (near, far), eyes, clock())
        return encode_ms

    def _deliver(
        self,
        viewer: Viewer,
        stream: Stream,
        view_id: int,
        picture: Encoded,
        times: FrameTimes,
        near_far: tuple[float, float],
        eyes: FloatArray,
        now_s: float,
    ) -> None:
        with self._lock:
            if self._of.get(viewer) is not stream:
                return  # it left, or changed lanes, while this was drawn
            if viewer.wants_key and not picture.key:
                return
            viewer.wants_key = viewer.wants_key and not picture.key
            frame_id = viewer.send(len(picture.data), now_s)
        header = protocol.frame_header(
            stream.lane, picture.key, frame_id, view_id, times, now_s * 1e3, near_far,
            stream.size, eyes,
        )  # fmt: skip
        self._send(viewer, header + picture.data)

    def _encoder_for(self, stream: Stream, cameras: Sequence[Camera]) -> Encoder:
        size = cameras[0].width, cameras[0].height
        rung = stream.rate.step
        same = stream.size == size and stream.views == len(cameras)
        if stream.encoder is None or not same:
            if stream.lane == 'jpeg':
                stream.encoder = JpegEncoder(*size, len(cameras))
            else:
                peak = peak_rate(rung.scale)
                stream.encoder = H264Encoder(*size, len(cameras), bit_rate=peak, fps=self._fps)
                with self._lock:
                    for viewer in stream.members:
                        viewer.wants_key = True
            stream.size, stream.views = size, len(cameras)
        stream.encoder.aim_at(rung.bit_rate)
        return stream.encoder


def picture_size(height: float, aspect: float) -> tuple[int, int]:
    """Width and height of one view, multiples of 16 that are not too small."""
    rows = max(64, round(height / 16) * 16)
    return max(64, round(rows * aspect / 16) * 16), rows
