// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
import { makeProgram, rendersInSoftware } from './gl.js';
import { cellSide, countCovered, occupiedCells, strips } from './grid.js';
import { fromPose, product } from './matrices.js';
import { Picture, SAMPLING } from './picture.js';
import { regions, viewOfEye } from './protocol.js';

const FINEST_PX = 4; // side of a cell on the screen and in the picture's colours; two pixels of depth
/** Cells of all views together. Where triangles are drawn by a processor, they cost what pixels do. */
const MOST_CELLS = { hardware: 60000, software: 1600 };

/**
 * Each vertex is a point of the picture put where its depth says, so that an eye that stands
 * elsewhere than the rendered one sees the avatar right.
 */
const VERTEX = `
uniform ivec2 cells;
uniform vec4 depthRect;     // x, y, width, height in pixels
uniform vec4 tangents;      // left, right, down, up of the rendered eye
uniform vec2 inverseDepths; // 1 / near, 1 / far
uniform mat4 clipFromRendered;
out vec2 uv;                // of the view, 0 at its top left
out float renderedDepth;    // metres

// Greys to inverse depth is linear, so that filtered greys are filtered inverse depths.
float greyAt(vec2 at) {
  vec2 inside = clamp(depthRect.xy + at * depthRect.zw, depthRect.xy + 1.0, depthRect.xy + depthRect.zw - 1.0);
  return greyOf(inside);
}

void main() {
  int columns = cells.x + 1;
  uv = vec2(float(gl_VertexID % columns), float(gl_VertexID / columns)) / vec2(cells);
  float grey = greyAt(uv);
  renderedDepth = 1.0 / mix(inverseDepths.y, inverseDepths.x, grey);
  vec2 slope = vec2(mix(tangents.x, tangents.y, uv.x), mix(tangents.w, tangents.z, uv.y));
  gl_Position = clipFromRendered * vec4(slope * renderedDepth, -renderedDepth, 1.0);
}`;

/**
 * Colours are premultiplied at full size, alpha is at half. Where alpha is fractional it follows
 * the colour: colour and alpha were blurred alike at half size, so their ratio there is that of
 * the uncovered surface, and alpha = colour / (that ratio) has the colour's sharp edge. With the
 * blurred alpha alone, edges would darken what is behind them outside, and glow inside.
 */
const FRAGMENT = `
uniform vec4 colourRect;
uniform vec4 alphaRect;
uniform vec4 depthRect;
uniform vec2 inverseDepths;
uniform vec2 cellUv;
uniform float focalRatio;
in vec2 uv;
in float renderedDepth;
out vec4 shown;

const float FLOOR = 0.02; // colours darker than this say little about alpha

// A whole pixel from the rim: chroma is at half size and must not come from the neighbour.
vec2 within(vec4 rect, vec2 pixel) {
  return clamp(pixel, rect.xy + 1.0, rect.xy + rect.zw - 1.0);
}
float greyIn(vec4 rect, vec2 at) {
  return greyOf(within(rect, rect.xy + at * rect.zw));
}
float lumaAt(vec2 pixel) {
  return lumaOf(within(colourRect, pixel));
}
float depthAt(vec2 at) {
  return 1.0 / mix(inverseDepths.y, inverseDepths.x, greyIn(depthRect, at));
}

// Luma of the colours as they would be if sampled as alpha is: mean of 2x2, then bilinear.
float lumaAsAlpha(vec2 at) {
  vec2 halfPixel = at * alphaRect.zw - 0.5;
  vec2 corner = floor(halfPixel), part = halfPixel - corner;
  vec2 base = colourRect.xy + corner * 2.0 + 1.0;
  float top = mix(lumaAt(base), lumaAt(base + vec2(2.0, 0.0)), part.x);
  float bottom = mix(lumaAt(base + vec2(0.0, 2.0)), lumaAt(base + 2.0), part.x);
  return mix(top, bottom, part.y);
}

// How much the mesh is stretched here: 1 as rendered, 0 a thread drawn across a gap.
float stretch(vec2 dx, vec2 dy) {
  float sum = dot(dx, dx) + dot(dy, dy);
  float area = abs(dx.x * dy.y - dx.y * dy.x);
  float longest = 0.5 * (sum + sqrt(max(sum * sum - 4.0 * area * area, 0.0)));
  float narrow = area / sqrt(max(longest, 1e-12));
  float depthNow = 1.0 / gl_FragCoord.w;
  return narrow / (focalRatio * depthNow / renderedDepth);
}

void main() {
  vec2 px = uv * colourRect.zw;
  vec2 dx = dFdx(px), dy = dFdy(px); // before any discard: they need their neighbours
  float alpha = greyIn(alphaRect, uv);
  // What is left of the codec's noise in the empty and in the solid.
  alpha = clamp((alpha - 0.02) / 0.96, 0.0, 1.0);
  if (alpha <= 0.0) discard;
  vec3 colour = colourOf(within(colourRect, colourRect.xy + px));
  if (alpha < 1.0) {
    float sharp = alpha * (lumaAt(colourRect.xy + px) + FLOOR) / (lumaAsAlpha(uv) + FLOOR);
    // Premultiplied colours cannot exceed alpha.
    alpha = clamp(max(sharp, max(colour.r, max(colour.g, colour.b))), 0.0, 1.0);
  }
  if (stretch(dx, dy) < 0.25) {
    float nearest = 1e9, farthest = 0.0;
    for (int i = 0; i < 4; i++) {
      vec2 way = i == 0 ? vec2(1, 0) : i == 1 ? vec2(-1, 0) : i == 2 ? vec2(0, 1) : vec2(0, -1);
      float depth = depthAt(uv + way * cellUv);
      nearest = min(nearest, depth);
      farthest = max(farthest, depth);
    }
    if (farthest - nearest > 0.1) discard; // between a hand and the body behind it is nothing
  }
  if (alpha < 0.02) discard;
  shown = vec4(colour, alpha);
}`;

/** The newest frame as a surface in the scene, drawn for any eye. */
export class AvatarMesh {
  constructor(gl) {
    this.gl = gl;
    this.picture = new Picture(gl);
    this.programs = {}; // by the form of the picture
    this.vertexArray = gl.createVertexArray(); // vertices are numbered, they have no attributes
    this.indices = gl.createBuffer();
    this.grid = null; // {columns, rows, ranges: [first index, count] of each view}
    this.focalRatio = 1; // pixels of the picture per pixel of the screen, at equal depths
    this.mostCells = MOST_CELLS[rendersInSoftware(gl) ? 'software' : 'hardware'];
    this.frame = null;
  }

  /** Upload a picture; it may be closed afterwards. */
  setFrame(frame, picture) {
    const size = [frame.width * frame.views.length, frame.height * 1.5];
    this.picture.upload(picture, ...size);
    this.frame = frame;
    this.makeGrid(frame, picture.planes ?? null);
  }

  /** @param {Uint8Array|null} luma where it is known, only cells that hold something are drawn */
  makeGrid(frame, luma) {
    const { width, height, views } = frame;
    const stride = width * views.length;
    const alphas = views.map((_, k) => regions(frame, k).alpha);
    const covered = luma ? alphas.reduce((sum, alpha) => sum + 4 * countCovered(luma, stride, alpha), 0) : stride * height;
    const side = cellSide(covered, this.mostCells, FINEST_PX * Math.max(1, this.focalRatio));
    const [columns, rows] = [width, height].map(pixels => Math.max(2, Math.round(pixels / side)));
    // A full grid stays as it is from frame to frame.
    if (!luma && this.grid?.full && this.grid.columns === columns && this.grid.rows === rows) return;
    const parts = luma
      ? alphas.map(alpha => strips(columns, rows, occupiedCells(luma, stride, alpha, columns, rows)))
      : [strips(columns, rows, null)];
    const ranges = [];
    let end = 0;
    for (const { length } of parts) {
      ranges.push([end, length]);
      end += length;
    }
    this.grid = { columns, rows, ranges, full: !luma };
    this.uploadIndices(parts, end);
  }

  uploadIndices(parts, length) {
    const { gl } = this;
    const all = new Uint32Array(length);
    let start = 0;
    for (const part of parts) {
      all.set(part, start);
      start += part.length;
    }
    gl.bindVertexArray(this.vertexArray);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.indices);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, all, gl.STREAM_DRAW);
    gl.bindVertexArray(null);
  }

  /**
   * Draw for one eye into the bound framebuffer and viewport.
   * @param {object} eye
   * @param {number} eye.index 0 left or only, 1 right
   * @param {Float32Array} eye.projection clip space from the eye's axes
   * @param {Float32Array} eye.eyeFromScene with the scale of the placement in it
   * @param {number} eye.focalPx pixels of the viewport per unit of tangent, vertically
   * @param {number} eye.scale of the placement
   */
  draw({ index, projection, eyeFromScene, focalPx, scale }) {
    const { gl, frame, grid } = this;
    if (!frame) return;
    const { form } = this.picture;
    const head = `#version 300 es\nprecision highp float;\n${SAMPLING[form]}`;
    this.programs[form] ??= makeProgram(gl, head + VERTEX, head + FRAGMENT);
    const { program, uniforms } = this.programs[form];
    const view = viewOfEye(frame, index);
    const { position, orientation, tangents } = frame.views[view];
    const { colour, alpha, depth } = regions(frame, view);
    gl.useProgram(program);
    this.picture.bind(uniforms);
    gl.uniform2i(uniforms.cells, grid.columns, grid.rows);
    gl.uniform2f(uniforms.cellUv, 1 / grid.columns, 1 / grid.rows);
    gl.uniform4f(uniforms.colourRect, ...colour);
    gl.uniform4f(uniforms.alphaRect, ...alpha);
    gl.uniform4f(uniforms.depthRect, ...depth);
    gl.uniform4f(uniforms.tangents, ...tangents);
    gl.uniform2f(uniforms.inverseDepths, 1 / frame.near, 1 / frame.far);
    this.focalRatio = frame.height / (tangents[3] - tangents[2]) / (focalPx * scale);
    gl.uniform1f(uniforms.focalRatio, this.focalRatio);
    const clipFromRendered = product(projection, eyeFromScene, fromPose(position, orientation));
    gl.uniformMatrix4fv(uniforms.clipFromRendered, false, clipFromRendered);
    gl.enable(gl.DEPTH_TEST);
    gl.depthMask(true);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.enable(gl.CULL_FACE); // a back is the far side of a membrane, and covered by what made it
    gl.bindVertexArray(this.vertexArray);
    const [first, count] = grid.ranges[view] ?? grid.ranges[0]; // a full grid is every view's
    gl.drawElements(gl.TRIANGLE_STRIP, count, gl.UNSIGNED_INT, 4 * first);
    gl.bindVertexArray(null);
    gl.disable(gl.CULL_FACE);
  }
}
