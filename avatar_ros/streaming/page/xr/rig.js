// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
/**
 * The avatar's file and its poses as docs/xr_protocol.md has them: bytes to checked numbers.
 *
 * Quaternions are w, x, y, z here, as in the file.
 */
import { ProtocolError } from './protocol.js';

const MAX_HEADER = 65536;
const MAX_GAUSSIANS = 200000;
const MAX_JOINTS = 256;
const TYPES = { F32: Float32Array, U32: Uint32Array, U16: Uint16Array, U8: Uint8Array, I8: Int8Array };

/**
 * @typedef {object} Rig tensors of the file by name, as flat arrays, and what they say:
 * @property {number} count Gaussians
 * @property {number} joints
 * @property {number} terms spherical harmonics beyond the first: 0, 3, 8 or 15
 * @property {number} faceCount expression weights
 * @property {number} components of the pose basis
 * @property {number} poseBytes of one pose
 */

/** Tensors of a safetensors file: name -> {data, shape}. @param {ArrayBuffer} buffer */
export function parseSafetensors(buffer) {
  if (buffer.byteLength < 8) throw new ProtocolError(`avatar of ${buffer.byteLength} bytes`);
  const headerBytes = Number(new DataView(buffer).getBigUint64(0, true));
  if (headerBytes > Math.min(MAX_HEADER, buffer.byteLength - 8)) throw new ProtocolError(`avatar with a header of ${headerBytes} bytes`);
  let header;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array(buffer, 8, headerBytes)));
  } catch {
    throw new ProtocolError('avatar whose header is no JSON');
  }
  const start = 8 + headerBytes;
  const tensors = new Map();
  for (const [name, entry] of Object.entries(header ?? {})) {
    if (name === '__metadata__') continue;
    const { dtype, shape, data_offsets: offsets } = entry ?? {};
    const Type = TYPES[dtype];
    const good = Type && Array.isArray(shape) && shape.every(n => Number.isInteger(n) && n >= 0)
      && Array.isArray(offsets) && offsets.length === 2 && offsets.every(Number.isInteger);
    if (!good) throw new ProtocolError(`avatar with tensor ${name} of type ${dtype}`);
    const length = shape.reduce((a, b) => a * b, 1);
    const [begin, end] = offsets;
    if (begin < 0 || end - begin !== length * Type.BYTES_PER_ELEMENT || start + end > buffer.byteLength) {
      throw new ProtocolError(`avatar whose tensor ${name} has the wrong size`);
    }
    tensors.set(name, { data: new Type(buffer.slice(start + begin, start + end)), shape });
  }
  return tensors;
}

/** @param {ArrayBuffer} buffer @returns {Rig} @throws {ProtocolError} */
export function parseRig(buffer) {
  const tensors = parseSafetensors(buffer);
  const need = (name, Type, ...shape) => {
    const tensor = tensors.get(name);
    const fits = tensor && tensor.data instanceof Type && tensor.shape.length === shape.length
      && shape.every((n, k) => n === null || n === tensor.shape[k]);
    if (!fits) throw new ProtocolError(`avatar with ${name} ${tensor?.shape}, expected ${shape}`);
    if (Type === Float32Array && !tensor.data.every(Number.isFinite)) throw new ProtocolError(`avatar with ${name} that is not finite`);
    return tensor;
  };
  const count = need('means', Uint16Array, null, 3).shape[0];
  const joints = need('parents', Uint8Array, null).shape[0];
  const terms = need('sh', Int8Array, count, null, 3).shape[1];
  const moved = need('face_index', Uint32Array, null).shape[0];
  const faceCount = need('face_scale', Float32Array, null).shape[0];
  const components = need('pose_scale', Float32Array, null, 4).shape[0];
  if (count < 1 || count > MAX_GAUSSIANS || joints < 1 || joints > MAX_JOINTS || ![0, 3, 8, 15].includes(terms)) {
    throw new ProtocolError(`avatar of ${count} Gaussians, ${joints} joints, ${terms} harmonics`);
  }
  const names = {
    means: [Uint16Array, count, 3], means_range: [Float32Array, 2, 3],
    log_scales: [Uint8Array, count, 3], log_scales_range: [Float32Array, 2, 3],
    rgb: [Uint8Array, count, 3], rgb_range: [Float32Array, 2, 3],
    quats: [Int8Array, count, 4], opacities: [Uint8Array, count],
    sh: [Int8Array, count, terms, 3], sh_scale: [Float32Array, terms],
    skin_joints: [Uint8Array, count, 4], skin_weights: [Uint8Array, count, 4],
    parents: [Uint8Array, joints], joint_offsets: [Float32Array, joints, 3],
    bind_quats: [Float32Array, joints, 4], bind_moves: [Float32Array, joints, 3],
    face_index: [Uint32Array, moved], face_values: [Int8Array, faceCount, faceCount ? moved : null, 3], face_scale: [Float32Array, faceCount],
    pose_values: [Int8Array, 4, components, count, 3], pose_scale: [Float32Array, components, 4],
    joint_bits: [Uint8Array, joints], pose_limit: [Float32Array, components],
    bits: [Uint8Array, 3], position_step: [Float32Array, 1], antialiased: [Uint8Array, 1],
  };
  const rig = { count, joints, terms, faceCount, components };
  for (const [name, [Type, ...shape]] of Object.entries(names)) rig[name] = need(name, Type, ...shape).data;
  const widths = [...rig.bits, ...rig.joint_bits];
  if (!widths.every(bits => bits >= 2 && bits <= 24)) throw new ProtocolError(`avatar with numbers of ${widths} bits`);
  if (!rig.skin_joints.every(joint => joint < joints)) throw new ProtocolError('avatar with skin on joints that it lacks');
  if (!rig.face_index.every(index => index < count)) throw new ProtocolError('avatar with a face on Gaussians that it lacks');
  if (!rig.parents.every((parent, joint) => parent < joint || joint === 0)) throw new ProtocolError('avatar whose joints precede their parents');
  rig.antialiased = rig.antialiased[0] !== 0;
  rig.poseBytes = poseBytes(rig);
  return rig;
}

function poseBytes({ joints, joint_bits: jointBits, bits: [position, face, coefficient], faceCount, components }) {
  const rotations = 2 * joints + 3 * jointBits.reduce((a, b) => a + b, 0);
  return Math.ceil((3 * position + rotations + (faceCount ? 32 + face * faceCount : 0) + coefficient * components) / 8);
}

class Bits {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  /** The next whole number, at most 24 bits of it. */
  unsigned(bits) {
    let value = 0;
    for (let k = 0; k < bits; k++, this.at++) value |= ((this.bytes[this.at >> 3] >> (this.at & 7)) & 1) << k;
    return value;
  }

  /** -1..1 */
  share(bits) {
    const top = 2 ** (bits - 1) - 1;
    return (this.unsigned(bits) - top) / top;
  }

  float() {
    const view = new DataView(new ArrayBuffer(4));
    for (let k = 0; k < 4; k++) view.setUint8(k, this.unsigned(8));
    return view.getFloat32(0, true);
  }

  /** Three numbers, and where the fourth and largest belongs. */
  quat(bits, out, at) {
    const largest = this.unsigned(2);
    let rest = 1;
    for (let k = 0; k < 4; k++) {
      if (k === largest) continue;
      const value = this.share(bits) * Math.SQRT1_2;
      out[at + k] = value;
      rest -= value * value;
    }
    out[at + largest] = Math.sqrt(Math.max(rest, 0));
  }
}

/**
 * A pose in scene axes.
 * @param {Rig} rig @param {Uint8Array} bytes
 * @returns {{position: number[], quats: Float32Array, face: Float32Array, coefficients: Float32Array}}
 * @throws {ProtocolError}
 */
export function unpackPose(rig, bytes) {
  if (bytes.length !== rig.poseBytes) throw new ProtocolError(`pose of ${bytes.length} bytes, expected ${rig.poseBytes}`);
  const [positionBits, faceBits, coefficientBits] = rig.bits;
  const bits = new Bits(bytes);
  const reach = (2 ** (positionBits - 1) - 1) * rig.position_step[0];
  const position = [0, 1, 2].map(() => bits.share(positionBits) * reach);
  const quats = new Float32Array(4 * rig.joints);
  for (let joint = 0; joint < rig.joints; joint++) bits.quat(rig.joint_bits[joint], quats, 4 * joint);
  const most = rig.faceCount ? bits.float() : 0;
  if (!(Math.abs(most) < 1000)) throw new ProtocolError(`pose with an expression of ${most}`);
  const face = Float32Array.from({ length: rig.faceCount }, () => bits.share(faceBits) * most);
  const coefficients = rig.pose_limit.map(limit => bits.share(coefficientBits) * limit);
  return { position, quats, face, coefficients };
}
