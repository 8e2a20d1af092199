// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
import { aboutUp, conjugate, fromPose, headingOf, multiplyQuaternions, rotate, wrapAngle } from './matrices.js';

const SCALES = [0.05, 10];

/**
 * Where the avatar stands in the viewer's room; the server never learns it.
 *
 * The scene is scaled, turned about y, and moved: room = position + turn(heading) scale scene.
 */
export class Placement {
  constructor() {
    this.position = [0, 0, 0]; // metres, room axes; y is the floor the avatar stands on
    this.heading = 0; // radians about y
    this.scale = 1;
  }

  /** Room from scene, column by column. */
  get matrix() {
    return fromPose(this.position, aboutUp(this.heading), this.scale);
  }

  /** An eye given in the room, as the scene has it. A larger avatar means eyes closer together. */
  toScene(eye) {
    const back = conjugate(aboutUp(this.heading));
    const offset = eye.position.map((p, i) => (p - this.position[i]) / this.scale);
    return {
      position: rotate(back, offset),
      orientation: multiplyQuaternions(back, eye.orientation),
      tangents: eye.tangents,
    };
  }

  /** Before a viewer, on the floor of the viewer's room, and facing the viewer. */
  putBefore(viewer, distance, floor = 0) {
    const heading = headingOf(viewer.orientation);
    const [x, , z] = rotate(aboutUp(heading), [0, 0, -distance]);
    this.position = [viewer.position[0] + x, floor, viewer.position[2] + z];
    this.heading = wrapAngle(heading);
  }

  /** Turn and scale about a point on the floor, then move: what grabbing hands do. */
  transform(pivot, { turn = 0, scale = 1, move = [0, 0, 0] }) {
    const next = Math.min(SCALES[1], Math.max(SCALES[0], this.scale * scale));
    const arm = this.position.map((p, i) => (p - pivot[i]) * (next / this.scale));
    const turned = rotate(aboutUp(turn), arm);
    this.position = [
      pivot[0] + turned[0] + move[0], this.position[1], pivot[2] + turned[2] + move[2],
    ];
    this.heading = wrapAngle(this.heading + turn);
    this.scale = next;
  }
}
