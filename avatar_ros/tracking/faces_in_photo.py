# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The one face of a photograph: landmarks, ARKit scores, orientation, and the person's mask."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from avatar_ros.assets import asset_path
from avatar_ros.geometry import R_OPTICAL_SMPL
from avatar_ros.tracking.mediapipe_estimator import quiet_stderr
from avatar_ros.types import Array, FloatArray, Image

MIN_FACE_PX = 48


class PhotoError(ValueError):
    """A photograph that cannot be used: says which, why, and what would be better."""


@dataclass(frozen=True)
class FaceInPhoto:
    """What is seen of a person's face."""

    pixels: FloatArray
    """(478, 2) landmarks of the face mesh; the last ten are the irises."""
    weights: dict[str, float]
    """ARKit name -> 0..1."""
    R_camera_head: FloatArray
    """(3, 3) SMPL axes to optical axes, for a camera that looks at the middle of the picture."""
    mask: Array
    """(H, W) uint8, 255 = a person (head, body and hair)."""


class PhotoReader:
    """Face landmarks, blend shapes and segmentation by MediaPipe; a picture at a time.

    :raises MissingAssetError: if the face model has not been fetched.
    """

    def __init__(self) -> None:
        import mediapipe as mp
        from mediapipe.tasks.python import vision
        from mediapipe.tasks.python.core.base_options import BaseOptions

        self._mp: Any = mp
        with quiet_stderr():
            self._faces = vision.FaceLandmarker.create_from_options(
                vision.FaceLandmarkerOptions(
                    base_options=BaseOptions(
                        model_asset_path=str(asset_path('face_landmarker.task'))
                    ),
                    num_faces=3,
                    output_face_blendshapes=True,
                    output_facial_transformation_matrixes=True,
                )
            )
            self._person = mp.solutions.selfie_segmentation.SelfieSegmentation(model_selection=0)

    def close(self) -> None:
        """Release the models."""
        self._faces.close()
        self._person.close()

    def read(self, rgb: Image, name: str) -> FaceInPhoto:
        """The face in a picture (H, W, 3), which errors call by its name.

        :raises PhotoError: if there is no face or more than one, or it is too small.
        """
        height, width = rgb.shape[:2]
        if min(height, width) < MIN_FACE_PX:
            raise PhotoError(
                f'{name}: has {width}x{height} pixels; expected a face of at least {MIN_FACE_PX} '
                'pixels. Use the original photograph.'
            )
        with quiet_stderr():
            image = self._mp.Image(
                image_format=self._mp.ImageFormat.SRGB, data=np.ascontiguousarray(rgb)
            )
            found = self._faces.detect(image)
            mask = self._person.process(np.ascontiguousarray(rgb)).segmentation_mask
        count = len(found.face_landmarks)
        if count == 0:
            raise PhotoError(
                f'{name}: shows no face. Use a photograph with both eyes in sight, well lit, not a '
                'profile.'
            )
        if count > 1:
            raise PhotoError(f'{name}: shows {count} faces. Cut the picture to one person.')
        pixels = np.array([(p.x * width, p.y * height) for p in found.face_landmarks[0]])
        extent = np.ptp(pixels, axis=0)
        if extent.max() < MIN_FACE_PX:
            raise PhotoError(
                f'{name}: the face is {extent.max():.0f} pixels high; expected at least '
                f'{MIN_FACE_PX}. Use a closer photograph.'
            )
        R = np.asarray(found.facial_transformation_matrixes[0])[:3, :3]
        u, _, vt = np.linalg.svd(R)
        weights = {
            c.category_name: float(c.score)
            for c in found.face_blendshapes[0]
            if c.category_name != '_neutral'
        }
        person = (np.asarray(mask).clip(0, 1) * 255).astype(np.uint8)
        return FaceInPhoto(pixels, weights, R_OPTICAL_SMPL @ (u @ vt), person)


def read_photo(path: Any) -> Image:
    """RGB (H, W, 3) of a file.

    :raises PhotoError: if it is no picture.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise PhotoError(f'{path}: cannot be read as a picture; expected .jpg, .png or .webp.')
    return np.asarray(image[..., ::-1], np.uint8).copy()
