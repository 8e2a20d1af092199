// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
/**
 * The client's end of docs/xr_protocol.md: every message as bytes, no DOM, no state.
 *
 * An eye, here and in all modules, is `{position, orientation, tangents}`: metres in some axes
 * with y up, a unit quaternion x y z w that turns the eye's axes (x right, y up, looking along -z)
 * into those, and the frustum's tangents left, right, down, up.
 *
 * @typedef {{position: number[], orientation: number[], tangents: number[]}} Eye
 */

export const VERSION = 1;
export const EYE_BYTES = 44;
const EYES_HEADER = 32;
const FRAME_HEADER = 64;
const POSE_HEADER = 16;
const MAX_POSE = 1024;
const MAX_SIDE_PX = 4096;
const MAX_DISTANCE_M = 1000;
const MAX_TANGENT = 100;
const MAX_TEXT = 65536;
const CODECS = ['h264', 'jpeg'];
export const LANES = [...CODECS, 'pose'];

/** A message that the protocol does not allow; it is counted and skipped. */
export class ProtocolError extends Error {}

/**
 * EYES: what the viewer sees from.
 * @param {{viewId: number, tClient: number, tDisplay: number, newestFrameId: number,
 *   framesShown: number, ping: boolean, eyes: Eye[]}} message times in ms of performance.now()
 * @returns {ArrayBuffer}
 * @throws {ProtocolError} if the server would close the socket because of it
 */
export function packEyes({ viewId, tClient, tDisplay, newestFrameId, framesShown, ping, eyes }) {
  if (eyes.length < 1 || eyes.length > 2) throw new ProtocolError(`${eyes.length} eyes, expected 1 or 2`);
  const buffer = new ArrayBuffer(EYES_HEADER + EYE_BYTES * eyes.length);
  const bytes = new DataView(buffer);
  bytes.setUint8(0, 1);
  bytes.setUint8(1, eyes.length);
  bytes.setUint16(2, ping ? 1 : 0, true);
  bytes.setUint32(4, viewId, true);
  bytes.setFloat64(8, tClient, true);
  bytes.setFloat64(16, tDisplay, true);
  bytes.setUint32(24, newestFrameId, true);
  bytes.setUint32(28, framesShown, true);
  eyes.forEach((eye, i) => {
    checkEye(eye);
    [...eye.position, ...eye.orientation, ...eye.tangents].forEach((value, k) =>
      bytes.setFloat32(EYES_HEADER + EYE_BYTES * i + 4 * k, value, true));
  });
  if (!Number.isFinite(tClient) || !Number.isFinite(tDisplay)) throw new ProtocolError('time is not finite');
  return buffer;
}

/** ACK of a frame, and by that of all before it. @returns {ArrayBuffer} */
export function packAck(frameId) {
  const buffer = new ArrayBuffer(8);
  const bytes = new DataView(buffer);
  bytes.setUint8(0, 2);
  bytes.setUint32(4, frameId, true);
  return buffer;
}

/** @param {{lanes: string[], mode: string, height: number}} what height: pixels of one eye */
export function packHello({ lanes, mode, height }) {
  const pixels = Math.min(2048, Math.max(64, Math.round(height) || 64));
  return JSON.stringify({ type: 'hello', version: VERSION, lanes, mode, height: pixels });
}

export const packKey = () => JSON.stringify({ type: 'key' });
export const packLane = lane => JSON.stringify({ type: 'lane', lane });
export const packBye = () => JSON.stringify({ type: 'bye' });

/**
 * A binary message of the server: `{kind: 'frame', ...}`, `{kind: 'pose', ...}`,
 * `{kind: 'pong', ...}` or `{kind: 'camera', jpeg}`. Payloads are views into the buffer, not copies.
 * @param {ArrayBuffer} buffer
 * @throws {ProtocolError}
 */
export function parseBinary(buffer) {
  if (buffer.byteLength < 2) throw new ProtocolError(`message of ${buffer.byteLength} bytes`);
  const bytes = new DataView(buffer);
  switch (bytes.getUint8(0)) {
    case 16: return parseFrame(buffer, bytes);
    case 17: return parsePong(bytes);
    case 19: return parsePose(buffer, bytes);
    case 18: return { kind: 'camera', jpeg: new Uint8Array(buffer, 1) };
    default: throw new ProtocolError(`unknown message ${bytes.getUint8(0)}`);
  }
}

function parseFrame(buffer, bytes) {
  const size = buffer.byteLength;
  if (size < FRAME_HEADER) throw new ProtocolError(`FRAME of ${size} bytes`);
  const codec = CODECS[bytes.getUint8(1)];
  const count = bytes.getUint8(3);
  const headerBytes = bytes.getUint16(4, true);
  if (!codec) throw new ProtocolError(`FRAME in codec ${bytes.getUint8(1)}`);
  if (count < 1 || count > 2) throw new ProtocolError(`FRAME with ${count} views`);
  if (headerBytes !== FRAME_HEADER + EYE_BYTES * count || size <= headerBytes) {
    throw new ProtocolError(`FRAME of ${size} bytes with a header of ${headerBytes}`);
  }
  const float = offset => bytes.getFloat32(offset, true);
  const frame = {
    kind: 'frame',
    codec,
    key: (bytes.getUint8(2) & 1) !== 0 || codec === 'jpeg',
    frameId: bytes.getUint32(8, true),
    viewId: bytes.getUint32(12, true),
    tSample: bytes.getFloat64(16, true),
    tServer: bytes.getFloat64(24, true),
    renderMs: float(32),
    encodeMs: float(36),
    near: float(40),
    far: float(44),
    width: bytes.getUint16(48, true),
    height: bytes.getUint16(50, true),
    views: [],
    bytes: size,
    payload: new Uint8Array(buffer, headerBytes),
  };
  const { width, height, near, far } = frame;
  for (const side of [width, height]) {
    if (side < 4 || side > MAX_SIDE_PX || side % 4) throw new ProtocolError(`FRAME of ${width}x${height} pixels`);
  }
  if (!(near > 0 && far > near && far <= MAX_DISTANCE_M)) throw new ProtocolError(`FRAME with depths ${near}..${far} m`);
  for (let i = 0; i < count; i++) {
    const values = Array.from({ length: 11 }, (_, k) => float(FRAME_HEADER + EYE_BYTES * i + 4 * k));
    const eye = { position: values.slice(0, 3), orientation: values.slice(3, 7), tangents: values.slice(7) };
    checkEye(eye);
    frame.views.push(eye);
  }
  return frame;
}

function parsePose(buffer, bytes) {
  const size = buffer.byteLength;
  if (size <= POSE_HEADER || size > MAX_POSE) throw new ProtocolError(`POSE of ${size} bytes`);
  const tSample = bytes.getFloat64(8, true);
  if (!Number.isFinite(tSample)) throw new ProtocolError('POSE without a time');
  return {
    kind: 'pose', frameId: bytes.getUint32(4, true), tSample, bytes: size, payload: new Uint8Array(buffer, POSE_HEADER),
  };
}

function parsePong(bytes) {
  if (bytes.byteLength !== 24) throw new ProtocolError(`PONG of ${bytes.byteLength} bytes`);
  const pong = { kind: 'pong', tClient: bytes.getFloat64(8, true), tServer: bytes.getFloat64(16, true) };
  if (!Number.isFinite(pong.tClient) || !Number.isFinite(pong.tServer)) throw new ProtocolError('PONG without times');
  return pong;
}

/**
 * A text message of the server; always an object whose `type` is a string.
 * @throws {ProtocolError}
 */
export function parseText(text) {
  if (text.length > MAX_TEXT) throw new ProtocolError(`text of ${text.length} characters`);
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    throw new ProtocolError('text that is no JSON');
  }
  if (message === null || typeof message !== 'object' || typeof message.type !== 'string') {
    throw new ProtocolError('text without a type');
  }
  if (message.type === 'welcome') checkWelcome(message);
  if (message.type === 'numbers') checkNumbers(message);
  if ((message.type === 'welcome' || message.type === 'lane') && !LANES.includes(message.lane)) {
    throw new ProtocolError(`unknown lane ${message.lane}`);
  }
  return message;
}

function checkWelcome({ version, lane, rig, center, radius }) {
  if (version !== VERSION) throw new ProtocolError(`the server speaks version ${version}, this page ${VERSION}`);
  const inReach = x => Number.isFinite(x) && Math.abs(x) < MAX_DISTANCE_M;
  if (lane === 'pose' && !(typeof rig === 'string' && /^[0-9a-f]{1,64}$/.test(rig))) throw new ProtocolError('welcome to poses without an avatar');
  if (!Array.isArray(center) || center.length !== 3 || !center.every(inReach) || !(inReach(radius) && radius > 0)) {
    throw new ProtocolError('welcome without a sphere');
  }
}

function checkNumbers({ stages = {}, problems = [], tracking = '' }) {
  const isPair = pair => Array.isArray(pair) && pair.length === 2 && pair.every(Number.isFinite);
  const isTable = table => table !== null && typeof table === 'object' && !Array.isArray(table);
  const good = isTable(stages)
    && Object.values(stages).every(times => isTable(times) && Object.values(times).every(isPair))
    && Array.isArray(problems) && problems.every(problem => typeof problem === 'string')
    && typeof tracking === 'string';
  if (!good) throw new ProtocolError('numbers with stages, problems or tracking of another form');
}

function checkEye({ position, orientation, tangents }) {
  const [left, right, down, up] = tangents;
  const norm = Math.hypot(...orientation);
  const good = position.length === 3 && orientation.length === 4 && tangents.length === 4
    && position.every(x => Math.abs(x) <= MAX_DISTANCE_M)
    && Math.abs(norm - 1) < 0.02
    && tangents.every(t => Math.abs(t) <= MAX_TANGENT)
    && left < 0 && right > 0 && down < 0 && up > 0;
  // Comparisons with NaN are false, so this finds the non-finite too.
  if (!good) throw new ProtocolError(`eye ${position} ${orientation} ${tangents}`);
}

/**
 * Where view i lies in a frame's picture, as [x, y, width, height] in pixels from its top left.
 * @returns {{colour: number[], alpha: number[], depth: number[]}}
 */
export function regions({ width, height }, i) {
  const half = [width / 2, height / 2];
  return {
    colour: [i * width, 0, width, height],
    alpha: [i * width, height, ...half],
    depth: [i * width + width / 2, height, ...half],
  };
}

/** Which view of a frame an eye looks at: its own (0 left, 1 right), or the only one. */
export const viewOfEye = (frame, eyeIndex) => Math.min(eyeIndex, frame.views.length - 1);
