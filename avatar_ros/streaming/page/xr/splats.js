// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
import { makeProgram } from './gl.js';
import { tangentsFromProjection } from './matrices.js';

const TEXTURE_WIDTH = 2048;
const TEXELS = 3; // of a Gaussian

/** Length of the array that fills whole rows of the texture. */
export const geometryLength = count => Math.ceil((count * TEXELS) / TEXTURE_WIDTH) * TEXTURE_WIDTH * 4;

/**
 * A quad for each Gaussian, projected as the server's renderer does it (elliptical weighted
 * average, 0.3 pixels^2 of blur), along the axes of its ellipse and out to where alpha is 1/255.
 */
const VERTEX = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
layout(location = 0) in uint row;
layout(location = 1) in vec4 color;
uniform sampler2D geometry;
uniform mat4 eyeFromScene;
uniform vec4 tangents; // left, right, down, up
uniform vec2 size;     // pixels
uniform bool antialiased;
out vec2 at;           // standard deviations from the centre
flat out vec4 shade;   // RGB and log2 of the peak

const float EPS = 0.3, NEAR = 0.01, LOG2_ALPHA_MIN = -7.994353436858858, TWO_LN2 = 1.3862943611198906;
const float EXTENT_MAX = 11.0825270903; // 2 ln 255

vec4 texel(int k) {
  int t = 3 * int(row) + k;
  return texelFetch(geometry, ivec2(t & 2047, t >> 11), 0);
}

void main() {
  gl_Position = vec4(2.0, 2.0, 2.0, 1.0); // nowhere
  vec4 center = texel(0), first = texel(1), second = texel(2);
  vec3 p = (eyeFromScene * vec4(center.xyz, 1.0)).xyz;
  float depth = -p.z;
  if (!(depth >= NEAR)) return;
  vec2 span = vec2(tangents.y - tangents.x, tangents.w - tangents.z);
  vec2 focal = size / span;
  // Linearised at most 30 % outside of the picture, where the Jacobian explodes.
  vec2 slope = p.xy / depth;
  vec2 inside = clamp(slope, tangents.xz - 0.15 * span, tangents.yw + 0.15 * span);
  mat3 turn = transpose(mat3(eyeFromScene)); // its columns are the eye's axes
  vec3 g = focal.x / depth * (turn[0] + inside.x * turn[2]);
  vec3 h = focal.y / depth * (turn[1] + inside.y * turn[2]);
  mat3 covariance = mat3(first.x, first.y, first.z, first.y, first.w, second.x, first.z, second.x, second.y);
  vec3 cg = covariance * g, ch = covariance * h;
  float xx = dot(g, cg), xy = dot(g, ch), yy = dot(h, ch);
  float sharp = max(xx * yy - xy * xy, 0.0);
  float whole = sharp + EPS * (xx + yy + EPS);
  float peak = log2(center.w * (antialiased ? sqrt(sharp / whole) : 1.0));
  if (!(peak >= LOG2_ALPHA_MIN)) return;
  xx += EPS;
  yy += EPS;
  float middle = 0.5 * (xx + yy);
  float apart = length(vec2(0.5 * (xx - yy), xy));
  float longest = middle + apart, shortest = max(middle - apart, EPS);
  vec2 axis = vec2(xy, longest - xx);
  // Of two ways to write the axis, the one that does not cancel.
  if (xx > yy) axis = vec2(longest - yy, xy);
  axis = apart > 1e-6 ? normalize(axis) : vec2(1.0, 0.0);
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2.0 - 1.0;
  at = corner * sqrt(min(TWO_LN2 * (peak - LOG2_ALPHA_MIN), EXTENT_MAX));
  vec2 pixels = at.x * sqrt(longest) * axis + at.y * sqrt(shortest) * vec2(-axis.y, axis.x);
  gl_Position = vec4((slope - tangents.xz) / span * 2.0 - 1.0 + 2.0 * pixels / size, 0.0, 1.0);
  shade = vec4(color.rgb, peak);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec2 at;
flat in vec4 shade;
out vec4 shown;
void main() {
  float alpha = exp2(shade.a - 0.7213475204444817 * dot(at, at));
  if (alpha < 1.0 / 255.0) discard;
  alpha = min(alpha, 0.999);
  shown = vec4(shade.rgb * alpha, alpha);
}`;

/** The avatar's Gaussians, drawn for any eye. */
export class Splats {
  constructor(gl) {
    this.gl = gl;
    Object.assign(this, makeProgram(gl, VERTEX, FRAGMENT));
    this.texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, filter, gl.NEAREST);
    this.textureRows = 0;
    this.eyes = [0, 1].map(() => this.makeEye());
    this.seen = 0; // eyes that have an order
    this.frame = null;
  }

  makeEye() {
    const { gl } = this;
    const eye = { array: gl.createVertexArray(), order: gl.createBuffer(), colors: gl.createBuffer() };
    gl.bindVertexArray(eye.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, eye.order);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribIPointer(0, 1, gl.UNSIGNED_INT, 0, 0);
    gl.vertexAttribDivisor(0, 1);
    gl.bindBuffer(gl.ARRAY_BUFFER, eye.colors);
    gl.enableVertexAttribArray(1);
    gl.vertexAttribPointer(1, 4, gl.UNSIGNED_BYTE, true, 0, 0);
    gl.vertexAttribDivisor(1, 1);
    gl.bindVertexArray(null);
    return eye;
  }

  /**
   * @param {object} frame header of the pose, with `count` and `antialiased` of the avatar
   * @param {{geometry: Float32Array | null, orders: Uint32Array[], colors: Uint8Array[]}} posed
   *   without geometry only the eyes have moved
   */
  setFrame(frame, { geometry, orders, colors }) {
    const { gl } = this;
    if (geometry) {
      const rows = geometry.length / (4 * TEXTURE_WIDTH);
      gl.bindTexture(gl.TEXTURE_2D, this.texture);
      gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, false);
      gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
      if (rows !== this.textureRows) gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA32F, TEXTURE_WIDTH, rows, 0, gl.RGBA, gl.FLOAT, geometry);
      else gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, TEXTURE_WIDTH, rows, gl.RGBA, gl.FLOAT, geometry);
      this.textureRows = rows;
    }
    orders.forEach((order, k) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.eyes[k].order);
      gl.bufferData(gl.ARRAY_BUFFER, order, gl.DYNAMIC_DRAW);
      gl.bindBuffer(gl.ARRAY_BUFFER, this.eyes[k].colors);
      gl.bufferData(gl.ARRAY_BUFFER, colors[k], gl.DYNAMIC_DRAW);
    });
    this.seen = orders.length;
    this.frame = frame;
  }

  /**
   * Draw for one eye into the bound framebuffer and viewport.
   * @param {{index: number, viewport: {width: number, height: number}, projection: Float32Array,
   *   eyeFromScene: Float32Array}} eye index 0 left or only, 1 right; the placement with its scale
   *   is in eyeFromScene
   */
  draw({ index, viewport, projection, eyeFromScene }) {
    const { gl, frame, uniforms } = this;
    if (!frame) return;
    gl.useProgram(this.program);
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.uniformMatrix4fv(uniforms.eyeFromScene, false, eyeFromScene);
    gl.uniform4f(uniforms.tangents, ...tangentsFromProjection(projection));
    gl.uniform2f(uniforms.size, viewport.width, viewport.height);
    gl.uniform1i(uniforms.antialiased, frame.antialiased ? 1 : 0);
    gl.disable(gl.DEPTH_TEST);
    gl.depthMask(false);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.bindVertexArray(this.eyes[Math.min(index, this.seen - 1)].array);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, frame.count);
    gl.bindVertexArray(null);
  }
}
