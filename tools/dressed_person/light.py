# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""What falls on a surface: baked light, and whether any view sees it."""

import numpy as np

from avatar_ros.body.skeletons import SIDES, SMPLX
from dressed_person.opengl import Gl, orthographic
from dressed_person.part import Part
from dressed_person.poses import Poses


def middle_of_head(joints: np.ndarray) -> np.ndarray:
    """Point (3,) that close views turn about."""
    eyes = [SMPLX.index[f'{side}_eye_smplhf'] for side in SIDES]
    return joints[eyes].mean(0) + np.array([0, 0, -0.06])


def directions(count: int) -> np.ndarray:
    """Unit vectors (count, 3), evenly spread (Fibonacci)."""
    i = np.arange(count) + 0.5
    y, turn = 1 - 2 * i / count, np.pi * (1 + 5**0.5) * i
    r = np.sqrt(1 - y * y)
    return np.stack([r * np.cos(turn), y, r * np.sin(turn)], 1)


def visibility(
    gl: Gl,
    parts: list[Part],
    vertices: list[np.ndarray],
    normals: list[np.ndarray],
    centre: np.ndarray,
    radius: float,
    ways: np.ndarray,
    size: int,
    bias: float,
) -> list[np.ndarray]:
    """(V, D) per part, True where a vertex sees the sky in a direction."""
    seen = [np.zeros((len(v), len(ways)), bool) for v in vertices]
    for d, way in enumerate(ways):
        view = orthographic(way, centre, radius)
        depth = gl.depth(parts, vertices, view, size)
        for i, v in enumerate(vertices):
            p = v + normals[i] * bias
            clip = p @ view[:3, :3].T + view[:3, 3]
            x, y = ((clip[:, :2] * 0.5 + 0.5) * size).astype(int).clip(0, size - 1).T
            seen[i][:, d] = clip[:, 2] * 0.5 + 0.5 < depth[y, x] + bias / radius / 2
    return seen


def bake_light(
    gl: Gl,
    parts: list[Part],
    vertices: list[np.ndarray],
    head: np.ndarray,
    head_only: bool = False,
) -> list[np.ndarray]:
    """Light (V, 3) that falls on each vertex, about 1 where the sky is free."""
    ways = directions(96)
    key = np.array([0.45, 0.75, 0.65])
    key /= np.linalg.norm(key)
    fill = np.array([-0.7, 0.2, 0.6])
    fill /= np.linalg.norm(fill)
    sky = 0.70 + 0.30 * ways[:, 1] + 1.7 * np.clip(ways @ key, 0, 1) ** 2
    sky += 0.35 * np.clip(ways @ fill, 0, 1) ** 2 + 0.25 * np.clip(-ways[:, 2], 0, 1)
    warm = np.clip(ways @ key, 0, 1)[:, None] * np.array([0.06, 0.0, -0.06]) + 1.0
    normals = [part.normals(v) for part, v in zip(parts, vertices, strict=True)]
    middle = (np.array([0, -0.1, 0]), 1.15)
    close = visibility(gl, parts, vertices, normals, head, 0.24, ways, 1024, 0.0025)
    whole = close
    if not head_only:
        whole = visibility(gl, parts, vertices, normals, *middle, ways, 1024, 0.006)
    lights = []
    for i, part in enumerate(parts):
        n = normals[i]
        if part.kind == 'hair':  # cards: light them as the head under them
            outward = vertices[i] - head
            n = outward / np.linalg.norm(outward, axis=1, keepdims=True)
        near = np.linalg.norm(vertices[i] - head, axis=1) < 0.2
        seen = np.where(near[:, None], close[i], whole[i])
        facing = n @ ways.T
        if part.kind in ('skin', 'hair', 'brow', 'lash'):  # light scatters a little
            cosine = np.clip((facing + 0.15) / 1.15, 0, None)
        else:
            cosine = np.clip(facing, 0, None)
        blocked = {
            'hair': 0.45,
            'brow': 0.9,
            'lash': 0.8,
            'eye': 0.55,
            'teeth': 0.75,
            'tongue': 0.6,
        }
        leak = blocked.get(part.kind, 0.12)
        amount = cosine * (leak + (1 - leak) * seen)
        light = (amount * sky) @ warm / (cosine.sum(1, keepdims=True) + 1e-9)
        light = light / (0.85 if part.kind == 'teeth' else 0.95)
        if part.kind == 'skin':  # what is shadowed on skin turns red, not grey
            light = light ** np.array([0.82, 0.98, 1.0])
        if part.kind == 'eye':
            light = light.clip(0.45, None)
        lights.append(light.astype(np.float32))
    return lights


def smoothed(parts: list[Part], values: list[np.ndarray], rounds: int = 2) -> list[np.ndarray]:
    """Average over neighbours: depth maps leave a little noise."""
    result = []
    for part, value in zip(parts, values, strict=True):
        faces = part.faces if part.normal_faces is None else part.normal_faces
        edges = np.concatenate([faces[:, [i, j]] for i, j in ((0, 1), (1, 2), (2, 0))])
        edges = np.concatenate([edges, edges[:, ::-1]])
        count = np.bincount(edges[:, 0], minlength=len(value))[:, None] + 1.0
        for _ in range(rounds):
            total = [np.bincount(edges[:, 0], value[edges[:, 1], c], len(value)) for c in range(3)]
            value = ((np.stack(total, 1) + value) / count).astype(np.float32)
        result.append(value)
    return result


def ever_seen(gl: Gl, poses: Poses) -> list[np.ndarray]:
    """(V,) per part, False where no view ever sees a vertex: there is no need to draw it."""
    parts, head = poses.parts, middle_of_head(poses.rest_joints)
    ways = directions(64)
    ever = [np.zeros(len(part.vertices), bool) for part in parts]
    for pose, face in (
        ('relaxed', 'neutral'),
        ('t', 'neutral'),
        ('up', 'neutral'),
        ('sit', 'neutral'),
        ('relaxed', 'open'),
        ('relaxed', 'tongue'),
        ('relaxed', 'blink'),
        ('relaxed', 'smile'),
    ):
        vertices = poses.vertices(pose, face)
        areas = [(head, 0.24, 0.0015)]
        if face == 'neutral':
            areas.append((np.array([0, -0.1, 0]), 1.25, 0.005))
        for centre, radius, bias in areas:
            flat = [np.zeros_like(v) for v in vertices]
            seen = visibility(gl, parts, vertices, flat, centre, radius, ways, 1024, bias)
            for i, v in enumerate(vertices):
                inside = np.linalg.norm(v - centre, axis=1) < radius
                ever[i] |= inside & seen[i].any(1)
    return ever
