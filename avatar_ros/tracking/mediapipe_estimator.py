# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0
"""MediaPipe as an estimator: BlazePose, face mesh with 52 ARKit scores, hands.

The body model lies in the MediaPipe wheel, the face model in another one (`avatar_ros fetch`).
Body and face run side by side in two threads and meet again before the result is given, so the
result depends on the sequence of images only, not on timing.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from avatar_ros.assets import MissingAssetError, asset_path
from avatar_ros.body.skeletons import BLAZEPOSE_INDEX, SIDES
from avatar_ros.geometry import R_OPTICAL_SMPL, Camera, matrix_from_rotvec
from avatar_ros.tracking.landmarks import BodyLandmarks, FaceLandmarks, HandLandmarks, Landmarks
from avatar_ros.tracking.root import move_onto_rays
from avatar_ros.types import Array, FloatArray, Image

_HEAD = [BLAZEPOSE_INDEX[name] for name in ('nose', 'left_ear', 'right_ear', 'left_eye_outer')]
_MOUTH = [BLAZEPOSE_INDEX['mouth_left'], BLAZEPOSE_INDEX['mouth_right']]
_TRUNK = [BLAZEPOSE_INDEX[f'{side}_{part}'] for side in SIDES for part in ('shoulder', 'hip')]
_HAND = {
    side: [BLAZEPOSE_INDEX[f'{side}_{part}'] for part in ('wrist', 'pinky', 'index', 'thumb')]
    for side in SIDES
}
#: The model expects a camera that looks down on the person. Seen by a level camera, an upright
#: person leans 5 to 9 degrees towards it (walk, dance); from 20 degrees above, between 2 towards
#: and 3 away. The angle is not known here, so this is a middle way.
_R_LEAN = matrix_from_rotvec([np.radians(-5.0), 0.0, 0.0])
#: Depth is the model's weak side: a little less of it erred less when shares were compared by hand
#: on the data of benchmarks.tracking (real video 1 mm better, renders the same).
_DEPTH_SHARE = 0.9
#: Hands smaller than this many pixels give noise, not fingers.
MIN_HAND_PX = 56
_HAND_CROP = 3.2  # of the distance from wrist to knuckles
_MAX_CROP_PX = 480
_HEAD_CROP = 3.0  # of the extent of nose, ears and mouth
BLANK = np.zeros((256, 256, 3), np.uint8)


class MediaPipeEstimator:
    """One person: body, and if asked for face and hands.

    :raises MissingAssetError: if the face is wanted and its model has not been fetched.
    """

    name = 'mediapipe'

    def __init__(
        self,
        *,
        face: bool = True,
        hands: bool = True,
        model_complexity: int = 1,
        min_confidence: float = 0.5,
        segmentation: bool = False,
        graphs: int = 1,
    ) -> None:
        """`graphs` of BlazePose, one a person that is followed at the same time."""
        if model_complexity != 1:
            raise ValueError(
                f'model_complexity is {model_complexity}; the MediaPipe wheel carries the model of '
                'complexity 1 only. Use 1.'
            )
        import mediapipe as mp

        self._mp = mp
        self._min_confidence = min_confidence
        self._wants_face, self._wants_hands = face, hands
        #: Share of the person (H, W) in 0..1 in the last image, if segmentation was asked for.
        self.mask: Array | None = None
        self._pool = ThreadPoolExecutor(min(graphs, 2), thread_name_prefix='face')
        self._face: Any = None
        self._hands: Any = None
        with quiet_stderr():
            if face:
                self._face = self._face_landmarker()
            if hands:
                self._hands = mp.solutions.hands.Hands(
                    static_image_mode=True, max_num_hands=1, min_detection_confidence=min_confidence
                )
            # Its own smoothing is off: it assumes 30 Hz, and One-Euro with true stamps follows.
            self._bodies = [
                mp.solutions.pose.Pose(
                    model_complexity=1,
                    smooth_landmarks=False,
                    enable_segmentation=segmentation,
                    smooth_segmentation=False,
                    min_detection_confidence=min_confidence,
                    min_tracking_confidence=min_confidence,
                )
                for _ in range(graphs)
            ]
            self.reset()
            # Models load at their first image.
            self.estimate(BLANK, Camera.from_fov(*BLANK.shape[:2], 45.0))
            self.reset()

    @property
    def graphs(self) -> int:
        """How many people can be followed at the same time."""
        return len(self._bodies)

    def reset(self) -> None:
        # An image without a person ends MediaPipe's tracking from image to image. A new graph would
        # do the same, but closing the old one does not give all of its memory back.
        for body in self._bodies:
            body.process(BLANK)
        self._last_body: BodyLandmarks | None = None
        self._next_hand = 0

    def close(self) -> None:
        self._pool.shutdown()
        for model in (*self._bodies, self._face, self._hands):
            if model is not None:
                model.close()

    def estimate(self, rgb: Image, camera: Camera) -> Landmarks:
        # Where to look for face and hands is known from the image before.
        details = self._pool.submit(self._details, rgb, camera, self._last_body)
        body = self._read_body(0, rgb, camera)
        face, hands = details.result()
        self._last_body = body
        return Landmarks(body, face, hands)

    def _read_body(
        self, graph: int, rgb: Image, camera: Camera, corner: tuple[int, int] = (0, 0)
    ) -> BodyLandmarks | None:
        """Body in a picture, which is the part of the camera's image that begins at `corner`."""
        result = self._bodies[graph].process(np.ascontiguousarray(rgb))
        self.mask = result.segmentation_mask
        if result.pose_landmarks is None or result.pose_world_landmarks is None:
            return None
        height, width = rgb.shape[:2]
        image = result.pose_landmarks.landmark
        pixels = np.array([(p.x * width, p.y * height) for p in image]) + corner
        world = np.array([(p.x, p.y, p.z) for p in result.pose_world_landmarks.landmark])
        world[:, 2] *= _DEPTH_SHARE
        visibility = np.array([p.visibility for p in image])
        # The model sees a crop around the person and takes its middle for the optical axis. On
        # renders 20 degrees off the axis, the body is turned by 19 degrees without this and by 2
        # with it.
        weight = visibility[_TRUNK, None] + 1e-3  # hips below the picture are only guessed
        middle = (weight * pixels[_TRUNK]).sum(axis=0) / weight.sum()
        world = world @ (_rotation_to_ray(camera.rays(middle)[0]) @ _R_LEAN).T
        # What it says of the picture is better than what it says of space, but for the depth:
        # mean joint error on renders 89 mm with this, 97 mm without.
        world = move_onto_rays(camera, pixels, world, visibility)
        return BodyLandmarks(pixels, world, visibility)

    def _details(
        self, rgb: Image, camera: Camera, body: BodyLandmarks | None
    ) -> tuple[FaceLandmarks | None, dict[str, HandLandmarks]]:
        face = self._estimate_face(rgb, camera, body) if self._wants_face else None
        hands: dict[str, HandLandmarks] = {}
        if self._wants_hands and body is not None:
            # One hand an image: both would take longer than the body does.
            side = SIDES[self._next_hand]
            self._next_hand = 1 - self._next_hand
            hand = self._estimate_hand(rgb, body, side)
            if hand is not None:
                hands[side] = hand
        return face, hands

    # -- face --------------------------------------------------------------------------------

    def _face_landmarker(self) -> Any:
        from mediapipe.tasks.python import BaseOptions, vision

        try:
            model = asset_path('face_landmarker.task')
        except MissingAssetError as error:
            raise MissingAssetError(f'{error} Or track without a face: face:=false.') from None
        return vision.FaceLandmarker.create_from_options(
            vision.FaceLandmarkerOptions(
                base_options=BaseOptions(model_asset_path=str(model)),
                output_face_blendshapes=True,
                output_facial_transformation_matrixes=True,
                min_face_detection_confidence=self._min_confidence,
            )
        )

    def _estimate_face(
        self, rgb: Image, camera: Camera, body: BodyLandmarks | None
    ) -> FaceLandmarks | None:
        corner, extent, crop = _crop(rgb, *_head_square(rgb, body))
        if extent.min() < 24:
            return None
        image = self._mp.Image(image_format=self._mp.ImageFormat.SRGB, data=crop)
        result = self._face.detect(image)
        if not result.face_landmarks or not result.facial_transformation_matrixes:
            return None
        pixels = corner + np.array([(p.x, p.y) for p in result.face_landmarks[0]]) * extent
        # The matrix holds for a camera that looks through the middle of the crop, in OpenGL axes;
        # for a face that looks into the camera these are the SMPL axes of the head.
        R_crop = np.asarray(result.facial_transformation_matrixes[0])[:3, :3]
        u, _, vt = np.linalg.svd(R_crop)
        R = _rotation_to_ray(camera.rays(corner + extent / 2)[0]) @ R_OPTICAL_SMPL @ (u @ vt)
        weights = {
            c.category_name: float(c.score)
            for c in result.face_blendshapes[0]
            if c.category_name != '_neutral'
        }
        return FaceLandmarks(pixels, weights, R)

    # -- hands -------------------------------------------------------------------------------

    def _estimate_hand(self, rgb: Image, body: BodyLandmarks, side: str) -> HandLandmarks | None:
        wrist, pinky, index, _ = body.pixels[_HAND[side]]
        if body.visibility[_HAND[side]].min() < 0.3:
            return None
        knuckles = (pinky + index) / 2
        length = float(np.linalg.norm(knuckles - wrist))
        size = _HAND_CROP * max(length, float(np.linalg.norm(pinky - index)))
        if size < MIN_HAND_PX:
            return None
        corner, extent, crop = _crop(rgb, wrist + 1.2 * (knuckles - wrist), size)
        if extent.min() < MIN_HAND_PX / 2:
            return None
        result = self._hands.process(crop)
        if not result.multi_hand_landmarks:
            return None
        # MediaPipe names hands for mirrored pictures; which side it is, the body says better.
        pixels = result.multi_hand_landmarks[0].landmark
        world = result.multi_hand_world_landmarks[0].landmark
        return HandLandmarks(
            corner + np.array([(p.x, p.y) for p in pixels]) * extent,
            np.array([(p.x, p.y, p.z) for p in world]),
            float(result.multi_handedness[0].classification[0].score),
        )


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """MediaPipe's C++ writes notes of no use to stderr while models load, and offers no switch."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open('w') as devnull:
            os.dup2(devnull.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _head_square(rgb: Image, body: BodyLandmarks | None) -> tuple[FloatArray, float]:
    """Middle (2,) and side in pixels of the square to look for a face in."""
    height, width = rgb.shape[:2]
    if body is None:
        return np.array([width / 2, height / 2]), float(max(width, height))
    head = body.pixels[_HEAD + _MOUTH]
    extent = float(np.ptp(head, axis=0).max())
    return head.mean(axis=0), _HEAD_CROP * max(extent, 16.0)


def _crop(rgb: Image, middle: FloatArray, size: float) -> tuple[FloatArray, FloatArray, Image]:
    """Corner (2,) and extent (2,) in pixels of the square's part inside the image, and its picture.

    The picture is scaled down where more pixels would not help the models.
    """
    height, width = rgb.shape[:2]
    x0, y0 = (max(0, int(np.floor(c - size / 2))) for c in middle)
    x1 = max(x0, min(width, int(np.ceil(middle[0] + size / 2))))
    y1 = max(y0, min(height, int(np.ceil(middle[1] + size / 2))))
    picture = rgb[y0:y1, x0:x1]
    corner, extent = np.array([x0, y0], dtype=float), np.array([x1 - x0, y1 - y0], dtype=float)
    if extent.max() > _MAX_CROP_PX and extent.min() > 0:
        scale = _MAX_CROP_PX / extent.max()
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        picture = np.asarray(small, dtype=np.uint8)
    return corner, extent, np.ascontiguousarray(picture)


def _rotation_to_ray(ray: FloatArray) -> FloatArray:
    """(3, 3) smallest rotation that turns the optical axis onto the ray (x/z, y/z)."""
    axis = np.array([-ray[1], ray[0], 0.0])
    length = float(np.linalg.norm(axis))
    return matrix_from_rotvec(axis * (np.arctan(length) / length if length > 1e-9 else 1.0))
