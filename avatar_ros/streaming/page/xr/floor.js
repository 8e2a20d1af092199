// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
import { makeProgram } from './gl.js';

const VERTEX = `#version 300 es
precision highp float;
uniform mat4 clipFromFloor;
out vec2 at; // metres on the floor
void main() {
  at = (vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2.0 - 1.0) * 8.0;
  gl_Position = clipFromFloor * vec4(at.x, 0.0, at.y, 1.0);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec2 at;
out vec4 shown;
void main() {
  vec2 cell = at * 2.0; // lines every half metre
  vec2 toLine = abs(fract(cell - 0.5) - 0.5) / max(fwidth(cell), 1e-5);
  float line = 1.0 - min(min(toLine.x, toLine.y), 1.0);
  float fade = 1.0 - smoothstep(1.0, 7.0, length(at));
  float glow = exp(-dot(at, at) * 0.8);
  shown = vec4(vec3(0.50, 0.56, 0.64) * (line * 0.30 + glow * 0.10) * fade, 1.0);
}`;

/** A floor under the avatar: without one, nobody can tell near and small from far and large. */
export class Floor {
  constructor(gl) {
    this.gl = gl;
    Object.assign(this, makeProgram(gl, VERTEX, FRAGMENT));
    this.vertexArray = gl.createVertexArray();
  }

  /** @param {Float32Array} clipFromScene whose y = 0 is the floor */
  draw(clipFromScene) {
    const { gl } = this;
    gl.useProgram(this.program);
    gl.uniformMatrix4fv(this.uniforms.clipFromFloor, false, clipFromScene);
    gl.disable(gl.DEPTH_TEST); // feet a millimetre below the floor stay whole
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE);
    gl.bindVertexArray(this.vertexArray);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    gl.bindVertexArray(null);
  }
}
