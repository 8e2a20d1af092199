// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
import { makeProgram, rendersInSoftware } from './gl.js';
import { fromPose, product } from './matrices.js';
import { regions, viewOfEye } from './protocol.js';

const CELL_PX = 4; // one vertex every so many pixels of colour, two of depth
const SOFTWARE_CELL_PX = 12; // where vertices cost as much as pixels do
const MAX_CELLS = 60000;
const RESTART = 0xffffffff; // ends a strip, always on in WebGL2

/**
 * Each vertex is a point of the picture put where its depth says, so that an eye that stands
 * elsewhere than the rendered one sees the avatar right.
 */
const VERTEX = `#version 300 es
precision highp float;
uniform sampler2D picture;
uniform vec2 texel;         // 1 / size of the picture
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
  return texture(picture, inside * texel).g;
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
const FRAGMENT = `#version 300 es
precision highp float;
uniform sampler2D picture;
uniform vec2 texel;
uniform vec4 colourRect;
uniform vec4 alphaRect;
uniform vec4 depthRect;
uniform vec2 inverseDepths;
uniform vec2 cellUv;
uniform float focalRatio; // pixels of the picture per pixel of the screen, at equal depths
in vec2 uv;
in float renderedDepth;
out vec4 shown;

const vec3 LUMA = vec3(0.2126, 0.7152, 0.0722);
const float FLOOR = 0.02; // colours darker than this say little about alpha

vec3 colourAt(vec2 pixel) {
  // A whole pixel from the rim: chroma is at half size and must not come from the neighbour.
  return texture(picture, clamp(pixel, colourRect.xy + 1.0, colourRect.xy + colourRect.zw - 1.0) * texel).rgb;
}
float greyIn(vec4 rect, vec2 at) {
  return texture(picture, clamp(rect.xy + at * rect.zw, rect.xy + 1.0, rect.xy + rect.zw - 1.0) * texel).g;
}
float depthAt(vec2 at) {
  return 1.0 / mix(inverseDepths.y, inverseDepths.x, greyIn(depthRect, at));
}

// Luma of the colours as they would be if sampled as alpha is: mean of 2x2, then bilinear.
float lumaAsAlpha(vec2 at) {
  vec2 halfPixel = at * alphaRect.zw - 0.5;
  vec2 corner = floor(halfPixel), part = halfPixel - corner;
  vec2 base = colourRect.xy + corner * 2.0 + 1.0;
  vec3 top = mix(colourAt(base), colourAt(base + vec2(2.0, 0.0)), part.x);
  vec3 bottom = mix(colourAt(base + vec2(0.0, 2.0)), colourAt(base + 2.0), part.x);
  return dot(mix(top, bottom, part.y), LUMA);
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
  vec3 colour = colourAt(colourRect.xy + px);
  if (alpha < 1.0) {
    float sharp = alpha * (dot(colour, LUMA) + FLOOR) / (lumaAsAlpha(uv) + FLOOR);
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
    Object.assign(this, makeProgram(gl, VERTEX, FRAGMENT));
    this.texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
    for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, filter, gl.LINEAR);
    this.textureSize = [0, 0];
    this.vertexArray = gl.createVertexArray(); // vertices are numbered, they have no attributes
    this.indices = gl.createBuffer();
    this.cells = [0, 0];
    this.cellPx = rendersInSoftware(gl) ? SOFTWARE_CELL_PX : CELL_PX;
    this.frame = null;
  }

  /** Upload a picture; it may be closed afterwards. */
  setFrame(frame, picture) {
    const { gl } = this;
    const size = [frame.width * frame.views.length, frame.height * 1.5];
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, false);
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
    gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
    if (size[0] === this.textureSize[0] && size[1] === this.textureSize[1]) {
      gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, gl.RGBA, gl.UNSIGNED_BYTE, picture);
    } else {
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, picture);
      this.textureSize = size;
    }
    this.frame = frame;
    this.makeGrid(frame);
  }

  makeGrid({ width, height }) {
    const { gl } = this;
    const cell = Math.max(this.cellPx, Math.sqrt((width * height) / MAX_CELLS));
    const columns = Math.max(2, Math.round(width / cell));
    const rows = Math.max(2, Math.round(height / cell));
    if (columns === this.cells[0] && rows === this.cells[1]) return;
    this.cells = [columns, rows];
    // One strip a row: a software rasteriser computes every index anew, so few of them matter.
    const indices = new Uint32Array(rows * (2 * columns + 3));
    let k = 0;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column <= columns; column++) {
        const above = row * (columns + 1) + column;
        indices[k++] = above;
        indices[k++] = above + columns + 1;
      }
      indices[k++] = RESTART;
    }
    this.count = k;
    gl.bindVertexArray(this.vertexArray);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.indices);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, indices, gl.STATIC_DRAW);
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
    const { gl, frame, uniforms } = this;
    if (!frame) return;
    const view = viewOfEye(frame, index);
    const { position, orientation, tangents } = frame.views[view];
    const { colour, alpha, depth } = regions(frame, view);
    gl.useProgram(this.program);
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.uniform2f(uniforms.texel, 1 / this.textureSize[0], 1 / this.textureSize[1]);
    gl.uniform2i(uniforms.cells, ...this.cells);
    gl.uniform2f(uniforms.cellUv, 1 / this.cells[0], 1 / this.cells[1]);
    gl.uniform4f(uniforms.colourRect, ...colour);
    gl.uniform4f(uniforms.alphaRect, ...alpha);
    gl.uniform4f(uniforms.depthRect, ...depth);
    gl.uniform4f(uniforms.tangents, ...tangents);
    gl.uniform2f(uniforms.inverseDepths, 1 / frame.near, 1 / frame.far);
    gl.uniform1f(uniforms.focalRatio, (frame.height / (tangents[3] - tangents[2])) / (focalPx * scale));
    const clipFromRendered = product(projection, eyeFromScene, fromPose(position, orientation));
    gl.uniformMatrix4fv(uniforms.clipFromRendered, false, clipFromRendered);
    gl.enable(gl.DEPTH_TEST);
    gl.depthMask(true);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.enable(gl.CULL_FACE); // a back is the far side of a membrane, and covered by what made it
    gl.bindVertexArray(this.vertexArray);
    gl.drawElements(gl.TRIANGLE_STRIP, this.count, gl.UNSIGNED_INT, 0);
    gl.bindVertexArray(null);
    gl.disable(gl.CULL_FACE);
  }
}
