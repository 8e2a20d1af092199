# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Is it still the same person? Faces as points of an embedding that knows nothing of our avatars.

The embedding is dlib's ResNet (128 numbers, CC0 weights), not HeadGAP's, which is not public.
``pip install dlib-bin`` and ``pip install --no-deps face_recognition_models`` (100 MB) provide it.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from avatar_ros.training.head.capture import HeadCapture
from avatar_ros.training.head.personal import Personalisation
from avatar_ros.training.head.scene import View, read_view
from avatar_ros.types import FloatArray, Image

#: Cameras of the sixteen from which a face is seen well enough to be known again.
FRONTAL = ('05', '06', '07', '08', '09', '10')
#: Pixels that faces are enlarged to before they are looked for.
_SIZE = 320


class FaceEmbedding:
    """dlib's face detector, five landmarks and recognition network.

    :raises SystemExit: if they are not installed.
    """

    def __init__(self) -> None:
        models = find_spec('face_recognition_models')
        if models is None or find_spec('dlib') is None:
            raise SystemExit(
                'identity is measured with dlib: pip install dlib-bin; '
                'pip install --no-deps face_recognition_models'
            )
        import dlib

        assert models.origin is not None
        folder = Path(models.origin).parent / 'models'
        self._find = dlib.get_frontal_face_detector()
        self._landmarks = dlib.shape_predictor(str(folder / 'shape_predictor_5_face_landmarks.dat'))
        self._network = dlib.face_recognition_model_v1(
            str(folder / 'dlib_face_recognition_resnet_model_v1.dat')
        )

    def __call__(self, rgb: Image) -> FloatArray | None:
        """Unit vector (128,) of the face in a picture, or None where none is found."""
        scale = _SIZE / max(rgb.shape[:2])
        large = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        found = self._find(large, 0) or self._find(large, 1)
        if not found:
            return None
        face = max(found, key=lambda box: box.area())
        vector = np.array(
            self._network.compute_face_descriptor(large, self._landmarks(large, face))
        )
        return np.asarray(vector / np.linalg.norm(vector))


def frontal_views(capture: HeadCapture, split: str, size: int, instant: str = '') -> list[View]:
    """Pictures of a split (of one instant, if named) by the frontal cameras."""
    return [
        read_view(shot, size)
        for shot in capture.shots.get(split, ())
        if shot.camera_name in FRONTAL and (not instant or f'{shot.row:05d}' == instant)
    ]


def portraits_of(
    embed: FaceEmbedding, captures: Sequence[HeadCapture], size: int, instant: str
) -> dict[str, FloatArray]:
    """Unit vectors (128,) that people are known by: means over the frontal photographs.

    By the names of the captures. People of whom no face is found, as where hair hangs over both
    eyes, are left out.
    """
    found = {c.name: _portrait(embed, c, size, instant) for c in captures}
    return {name: vector for name, vector in found.items() if vector is not None}


def _portrait(
    embed: FaceEmbedding, capture: HeadCapture, size: int, instant: str
) -> FloatArray | None:
    found = [embed(view.rgb) for view in frontal_views(capture, 'train', size, instant)]
    seen = [vector for vector in found if vector is not None]
    if not seen:
        return None
    mean = np.mean(seen, axis=0)
    return np.asarray(mean / np.linalg.norm(mean))


def identity_scores(
    embed: FaceEmbedding, made: Personalisation, capture: HeadCapture,
    portraits: Mapping[str, FloatArray],
) -> dict[str, float] | None:  # fmt: skip
    """How well somebody is known again with faces and from views that no photograph shows.

    ``cosine``: avatar against the true picture, mean. ``cosine_others``: avatar against the
    portraits of everybody else, mean. ``rank1`` and ``truth_rank1``: share of avatar and of true
    pictures to which, of all portraits, the person's own is nearest. ``found``: share of the
    avatar's pictures in which the face is found.

    None if the face is found in no true picture, or in none of the avatar's.

    :param portraits: of all people, by the names of their captures.
    """
    if capture.name not in portraits:
        return None
    everybody, own = np.array(list(portraits.values())), list(portraits).index(capture.name)
    others = np.delete(everybody, own, axis=0)
    cosines, foreign, mine, true, shown = [], [], [], [], 0
    for view in frontal_views(capture, 'novel_expression', made.config.image_size):
        truth = embed(view.rgb)
        if truth is None:
            continue
        shown += 1
        true.append(np.argmax(everybody @ truth) == own)
        image = made.draw(view).image.detach().cpu().clamp(0, 1).numpy()
        avatar = embed(np.asarray(image * 255, np.uint8))
        if avatar is None:
            continue
        cosines.append(avatar @ truth)
        foreign.append((others @ avatar).mean())
        mine.append(np.argmax(everybody @ avatar) == own)
    if not cosines:
        return None
    return {
        'cosine': float(np.mean(cosines)),
        'cosine_others': float(np.mean(foreign)),
        'rank1': float(np.mean(mine)),
        'truth_rank1': float(np.mean(true)),
        'found': len(cosines) / shown,
    }
