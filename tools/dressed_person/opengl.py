# Copyright 2026 Avatar ROS developers
# SPDX-License-Identifier: Apache-2.0

"""Off-screen OpenGL (EGL): position maps, depth maps and pictures of textured surfaces."""

import cv2
import moderngl
import numpy as np

from dressed_person.part import Part

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
