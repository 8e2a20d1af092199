# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""The free body with skin, hair and clothes painted on: a person that needs no download.

Paint is a function of the place on the T-posed body, so that no texture seam shows.
"""

import cv2
import numpy as np

from avatar_ros.body import ARKIT_52, SMPLX
from avatar_ros.body.model import BodyModel, free_body
from avatar_ros.geometry import Camera
from avatar_ros.training.capture import Subject
from avatar_ros.training.synthetic.mesh_person import MeshPerson, Surface
from avatar_ros.training.synthetic.mesh_raster import Mesh, TextureSet, draw
from avatar_ros.types import Array, FloatArray, Image

_SKIN, _LIPS, _HAIR = (206, 156, 128), (168, 92, 88), (58, 40, 30)
_SHIRT = ((196, 44, 40), (238, 232, 214), (36, 62, 120))
_TROUSERS, _SHOES, _SOLES = (70, 84, 116), (44, 40, 40), (226, 224, 218)
_SLEEVE_M, _HEM_M, _COLLAR_M, _ANKLE_M = 0.63, -0.10, 0.505, -0.86


def painted_person(texture_size: int = 1024) -> MeshPerson:
    """The person; the texture is square."""
    model = free_body('smplx')
    if model.uv is None or model.uv_faces is None:
        raise ValueError('the free body has no texture coordinates; reinstall avatar_ros.')
    pairs = np.stack([model.faces.ravel(), model.uv_faces.ravel()], axis=1)
    corners, rows = np.unique(pairs, axis=0, return_inverse=True)
    faces = rows.reshape(-1, 3)
    vertices, uv = model.template[corners[:, 0]], model.uv[corners[:, 1]]
    positions, known = position_map(vertices, uv, faces, texture_size)
    joints = model.rest_joints()
    texture = paint(positions, joints, _eyes(model))
    texture[~known] = 0
    texture = _bleed(texture, known)
    dirs = model.expression_dirs[:, :, [model.expression_names.index(n) for n in ARKIT_52]]
    surface = Surface(
        'skin',
        vertices,
        model.weights[corners[:, 0]],
        uv,
        faces,
        np.ones((len(vertices), 3)),
        texture,
        cloth_amount(vertices),
        dirs[corners[:, 0]].transpose(2, 0, 1),
    )
    subject = Subject(SMPLX, model.template, model.faces, model.weights, joints, ARKIT_52, dirs)
    return MeshPerson('painted', 'CC0-1.0', [surface], subject)


def cloth_amount(points: FloatArray) -> Array:
    """(N,) 1 on shirt and trousers, 0 on skin and shoes, smooth over a centimetre or two."""
    x, y, _ = np.asarray(points).T
    return np.asarray(
        _ramp(_SLEEVE_M - np.abs(x), 0.02)
        * _ramp(y - _ANKLE_M - 0.02, 0.02)
        * np.maximum(_ramp(_COLLAR_M - y, 0.02), _ramp(np.abs(x) - 0.13, 0.02))
    )


def _ramp(x: Array, width: float) -> Array:
    t = np.clip(x / width, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def position_map(
    vertices: FloatArray, uv: Array, faces: Array, size: int
) -> tuple[FloatArray, Array]:
    """Place (size, size, 3) in the T-pose of every texel, and whether there is one."""
    low, high = vertices.min(0), vertices.max(0)
    flat = np.column_stack([uv[:, 0], 1 - uv[:, 1], np.ones(len(uv))])
    camera = Camera(np.diag([size, size, 1.0]), size, size)
    white = TextureSet.build([np.full((1, 1, 4), 255, np.uint8)], [False])
    zeros = np.zeros(len(faces))
    mesh = Mesh(
        faces.astype(np.int32),
        uv.astype(np.float32),
        zeros.astype(np.int32),
        zeros.astype(np.uint8),
        white,
    )
    # The drawn light is encoded; the place is sent through the code and back.
    light = ((vertices - low) / (high - low)).astype(np.float32)
    drawn = draw(mesh, flat, light, camera, supersampling=1)
    place = drawn.rgb.astype(np.float64) ** 2.2 * (high - low) + low
    return place, drawn.coverage > 0


def paint(P: FloatArray, joints: FloatArray, eyes: FloatArray) -> Image:
    """Texture (H, W, 4) of places (H, W, 3); `eyes` are the two eyes' centres."""
    rng = np.random.default_rng(0)
    x, y, z = P[..., 0], P[..., 1], P[..., 2]
    noise, fine = _noise(P, rng, 40.0), _noise(P, rng, 260.0)
    image = np.array(_SKIN, float) + (5 * noise + 4 * fine)[..., None]

    def over(where: Array, rgb: Array | tuple[int, int, int]) -> None:
        image[where] = np.broadcast_to(np.asarray(rgb, float), image.shape)[where]

    eye = eyes.mean(0)
    mouth = eye + np.array([0, -0.072, 0])
    front = z > joints[SMPLX.index['head'], 2] + 0.02
    on_lips = ((x - mouth[0]) / 0.026) ** 2 + ((y - mouth[1]) / 0.010) ** 2 < 1
    over(on_lips & front, _LIPS)
    brow = np.abs(y - eye[1] - 0.024 + 2.5 * (np.abs(x) - 0.033) ** 2 / 0.05) < 0.0045
    over(brow & front & (np.abs(np.abs(x) - 0.034) < 0.020), _HAIR)
    line = eye[1] + 0.058 + 0.012 * np.sin(90 * x) - 2.0 * np.clip(eye[2] - 0.055 - z, 0, 0.09)
    hair = (y > line) & (y > joints[SMPLX.index['neck'], 1] + 0.03) & (np.abs(x) < 0.15)
    strands = 16 * np.sin(900 * x + 6 * noise) + 10 * np.sin(700 * (y - z) + 5 * fine)
    over(hair, np.array(_HAIR, float) + strands[..., None])

    sleeve = (np.abs(x) > 0.18) & (y > 0.2)
    along, across = np.where(sleeve, np.abs(x), y), np.where(sleeve, z, x)
    cloth = cloth_amount(P.reshape(-1, 3)).reshape(y.shape) > 0.25
    shirt = cloth & ((y > _HEM_M) | sleeve)
    bands = np.array(_SHIRT, float)[(np.floor(along / 0.035).astype(int)) % 3]
    checks = np.where((np.floor(across / 0.03).astype(int) % 2)[..., None] == 0, 1.0, 0.78)
    lines = (np.abs((across / 0.06) % 1 - 0.5) < 0.05) | (np.abs((along / 0.07) % 1 - 0.5) < 0.04)
    weave = 1 + 0.04 * fine + 0.04 * noise
    over(shirt, np.where(lines[..., None], 30.0, bands * checks) * weave[..., None])
    over(shirt & ((y < _HEM_M + 0.012) & ~sleeve), (250, 210, 60))
    over(shirt & (np.abs(x) > _SLEEVE_M - 0.03), (250, 210, 60))
    trousers = cloth & ~shirt
    twill = 10 * np.sin(2 * np.pi * (y + 0.6 * x + 0.4 * z) / 0.012) + 8 * noise + 6 * fine
    over(trousers, np.array(_TROUSERS, float) + twill[..., None])
    leg = joints[SMPLX.index['left_knee'], 0]
    over(trousers & (np.abs(z) < 0.012) & (np.abs(x) > leg), (235, 235, 230))
    over(trousers & (np.abs((y / 0.16) % 1 - 0.5) < 0.04) & (z > 0), (120, 134, 168))
    over(y < _ANKLE_M + 0.025, _SHOES)
    over(y < joints[SMPLX.index['left_foot'], 1] - 0.012, _SOLES)
    laces = (y < _ANKLE_M + 0.02) & (z > 0.02) & (np.abs((z / 0.018) % 1 - 0.5) < 0.12)
    over(laces & (y > joints[SMPLX.index['left_foot'], 1] + 0.015), _SOLES)
    for centre in eyes:
        away = np.hypot(x - centre[0], y - centre[1])
        near = (np.linalg.norm(P - centre, axis=-1) < 0.0165) & (z > centre[2] - 0.02)
        over(near, (236, 234, 230))
        over(near & (away < 0.0062), (92, 62, 40))
        over(near & (away < 0.0028), (14, 12, 12))
    opaque = np.full(y.shape, 255.0)
    return np.dstack([image, opaque]).clip(0, 255).astype(np.uint8)


def _noise(P: FloatArray, rng: np.random.Generator, frequency: float) -> FloatArray:
    """Plane waves in space (H, W), about -1..1."""
    k = rng.normal(size=(6, 3))
    k *= frequency / np.linalg.norm(k, axis=1, keepdims=True)
    total = sum(np.cos(P @ way + rng.uniform(0, 2 * np.pi)) for way in k)
    return np.asarray(total / np.sqrt(3.0))


def _eyes(model: BodyModel) -> FloatArray:
    """Centres (2, 3) of the eyeballs."""
    rows = SMPLX.rows(['left_eye_smplhf', 'right_eye_smplhf'])
    balls = [model.template[model.weights[:, row] > 0.9] for row in rows]
    fallback = model.rest_joints()[rows]
    return np.stack([b.mean(0) if len(b) else f for b, f in zip(balls, fallback, strict=True)])


def _bleed(texture: Image, known: Array) -> Image:
    """Give every unknown texel the colour of the nearest known one."""
    _, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.zeros(int(labels.max()) + 1, np.int64)
    nearest[labels[known]] = np.flatnonzero(known.ravel())
    return np.asarray(texture.reshape(-1, 4)[nearest[labels]], np.uint8)
