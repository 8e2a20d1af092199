// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import test from 'node:test';

import { Lanes } from '../../../avatar_ros/streaming/page/xr/lanes.js';

Object.assign(globalThis, {
  window: { isSecureContext: true },
  fetch: () => new Promise(() => {}), // the avatar is on its way
  Worker: class {
    terminate() {}
  },
});

function lanes(offered = ['h264', 'jpeg']) {
  const told = { keys: 0, chosen: [], notes: [] };
  const wire = { listen: handlers => Object.assign(wire, handlers), ack() {} };
  const made = new Lanes(wire, { show() {} }, offered, '', {
    skipped() {},
    key: () => told.keys++,
    choose: lane => told.chosen.push(lane),
    changed() {},
    bad() {},
    note: text => told.notes.push(text),
  });
  made.set(offered[0]);
  return { made, wire, told };
}

const decoded = frameId => ({
  frame: { frameId },
  picture: {
    close() {
      this.closed = true;
    },
  },
});

test('a picture that waits is not shown once poses come, nor after them', () => {
  const { made, wire } = lanes();
  const [before, after] = [decoded(1), decoded(2)];
  wire.picture(before);
  made.set('pose');
  wire.picture(after); // was being decoded
  made.set('h264');
  assert.equal(made.take(), null);
  assert.ok(before.picture.closed && after.picture.closed);
});

test('of the pictures that wait the newest is drawn, and the others are closed', () => {
  const { made, wire } = lanes();
  const [old, fresh] = [decoded(1), decoded(2)];
  wire.picture(old);
  wire.picture(fresh);
  assert.equal(made.take().frame.frameId, 2);
  assert.equal(made.take(), null);
  assert.ok(old.picture.closed && !fresh.picture.closed);
  assert.equal(made.newestFrameId, 2);
});

test('a decoder that fails is given keys, and after six failures in a row is left', () => {
  const { made, wire, told } = lanes();
  for (let k = 0; k < 5; k++) wire.broken({ message: 'no' });
  wire.picture(decoded(1)); // it works again
  for (let k = 0; k < 5; k++) wire.broken({ message: 'no' });
  assert.equal(told.keys, 10);
  assert.deepEqual(told.chosen, []);
  wire.broken({ message: 'no' });
  assert.deepEqual(told.chosen, ['jpeg']);
  assert.deepEqual(made.offered, ['jpeg']);
  assert.match(told.notes.at(-1), /decoder of this browser fails/);
});
