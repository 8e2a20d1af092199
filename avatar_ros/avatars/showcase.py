# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Pictures of an avatar for people to look at: cameras around it, a floor, a contact sheet.

Everything here is in a frame with y up, the floor at y = 0 and the person facing z.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import torch

from avatar_ros.avatars.motion import stance
from avatar_ros.avatars.skinned import SkinnedAvatar
from avatar_ros.body import ARKIT_52, BodyPose, FaceExpression, rest_pose
from avatar_ros.gaussians import Gaussians
from avatar_ros.geometry import Camera, look_at, quat_from_rotvec
from avatar_ros.render import Engine, to_rgb8
from avatar_ros.types import FloatArray, Image

BACKGROUND = (0.86, 0.87, 0.88)
FOV_DEG = 24.0


def camera_around(
    target: FloatArray,
    across_m: float,
    azimuth_deg: float,
    elevation_deg: float,
    width: int,
    height: int,
) -> Camera:
    """Camera that sees `across_m` metres of height around a target.

    Azimuth 0 is in front of the person, 90 at the person's left.
    """
    a, e = np.radians([azimuth_deg, elevation_deg])
    way = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
    distance = across_m / 2 / np.tan(np.radians(FOV_DEG) / 2)
    view = look_at(np.asarray(target) + way * distance, target)
    return Camera.from_fov(width, height, FOV_DEG, T_camera_world=view)


def on_floor(avatar: SkinnedAvatar, pose: BodyPose) -> BodyPose:
    """The pose lifted or lowered so that its lowest foot stands on y = 0."""
    T = np.array(pose.T_frame_root, dtype=float)
    T[1, 3] -= avatar.ground_height(pose)
    return replace(pose, T_frame_root=T)


def with_contact_shadow(
    gaussians: Gaussians, feet: FloatArray, strength: float = 0.35
) -> Gaussians:
    """The same set with a dark flat blob on the floor under each of the points (S, 3)."""
    n = len(feet)
    height = np.clip(feet[:, 1], 0, 0.5)
    means = torch.from_numpy(np.c_[feet[:, 0], np.full(n, -0.004), feet[:, 2]].astype(np.float32))
    spread = torch.from_numpy((0.10 + 0.3 * height).astype(np.float32))
    scales = torch.stack([spread, torch.full((n,), 0.0005), spread * 1.5], 1)
    quats = torch.zeros(n, 4)
    quats[:, 0] = 1
    opacity = torch.from_numpy((strength * (1 - 2 * height)).clip(0.01).astype(np.float32))
    device = gaussians.device

    def join(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.cat([a, b.to(device, a.dtype)])

    return Gaussians(
        join(gaussians.means, means),
        join(gaussians.quats, quats),
        join(gaussians.scales, scales),
        join(gaussians.opacities, opacity),
        join(gaussians.colors, torch.full((n, 3), 0.12)),
    )


@dataclass(frozen=True)
class Shot:
    """One picture of a contact sheet."""

    stance: str = 'relaxed'
    joint: str = ''
    """What the camera looks at; the middle of the body if empty."""
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    across_m: float = 2.3
    azimuth_deg: float = 0.0
    elevation_deg: float = 4.0
    face: dict[str, float] = field(default_factory=dict)


_HEAD = {'joint': 'head', 'offset': (0.0, 0.07, 0.04), 'across_m': 0.36, 'elevation_deg': 0.0}
_SMILE = {'mouthSmileLeft': 0.9, 'mouthSmileRight': 0.9, 'cheekSquintLeft': 0.4,
          'cheekSquintRight': 0.4}  # fmt: skip
SHEET = (
    Shot(),
    Shot(azimuth_deg=45),
    Shot(azimuth_deg=90),
    Shot(azimuth_deg=180),
    Shot('walking', azimuth_deg=35),
    Shot('arms up', across_m=2.7, offset=(0.0, 0.22, 0.0)),
    Shot('sitting', azimuth_deg=40, elevation_deg=10, offset=(0.0, -0.28, 0.1), across_m=1.8),
    Shot('thumbs up', 'spine3', offset=(0.0, 0.1, 0.0), across_m=1.25, azimuth_deg=-20),
    Shot(**_HEAD),  # type: ignore[arg-type]
    Shot(**_HEAD, azimuth_deg=-50, face=_SMILE),  # type: ignore[arg-type]
    Shot(**_HEAD, face={'eyeBlinkLeft': 1.0, 'eyeBlinkRight': 1.0}),  # type: ignore[arg-type]
    Shot(**_HEAD, azimuth_deg=20, face={'jawOpen': 0.7, 'browInnerUp': 0.8}),  # type: ignore[arg-type]
)


def photograph(avatar: SkinnedAvatar, engine: Engine, shot: Shot, size: int) -> Image:
    """One square picture (size, size, 3)."""
    pose = replace(rest_pose(), rotations=quat_from_rotvec(stance(shot.stance)))
    pose = on_floor(avatar, pose)
    weights = np.array([shot.face.get(name, 0.0) for name in ARKIT_52])
    gaussians = avatar.deform(pose, FaceExpression('arkit52', ARKIT_52, weights))
    target = _joint(avatar, pose, shot.joint) if shot.joint else np.array([0.0, 0.95, 0.0])
    camera = camera_around(
        target + shot.offset, shot.across_m, shot.azimuth_deg, shot.elevation_deg, size, size
    )
    feet = np.stack([_joint(avatar, pose, f'{side}_foot') for side in ('left', 'right')])
    gaussians = with_contact_shadow(gaussians, feet - [0.0, 0.03, 0.06])
    background = torch.tensor([BACKGROUND], device=engine.device)
    with torch.no_grad():
        rendered = engine.rasterize(gaussians, [camera], backgrounds=background)
    return to_rgb8(rendered.colors[0])


def contact_sheet(
    avatar: SkinnedAvatar, engine: Engine, size: int = 320, columns: int = 4
) -> Image:
    """Front, sides, back, some poses and faces in a grid of square pictures."""
    pictures = [photograph(avatar, engine, shot, size) for shot in SHEET]
    rows = [np.hstack(pictures[i : i + columns]) for i in range(0, len(pictures), columns)]
    return np.vstack(rows)


def _joint(avatar: SkinnedAvatar, pose: BodyPose, joint: str) -> FloatArray:
    """Where the named joint is in this pose."""
    return np.asarray(avatar.joint_positions(pose)[avatar.bundle.skeleton.index[joint]])
