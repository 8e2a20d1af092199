// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0

/**
 * What all eyes saw last, kept beside the headset's framebuffer, which is empty at every frame.
 *
 * Without a graphics processor a copy costs a tenth of a drawing; most frames of a display show
 * nothing new to a viewer who keeps still.
 */
export class Still {
  constructor(gl) {
    this.gl = gl;
    this.framebuffer = gl.createFramebuffer();
    this.color = gl.createRenderbuffer();
    this.depth = gl.createRenderbuffer();
    this.size = [0, 0];
    this.seen = '';
  }

  /**
   * @param {WebGLFramebuffer|null} target where it goes; bound afterwards
   * @param {string} seen says where everything is: `paint` is called when it, or the size, is another
   * @param {boolean} fresh or when this is true
   */
  show(target, [width, height], seen, fresh, paint) {
    const { gl } = this;
    const resized = width !== this.size[0] || height !== this.size[1];
    if (resized) this.resize(width, height);
    if (fresh || resized || seen !== this.seen) {
      gl.bindFramebuffer(gl.FRAMEBUFFER, this.framebuffer);
      paint();
      this.seen = seen;
    }
    gl.bindFramebuffer(gl.READ_FRAMEBUFFER, this.framebuffer);
    gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, target);
    gl.blitFramebuffer(0, 0, width, height, 0, 0, width, height, gl.COLOR_BUFFER_BIT, gl.NEAREST);
    gl.bindFramebuffer(gl.FRAMEBUFFER, target);
  }

  resize(width, height) {
    const { gl } = this;
    this.size = [width, height];
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.framebuffer);
    for (const [buffer, format, place] of [
      [this.color, gl.RGBA8, gl.COLOR_ATTACHMENT0], [this.depth, gl.DEPTH_COMPONENT24, gl.DEPTH_ATTACHMENT],
    ]) {
      gl.bindRenderbuffer(gl.RENDERBUFFER, buffer);
      gl.renderbufferStorage(gl.RENDERBUFFER, format, width, height);
      gl.framebufferRenderbuffer(gl.FRAMEBUFFER, place, gl.RENDERBUFFER, buffer);
    }
  }
}
