// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
/** Which cells of the grid over a view are worth drawing, and the triangles of those. */

export const RESTART = 0xffffffff; // ends a strip, always on in WebGL2
/** Levels of luma up to which alpha is taken for 0: the shader's 0.02 of the limited range. */
export const NOTHING = 20;

/**
 * Side of a cell in pixels, even, such that all views together have about so many cells that
 * hold something, and no smaller than `finest`.
 * @param {number} covered pixels, of all views
 */
export function cellSide(covered, most, finest) {
  return 2 * Math.ceil(Math.max(finest, Math.sqrt(covered / most)) / 2);
}

/** How many pixels of alpha [x, y, width, height] are more than nothing. */
export function countCovered(luma, stride, [x, y, width, height]) {
  let count = 0;
  for (let row = y; row < y + height; row++) {
    for (let k = row * stride + x; k < row * stride + x + width; k++) count += luma[k] > NOTHING;
  }
  return count;
}

/**
 * 1 where a cell holds something, row by row: where bilinear alpha exceeds nothing anywhere in it.
 * @param {Uint8Array} luma of the whole picture
 * @param {number[]} alpha x, y, width, height of the view's alpha, which the grid covers
 * @returns {Uint8Array} columns * rows
 */
export function occupiedCells(luma, stride, [x, y, width, height], columns, rows) {
  const occupied = new Uint8Array(columns * rows);
  const across = new Uint8Array(columns); // of one row of pixels
  const [left, right] = reach(width, columns);
  const [above, below] = reach(height, rows);
  for (let j = 0; j < height; j++) {
    const start = (y + j) * stride + x;
    let any = false;
    for (let i = 0; i < width; i++) {
      if (luma[start + i] <= NOTHING) continue;
      any = true;
      for (let column = left[i]; column <= right[i]; column++) across[column] = 1;
    }
    if (!any) continue;
    for (let row = above[j]; row <= below[j]; row++) {
      for (let column = 0; column < columns; column++) occupied[row * columns + column] |= across[column];
    }
    across.fill(0);
  }
  return occupied;
}

/** First and last cell that a pixel shows in: filtered, it reaches one pixel beyond its middle. */
function reach(pixels, cells) {
  const inside = cell => Math.min(cells - 1, Math.max(0, Math.floor(cell)));
  const first = Int32Array.from({ length: pixels }, (_, i) => inside(((i - 0.5) * cells) / pixels));
  const last = Int32Array.from({ length: pixels }, (_, i) => inside(((i + 1.5) * cells) / pixels));
  return [first, last];
}

/**
 * Indices of triangle strips, one for each run of cells in a row: a software rasteriser computes
 * every index anew, so few of them matter. Vertices are numbered row by row, columns + 1 in each.
 * @param {Uint8Array|null} occupied all cells if null
 */
export function strips(columns, rows, occupied) {
  const indices = new Uint32Array(rows * (3 * columns + 3) + 3);
  let k = 0;
  for (let row = 0; row < rows; row++) {
    let open = false;
    for (let column = 0; column <= columns; column++) {
      const drawn = column < columns && (!occupied || occupied[row * columns + column]);
      const above = row * (columns + 1) + column;
      if (drawn || open) {
        indices[k++] = above;
        indices[k++] = above + columns + 1;
      }
      if (open && !drawn) indices[k++] = RESTART;
      open = Boolean(drawn);
    }
  }
  return indices.subarray(0, k);
}
