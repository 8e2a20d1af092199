# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Every number of prior learning and personalisation; the defaults are HeadGAP's."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from avatar_ros.avatars.head.config import HeadNetworkConfig

PRESETS = ('paper', 'gpu', 'cpu', 'preview')


@dataclass(frozen=True)
class HeadLoss:
    """Weights of HeadGAP's eq. 8."""

    l1: float = 0.8
    ssim: float = 0.2
    perceptual: float = 0.4
    mouth: float = 10.0
    mask: float = 1.0
    scale: float = 1.0
    scale_free: float = 0.6
    """Triangle sizes up to which a Gaussian costs nothing."""
    position: float = 0.01
    position_free: float = 1.0
    arap: float = 1.0


@dataclass(frozen=True)
class PriorSchedule:
    """Learning over many identities."""

    iterations: int = 100_000
    batch: int = 32
    lr: float = 1e-3
    flame_lr: float = 1e-3
    """Of the FLAME parameters, which are learned too; 0 keeps those of the capture."""


@dataclass(frozen=True)
class PersonalSchedule:
    """From a few photographs to an avatar."""

    inversion: int = 500
    inversion_lr: float = 0.05
    """Chosen: the weights of 119 identities start equal and must become few."""
    finetune: int = 500
    lr: float = 1e-5
    point_lr: float = 1e-3
    cosine: bool = False
    """Fine-tuning's rates fall to zero along half a cosine; the paper names constant ones."""
    reference_views: int = 16
    reference: float = 0.01
    """Weight of the neutral reference views."""


@dataclass(frozen=True)
class HeadTrainConfig:
    """A whole run."""

    preset: str = 'paper'
    seed: int = 0
    image_size: int = 512
    """Not stated in the paper; the longer side in pixels."""
    network: HeadNetworkConfig = field(default_factory=HeadNetworkConfig)
    loss: HeadLoss = field(default_factory=HeadLoss)
    prior: PriorSchedule = field(default_factory=PriorSchedule)
    personal: PersonalSchedule = field(default_factory=PersonalSchedule)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> 'HeadTrainConfig':
        """The config that `to_json` wrote.

        :raises ValueError: if a field is unknown.
        """
        parts: dict[str, Any] = {
            'loss': HeadLoss,
            'prior': PriorSchedule,
            'personal': PersonalSchedule,
        }
        made: dict[str, Any] = {}
        known = {f.name for f in fields(cls)}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f'HeadTrainConfig has no {name}; the run is of another version.')
            if name == 'network':
                made[name] = HeadNetworkConfig.from_json(value)
            elif name in parts:
                unknown = set(value) - {f.name for f in fields(parts[name])}
                if unknown:
                    raise ValueError(f'{name} has no {", ".join(sorted(unknown))}.')
                made[name] = parts[name](**value)
            else:
                made[name] = value
        return cls(**made)


def preset(name: str = 'paper', seed: int = 0) -> HeadTrainConfig:
    """A run at some scale.

    ``paper`` is HeadGAP as published and wants eight large GPUs for days (the prior) or one for
    minutes (personalisation); ``gpu`` is a prior within minutes on one GPU; ``cpu`` is the largest
    that two cores train in a coffee break; ``preview`` is for tests.

    :raises ValueError: if there is no such preset.
    """
    if name not in PRESETS:
        raise ValueError(f'preset {name!r}; expected one of {", ".join(PRESETS)}.')
    config = HeadTrainConfig(preset=name, seed=seed)
    if name == 'paper':
        return config
    if name == 'gpu':
        return replace(
            config,
            image_size=384,
            network=replace(config.network, grid=224, width=96, cnn_width=64),
            prior=replace(config.prior, iterations=6_000, batch=4, flame_lr=0.0),
            personal=replace(config.personal, lr=5e-4),
        )
    small = name == 'preview'
    network = HeadNetworkConfig(
        grid=48 if small else 112,
        point_features=16,
        code=16 if small else 32,
        width=24 if small else 40,
        layers=4,
        features=10 if small else 14,
        cnn_width=8 if small else 16,
        cnn_layers=3 if small else 4,
    )
    return replace(
        config,
        image_size=64 if small else 144,
        network=network,
        # No VGG on a CPU: it would take longer than everything else together.
        loss=replace(config.loss, perceptual=0.0),
        prior=PriorSchedule(200 if small else 4_000, 2, 2e-3, 0.0),
        personal=PersonalSchedule(
            inversion=40 if small else 150,
            finetune=40 if small else 400,
            # A prior of dozens of people must give way further than one of 119.
            lr=2.5e-4,
            # One photograph a step is noise that must die away.
            cosine=True,
            reference_views=4 if small else 16,
        ),
    )
