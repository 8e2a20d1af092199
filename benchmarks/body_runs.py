# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Which body avatars are trained for the comparison, on which capture."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from avatar_ros.assets import asset_path
from avatar_ros.training.body.config import TrainConfig
from avatar_ros.training.capture import Capture
from avatar_ros.training.datasets import check_shots, load_capture
from avatar_ros.training.synthetic.mesh_generate import MeshCaptureOptions, generate_mesh_capture

FOLDER = Path('out') / 'benchmarks' / 'body'
COMMAND = 'python -m benchmarks.body'
#: Steps of a run that is compared with others: half the preset's, for there are many.
STEPS = 3_000
SIZE = 256

Edit = Callable[[TrainConfig], TrainConfig]


def _without(part: str) -> Edit:
    def edit(config: TrainConfig) -> TrainConfig:
        if config.chase is not None:
            return replace(config, chase=replace(config.chase, **{part: False}))
        assert config.semantic is not None
        if part == 'network':
            network = replace(config.network, geometry_network=False)
            return replace(config, network=network)
        return replace(
            config,
            semantic=replace(config.semantic, semantic=0.0, neighbourhood=0.0, densify=False),
        )

    return edit


ABLATIONS: dict[str, tuple[str, Edit]] = {
    'chase-no_daa': ('chase', _without('adjust')),
    'chase-no_contrast': ('chase', _without('contrast')),
    'sg_gs-no_semantic': ('sg_gs', _without('semantic')),
    'sg_gs-no_network': ('sg_gs', _without('network')),
}


@dataclass(frozen=True)
class Run:
    capture: str
    fraction: int
    """Per cent of the training instants."""
    variant: str
    seed: int = 0
    steps: int = STEPS

    @property
    def name(self) -> str:
        return f'{self.capture}.{self.fraction:03d}.{self.variant}.{self.steps}.{self.seed}'

    @property
    def method(self) -> str:
        return ABLATIONS[self.variant][0] if self.variant in ABLATIONS else self.variant


RUNS = [
    *(Run('synthetic', 100, m, s) for m in ('base', 'chase', 'sg_gs') for s in (0, 1)),
    *(Run('synthetic', 5, m, s) for m in ('base', 'chase') for s in (0, 1)),
    *(Run('synthetic', 10, 'chase', s) for s in (0, 1)),
    *(Run('real', 100, m, s) for m in ('base', 'chase', 'sg_gs') for s in (0, 1)),
    *(Run('synthetic', 5, a, s) for a in ('chase-no_daa', 'chase-no_contrast') for s in (0, 1)),
    *(
        Run('synthetic', 100, a, s)
        for a in ('sg_gs-no_semantic', 'sg_gs-no_network')
        for s in (0, 1)
    ),
    # The papers' protocol: one camera sees a person who turns.
    *(Run('monocular', 5, m, s) for m in ('base', 'chase') for s in (0, 1)),
    Run('monocular', 100, 'base'),
]


def capture_of(name: str) -> tuple[Capture, bool]:
    """The capture, made on first use, and whether pictures are to be cropped."""
    folder = FOLDER / 'captures' / name
    if not (folder / 'poses.npz').exists():
        if name == 'synthetic':
            generate_mesh_capture(folder, MeshCaptureOptions(size=SIZE))
        elif name == 'monocular':
            generate_mesh_capture(folder, MeshCaptureOptions(frames=500, cameras=3, size=SIZE))
        else:
            from avatar_ros.training.from_video.make import VideoOptions, capture_from_video
            from avatar_ros.training.from_video.multiview import VIDEOS

            videos = {camera: asset_path(asset) for camera, asset in VIDEOS.items()}
            calibration = asset_path('body_calibration.qca.txt')
            capture_from_video(folder, videos, calibration, VideoOptions(size=1280))
    capture = check_shots(load_capture(folder))
    if name == 'monocular':
        capture = one_camera(capture)
    return capture, name == 'real'


def one_camera(capture: Capture) -> Capture:
    """The capture with the first of its training cameras alone."""
    rows = capture.splits['train']
    first = capture.shots[rows[0]].camera_name
    kept = tuple(row for row in rows if capture.shots[row].camera_name == first)
    return replace(capture, splits={**capture.splits, 'train': kept})
