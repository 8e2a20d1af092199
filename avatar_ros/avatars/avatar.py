# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""What every avatar can do, and how to get one."""

from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Protocol, runtime_checkable

from torch import Tensor

from avatar_ros.body import BodyPose, FaceExpression
from avatar_ros.gaussians import Gaussians
from avatar_ros.types import FloatArray


@runtime_checkable
class Avatar(Protocol):
    """Something that takes a pose and gives Gaussians in the frame of that pose."""

    @property
    def name(self) -> str: ...

    def __len__(self) -> int:
        """Number of Gaussians."""
        ...

    def deform(self, pose: BodyPose, expression: FaceExpression | None = None) -> Gaussians:
        """The Gaussians of this pose; valid until the next call."""
        ...

    @property
    def view_dependent(self) -> bool:
        """Colours depend on the point of view: ask `colors_for` after `deform`."""
        ...

    def colors_for(self, camera_positions: Sequence[FloatArray] | FloatArray) -> Tensor:
        """RGB (C, N, 3) of the last pose, seen from C points in its frame."""
        ...

    @property
    def refine(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """A screen-space network: RGB (C, H, W, 3) from what `deform`'s colours give on black
        (C, H, W, D) and coverage (C, H, W, 1); None if the colours are RGB already."""
        ...

    @property
    def pose_distance(self) -> float:
        """Radians from the last pose to the nearest it was trained on; NaN if unknown."""
        ...

    def twin(self) -> 'Avatar':
        """Another of the same, to be in another pose at the same time."""
        ...

    def ground_height(self, pose: BodyPose, up: FloatArray | None = None) -> float:
        """Height along `up` (default y) of the lowest point of the feet, in metres."""
        ...


def shipped_avatars() -> dict[str, Path]:
    """Name -> bundle of the avatars that come with the package."""
    folder = Path(str(files('avatar_ros'))) / 'data' / 'avatars'
    return {path.stem: path for path in sorted(folder.glob('*.zip'))}


def avatar_path(path_or_name: str | Path) -> Path:
    """Where the named avatar lies: a shipped one such as ``demo``, or a path to a bundle.

    :raises ValueError: if there is neither.
    """
    shipped = shipped_avatars()
    if str(path_or_name) in shipped:
        return shipped[str(path_or_name)]
    path = Path(path_or_name).expanduser()
    if not path.exists():
        raise ValueError(
            f'avatar {str(path_or_name)!r}: no such file, and no shipped avatar has that name. '
            f'Give a bundle (.zip or directory) or one of: {", ".join(shipped) or "(none)"}.'
        )
    return path
