# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""``avatar_ros render``: an avatar in motion as a video file."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from avatar_ros.avatars import SkinnedAvatar, avatar_path, load_bundle
from avatar_ros.avatars.motion import Motion, load_motion
from avatar_ros.avatars.showcase import BACKGROUND, camera_around, with_contact_shadow
from avatar_ros.render import Engine, select_engine, to_rgb8
from avatar_ros.types import FloatArray, Image

HELP = 'render an avatar in motion to a video'
EPILOG = """\
examples:
  avatar_ros render demo --out demo.mp4                       the built-in clip
  avatar_ros render demo --motion walk_poses.npz --out walk.mp4
  avatar_ros render me.zip --motion walk.npz --size 1280x720 --fps 60 --orbit 360 --out turn.mp4
  avatar_ros render demo --azimuth 90 --across 0.5 --look head --out profile.mp4

A motion file is an .npz as of AMASS (poses, trans, mocap_framerate) or SMPL-X (global_orient,
body_pose, transl, left_hand_pose, right_hand_pose, jaw_pose; root_orient and pose_body are the
same). `expression` with 52 columns plays as ARKit weights. Betas are ignored: a bundle is one
person."""


def add_parser(subparsers: 'argparse._SubParsersAction[argparse.ArgumentParser]') -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        'render',
        help=HELP,
        description=HELP,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('bundle', metavar='BUNDLE', help='.zip, directory, or a shipped avatar such as demo')
    add('--motion', default='demo', metavar='M', help='.npz file, or demo (demo)')
    add('--out', required=True, type=Path, metavar='MP4', help='video to write (H.264)')
    add('--size', default='720x720', help='pixels, WIDTHxHEIGHT (720x720)')
    add('--fps', type=float, help='frames a second (those of the motion)')
    add('--azimuth', type=float, default=15.0, help='degrees; 0 in front, 90 their left (15)')
    add('--elevation', type=float, default=5.0, help='degrees above the horizon (5)')
    add('--orbit', type=float, default=0.0, help='degrees that the camera goes around (0)')
    add('--across', type=float, help='metres that the picture is high (fits body)')
    add('--look', default='', metavar='JOINT', help='joint to look at, such as head (whole body)')
    add('--up', default='auto', choices=['auto', 'y', 'z'], help='up axis of the motion (auto)')
    add('--engine', default='auto', help='auto, numba, gsplat, reference (auto)')
    parser.set_defaults(run=run)


@dataclass(frozen=True)
class View:
    """Where the camera is during the clip."""

    width: int
    height: int
    azimuth_deg: float
    elevation_deg: float
    orbit_deg: float
    across_m: float | None
    look: str


def run(args: argparse.Namespace) -> int:
    """Render every frame; a video that is interrupted ends properly and stays."""
    width, height = parse_size(args.size)
    motion = load_motion(args.motion, args.up)
    fps = motion.fps if args.fps is None else args.fps
    for name, value, low, high in (
        ('fps', fps, 1, 240),
        ('across', args.across, 0.05, 100),
        ('azimuth', args.azimuth, -3600, 3600),
        ('elevation', args.elevation, -89, 89),
        ('orbit', args.orbit, -36000, 36000),
    ):
        if value is not None and not low <= value <= high:
            raise ValueError(f'--{name} is {value:g}; expected {low}..{high}.')
    bundle = load_bundle(avatar_path(args.bundle))
    if args.look and args.look not in bundle.skeleton.index:
        raise ValueError(
            f'--look {args.look!r} is no joint; known are {", ".join(bundle.skeleton.joints[:22])}.'
        )
    view = View(width, height, args.azimuth, args.elevation, args.orbit, args.across, args.look)
    engine = select_engine(args.engine)
    avatar = SkinnedAvatar(bundle, engine.device)
    count = max(1, round(motion.duration_s * fps))
    images = frames(avatar, engine, motion, view, fps, count)
    written = 0
    try:
        with VideoWriter(args.out, width, height, fps) as video:
            for image in tqdm(images, total=count, unit='frame', desc=str(args.out)):
                video.write(image)
                written += 1
    except KeyboardInterrupt:
        print(f'\nstopped after {written} of {count} frames; {args.out} can be played')
        return 130
    print(f'{args.out}: {written} frames of {width}x{height} at {fps:g} a second')
    return 0


def parse_size(text: str) -> tuple[int, int]:
    """Width and height of ``1280x720``; H.264 wants even numbers."""
    parts = text.lower().split('x')
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        raise ValueError(f'--size is {text!r}; expected WIDTHxHEIGHT, for example 1280x720.')
    width, height = (int(part) for part in parts)
    if not (16 <= width <= 4096 and 16 <= height <= 4096) or width % 2 or height % 2:
        raise ValueError(f'--size is {text}; expected even numbers from 16 to 4096.')
    return width, height


def frames(
    avatar: SkinnedAvatar, engine: Engine, motion: Motion, view: View, fps: float, count: int
) -> Iterator[Image]:
    """Pictures (H, W, 3) of the clip; the lowest foot of the clip stands on the floor."""
    sampled = [motion.at(i / fps) for i in range(count)]
    floor = min(
        avatar.ground_height(motion.pose(f)) for f in sorted(set(sampled))[:: max(1, count // 100)]
    )
    lift = np.array([0.0, -floor, 0.0])
    start = motion.translation[sampled[0]] * [1, 0, 1]
    background = torch.tensor([BACKGROUND], device=engine.device)
    workspace = engine.workspace()
    target: FloatArray | None = None
    for i, frame in enumerate(sampled):
        pose = motion.pose(frame)
        T = np.array(pose.T_frame_root)
        T[:3, 3] += lift - start
        pose = replace(pose, T_frame_root=T)
        joints = avatar.joint_positions(pose)
        index = avatar.bundle.skeleton.index
        goal = joints[index[view.look]] if view.look else joints[0] * [1, 0, 1] + [0, 0.95, 0]
        # Follow smoothly, so that a walk is a walk and not a dance of the background.
        target = goal if target is None else target + (goal - target) * min(1.0, 4.0 / fps)
        across = view.across_m or (2.3 if not view.look else 0.6)
        if view.width < view.height and not view.across_m:
            across *= max(1.0, 0.75 * view.height / view.width)
        azimuth = view.azimuth_deg + view.orbit_deg * i / max(count - 1, 1)
        camera = camera_around(target, across, azimuth, view.elevation_deg, view.width, view.height)
        gaussians = avatar.deform(pose, motion.face(frame))
        feet = joints[[index['left_foot'], index['right_foot']]]
        gaussians = with_contact_shadow(gaussians, feet - [0.0, 0.03, 0.0])
        with torch.no_grad():
            rendered = engine.rasterize(
                gaussians, [camera], backgrounds=background, workspace=workspace
            )
        yield to_rgb8(rendered.colors[0])


class VideoWriter:
    """H.264 in an .mp4 that any player takes; closed properly even after an error."""

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        import av

        if path.suffix.lower() not in ('.mp4', '.mov', '.mkv'):
            raise ValueError(f'--out is {path}; expected a name that ends with .mp4.')
        path.parent.mkdir(parents=True, exist_ok=True)
        self._av = av
        self._container = av.open(str(path), 'w')
        rate = Fraction(fps).limit_denominator(1001)
        self._stream = self._container.add_stream('libx264', rate=rate)
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = 'yuv420p'
        self._stream.options = {'crf': '18', 'preset': 'medium'}

    def __enter__(self) -> 'VideoWriter':
        return self

    def write(self, image: Image) -> None:
        """Append a picture (H, W, 3)."""
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format='rgb24')
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def __exit__(self, *_: object) -> None:
        for packet in self._stream.encode():
            self._container.mux(packet)
        self._container.close()
