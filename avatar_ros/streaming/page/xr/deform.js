// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
/**
 * Gaussians that follow a pose: pose and expression basis, skinning, colours and order for an eye.
 * The same steps as the server's `avatars/skinned.py`. No DOM: it runs in a worker, and in tests.
 */

const C1 = 0.4886025119029199;
const C2 = [1.0925484305920792, 0.31539156525252005, 0.5462742152960396];
const C3 = [0.5900435899266435, 2.890611442640554, 0.4570457994644658, 0.3731763325901154, 1.445305721320277];
const KEYS = 65536;

/** What a Gaussian takes in `Deformer.geometry`: centre, opacity; covariance xx xy xz yy yz zz; 0 0. */
export const FLOATS_PER_GAUSSIAN = 12;

export class Deformer {
  /** @param {import('./rig.js').Rig} rig */
  constructor(rig) {
    const n = rig.count;
    this.rig = rig;
    this.means = spread(rig.means, rig.means_range);
    this.logScales = spread(rig.log_scales, rig.log_scales_range);
    this.rgb = spread(rig.rgb, rig.rgb_range);
    this.change = [0, 1, 2, 3].map(() => new Float32Array(rig.components ? 3 * n : 0));
    this.moved = new Float32Array(3 * n);
    this.turns = new Float32Array(4 * n);
    this.posed = new Float32Array(3 * n);
    this.matrices = new Float32Array(12 * rig.joints);
    this.jointTurns = new Float32Array(4 * rig.joints);
    this.keys = new Uint32Array(n);
    this.depths = new Float32Array(n);
    this.starts = new Uint32Array(KEYS + 1);
  }

  /**
   * Put the avatar into a pose.
   * @param {ReturnType<typeof import('./rig.js').unpackPose>} pose
   * @param {Float32Array} geometry written: FLOATS_PER_GAUSSIAN a Gaussian
   */
  pose(pose, geometry) {
    this.moveJoints(pose);
    this.addBases(pose);
    this.skin(geometry);
  }

  /** Fill `matrices` (J, 3, 4) and `jointTurns` (J, 4): how joints carry and turn canonical points. */
  moveJoints({ position, quats }) {
    const { rig, matrices, jointTurns } = this;
    const places = new Float32Array(3 * rig.joints);
    const turns = new Float32Array(4 * rig.joints);
    for (let j = 0; j < rig.joints; j++) {
      const own = quats.subarray(4 * j, 4 * j + 4);
      if (j === 0) {
        places.set(position);
        turns.set(own);
      } else {
        const p = rig.parents[j];
        const parent = turns.subarray(4 * p, 4 * p + 4);
        turns.set(multiply(parent, own), 4 * j);
        const arm = turn(parent, rig.joint_offsets.subarray(3 * j, 3 * j + 3));
        for (let c = 0; c < 3; c++) places[3 * j + c] = places[3 * p + c] + arm[c];
      }
      const now = turns.subarray(4 * j, 4 * j + 4);
      const carried = turn(now, rig.bind_moves.subarray(3 * j, 3 * j + 3));
      const whole = multiply(now, rig.bind_quats.subarray(4 * j, 4 * j + 4));
      jointTurns.set(whole, 4 * j);
      const R = rotation(whole);
      for (let r = 0; r < 3; r++) {
        for (let c = 0; c < 3; c++) matrices[12 * j + 4 * r + c] = R[3 * r + c];
        matrices[12 * j + 4 * r + 3] = places[3 * j + r] + carried[r];
      }
    }
  }

  /** Fill `change` by the pose, and `moved` with the centres before skinning. */
  addBases({ face, coefficients }) {
    const { rig, change, moved } = this;
    const size = 3 * rig.count;
    if (rig.components) {
      for (let g = 0; g < 4; g++) {
        const rows = rig.pose_values.subarray(g * rig.components * size, (g + 1) * rig.components * size);
        addRows(change[g], rows, coefficients.map((c, k) => c * rig.pose_scale[4 * k + g]));
      }
    }
    moved.set(this.means);
    if (rig.components) for (let i = 0; i < size; i++) moved[i] += change[0][i];
    const length = 3 * rig.face_index.length;
    for (let k = 0; k < rig.faceCount; k++) {
      const step = face[k] * rig.face_scale[k];
      if (step === 0) continue;
      const row = rig.face_values.subarray(k * length, (k + 1) * length);
      for (let m = 0; m < rig.face_index.length; m++) {
        const at = 3 * rig.face_index[m];
        moved[at] += step * row[3 * m];
        moved[at + 1] += step * row[3 * m + 1];
        moved[at + 2] += step * row[3 * m + 2];
      }
    }
  }

  skin(geometry) {
    const { rig, matrices: A, jointTurns, moved, turns, posed, logScales, change } = this;
    const { skin_joints: joints, skin_weights: weights, quats } = rig;
    const [, grown, turned] = change;
    const based = rig.components > 0;
    for (let i = 0; i < rig.count; i++) {
      const x = moved[3 * i], y = moved[3 * i + 1], z = moved[3 * i + 2];
      let px = 0, py = 0, pz = 0, w = 0, a = 0, b = 0, c = 0;
      const first = 4 * joints[4 * i];
      for (let k = 0; k < 4; k++) {
        let s = weights[4 * i + k] / 255;
        if (s === 0) continue;
        const joint = joints[4 * i + k], m = 12 * joint, q = 4 * joint;
        px += s * (A[m] * x + A[m + 1] * y + A[m + 2] * z + A[m + 3]);
        py += s * (A[m + 4] * x + A[m + 5] * y + A[m + 6] * z + A[m + 7]);
        pz += s * (A[m + 8] * x + A[m + 9] * y + A[m + 10] * z + A[m + 11]);
        // q and -q are the same rotation: blend on one half of the sphere.
        const dot = jointTurns[q] * jointTurns[first] + jointTurns[q + 1] * jointTurns[first + 1]
          + jointTurns[q + 2] * jointTurns[first + 2] + jointTurns[q + 3] * jointTurns[first + 3];
        if (dot < 0) s = -s;
        w += s * jointTurns[q];
        a += s * jointTurns[q + 1];
        b += s * jointTurns[q + 2];
        c += s * jointTurns[q + 3];
      }
      const unit = 1 / Math.sqrt(w * w + a * a + b * b + c * c);
      w *= unit; a *= unit; b *= unit; c *= unit;
      turns[4 * i] = w; turns[4 * i + 1] = a; turns[4 * i + 2] = b; turns[4 * i + 3] = c;
      posed[3 * i] = px; posed[3 * i + 1] = py; posed[3 * i + 2] = pz;
      let rw = quats[4 * i], ra = quats[4 * i + 1], rb = quats[4 * i + 2], rc = quats[4 * i + 3];
      let sx = logScales[3 * i], sy = logScales[3 * i + 1], sz = logScales[3 * i + 2];
      if (based) {
        const ha = turned[3 * i] / 2, hb = turned[3 * i + 1] / 2, hc = turned[3 * i + 2] / 2;
        const tw = rw - ha * ra - hb * rb - hc * rc;
        const ta = ra + ha * rw + hb * rc - hc * rb;
        const tb = rb - ha * rc + hb * rw + hc * ra;
        rc += ha * rb - hb * ra + hc * rw;
        rw = tw; ra = ta; rb = tb;
        sx += grown[3 * i]; sy += grown[3 * i + 1]; sz += grown[3 * i + 2];
      }
      const qw = w * rw - a * ra - b * rb - c * rc;
      const qa = w * ra + a * rw + b * rc - c * rb;
      const qb = w * rb - a * rc + b * rw + c * ra;
      const qc = w * rc + a * rb - b * ra + c * rw;
      // Columns of R are the axes; the covariance is R diag(s^2) R'.
      const n = 2 / (qw * qw + qa * qa + qb * qb + qc * qc);
      const vx = Math.exp(2 * sx), vy = Math.exp(2 * sy), vz = Math.exp(2 * sz);
      const r00 = 1 - n * (qb * qb + qc * qc), r01 = n * (qa * qb - qw * qc), r02 = n * (qa * qc + qw * qb);
      const r10 = n * (qa * qb + qw * qc), r11 = 1 - n * (qa * qa + qc * qc), r12 = n * (qb * qc - qw * qa);
      const r20 = n * (qa * qc - qw * qb), r21 = n * (qb * qc + qw * qa), r22 = 1 - n * (qa * qa + qb * qb);
      const o = FLOATS_PER_GAUSSIAN * i;
      geometry[o] = px; geometry[o + 1] = py; geometry[o + 2] = pz;
      geometry[o + 3] = rig.opacities[i] / 255;
      geometry[o + 4] = vx * r00 * r00 + vy * r01 * r01 + vz * r02 * r02;
      geometry[o + 5] = vx * r00 * r10 + vy * r01 * r11 + vz * r02 * r12;
      geometry[o + 6] = vx * r00 * r20 + vy * r01 * r21 + vz * r02 * r22;
      geometry[o + 7] = vx * r10 * r10 + vy * r11 * r11 + vz * r12 * r12;
      geometry[o + 8] = vx * r10 * r20 + vy * r11 * r21 + vz * r12 * r22;
      geometry[o + 9] = vx * r20 * r20 + vy * r21 * r21 + vz * r22 * r22;
    }
  }

  /**
   * What one eye needs of the last pose, farthest first.
   * @param {{position: number[], depthRow: number[]}} eye in scene axes; depth of a point p is
   *   depthRow . (p, 1)
   * @param {Uint32Array} order written: rows of `geometry`
   * @param {Uint8Array} colors written: RGB and 255 of those rows
   */
  see({ position: [ex, ey, ez], depthRow }, order, colors) {
    this.sort(depthRow, order);
    const { rig, posed, turns, rgb, change: [, , , tint] } = this;
    const { terms } = rig;
    const harmonics = terms ? this.sh : null;
    const basis = new Float64Array(15);
    for (let k = 0; k < rig.count; k++) {
      const i = order[k];
      if (terms) {
        // The direction of view, turned back into the canonical pose.
        let x = posed[3 * i] - ex, y = posed[3 * i + 1] - ey, z = posed[3 * i + 2] - ez;
        const w = turns[4 * i], a = -turns[4 * i + 1], b = -turns[4 * i + 2], c = -turns[4 * i + 3];
        const p = 2 * (b * z - c * y), q = 2 * (c * x - a * z), r = 2 * (a * y - b * x);
        const dx = x + w * p + b * r - c * q, dy = y + w * q + c * p - a * r, dz = z + w * r + a * q - b * p;
        const unit = 1 / Math.sqrt(Math.max(dx * dx + dy * dy + dz * dz, 1e-24));
        fillHarmonics(basis, terms, dx * unit, dy * unit, dz * unit);
      }
      for (let channel = 0; channel < 3; channel++) {
        let value = rgb[3 * i + channel];
        if (terms) {
          for (let m = 0; m < terms; m++) value += basis[m] * harmonics[3 * (terms * i + m) + channel];
          value = Math.max(value, 0);
        }
        if (rig.components) value += tint[3 * i + channel];
        colors[4 * k + channel] = 255 * Math.min(Math.max(value, 0), 1) + 0.5;
      }
      colors[4 * k + 3] = 255;
    }
  }

  /** Harmonics beyond the first as floats. */
  get sh() {
    if (!this.harmonics) {
      const { sh, sh_scale: scale, terms } = this.rig;
      this.harmonics = Float32Array.from(sh, (step, k) => step * scale[Math.floor(k / 3) % terms]);
    }
    return this.harmonics;
  }

  /** Rows by falling depth: a counting sort over the avatar's own extent. */
  sort([x, y, z, w], order) {
    const { rig, posed, depths, keys, starts } = this;
    const n = rig.count;
    let near = Infinity, far = -Infinity;
    for (let i = 0; i < n; i++) {
      const depth = x * posed[3 * i] + y * posed[3 * i + 1] + z * posed[3 * i + 2] + w;
      depths[i] = depth;
      if (depth < near) near = depth;
      if (depth > far) far = depth;
    }
    const scale = (KEYS - 1) / Math.max(far - near, 1e-6);
    starts.fill(0);
    for (let i = 0; i < n; i++) {
      const key = Math.floor((far - depths[i]) * scale);
      keys[i] = key;
      starts[key + 1]++;
    }
    for (let k = 0; k < KEYS; k++) starts[k + 1] += starts[k];
    for (let i = 0; i < n; i++) order[starts[keys[i]]++] = i;
  }
}

/** Rows of three whole numbers as what they stand for. */
function spread(steps, range) {
  const out = new Float32Array(steps.length);
  for (let i = 0; i < out.length; i++) out[i] = range[i % 3] + steps[i] * range[3 + (i % 3)];
  return out;
}

/** out = sum of steps[k] times row k; four rows at a time, to go through `out` less often. */
function addRows(out, rows, steps) {
  out.fill(0);
  const size = out.length;
  for (let k = 0; k < steps.length; k += 4) {
    const row = j => rows.subarray(Math.min(k + j, steps.length - 1) * size);
    const step = j => steps[k + j] ?? 0;
    addFour(out, row(0), row(1), row(2), row(3), step(0), step(1), step(2), step(3));
  }
}

function addFour(out, a, b, c, d, s, t, u, v) {
  for (let i = 0; i < out.length; i++) out[i] += s * a[i] + t * b[i] + u * c[i] + v * d[i];
}

/** Degrees 1..3, with the signs of 3D Gaussian Splatting; x, y, z of length 1. */
function fillHarmonics(basis, terms, x, y, z) {
  basis[0] = -C1 * y;
  basis[1] = C1 * z;
  basis[2] = -C1 * x;
  if (terms < 8) return;
  const xx = x * x, yy = y * y, zz = z * z;
  basis[3] = C2[0] * x * y;
  basis[4] = -C2[0] * y * z;
  basis[5] = C2[1] * (2 * zz - xx - yy);
  basis[6] = -C2[0] * x * z;
  basis[7] = C2[2] * (xx - yy);
  if (terms < 15) return;
  basis[8] = -C3[0] * y * (3 * xx - yy);
  basis[9] = C3[1] * x * y * z;
  basis[10] = -C3[2] * y * (4 * zz - xx - yy);
  basis[11] = C3[3] * z * (2 * zz - 3 * xx - 3 * yy);
  basis[12] = -C3[2] * x * (4 * zz - xx - yy);
  basis[13] = C3[4] * z * (xx - yy);
  basis[14] = -C3[0] * x * (xx - 3 * yy);
}

/** The rotation that does b first, then a; w, x, y, z. */
function multiply([aw, ax, ay, az], [bw, bx, by, bz]) {
  return [
    aw * bw - ax * bx - ay * by - az * bz,
    aw * bx + ax * bw + ay * bz - az * by,
    aw * by - ax * bz + ay * bw + az * bx,
    aw * bz + ax * by - ay * bx + az * bw,
  ];
}

function turn([w, x, y, z], [px, py, pz]) {
  const tx = 2 * (y * pz - z * py), ty = 2 * (z * px - x * pz), tz = 2 * (x * py - y * px);
  return [px + w * tx + y * tz - z * ty, py + w * ty + z * tx - x * tz, pz + w * tz + x * ty - y * tx];
}

/** Row by row. */
function rotation([w, x, y, z]) {
  return [
    1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
    2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
    2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
  ];
}
