// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
import { AvatarMesh } from './avatar_mesh.js';
import { Floor } from './floor.js';
import { rendersInSoftware } from './gl.js';
import { product } from './matrices.js';
import { Splats } from './splats.js';
import { Still } from './still.js';

const BACKGROUND = [0.078, 0.086, 0.102]; // the page's own

/** Everything that is drawn, on a canvas or in a headset. */
export class Scene {
  constructor(canvas) {
    this.canvas = canvas;
    this.gl = canvas.getContext('webgl2', { alpha: true, antialias: false, xrCompatible: false });
    if (!this.gl) throw new Error('no WebGL2');
    this.gaussians = false;
    this.make();
    canvas.addEventListener('webglcontextlost', event => event.preventDefault());
    canvas.addEventListener('webglcontextrestored', () => this.make());
  }

  make() {
    this.mesh = new AvatarMesh(this.gl);
    this.splats = null;
    this.floor = new Floor(this.gl);
    this.still = rendersInSoftware(this.gl) ? new Still(this.gl) : null;
    this.show(this.gaussians);
  }

  /** Draw Gaussians or pictures from now. @throws {Error} if this browser cannot draw Gaussians */
  show(gaussians) {
    if (gaussians) this.splats ??= new Splats(this.gl);
    this.gaussians = gaussians;
    this.avatar = gaussians ? this.splats : this.mesh;
    this.avatar.frame = null;
  }

  /** Start a picture in the bound framebuffer. */
  clear(background) {
    const { gl } = this;
    gl.disable(gl.SCISSOR_TEST);
    gl.depthMask(true);
    gl.clearColor(...(background ? [...BACKGROUND, 1] : [0, 0, 0, 0]));
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  }

  /**
   * What all eyes see, into a headset's framebuffer, which is bound before and after.
   * @param {object[]} eyes what `drawEye` takes, but for `background`
   * @param {boolean} fresh there is another picture or pose than last time
   */
  drawEyes(eyes, { framebuffer, size, background, fresh }) {
    const paint = () => {
      this.clear(background);
      for (const eye of eyes) this.drawEye({ ...eye, background });
    };
    if (!this.still) return paint();
    const seen = eyes.map(({ viewport: { x, y, width, height }, projection, eyeFromScene }) => [x, y, width, height, ...projection, ...eyeFromScene]);
    return this.still.show(framebuffer, size, `${background} ${seen}`, fresh, paint);
  }

  /**
   * What one eye sees.
   * @param {{x: number, y: number, width: number, height: number}} viewport pixels
   * @param {Float32Array} eyeFromScene with the placement in it
   */
  drawEye({ index, viewport, projection, eyeFromScene, focalPx, scale = 1, background }) {
    const { gl } = this;
    gl.viewport(viewport.x, viewport.y, viewport.width, viewport.height);
    if (background) this.floor.draw(product(projection, eyeFromScene));
    this.avatar.draw({ index, viewport, projection, eyeFromScene, focalPx, scale });
  }
}
