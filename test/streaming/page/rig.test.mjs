// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import test from 'node:test';

import { Deformer, FLOATS_PER_GAUSSIAN } from '../../../avatar_ros/streaming/page/xr/deform.js';
import { ProtocolError } from '../../../avatar_ros/streaming/page/xr/protocol.js';
import { parseRig, unpackPose } from '../../../avatar_ros/streaming/page/xr/rig.js';

const SIZES = { F32: 4, U32: 4, U16: 2, U8: 1, I8: 1 };
const WRITE = { F32: 'writeFloatLE', U32: 'writeUInt32LE', U16: 'writeUInt16LE', U8: 'writeUInt8', I8: 'writeInt8' };

/** Three Gaussians on two joints, a metre apart, with one action of the face and no pose basis. */
const SMALL = {
  means: ['U16', [3, 3], [0, 0, 0, 0, 65535, 0, 65535, 65535, 65535]],
  means_range: ['F32', [2, 3], [0, 0, 0, 1 / 65535, 2 / 65535, 1 / 65535]],
  log_scales: ['U8', [3, 3], Array(9).fill(0)],
  log_scales_range: ['F32', [2, 3], [-4, -4, -4, 0.01, 0.01, 0.01]],
  rgb: ['U8', [3, 3], [255, 0, 0, 0, 255, 0, 0, 0, 255]],
  rgb_range: ['F32', [2, 3], [0, 0, 0, 1 / 255, 1 / 255, 1 / 255]],
  quats: ['I8', [3, 4], [127, 0, 0, 0, 127, 0, 0, 0, 127, 0, 0, 0]],
  opacities: ['U8', [3], [255, 128, 51]],
  sh: ['I8', [3, 0, 3], []],
  sh_scale: ['F32', [0], []],
  skin_joints: ['U8', [3, 4], [0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]],
  skin_weights: ['U8', [3, 4], [255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0]],
  parents: ['U8', [2], [0, 0]],
  joint_offsets: ['F32', [2, 3], [0, 0, 0, 0, 1, 0]],
  bind_quats: ['F32', [2, 4], [1, 0, 0, 0, 1, 0, 0, 0]],
  bind_moves: ['F32', [2, 3], [0, 0, 0, 0, -1, 0]],
  face_index: ['U32', [1], [2]],
  face_values: ['I8', [1, 1, 3], [0, 0, 100]],
  face_scale: ['F32', [1], [0.001]],
  pose_values: ['I8', [4, 0, 3, 3], []],
  pose_scale: ['F32', [0, 4], []],
  joint_bits: ['U8', [2], [20, 12]],
  pose_limit: ['F32', [0], []],
  bits: ['U8', [3], [20, 7, 12]],
  position_step: ['F32', [1], [1e-4]],
  antialiased: ['U8', [1], [0]],
};

function safetensors(tensors) {
  const header = {}, parts = [];
  let at = 0;
  for (const [name, [dtype, shape, values]] of Object.entries(tensors)) {
    const part = Buffer.alloc(values.length * SIZES[dtype]);
    values.forEach((value, k) => part[WRITE[dtype]](value, k * SIZES[dtype]));
    header[name] = { dtype, shape, data_offsets: [at, at += part.length] };
    parts.push(part);
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return new Uint8Array(Buffer.concat([length, text, ...parts])).buffer;
}

const small = (change = {}) => parseRig(safetensors({ ...SMALL, ...change }));
const still = { position: [0, 0, 0], quats: new Float32Array([1, 0, 0, 0, 1, 0, 0, 0]), face: new Float32Array(1), coefficients: new Float32Array(0) };

function posed(rig, pose) {
  const deformer = new Deformer(rig);
  const geometry = new Float32Array(FLOATS_PER_GAUSSIAN * rig.count);
  deformer.pose({ ...still, ...pose }, geometry);
  return { deformer, geometry, centre: i => [...geometry.subarray(FLOATS_PER_GAUSSIAN * i, FLOATS_PER_GAUSSIAN * i + 3)] };
}

const near = (a, b, tolerance = 1e-5) => a.forEach((x, k) => assert.ok(Math.abs(x - b[k]) < tolerance, `${a} is not ${b}`));

test('at rest every Gaussian is where the file has it, as large and as opaque', () => {
  const { geometry, centre } = posed(small());
  near(centre(0), [0, 0, 0]);
  near(centre(1), [0, 2, 0]);
  near(centre(2), [1, 2, 1]);
  const variance = Math.exp(-8);
  near([...geometry.subarray(3, 10)], [1, variance, 0, 0, variance, 0, variance]);
});

test('a turning joint carries what hangs on it about itself, and the root carries all', () => {
  const quarter = Math.SQRT1_2;
  const quats = new Float32Array([1, 0, 0, 0, quarter, 0, 0, quarter]); // +y goes to -x
  const { centre } = posed(small(), { quats, position: [0, 0, 5] });
  near(centre(0), [0, 0, 5]);
  near(centre(1), [-1, 1, 5]);
  const turned = posed(small(), { quats: new Float32Array([quarter, 0, 0, quarter, 1, 0, 0, 0]) });
  near(turned.centre(1), [-2, 0, 0]);
});

test('a turned Gaussian has the turned covariance', () => {
  const wide = { log_scales: ['U8', [3, 3], [100, 0, 0, 0, 0, 0, 0, 0, 0]] };
  const quats = new Float32Array([Math.SQRT1_2, 0, 0, Math.SQRT1_2, 1, 0, 0, 0]);
  const { geometry } = posed(small(wide), { quats });
  near([...geometry.subarray(4, 10)], [Math.exp(-8), 0, 0, Math.exp(-6), 0, Math.exp(-8)]);
});

test('an expression moves the Gaussians of its index only', () => {
  const { centre } = posed(small(), { face: new Float32Array([0.5]) });
  near(centre(1), [0, 2, 0]);
  near(centre(2), [1, 2, 1.05]);
});

test('Gaussians are drawn from the farthest to the nearest', () => {
  const { deformer } = posed(small());
  const order = new Uint32Array(3), colors = new Uint8Array(12);
  deformer.see({ position: [0, 0, 5], depthRow: [0, 0, -1, 5] }, order, colors);
  assert.equal(order[2], 2);
  deformer.see({ position: [0, 9, 0], depthRow: [0, 1, 0, 0] }, order, colors);
  assert.equal(order[2], 0);
  assert.deepEqual([...colors.subarray(8)], [255, 0, 0, 255]); // colours go with the order
});

test('colours follow the side from which they are seen', () => {
  const both = {
    sh: ['I8', [3, 3, 3], Array.from({ length: 27 }, (_, k) => (k === 3 ? 100 : 0))], // red, term z of the first
    sh_scale: ['F32', [3], [0.01, 0.01, 0.01]],
    rgb: ['U8', [3, 3], Array(9).fill(128)],
  };
  const { deformer } = posed(small(both));
  const order = new Uint32Array(3), colors = new Uint8Array(12);
  const redFrom = z => {
    deformer.see({ position: [0, 0, z], depthRow: [0, 0, -1, 5] }, order, colors);
    return colors[4 * order.indexOf(0)];
  };
  assert.ok(redFrom(-5) > 240 && redFrom(5) < 10); // +z looks along +z
});

test('a pose of bits is the pose', () => {
  const rig = small();
  let bits = 0n, at = 0n;
  const add = (value, width) => {
    bits |= BigInt(value) << at;
    at += BigInt(width);
  };
  const top = width => 2 ** (width - 1) - 1;
  for (const metres of [1.5, -0.25, 0]) add(Math.round(metres / 1e-4) + top(20), 20);
  add(0, 2); // the first joint: w is the largest, the others 0
  for (let k = 0; k < 3; k++) add(top(20), 20);
  add(1, 2); // the second: x is the largest, then w, y, z
  for (const share of [0.5, 0, -0.5]) add(Math.round(share * top(12)) + top(12), 12);
  add(new DataView(new Float32Array([2]).buffer).getUint32(0, true), 32);
  add(top(7) + top(7), 7);
  const bytes = Uint8Array.from({ length: rig.poseBytes }, (_, k) => Number((bits >> BigInt(8 * k)) & 0xffn));
  const pose = unpackPose(rig, bytes);
  near(pose.position, [1.5, -0.25, 0], 1e-6);
  near([...pose.quats], [1, 0, 0, 0, Math.sqrt(1 / 8), Math.sqrt(3 / 4), 0, -Math.sqrt(1 / 8)], 5e-4);
  near([...pose.face], [2]);
});

test('a pose of another length is refused', () => {
  const rig = small();
  for (const length of [0, rig.poseBytes - 1, rig.poseBytes + 1]) {
    assert.throws(() => unpackPose(rig, new Uint8Array(length)), ProtocolError);
  }
});

test('any bits of the right length give a finite pose, or are refused', () => {
  const rig = small();
  let seed = 1;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  for (let k = 0; k < 2000; k++) {
    const bytes = Uint8Array.from({ length: rig.poseBytes }, () => 256 * random());
    try {
      const pose = unpackPose(rig, bytes);
      assert.ok([...pose.position, ...pose.quats, ...pose.face].every(Number.isFinite));
      assert.ok(posed(rig, pose).geometry.every(Number.isFinite));
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  }
});

test('files that cannot be an avatar are refused, and nothing else is thrown', () => {
  const without = name => safetensors(Object.fromEntries(Object.entries(SMALL).filter(([key]) => key !== name)));
  const broken = [
    new ArrayBuffer(0), new ArrayBuffer(7), new ArrayBuffer(64), safetensors({}),
    ...Object.keys(SMALL).map(without),
    safetensors({ ...SMALL, means: ['U8', [3, 3], Array(9).fill(0)] }),
    safetensors({ ...SMALL, quats: ['I8', [2, 4], Array(8).fill(1)] }),
    safetensors({ ...SMALL, means_range: ['F32', [2, 3], [0, NaN, 0, 1, 1, 1]] }),
    safetensors({ ...SMALL, skin_joints: ['U8', [3, 4], Array(12).fill(2)] }),
    safetensors({ ...SMALL, face_index: ['U32', [1], [3]] }),
    safetensors({ ...SMALL, parents: ['U8', [2], [0, 1]] }),
    safetensors({ ...SMALL, bits: ['U8', [3], [20, 7, 40]] }),
    safetensors({ ...SMALL, sh: ['I8', [3, 4, 3], Array(36).fill(0)], sh_scale: ['F32', [4], [1, 1, 1, 1]] }),
  ];
  for (const file of broken) assert.throws(() => parseRig(file), ProtocolError);
});

test('a file with any byte changed is an avatar or is refused', () => {
  const good = new Uint8Array(safetensors(SMALL));
  let seed = 7;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  for (let k = 0; k < 5000; k++) {
    const bad = good.slice(0, random() < 0.1 ? Math.floor(random() * good.length) : good.length);
    for (let m = 0; m < 3; m++) bad[Math.floor(random() * bad.length)] = 256 * random();
    try {
      parseRig(bad.buffer);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  }
});
