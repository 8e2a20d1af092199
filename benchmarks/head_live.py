# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Does the head do what the face did? ``python -m benchmarks.head_live [--avatar head]``.

A real face video drives the avatar; the same landmark tracker looks at the video and at the
rendered head, and both say how far mouth and eyes are open. Then made expressions, whose truth is
known: which actions the tracker sees again on the rendered head.
"""

import argparse

import cv2
import numpy as np
import torch

from avatar_ros.assets import asset_path
from avatar_ros.avatars import avatar_path, load_avatar
from avatar_ros.avatars.head.placing import NECK_HEIGHT_M
from avatar_ros.avatars.player import Player
from avatar_ros.avatars.stage import Stage
from avatar_ros.body import ARKIT_52, FLAME, BodyPose, FaceExpression
from avatar_ros.geometry import Camera, look_at
from avatar_ros.render import Engine, select_engine, to_rgb8
from avatar_ros.tracking.face import arkit_vector
from avatar_ros.tracking.faces_in_photo import FaceInPhoto, PhotoError, PhotoReader
from avatar_ros.tracking.lids import fit_lids
from avatar_ros.tracking.lips import fit_lips
from avatar_ros.types import FloatArray, Image
from benchmarks.metrics import Metric, load, write_results
from benchmarks.telepresence import live, median

COMMAND = 'python -m benchmarks.head_live'
SIZE = 512
#: Landmarks of the face mesh: inner lips above and below, lids of both eyes and their corners.
LIPS, WIDTH = (13, 14), (78, 308)
EYES = ((159, 145, 33, 133), (386, 374, 362, 263))


def mouth_opening(face: FaceInPhoto) -> float:
    """Distance of the inner lips over the distance between the eyes' outer corners."""
    p = face.pixels
    eyes = np.linalg.norm(p[33] - p[263])
    return float(np.linalg.norm(p[LIPS[0]] - p[LIPS[1]]) / eyes)


def mouth_width(face: FaceInPhoto) -> float:
    """Distance of the corners of the mouth over that of the eyes' outer corners."""
    p = face.pixels
    return float(np.linalg.norm(p[WIDTH[0]] - p[WIDTH[1]]) / np.linalg.norm(p[33] - p[263]))


def eye_opening(face: FaceInPhoto) -> float:
    """Height over width, mean of both eyes."""
    p = face.pixels
    ratios = [
        np.linalg.norm(p[up] - p[down]) / np.linalg.norm(p[a] - p[b]) for up, down, a, b in EYES
    ]
    return float(np.mean(ratios))


class Stand:
    """The avatar before a camera, looking at it."""

    def __init__(self, avatar: str, engine: Engine) -> None:
        self.player = Player(load_avatar(avatar_path(avatar), engine.device), engine,
                             Stage(on_floor=False))  # fmt: skip
        still = np.tile([1.0, 0, 0, 0], (len(FLAME), 1))
        self.pose = BodyPose(FLAME, np.eye(4), still, np.ones(len(FLAME)))
        height = self.player.avatar.ground_height(self.pose) + NECK_HEIGHT_M
        target = np.array([0.0, height + 0.105, 0.03])
        self.camera = Camera.from_fov(SIZE, SIZE, 24).at(
            look_at(target + np.array([0, 0.0, 1.0]), target)
        )

    def picture(self, weights: dict[str, float]) -> Image:
        """The head with this face, on grey."""
        vector = np.array([weights.get(name, 0.0) for name in ARKIT_52])
        self.player.deform(self.pose, FaceExpression('arkit52', ARKIT_52, vector))
        with torch.no_grad():
            drawn = self.player.draw([self.camera], torch.full((3,), 0.55), depth=False)
        return to_rgb8(drawn.colors[0, ..., :3])


def tracked(face: FaceInPhoto) -> dict[str, float]:
    """Weights as the tracker gives them, but for its filters."""
    seen = face.pixels, face.R_camera_head
    weights = fit_lids(fit_lips(arkit_vector(face.weights), *seen), *seen)
    return dict(zip(ARKIT_52, weights, strict=True))


def of_video(stand: Stand, reader: PhotoReader) -> list[Metric]:
    """Correlations over the fetched face video."""
    capture = cv2.VideoCapture(str(asset_path('face.mp4')))
    pairs: list[tuple[FaceInPhoto, FaceInPhoto]] = []
    frames = missed = 0
    while True:
        found, bgr = capture.read()
        if not found:
            break
        frames += 1
        try:
            seen = reader.read(np.ascontiguousarray(bgr[..., ::-1]), f'frame {frames}')
            again = reader.read(stand.picture(tracked(seen)), f'avatar {frames}')
        except PhotoError:
            missed += 1
            continue
        pairs.append((seen, again))
    rows = []
    conditions = f'{len(pairs)} of {frames} frames of face.mp4 tracked on both; {load()}'
    for name, measure in (('mouth_opening', mouth_opening), ('mouth_width', mouth_width),
                          ('eye_opening', eye_opening)):  # fmt: skip
        a, b = (np.array([measure(pair[k]) for pair in pairs]) for k in (0, 1))
        rows.append(
            Metric(f'head.transfer.video.{name}.correlation', _correlation(a, b), '1', 'higher',
                   f'{conditions}; spread in the video {a.std():.4f}', COMMAND)
        )  # fmt: skip
    return rows


def _correlation(a: FloatArray, b: FloatArray) -> float:
    if a.std() < 1e-9 or b.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def of_made_faces(stand: Stand, reader: PhotoReader) -> list[Metric]:
    """A jaw that opens and lids that close, step by step: what is seen follows what was asked."""
    rows = []
    for name, actions, measure, sign in (
        ('mouth_opening', ('jawOpen',), mouth_opening, 1),
        ('eye_opening', ('eyeBlinkLeft', 'eyeBlinkRight'), eye_opening, -1),
        ('mouth_width', ('mouthSmileLeft', 'mouthSmileRight'), mouth_width, 1),
    ):
        asked, seen = [], []
        for weight in np.linspace(0, 1, 11):
            try:
                face = reader.read(stand.picture(dict.fromkeys(actions, float(weight))), name)
            except PhotoError:
                continue
            asked.append(sign * weight)
            seen.append(measure(face))
        value = _correlation(np.array(asked), np.array(seen)) if len(seen) > 2 else 0.0
        rows.append(
            Metric(f'head.transfer.made.{name}.correlation', value, '1', 'higher',
                   f'{len(seen)} of 11 steps tracked; {load()}', COMMAND)
        )  # fmt: skip
    return rows


def of_live(avatar: str, rounds: int, seconds: float) -> list[Metric]:
    """The whole graph on the face video: tracking, the head, pictures of 256x256."""
    reports = [live('face', 30.0, seconds, avatar, 256) for _ in range(rounds)]
    conditions = (
        f'face video at 30 Hz tracked in the same graph, 256x256, median of {rounds} runs of '
        f'{seconds:g} s; {load()}'
    )
    age = median(reports, 'pose_age_ms', 'p95')
    return [
        Metric('head.live.fps', median(reports, 'fps'), '1/s', 'higher', conditions, COMMAND),
        Metric('head.live.pose_age_p95_ms', age, 'ms', 'lower', conditions, COMMAND),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--avatar', default='head', help='shipped name or bundle (head)')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--seconds', type=float, default=15.0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    stand, reader = Stand(args.avatar, select_engine()), PhotoReader()
    rows = [*of_video(stand, reader), *of_made_faces(stand, reader)]
    reader.close()
    rows += of_live(args.avatar, args.rounds, args.seconds)
    write_results('head_live', rows)


if __name__ == '__main__':
    main()
