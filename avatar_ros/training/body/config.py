# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Every number of a training run. The defaults are 3DGS-Avatar's; `preset` gives the others.

Sources are in docs/training.md. What no paper states is marked "chosen".
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any

from avatar_ros.avatars.network.config import NetworkConfig

METHODS = ('base', 'chase', 'sg_gs')
PRESETS = ('paper', 'cpu', 'preview')


@dataclass(frozen=True)
class GaussianConfig:
    """The canonical Gaussians and their density control."""

    initial: int = 50_000
    """Sampled on the body mesh in the canonical pose."""
    at_most: int = 200_000
    opacity: float = 0.1
    position_lr: float = 1.6e-4
    position_lr_end: float = 1.6e-6
    position_lr_steps: int = 30_000
    feature_lr: float = 1e-3
    opacity_lr: float = 0.05
    scale_lr: float = 0.005
    rotation_lr: float = 0.001
    densify_from: int = 500
    densify_until: int = 10_000
    densify_every: int = 100
    densify_gradient: float = 2e-4
    percent_dense: float = 0.01
    prune_opacity: float = 0.05
    reset_opacity_every: int = 3_000
    """0: never."""


@dataclass(frozen=True)
class LossConfig:
    """Weights of the terms that all methods share."""

    rgb: float = 1.0
    mask: float = 0.1
    ssim: float = 0.0
    perceptual: float = 0.01
    skin_early: float = 10.0
    skin: float = 0.1
    skin_early_until: int = 1_000
    skin_points: int = 1_024
    isopos: float = 1.0
    isocov: float = 100.0
    neighbours: int = 5
    """Of the isometry terms; the Gaussian itself is one of them."""


@dataclass(frozen=True)
class Schedule:
    """When what learns, in iterations of one image."""

    iterations: int = 15_000
    gaussians_from: int = 1_000
    nonrigid_from: int = 3_000
    pose_from: int = 5_000
    geometry_from: int = 5_000
    network_lr: float = 1e-3
    skinning_lr: float = 1e-4
    pose_lr: float = 1e-4
    unet_lr: float = 5e-4
    latent_decay: float = 0.05
    lr_end: float = 0.1
    """Networks' rates fall exponentially to this part of themselves."""
    gradient_clip: float = 0.1
    pose_correction: bool = True
    camera_correction: bool = False
    pose_noise: float = 0.1
    pose_noise_chance: float = 0.5
    view_noise_deg: float = 45.0


@dataclass(frozen=True)
class ChaseConfig:
    """Dynamic Avatar Adjustment and the geometry contrastive loss."""

    adjust: bool = True
    contrast: bool = True
    similar: int = 3
    """At most so many similar poses for each."""
    similar_below_rad: float = 0.5
    """Chosen; poses that differ more are not similar, except the nearest one."""
    apart: int = 5
    """Chosen: instants nearer than this in time show nothing new."""
    nodes: int = 512
    node_neighbours: int = 3
    adjust_from: int = 8_000
    adjust_late: int = 9_000
    weight: float = 0.1
    weight_late: float = 0.001
    contrast_weight: float = 0.001
    contrast_points: int = 2_048
    contrast_neighbours: int = 20
    contrast_margin: float = 1.0
    contrast_every: int = 1
    """Chosen: the encoder costs more than all the rest on a CPU."""
    encoder_width: int = 64
    encoder_lr: float = 1e-4


@dataclass(frozen=True)
class SemanticConfig:
    """Semantic attributes and their regularisers."""

    semantic: float = 0.1
    neighbourhood: float = 0.1
    densify: bool = True
    geometry_network: bool = True
    neighbourhood_points: int = 800
    neighbourhood_neighbours: int = 5
    neighbourhood_scale: float = 2.0
    densify_at: tuple[int, ...] = (5_000, 10_000)
    densify_share: float = 0.02
    """Chosen: this part of each body part, those with the highest contrast, is cloned."""
    every: int = 1
    """Chosen: the semantic picture is drawn once in so many iterations, with so much weight."""
    lr: float = 1e-3
    moves_geometry: bool = False
    """Chosen: whether the semantic picture pulls at positions and opacities, or labels alone."""
    start: float = 4.0
    """Chosen: logit of the label that a Gaussian starts with."""


@dataclass(frozen=True)
class TrainConfig:
    """A whole run."""

    method: str = 'base'
    preset: str = 'paper'
    seed: int = 0
    image_size: int = 512
    network: NetworkConfig = field(default_factory=NetworkConfig)
    gaussians: GaussianConfig = field(default_factory=GaussianConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    schedule: Schedule = field(default_factory=Schedule)
    chase: ChaseConfig | None = None
    semantic: SemanticConfig | None = None

    def lasting(self, iterations: int) -> 'TrainConfig':
        """The same run in another number of iterations: everything that is timed moves along.

        But for the first stage: the skinning field needs as many steps however long the rest is.
        """
        if iterations < 1:
            raise ValueError(f'{iterations} iterations; expected at least 1.')
        first = self.schedule.gaussians_from
        new_first = min(first, iterations // 3)
        share = (iterations - new_first) / max(self.schedule.iterations - first, 1)

        def at(step: int) -> int:
            return round(new_first + (step - first) * share) if step > first else step

        chase = self.chase and replace(
            self.chase,
            adjust_from=at(self.chase.adjust_from),
            adjust_late=at(self.chase.adjust_late),
        )
        semantic = self.semantic and replace(
            self.semantic, densify_at=tuple(map(at, self.semantic.densify_at))
        )
        return replace(
            self,
            gaussians=replace(
                self.gaussians,
                densify_from=min(self.gaussians.densify_from, new_first),
                densify_until=at(self.gaussians.densify_until),
                reset_opacity_every=round(self.gaussians.reset_opacity_every * share),
                position_lr_steps=round(self.gaussians.position_lr_steps * share),
            ),
            schedule=replace(
                self.schedule,
                iterations=iterations,
                gaussians_from=new_first,
                nonrigid_from=at(self.schedule.nonrigid_from),
                pose_from=at(self.schedule.pose_from),
                geometry_from=at(self.schedule.geometry_from),
            ),
            loss=replace(self.loss, skin_early_until=min(self.loss.skin_early_until, new_first)),
            chase=chase,
            semantic=semantic,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> 'TrainConfig':
        """The config that `to_json` wrote.

        :raises ValueError: if a field is unknown.
        """
        parts: dict[str, Any] = {
            'network': NetworkConfig,
            'gaussians': GaussianConfig,
            'loss': LossConfig,
            'schedule': Schedule,
            'chase': ChaseConfig,
            'semantic': SemanticConfig,
        }
        result = {
            name: _filled(parts[name], value) if name in parts and value is not None else value
            for name, value in values.items()
        }
        return _filled(cls, result)


def _filled(kind: Any, values: Mapping[str, Any]) -> Any:
    known = [f.name for f in fields(kind)]
    unknown = set(values) - set(known)
    if unknown:
        raise ValueError(
            f'{kind.__name__} has no {", ".join(sorted(unknown))}; known are {", ".join(known)}.'
        )
    return kind(
        **{
            name: tuple(value) if isinstance(value, list) and not is_dataclass(value) else value
            for name, value in values.items()
        }
    )


def preset(method: str, name: str = 'paper', seed: int = 0) -> TrainConfig:
    """The config of a method at a scale.

    ``paper`` has the papers' sizes and schedules and wants a GPU; ``cpu`` makes a presentable
    avatar on two cores; ``preview`` shows within a minute or two whether a capture is sound.

    :raises ValueError: if there is no such method or preset.
    """
    if method not in METHODS:
        raise ValueError(f'method {method!r}; expected one of {", ".join(METHODS)}.')
    if name not in PRESETS:
        raise ValueError(f'preset {name!r}; expected one of {", ".join(PRESETS)}.')
    config = TrainConfig(method=method, preset=name, seed=seed)
    if method == 'chase':
        schedule = replace(config.schedule, iterations=13_000, camera_correction=True)
        config = replace(config, chase=ChaseConfig(), schedule=schedule)
    if method == 'sg_gs':
        config = replace(
            config,
            semantic=SemanticConfig(),
            loss=replace(config.loss, mask=0.5, ssim=0.05, isocov=0.0),
            network=replace(config.network, geometry_network=True),
        )
    if name == 'paper':
        return config
    return _small(config, name)


def _small(config: TrainConfig, name: str) -> TrainConfig:
    """Smaller networks and fewer Gaussians and steps (all chosen, for two cores)."""
    # One length for all methods, so that they can be compared.
    config = config.lasting(6_000 if name == 'cpu' else 600)
    config = replace(
        config,
        image_size=256 if name == 'cpu' else 128,
        network=replace(
            config.network,
            hash_levels=12,
            hash_log2_table=14,
            hash_finest=512,
            nonrigid_width=64,
            nonrigid_layers=2,
            skinning_width=64,
            color_features=16,
            color_width=32,
            latent_features=8,
            voxel_m=0.02,
            unet_planes=(8, 16, 24),
            unet_features=16,
            fusion_width=64,
            fusion_layers=2,
        ),
        gaussians=replace(
            config.gaussians,
            initial=8_000 if name == 'cpu' else 3_000,
            at_most=14_000 if name == 'cpu' else 4_000,
            reset_opacity_every=0,
            # Short runs end before colours have settled: 1.5 dB in 1000 steps.
            feature_lr=1e-2,
        ),
        schedule=replace(config.schedule, skinning_lr=1e-3),
        # No VGG on a CPU: it would take longer than everything else together.
        # SG-GS's mask weight of 0.5 and no isocov cost it 1.6 dB in 1000 steps on a made capture.
        loss=replace(config.loss, perceptual=0.0, mask=0.1, isocov=100.0),
    )
    if config.chase is not None:
        config = replace(
            config,
            chase=replace(
                config.chase,
                contrast_points=512,
                contrast_neighbours=10,
                contrast_every=4,
                encoder_width=32,
                # Earlier, stronger and to the end: with 5 % of the instants and 1000 steps this
                # gained 0.25 dB over the base, the paper's schedule 0.02 dB.
                adjust_from=round(0.45 * config.schedule.iterations),
                weight=0.3,
                weight_late=0.3,
            ),
        )
    if config.semantic is not None:
        config = replace(config, semantic=replace(config.semantic, every=4))
    return config
