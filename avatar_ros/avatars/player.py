# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Poses in, pictures out: avatars, their stage and a render engine, timed stage by stage."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from avatar_ros.avatars.avatar import Avatar
from avatar_ros.avatars.cast import Shown
from avatar_ros.avatars.stage import Stage
from avatar_ros.body import BodyPose, FaceExpression, neutral_face, rest_pose
from avatar_ros.gaussians import Gaussians
from avatar_ros.geometry import Camera, look_at
from avatar_ros.render import Engine, RasterizeMode, Rendered, to_rgb8
from avatar_ros.types import Array, FloatArray, Image

_OUTLINE = 4000
_LOOK_HEIGHT_M = 0.95  # where a default view looks at: the middle of a standing person


@dataclass(frozen=True)
class Picture:
    """One rendered view. The arrays are the caller's to keep."""

    camera: Camera
    rgb: Image
    """(H, W, 3)."""
    depth: Array | None
    """(H, W) float32 metres along the optical axis; NaN where nothing is (REP-118)."""


@dataclass(frozen=True)
class Frame:
    """All views of one pose."""

    pictures: tuple[Picture, ...]
    stages_ms: dict[str, float] = field(default_factory=dict)
    pose_distance: float = math.nan
    """Radians from the pose to the nearest that the avatar was trained on."""


class Player:
    """Not thread-safe: one thread renders."""

    def __init__(
        self,
        avatar: Avatar,
        engine: Engine,
        stage: Stage,
        *,
        background: Sequence[float] = (0.0, 0.0, 0.0),
        rasterize_mode: RasterizeMode = 'classic',
    ) -> None:
        self.avatar = avatar
        self.engine = engine
        self.stage = stage
        self._background = torch.tensor(list(background), dtype=torch.float32)
        self._rasterize_mode = rasterize_mode
        self._workspace = engine.workspace()
        self.placed: tuple[BodyPose, ...] = ()
        """Poses in the stage frame of those who were drawn last."""
        self._people: list[Shown] = []
        self._parts: list[Gaussians] = []
        self._gaussians: Gaussians | None = None

    def warm_up(self, camera: Camera) -> None:
        """Compile and load everything that the first frame needs; the stage stays untouched."""
        self.engine.warm_up()
        self.render(rest_pose(), neutral_face(), [camera], depth=True)
        self.stage.reset()

    def render(
        self,
        pose: BodyPose,
        face: FaceExpression | None,
        cameras: Sequence[Camera],
        *,
        in_avatar_frame: bool = True,
        depth: bool = False,
    ) -> Frame:
        """The avatar in this pose (given in the tracking camera's frame) from all cameras.

        Cameras stand in the avatar frame, or in the stage frame if `in_avatar_frame` is False.
        """
        people = [Shown(pose, face, self.avatar)]
        return self.render_people(people, cameras, in_avatar_frame=in_avatar_frame, depth=depth)

    def render_people(
        self,
        people: Sequence[Shown],
        cameras: Sequence[Camera],
        *,
        in_avatar_frame: bool = True,
        depth: bool = False,
    ) -> Frame:
        """The same of several people, at least one, each with an avatar of their own."""
        start = time.perf_counter()
        self.pose_people(people)
        deformed = time.perf_counter()
        views = [
            c.at(self.stage.view_from_avatar_frame(c.T_camera_world)) if in_avatar_frame else c
            for c in cameras
        ]
        rendered = self.draw(views, self._background, depth=depth)
        rasterized = time.perf_counter()
        pictures = []
        for k, camera in enumerate(cameras):
            rgb = to_rgb8(rendered.colors[k, ..., :3])
            pictures.append(Picture(camera, rgb, _depth(rendered, k) if depth else None))
        stages = {
            'deform': (deformed - start) * 1e3,
            'raster': (rasterized - deformed) * 1e3,
            'convert': (time.perf_counter() - rasterized) * 1e3,
        }
        return Frame(tuple(pictures), stages, people[0].avatar.pose_distance)

    def pose(self, pose: BodyPose, face: FaceExpression | None) -> None:
        """Put the avatar into this pose, for `draw` and `outline`."""
        self.pose_people([Shown(pose, face, self.avatar)])

    def pose_people(self, people: Sequence[Shown]) -> None:
        """Put everybody's avatar into their pose; at least one person."""
        self.deform_people(people, self.place_people(people))

    def place_people(self, people: Sequence[Shown]) -> list[BodyPose]:
        """The poses in the stage frame; once for each pose, because the stage follows them."""
        ids = [person.pose.person_id for person in people]
        return [self.stage.place(person.pose, person.avatar, ids) for person in people]

    def deform_people(self, people: Sequence[Shown], placed: Sequence[BodyPose]) -> None:
        """Put everybody's avatar into poses that were placed already."""
        self.placed = tuple(placed)
        self._people, self._parts = list(people), []
        for person, pose in zip(people, placed, strict=True):
            part = person.avatar.deform(pose, person.face)
            if person.share < 1.0:
                part = replace(part, opacities=part.opacities * person.share)
            if len(people) > 1 and person.avatar.refine is not None:
                # A screen-space network sees one head; its first three features are RGB.
                part = replace(part, colors=part.colors[:, :3].contiguous())
            self._parts.append(part)
        self._gaussians = joined(self._parts)

    def place(self, pose: BodyPose) -> BodyPose:
        """One person's pose in the stage frame."""
        return self.place_people([Shown(pose, None, self.avatar)])[0]

    def deform(self, placed: BodyPose, face: FaceExpression | None) -> None:
        """Put the one avatar into a pose that is in the stage frame already."""
        self.deform_people([Shown(placed, face, self.avatar)], [placed])

    def outline(self) -> FloatArray:
        """Some (n, 3) of the posed Gaussians' centres, at most 4,000, in the stage frame."""
        means = self._posed().means
        step = -(-len(means) // _OUTLINE)
        return np.asarray(means[::step].double().cpu().numpy())

    def snapshot(self, eye: FloatArray) -> Gaussians:
        """What was posed last, in plain colours as seen from a point in the stage frame."""
        gaussians = self._posed()
        if any(person.avatar.view_dependent for person in self._people):
            return replace(gaussians, colors=self._colors([eye])[0], sh_degree=None)
        return replace(gaussians, colors=gaussians.colors[:, :3])  # the rest is a network's

    def draw(
        self, views: Sequence[Camera], background: torch.Tensor | None = None, *, depth: bool
    ) -> Rendered:
        """What the rasterizer gives of the last pose; cameras stand in the stage frame.

        The tensors are overwritten by the next call.
        """
        gaussians = self._posed()
        if any(person.avatar.view_dependent for person in self._people):
            gaussians = replace(gaussians, colors=self._colors([v.position for v in views]))
        behind = torch.zeros(3) if background is None else background
        backgrounds = behind.repeat(len(views), 1).to(self.engine.device)
        refine = self._people[0].avatar.refine if len(self._people) == 1 else None
        rendered = self.engine.rasterize(
            gaussians,
            views,
            backgrounds=None if refine else backgrounds,
            render_mode='RGB+ED' if depth else 'RGB',
            rasterize_mode=self._rasterize_mode,
            workspace=self._workspace,
        )
        if refine is None:
            return rendered
        channels = gaussians.colors.shape[-1]
        with torch.no_grad():
            rgb = refine(rendered.colors[..., :channels], rendered.alphas)
        rgb = rgb + (1 - rendered.alphas) * backgrounds[:, None, None]
        return Rendered(torch.cat([rgb, rendered.colors[..., channels:]], dim=-1), rendered.alphas)

    def _colors(self, eyes: list[FloatArray]) -> torch.Tensor:
        """RGB (C, N, 3) of everybody as seen from C points."""
        colors = [
            person.avatar.colors_for(eyes)
            if person.avatar.view_dependent
            else part.colors.expand(len(eyes), -1, -1)
            for person, part in zip(self._people, self._parts, strict=True)
        ]
        return colors[0] if len(colors) == 1 else torch.cat(colors, dim=1)

    def _posed(self) -> Gaussians:
        if self._gaussians is None:
            raise RuntimeError('the player has no pose yet; call pose() or render() first.')
        return self._gaussians


def joined(parts: Sequence[Gaussians]) -> Gaussians:
    """All of them in one set with plain colours, for one call of the rasterizer."""
    if len(parts) == 1:
        return parts[0]
    return Gaussians(
        torch.cat([part.means for part in parts]),
        torch.cat([part.quats for part in parts]),
        torch.cat([part.scales for part in parts]),
        torch.cat([part.opacities for part in parts]),
        torch.cat([part.colors for part in parts]),
    )


def _depth(rendered: Rendered, k: int) -> Array:
    depth = rendered.colors[k, ..., 3].detach().cpu().numpy()
    alpha = rendered.alphas[k, ..., 0].detach().cpu().numpy()
    return np.where(alpha > 0.5, depth, np.float32(np.nan)).astype(np.float32)


def orbit_camera(
    width: int,
    height: int,
    *,
    azimuth_deg: float = 0.0,
    elevation_deg: float = 5.0,
    distance_m: float = 3.0,
    fov_y_deg: float = 40.0,
    look_height_m: float = _LOOK_HEIGHT_M,
) -> Camera:
    """A camera about the avatar frame's origin; azimuth 0 looks at the person's front.

    :raises ValueError: if the camera would stand inside the avatar or on the vertical axis.
    """
    if not (0.1 < distance_m <= 1000 and abs(elevation_deg) < 89.5 and abs(azimuth_deg) < 1e6):
        raise ValueError(
            f'orbit: distance {distance_m} m, elevation {elevation_deg} and azimuth {azimuth_deg} '
            'degrees give no view; expected 0.1..1000 m, less than 89.5 degrees, a finite azimuth.'
        )
    azimuth, elevation = np.radians(azimuth_deg), np.radians(elevation_deg)
    target = np.array([0.0, 0.0, look_height_m])
    direction: FloatArray = np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ]
    )
    T = look_at(target + distance_m * direction, target, up=(0.0, 0.0, 1.0))
    return Camera.from_fov(width, height, fov_y_deg).at(T)
