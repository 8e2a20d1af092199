// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import test from 'node:test';

import { PoseLane } from '../../../avatar_ros/streaming/page/xr/pose_lane.js';

/** A worker that is told when to answer. */
class Worker {
  constructor() {
    this.inbox = [];
    Worker.last = this;
  }

  postMessage(message) {
    this.inbox.push(message);
  }

  answer(data) {
    this.onmessage({ data });
  }

  posed(withGeometry = true) {
    this.answer({
      type: 'posed', geometry: withGeometry ? new Float32Array(4) : null, orders: [new Uint32Array(1)], colors: [new Uint8Array(4)],
    });
  }

  terminate() {
    this.ended = true;
  }
}
globalThis.Worker = Worker;

const EYES = [{ position: [0, 1, 2], depthRow: [0, 0, -1, 2] }];
const pose = frameId => ({ kind: 'pose', frameId, tSample: 0, payload: new Uint8Array([frameId]) });

function lane() {
  const told = { settled: [], bad: [], failed: [] };
  const made = new PoseLane('worker.js', {
    settled: (frameId, shown) => told.settled.push([frameId, shown]),
    bad: message => told.bad.push(message),
    failed: message => told.failed.push(message),
  });
  return { made, told };
}

async function loaded() {
  globalThis.fetch = async () => ({ ok: true, arrayBuffer: async () => new ArrayBuffer(8) });
  const { made, told } = lane();
  await made.start('/xr/avatar', 'abc');
  const worker = Worker.last;
  worker.answer({ type: 'ready', count: 1, antialiased: false });
  made.look(EYES);
  return { made, told, worker };
}

test('of the poses that come while one is in work the newest is next', async () => {
  const { made, told, worker } = await loaded();
  for (const frameId of [1, 2, 3]) made.push(pose(frameId));
  worker.posed();
  assert.deepEqual(worker.inbox.slice(1).map(({ pose: bytes }) => bytes[0]), [1, 3]);
  worker.posed();
  assert.deepEqual(told.settled, [[2, false], [1, true], [3, true]]);
  assert.equal(made.take().frame.frameId, 3);
  assert.equal(made.take(), null);
});

test('eyes that move are looked from without a new pose, and eyes that rest are not', async () => {
  const { made, worker } = await loaded();
  made.push(pose(1));
  worker.posed();
  const sent = worker.inbox.length;
  made.look(EYES);
  assert.equal(worker.inbox.length, sent);
  made.look([{ ...EYES[0], position: [0, 1, 1] }]);
  assert.equal(worker.inbox.length, sent + 1);
  assert.equal(worker.inbox.at(-1).pose, null);
  worker.posed(false);
  const { frame, picture } = made.take();
  assert.equal(frame.frameId, 1);
  assert.ok(picture.geometry, 'the pose that nobody took is not lost');
});

test('buffers that were drawn are used again', async () => {
  const { made, worker } = await loaded();
  made.push(pose(1));
  worker.posed();
  const { picture } = made.take();
  picture.close();
  made.push(pose(2));
  assert.equal(worker.inbox.at(-1).spare.geometry[0], picture.geometry);
});

test('a pose that is none is counted and settled, and the next one shows', async () => {
  const { made, told, worker } = await loaded();
  made.push(pose(1));
  worker.answer({ type: 'refused', message: 'pose of 1 bytes' });
  assert.deepEqual([told.bad, told.settled], [['pose of 1 bytes'], [[1, false]]]);
  made.push(pose(2));
  worker.posed();
  assert.equal(made.take().frame.frameId, 2);
});

test('what cannot be fetched, read or run ends the lane with its reason', async () => {
  globalThis.fetch = async () => ({ ok: false, status: 429 });
  const refused = lane();
  await refused.made.start('/xr/avatar', 'abc');
  assert.deepEqual(refused.told.failed, ['the server answers 429']);
  assert.ok(Worker.last.ended);

  const broken = await loaded();
  broken.worker.answer({ type: 'failed', message: 'avatar of 8 bytes' });
  assert.deepEqual(broken.told.failed, ['avatar of 8 bytes']);
  broken.made.push(pose(9)); // still on its way: it must not fill the server's window
  assert.deepEqual(broken.told.settled, [[9, false]]);
});

test('poses of before a new connection are not shown', async () => {
  const { made, worker } = await loaded();
  made.push(pose(1));
  made.reset();
  worker.posed();
  assert.equal(made.take(), null);
});
