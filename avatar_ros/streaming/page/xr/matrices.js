// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
/**
 * The few matrices and quaternions that the page needs.
 *
 * Matrices are 16 numbers, column by column, as WebGL and WebXR have them; points are columns.
 * Quaternions are x, y, z, w. `clipFromEye` maps what is given in the eye's axes to clip space.
 */

/** a b. */
export function multiply(a, b) {
  const out = new Float32Array(16);
  for (let column = 0; column < 4; column++) {
    for (let row = 0; row < 4; row++) {
      let sum = 0;
      for (let k = 0; k < 4; k++) sum += a[k * 4 + row] * b[column * 4 + k];
      out[column * 4 + row] = sum;
    }
  }
  return out;
}

/** Product of several matrices, left to right. */
export const product = (...matrices) => matrices.reduce(multiply);

/** The matrix that scales, then turns, then moves. */
export function fromPose(position, [x, y, z, w], scale = 1) {
  const s = scale;
  return new Float32Array([
    s * (1 - 2 * (y * y + z * z)), s * 2 * (x * y + z * w), s * 2 * (x * z - y * w), 0,
    s * 2 * (x * y - z * w), s * (1 - 2 * (x * x + z * z)), s * 2 * (y * z + x * w), 0,
    s * 2 * (x * z + y * w), s * 2 * (y * z - x * w), s * (1 - 2 * (x * x + y * y)), 0,
    position[0], position[1], position[2], 1,
  ]);
}

/** Inverse of what fromPose gives. */
export function invertPose(position, orientation, scale = 1) {
  const back = conjugate(orientation);
  const moved = rotate(back, position.map(p => -p / scale));
  return fromPose(moved, back, 1 / scale);
}

/** Clip space from the eye's axes, for tangents left right down up and depths in metres. */
export function projectionFromTangents([left, right, down, up], near, far) {
  const out = new Float32Array(16);
  out[0] = 2 / (right - left);
  out[5] = 2 / (up - down);
  out[8] = (right + left) / (right - left);
  out[9] = (up + down) / (up - down);
  out[10] = -(far + near) / (far - near);
  out[11] = -1;
  out[14] = (-2 * far * near) / (far - near);
  return out;
}

/** Tangents left, right, down, up of a projection matrix; headsets' are not symmetric. */
export function tangentsFromProjection(m) {
  return [(m[8] - 1) / m[0], (m[8] + 1) / m[0], (m[9] - 1) / m[5], (m[9] + 1) / m[5]];
}

export const conjugate = ([x, y, z, w]) => [-x, -y, -z, w];

/** The rotation that does b first, then a. */
export function multiplyQuaternions([ax, ay, az, aw], [bx, by, bz, bw]) {
  return [
    aw * bx + ax * bw + ay * bz - az * by,
    aw * by - ax * bz + ay * bw + az * bx,
    aw * bz + ax * by - ay * bx + az * bw,
    aw * bw - ax * bx - ay * by - az * bz,
  ];
}

/** The point or direction turned. */
export function rotate([x, y, z, w], [px, py, pz]) {
  const tx = 2 * (y * pz - z * py);
  const ty = 2 * (z * px - x * pz);
  const tz = 2 * (x * py - y * px);
  return [
    px + w * tx + y * tz - z * ty,
    py + w * ty + z * tx - x * tz,
    pz + w * tz + x * ty - y * tx,
  ];
}

/** Turn about y (up) by radians; positive turns +z towards +x. */
export const aboutUp = angle => [0, Math.sin(angle / 2), 0, Math.cos(angle / 2)];

/** Turn about x (right) by radians; positive raises the gaze. */
export const aboutRight = angle => [Math.sin(angle / 2), 0, 0, Math.cos(angle / 2)];

/** Heading of a gaze in radians: 0 looks along -z, and aboutUp(heading) turns -z there. */
export function headingOf(orientation) {
  const forward = rotate(orientation, [0, 0, -1]);
  const level = Math.hypot(forward[0], forward[2]);
  // Who looks straight up or down has no heading; the top or the bottom of the head has.
  const [x, , z] = level > 1e-3 ? forward : rotate(orientation, [0, forward[1] > 0 ? -1 : 1, 0]);
  return Math.atan2(-x, -z);
}

/** Turns an angle into -pi..pi. */
export const wrapAngle = angle => Math.atan2(Math.sin(angle), Math.cos(angle));
