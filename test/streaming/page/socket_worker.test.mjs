// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import test from 'node:test';

import { parseBinary } from '../../../avatar_ros/streaming/page/xr/protocol.js';

const HEADER = 64 + 44;
const SIDE = 16;

/** A socket that keeps what is sent and says what it is told to. */
class WebSocket {
  static OPEN = 1;

  constructor() {
    this.readyState = WebSocket.OPEN;
    this.bufferedAmount = 0;
    this.sent = [];
    WebSocket.last = this;
  }

  send(data) {
    this.sent.push(data);
  }

  close() {
    this.readyState = 3;
  }

  /** Frame ids of the acknowledgements so far. */
  get acks() {
    return this.sent.map(data => new DataView(data)).filter(view => view.getUint8(0) === 2).map(view => view.getUint32(4, true));
  }
}

/** A decoder that decodes at once, into pictures that remember whether they were closed. */
class VideoDecoder {
  constructor(callbacks) {
    Object.assign(this, callbacks);
    this.decodeQueueSize = 0;
    this.state = 'configured';
    VideoDecoder.last = this;
  }

  configure() {}

  decode({ timestamp }) {
    if (VideoDecoder.stuck) return;
    this.output({
      timestamp,
      format: 'NV12',
      displayWidth: SIDE,
      displayHeight: SIDE * 1.5,
      close() {
        this.closed = true;
      },
    });
  }

  close() {
    this.state = 'closed';
  }
}

const posted = [];
Object.assign(globalThis, {
  self: globalThis,
  WebSocket,
  VideoDecoder,
  EncodedVideoChunk: class {
    constructor(init) {
      Object.assign(this, init);
    }
  },
  postMessage: message => posted.push(message),
});
await import('../../../avatar_ros/streaming/page/xr/socket_worker.js');
const tell = data => self.onmessage({ data });
const settled = () => new Promise(resolve => setTimeout(resolve, 5));
const told = type => posted.filter(message => message.type === type);

let opened = 0;

function open() {
  for (const { type } of posted.splice(0)) if (type === 'picture') tell({ type: 'taken' });
  posted.length = 0;
  VideoDecoder.stuck = false;
  tell({ type: 'open', url: 'ws://here/xr', id: ++opened });
  return WebSocket.last;
}

/** FRAME of one view in H.264, by hand from the table in docs/xr_protocol.md. */
function frame(frameId, { key = frameId === 1, width = SIDE } = {}) {
  const bytes = new DataView(new ArrayBuffer(HEADER + 5));
  [16, 0, key ? 1 : 0, 1].forEach((value, k) => bytes.setUint8(k, value));
  bytes.setUint16(4, HEADER, true);
  bytes.setUint32(8, frameId, true);
  [[40, 1], [44, 2]].forEach(([offset, depth]) => bytes.setFloat32(offset, depth, true));
  bytes.setUint16(48, width, true);
  bytes.setUint16(50, SIDE, true);
  [0, 0, 0, 0, 0, 0, 1, -1, 1, -1, 1].forEach((value, k) => bytes.setFloat32(64 + 4 * k, value, true));
  assert.equal(parseBinary(bytes.buffer).frameId, frameId);
  return bytes.buffer;
}

async function receive(socket, ...frames) {
  for (const data of frames) socket.onmessage({ data });
  await settled();
}

test('frames are decoded and acknowledged though the page takes none, and few pictures wait', async () => {
  const socket = open();
  for (let k = 1; k <= 8; k++) await receive(socket, frame(k));
  assert.deepEqual(socket.acks, [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual(told('picture').map(({ frame: f }) => f.frameId), [1, 2, 3]);
  tell({ type: 'taken' });
  assert.equal(told('picture').at(-1).frame.frameId, 8); // 4 to 7 were overtaken
  assert.equal(told('received').length, 8);
});

test('acknowledgements that are held leave as one', async () => {
  const socket = open();
  tell({ type: 'hold', on: true });
  await receive(socket, frame(1), frame(2));
  assert.deepEqual(socket.acks, []);
  tell({ type: 'hold', on: false });
  assert.deepEqual(socket.acks, [2]);
});

test('what cannot be decoded is acknowledged and counted', async () => {
  const socket = open();
  await receive(socket, frame(5, { key: false }), frame(6, { key: true, width: 2 * SIDE }));
  assert.deepEqual(socket.acks, [5, 6]);
  const [waiting, wrong] = told('skipped').map(({ why }) => why);
  assert.equal(waiting, '');
  assert.match(wrong, /16x24 pixels/);
});

test('a decoder that fails loses what it holds, and starts again at a key', async () => {
  const socket = open();
  VideoDecoder.stuck = true;
  await receive(socket, frame(1), frame(2));
  VideoDecoder.last.error(new Error('no'));
  assert.deepEqual(socket.acks, [2]);
  assert.deepEqual(told('broken').map(({ message }) => message), ['no']);
  VideoDecoder.stuck = false;
  await receive(socket, frame(3), frame(4, { key: true }));
  assert.equal(told('skipped').length, 1);
  assert.deepEqual(told('picture').map(({ frame: f }) => f.frameId), [4]);
});

test('a decoder that falls behind is given up', async () => {
  const socket = open();
  await receive(socket, frame(1));
  VideoDecoder.last.decodeQueueSize = 4;
  await receive(socket, frame(2));
  assert.match(told('broken')[0].message, /too slow/);
  assert.deepEqual(socket.acks, [1, 2]);
});

test('eyes that cannot leave at once stay, other messages do not', () => {
  const socket = open();
  socket.bufferedAmount = 5000;
  tell({ type: 'send', data: 'eyes', newestWins: true });
  tell({ type: 'send', data: 'key', newestWins: false });
  assert.deepEqual(socket.sent, ['key']);
  socket.readyState = 2;
  tell({ type: 'send', data: 'late', newestWins: false });
  assert.deepEqual(socket.sent, ['key']);
});

test('a message that the protocol does not know is refused, and the next is read', () => {
  const socket = open();
  socket.onmessage({ data: new ArrayBuffer(3) });
  socket.onmessage({ data: '{"type": "numbers"}' });
  assert.match(told('refused')[0].message, /unknown message 0/);
  assert.equal(told('text')[0].message.type, 'numbers');
});

test('text that calls itself a frame is none', async () => {
  const socket = open();
  socket.onmessage({ data: '{"type": "x", "kind": "frame", "codec": "h264", "frameId": 3, "key": true}' });
  await settled();
  assert.equal(told('received').length, 0);
  assert.deepEqual(socket.acks, []);
});

test('where no key comes it is asked for again', async () => {
  const socket = open();
  const { now } = performance;
  let later = 0;
  performance.now = () => now.call(performance) + later;
  await receive(socket, frame(2));
  assert.equal(told('broken').length, 0);
  later = 3000;
  await receive(socket, frame(3), frame(4));
  performance.now = now;
  assert.deepEqual(told('broken').map(({ message }) => message), ['no key frame came']);
  assert.deepEqual(socket.acks, [2, 3, 4]);
});

test('nothing of an old socket is told after another was opened', async () => {
  const old = open();
  const now = open();
  assert.equal(old.onmessage, null);
  assert.equal(old.readyState, 3);
  await receive(now, frame(1));
  assert.ok(posted.every(({ id }) => id === opened));
});
