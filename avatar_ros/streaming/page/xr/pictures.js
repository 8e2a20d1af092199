// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
import { Planes } from './picture.js';

/**
 * Decoded pictures, newest wins: the page takes one when it draws, and whatever was overtaken
 * until then is closed (a decoder whose pictures stay open stops).
 */
export class Pictures {
  constructor() {
    this.newest = null; // {frame, picture}
    this.newestFrameId = 0;
  }

  reset() {
    this.take()?.picture.close();
    this.newestFrameId = 0;
  }

  add({ frame, picture }) {
    this.newest?.picture.close();
    this.newest = { frame, picture: picture.planes ? new Planes(picture) : picture };
    this.newestFrameId = frame.frameId;
  }

  /** The newest that was not taken yet, or null; the taker closes its picture. */
  take() {
    const taken = this.newest;
    this.newest = null;
    return taken;
  }
}
