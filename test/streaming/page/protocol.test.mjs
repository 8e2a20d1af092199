// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import test from 'node:test';

import {
  ProtocolError, packAck, packEyes, packHello, parseBinary, parseText, regions, viewOfEye,
} from '../../../avatar_ros/streaming/page/xr/protocol.js';

const LEFT = { position: [-0.5, 1.5, 2], orientation: [0, 0, 0, 1], tangents: [-1.5, 0.75, -1.25, 1] };
const RIGHT = { position: [0.5, 1.5, 2], orientation: [0, 1, 0, 0], tangents: [-0.75, 1.5, -1.25, 1] };
const EYES = {
  viewId: 0x01020304, tClient: 1000.5, tDisplay: 1040, newestFrameId: 7, framesShown: 9, ping: true, eyes: [LEFT, RIGHT],
};

const hex = buffer => Buffer.from(buffer).toString('hex');
const floats = eye => [...eye.position, ...eye.orientation, ...eye.tangents];

/** A FRAME written field by field from the table of the protocol, not by the code under test. */
function frameBytes({ codec = 0, flags = 1, views = [LEFT, RIGHT], width = 64, height = 96, near = 1, far = 4, payload = [1, 2, 3] } = {}) {
  const header = Buffer.alloc(64 + 44 * views.length);
  header.set([16, codec, flags, views.length]);
  header.writeUInt16LE(header.length, 4);
  header.writeUInt32LE(42, 8);
  header.writeUInt32LE(41, 12);
  header.writeDoubleLE(5000.25, 16);
  header.writeDoubleLE(5010.5, 24);
  [3.5, 1.25, near, far].forEach((value, i) => header.writeFloatLE(value, 32 + 4 * i));
  header.writeUInt16LE(width, 48);
  header.writeUInt16LE(height, 50);
  views.forEach((eye, i) => floats(eye).forEach((value, k) => header.writeFloatLE(value, 64 + 44 * i + 4 * k)));
  return new Uint8Array(Buffer.concat([header, Buffer.from(payload)])).buffer;
}

test('EYES have the fixed bytes of the protocol', () => {
  const header = '0102' + '0100' + '04030201' + '0000000000448f40' + '0000000000409040' + '07000000' + '09000000';
  const left = '000000bf' + '0000c03f' + '00000040' + '00000000'.repeat(3) + '0000803f'
    + '0000c0bf' + '0000403f' + '0000a0bf' + '0000803f';
  const packed = packEyes(EYES);
  assert.equal(packed.byteLength, 32 + 2 * 44);
  assert.equal(hex(packed).slice(0, 2 * (32 + 44)), header + left);
});

test('the left eye is sent first and the right one second', () => {
  const bytes = new DataView(packEyes(EYES));
  assert.equal(bytes.getFloat32(32, true), -0.5);
  assert.equal(bytes.getFloat32(32 + 44, true), 0.5);
});

test('one eye makes a shorter message', () => {
  assert.equal(packEyes({ ...EYES, eyes: [LEFT] }).byteLength, 32 + 44);
});

test('eyes for which the server would close the socket are not packed', () => {
  const broken = [
    { ...LEFT, position: [NaN, 0, 0] },
    { ...LEFT, position: [0, Infinity, 0] },
    { ...LEFT, orientation: [0, 0, 0, 2] },
    { ...LEFT, tangents: [0.1, 0.75, -1, 1] },
    { ...LEFT, tangents: [-1, 1, 1, -1] },
  ];
  for (const eye of broken) assert.throws(() => packEyes({ ...EYES, eyes: [eye] }), ProtocolError);
  assert.throws(() => packEyes({ ...EYES, eyes: [] }), ProtocolError);
  assert.throws(() => packEyes({ ...EYES, eyes: [LEFT, LEFT, LEFT] }), ProtocolError);
  assert.throws(() => packEyes({ ...EYES, tClient: NaN }), ProtocolError);
});

test('ACK is eight bytes', () => assert.equal(hex(packAck(0xfffffffe)), '02000000feffffff'));

test('hello keeps the height within what the server takes', () => {
  const hello = height => JSON.parse(packHello({ lanes: ['h264', 'jpeg'], mode: 'vr', height }));
  assert.deepEqual(hello(900.4), { type: 'hello', version: 1, lanes: ['h264', 'jpeg'], mode: 'vr', height: 900 });
  assert.equal(hello(5000).height, 2048);
  assert.equal(hello(1).height, 64);
  assert.equal(hello(NaN).height, 64);
});

test('a FRAME is read as it was written', () => {
  const frame = parseBinary(frameBytes());
  const { payload, views, ...rest } = frame;
  assert.deepEqual(rest, {
    kind: 'frame', codec: 'h264', key: true, frameId: 42, viewId: 41, tSample: 5000.25, tServer: 5010.5,
    renderMs: 3.5, encodeMs: 1.25, near: 1, far: 4, width: 64, height: 96, bytes: 64 + 88 + 3,
  });
  assert.deepEqual(views, [LEFT, RIGHT]);
  assert.deepEqual([...payload], [1, 2, 3]);
});

test('every JPEG is a key frame, an H.264 picture only if it says so', () => {
  assert.equal(parseBinary(frameBytes({ codec: 1, flags: 0 })).key, true);
  assert.equal(parseBinary(frameBytes({ codec: 0, flags: 0 })).key, false);
});

test('a FRAME that lies about itself is refused', () => {
  const lies = [
    { codec: 2 }, { views: [] }, { views: [LEFT, RIGHT, LEFT] }, { width: 0 }, { width: 66 }, { height: 8192 }, { near: 0 },
    { near: NaN }, { near: 5 }, { far: Infinity }, { payload: [] }, { views: [{ ...LEFT, orientation: [0, 0, 0, 0] }] },
  ];
  for (const lie of lies) assert.throws(() => parseBinary(frameBytes(lie)), ProtocolError, JSON.stringify(lie));
  const wrongHeader = frameBytes();
  new DataView(wrongHeader).setUint16(4, 64, true);
  assert.throws(() => parseBinary(wrongHeader), ProtocolError);
});

test('no message, cut or random, does more than throw a ProtocolError', () => {
  const whole = frameBytes();
  for (let size = 0; size <= 64 + 88; size++) assert.throws(() => parseBinary(whole.slice(0, size)), ProtocolError);
  let seed = 1;
  const random = () => (seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648;
  for (let i = 0; i < 20000; i++) {
    const bytes = Uint8Array.from({ length: Math.floor(random() * 200) }, () => random() * 256);
    bytes[0] = 16 + Math.floor(random() * 3);
    try {
      parseBinary(bytes.buffer);
    } catch (error) {
      assert.ok(error instanceof ProtocolError, String(error));
    }
  }
});

test('PONG gives the two times', () => {
  const bytes = Buffer.alloc(24);
  bytes[0] = 17;
  bytes.writeDoubleLE(12.5, 8);
  bytes.writeDoubleLE(99.25, 16);
  const buffer = new Uint8Array(bytes).buffer;
  assert.deepEqual(parseBinary(buffer), { kind: 'pong', tClient: 12.5, tServer: 99.25 });
  assert.throws(() => parseBinary(buffer.slice(0, 23)), ProtocolError);
});

test('CAMERA is what follows its first byte', () => {
  assert.deepEqual([...parseBinary(new Uint8Array([18, 255, 216]).buffer).jpeg], [255, 216]);
});

test('texts are objects with a type, and a welcome is complete', () => {
  const welcome = { type: 'welcome', version: 1, lane: 'h264', center: [0, 0.9, 0], radius: 1.1 };
  assert.deepEqual(parseText(JSON.stringify(welcome)), welcome);
  const bad = [
    '', '[', 'null', '3', '[]', '{}', '{"type": 3}', '{"type": "lane", "lane": "av1"}',
    ...[{ version: 2 }, { lane: 'vp8' }, { center: [0, 0] }, { center: [0, 0, 'x'] }, { radius: 0 }, { radius: null }]
      .map(change => JSON.stringify({ ...welcome, ...change })),
  ];
  for (const text of bad) assert.throws(() => parseText(text), ProtocolError, text);
});

test('the parts of a picture cover it, and none covers another', () => {
  const frame = { width: 8, height: 12 };
  const owner = Array.from({ length: 18 }, () => new Array(16).fill(0));
  for (const i of [0, 1]) {
    for (const [x, y, width, height] of Object.values(regions(frame, i))) {
      for (let row = y; row < y + height; row++) for (let column = x; column < x + width; column++) owner[row][column]++;
    }
  }
  assert.ok(owner.every(row => row.every(count => count === 1)));
  assert.deepEqual(regions(frame, 1), { colour: [8, 0, 8, 12], alpha: [8, 12, 4, 6], depth: [12, 12, 4, 6] });
});

test('each eye looks at its own view, both at a single one', () => {
  assert.deepEqual([0, 1].map(eye => viewOfEye({ views: [LEFT, RIGHT] }, eye)), [0, 1]);
  assert.deepEqual([0, 1].map(eye => viewOfEye({ views: [LEFT] }, eye)), [0, 0]);
});

test('POSE is what the table says, and nothing else is one', () => {
  const bytes = Buffer.alloc(16 + 5, 7);
  bytes.writeUInt8(19, 0);
  bytes.writeUInt32LE(42, 4);
  bytes.writeDoubleLE(5000.25, 8);
  const pose = parseBinary(new Uint8Array(bytes).buffer);
  assert.deepEqual({ ...pose, payload: [...pose.payload] }, { kind: 'pose', frameId: 42, tSample: 5000.25, bytes: 21, payload: [7, 7, 7, 7, 7] });
  assert.throws(() => parseBinary(new Uint8Array(bytes.subarray(0, 16)).buffer), ProtocolError);
  assert.throws(() => parseBinary(new Uint8Array(Buffer.concat([bytes, Buffer.alloc(1024)])).buffer), ProtocolError);
  bytes.writeDoubleLE(NaN, 8);
  assert.throws(() => parseBinary(new Uint8Array(bytes).buffer), ProtocolError);
});

test('a welcome to poses names the avatar', () => {
  const welcome = { type: 'welcome', version: 1, lane: 'pose', center: [0, 1, 0], radius: 1 };
  assert.equal(parseText(JSON.stringify({ ...welcome, rig: '0123abcd' })).lane, 'pose');
  for (const rig of [undefined, '', '../x', 7]) {
    assert.throws(() => parseText(JSON.stringify({ ...welcome, rig })), ProtocolError);
  }
});

test('numbers of another form are none', () => {
  const good = { type: 'numbers', fps: 30, stages: { renderer: { render: [1.5, 2] } }, problems: ['one'], tracking: 'tracked' };
  assert.equal(parseText(JSON.stringify(good)).fps, 30);
  assert.equal(parseText('{"type": "numbers"}').type, 'numbers');
  for (const wrong of [{ stages: 5 }, { stages: { a: null } }, { stages: { a: { b: [1] } } }, { stages: [] }, { problems: 7 }, { problems: [7] }, { tracking: [] }]) {
    assert.throws(() => parseText(JSON.stringify({ ...good, ...wrong })), ProtocolError, JSON.stringify(wrong));
  }
});
