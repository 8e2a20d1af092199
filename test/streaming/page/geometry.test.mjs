// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import test from 'node:test';

import {
  aboutRight, aboutUp, fromPose, headingOf, invertPose, multiply, multiplyQuaternions, projectionFromTangents, rotate,
  tangentsFromProjection,
} from '../../../avatar_ros/streaming/page/xr/matrices.js';
import { Placement } from '../../../avatar_ros/streaming/page/xr/placement.js';
import { OrbitView } from '../../../avatar_ros/streaming/page/xr/view.js';
import { inOrder } from '../../../avatar_ros/streaming/page/xr/xr_session.js';

const QUEST_LEFT = [-1.376, 0.839, -1.428, 0.966]; // the left eye sees further to the left
const POSE = [[1, 2, -3], multiplyQuaternions(aboutUp(0.7), aboutRight(-0.4))];

function close(actual, expected, tolerance = 1e-5) {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) < tolerance, `${[...actual]} is not ${[...expected]}`));
}

function transform(m, [x, y, z]) {
  const out = [0, 1, 2, 3].map(row => m[row] * x + m[4 + row] * y + m[8 + row] * z + m[12 + row]);
  return out.slice(0, 3).map(value => value / out[3]);
}

test('tangents of an asymmetric frustum survive the projection', () => {
  close(tangentsFromProjection(projectionFromTangents(QUEST_LEFT, 0.1, 50)), QUEST_LEFT);
});

test('the rims of an asymmetric frustum are the rims of the screen', () => {
  const [left, right, down, up] = QUEST_LEFT;
  const projection = projectionFromTangents(QUEST_LEFT, 0.1, 50);
  close(transform(projection, [2 * left, 2 * up, -2]).slice(0, 2), [-1, 1]);
  close(transform(projection, [2 * right, 2 * down, -2]).slice(0, 2), [1, -1]);
  close(transform(projection, [0, 0, -0.1]).slice(2), [-1]);
  close(transform(projection, [0, 0, -50]).slice(2), [1], 1e-4);
  assert.ok(transform(projection, [0, 0, -2])[0] > 0, 'straight ahead is right of the middle of a left eye');
});

test('a pose and its inverse cancel, with a scale too', () => {
  close(multiply(invertPose(...POSE, 2.5), fromPose(...POSE, 2.5)), fromPose([0, 0, 0], [0, 0, 0, 1]));
});

test('matrices and quaternions turn alike', () => {
  const point = [0.3, -0.8, 1.1];
  close(transform(fromPose([0, 0, 0], POSE[1]), point), rotate(POSE[1], point));
  close(rotate(aboutUp(Math.PI / 2), [0, 0, 1]), [1, 0, 0]);
  close(rotate(aboutRight(Math.PI / 2), [0, 0, -1]), [0, 1, 0]);
});

test('a heading is that of the gaze, for those who look down too', () => {
  for (const pitch of [0, 1.2, -1.2, -Math.PI / 2, Math.PI / 2]) {
    close([headingOf(multiplyQuaternions(aboutUp(0.6), aboutRight(pitch)))], [0.6], 1e-3);
  }
});

test('an avatar put before a viewer stands on the floor there and faces the viewer', () => {
  const viewer = { position: [1, 1.6, 2], orientation: multiplyQuaternions(aboutUp(0.8), aboutRight(-0.3)) };
  const placement = new Placement();
  placement.putBefore(viewer, 1.5);
  const ahead = rotate(aboutUp(0.8), [0, 0, -1.5]);
  close(placement.position, [1 + ahead[0], 0, 2 + ahead[2]]);
  const eye = placement.toScene({ ...viewer, tangents: QUEST_LEFT });
  close(eye.position, [0, 1.6, 1.5]);
  close(rotate(eye.orientation, [0, 0, -1]), rotate(aboutRight(-0.3), [0, 0, -1]));
});

test('drawing in the room and sending eyes in scene axes agree', () => {
  const placement = new Placement();
  Object.assign(placement, { position: [0.5, 0.2, -1], heading: 1.1, scale: 0.4 });
  const eye = { position: POSE[0], orientation: POSE[1], tangents: QUEST_LEFT };
  const sent = placement.toScene(eye);
  const point = [0.2, 1.4, 0.1];
  const drawn = transform(multiply(invertPose(eye.position, eye.orientation), placement.matrix), point);
  const asked = transform(invertPose(sent.position, sent.orientation), point);
  close(drawn, asked.map(x => x * placement.scale));
});

test('with a larger avatar the eyes are closer together, and left stays left', () => {
  const placement = new Placement();
  Object.assign(placement, { heading: Math.PI, scale: 2 });
  const [left, right] = [-0.032, 0.032].map(x => placement.toScene({ position: [x, 1.6, 0], orientation: [0, 0, 0, 1], tangents: QUEST_LEFT }));
  const across = right.position.map((p, i) => p - left.position[i]);
  const seen = rotate([-left.orientation[0], -left.orientation[1], -left.orientation[2], left.orientation[3]], across);
  close(seen, [0.032, 0, 0]);
});

test('grabbing scales and turns about a point that stays', () => {
  const placement = new Placement();
  placement.position = [1, 0, 0];
  const pivot = [2, 0, 1];
  const before = transform(placement.matrix, [1, 0, 1]);
  close(before, pivot);
  placement.transform(pivot, { turn: 0.5, scale: 2 });
  close(transform(placement.matrix, [1, 0, 1]), pivot);
  placement.transform(placement.position, { scale: 1e9 });
  assert.equal(placement.scale, 10);
});

test('the device may list its views in any order', () => {
  const [left, right, spectator] = ['left', 'right', 'none'].map(eye => ({ eye }));
  assert.deepEqual(inOrder([right, left]), [left, right]);
  assert.deepEqual(inOrder([spectator, left, right]), [left, right]);
  assert.deepEqual(inOrder([spectator]), [spectator]);
});

test('the front view sees the whole sphere from +z, at every shape of window', () => {
  for (const aspect of [0.4, 1, 2]) {
    const view = new OrbitView();
    view.setAspect(aspect);
    view.setSphere([0, 0.9, 0], 1);
    const { position, orientation, tangents } = view.eye;
    assert.ok(position[2] > 1.5 && Math.abs(position[0]) < 1e-6);
    const clip = multiply(projectionFromTangents(tangents, 0.05, 100), invertPose(position, orientation));
    for (const y of [-0.1, 1.9]) assert.ok(Math.abs(transform(clip, [0, y, 0])[1]) < 1);
    for (const x of [-0.5, 0.5]) assert.ok(Math.abs(transform(clip, [x, 0.9, 0])[0]) < 1);
  }
});

test('dragging to the right turns the front to the right', () => {
  const view = new OrbitView();
  view.orbit(0.5, 0);
  assert.ok(view.eye.position[0] < -0.1);
  view.front();
  const { version } = view;
  view.orbit(0, 99);
  assert.ok(view.elevation < Math.PI / 2 && view.version > version);
});
