// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import test from 'node:test';

import { Clock } from '../../../avatar_ros/streaming/page/xr/connection.js';

test('the fastest answer sets the clock', () => {
  const clock = new Clock();
  assert.ok(Number.isNaN(clock.offset));
  clock.add(100, 5180, 200); // slow on the way back: 100 ms, and 30 off
  clock.add(300, 5302, 304);
  clock.add(400, 5490, 500);
  assert.equal(clock.offset, 5000);
  assert.equal(clock.roundTrip, 100);
});

test('old answers are forgotten, since clocks drift', () => {
  const clock = new Clock();
  clock.add(0, 1, 1);
  for (let i = 1; i <= 16; i++) clock.add(1000 * i, 1000 * i + 25, 1000 * i + 10);
  assert.equal(clock.offset, 20);
});

test('an answer from the future or from a minute ago is none', () => {
  const clock = new Clock();
  clock.add(500, 1, 400);
  clock.add(0, 1, 70000);
  assert.ok(Number.isNaN(clock.offset));
});
