// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import test from 'node:test';

import {
  NOTHING, RESTART, cellSide, countCovered, occupiedCells, strips,
} from '../../../avatar_ros/streaming/page/xr/grid.js';

const STRIDE = 40;
const ALPHA = [8, 12, 24, 18]; // x, y, width, height

/** A picture whose alpha holds discs and single pixels, in noise that counts for nothing. */
function picture() {
  const luma = Uint8Array.from({ length: STRIDE * 40 }, (_, k) => 16 + ((k * 7919) % 5));
  const [x, y, width, height] = ALPHA;
  for (let j = 0; j < height; j++) {
    for (let i = 0; i < width; i++) {
      const disc = Math.hypot(i - 8, j - 9) < 4.5;
      if (disc || (i === 20 && j === 2) || (i === width - 1 && j === height - 1)) luma[(y + j) * STRIDE + x + i] = 200;
    }
  }
  return luma;
}

/** Alpha as the shader filters it, at 0..1 of the view. */
function filtered(luma, u, v) {
  const [x, y, width, height] = ALPHA;
  const at = (i, j) => luma[(y + Math.min(height - 1, Math.max(0, j))) * STRIDE + x + Math.min(width - 1, Math.max(0, i))];
  const [s, t] = [u * width - 0.5, v * height - 0.5];
  const [i, j] = [Math.floor(s), Math.floor(t)];
  const mix = (a, b, part) => a + (b - a) * part;
  return mix(mix(at(i, j), at(i + 1, j), s - i), mix(at(i, j + 1), at(i + 1, j + 1), s - i), t - j);
}

for (const [columns, rows] of [[5, 4], [12, 9], [7, 11], [24, 18]]) {
  test(`no pixel of the avatar lies in a cell that is left out, ${columns}x${rows}`, () => {
    const luma = picture();
    const occupied = occupiedCells(luma, STRIDE, ALPHA, columns, rows);
    for (let v = 0.002; v < 1; v += 0.01) {
      for (let u = 0.002; u < 1; u += 0.01) {
        const cell = Math.floor(v * rows) * columns + Math.floor(u * columns);
        assert.ok(occupied[cell] || filtered(luma, u, v) <= NOTHING, `${u} ${v}`);
      }
    }
    assert.ok(occupied.some(cell => !cell), 'something is left out');
  });
}

/** The cells that strips of triangles cover, each as often as it is drawn. */
function cellsOf(indices, columns, rows) {
  const drawn = new Uint8Array(columns * rows);
  let strip = [];
  for (const index of indices) {
    if (index !== RESTART) {
      strip.push(index);
      continue;
    }
    for (let k = 0; k + 3 < strip.length; k += 2) {
      const [above, below, aboveRight, belowRight] = strip.slice(k, k + 4);
      assert.equal(below, above + columns + 1);
      assert.equal(aboveRight, above + 1);
      assert.equal(belowRight, below + 1);
      drawn[Math.floor(above / (columns + 1)) * columns + (above % (columns + 1))]++;
    }
    strip = [];
  }
  assert.equal(strip.length, 0);
  return drawn;
}

test('strips draw each occupied cell once and no other', () => {
  const occupied = Uint8Array.from([1, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 1, 0, 1]);
  assert.deepEqual(cellsOf(strips(4, 4, occupied), 4, 4), occupied);
  assert.deepEqual(cellsOf(strips(4, 4, null), 4, 4), new Uint8Array(16).fill(1));
  assert.equal(strips(4, 4, new Uint8Array(16)).length, 0);
});

test('cells are even, as fine as their number allows, and never finer than they may be', () => {
  assert.equal(cellSide(10000, 1000000, 4), 4);
  assert.equal(cellSide(100 * 100, 100, 4), 10);
  assert.equal(cellSide(100 * 101, 100, 4), 12);
  assert.equal(cellSide(0, 100, 4), 4);
});

test('what counts as covered is more than the noise of a codec', () => {
  const luma = picture();
  const expected = [...luma].filter(value => value === 200).length;
  assert.equal(countCovered(luma, STRIDE, ALPHA), expected);
});
