// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0

const CONFIG = {
  codec: 'avc1.42E028',
  optimizeForLatency: true,
  colorSpace: { primaries: 'bt709', transfer: 'bt709', matrix: 'bt709', fullRange: false },
};
const KEY_WAIT_MS = 2000; // a wish for a key, or the key itself, may be lost
const MAX_WAITING = 4; // frames inside the decoder; more means that it will never catch up

/** H.264 needs WebCodecs, and they a secure context. */
export async function decodesH264() {
  try {
    const { supported } = await VideoDecoder.isConfigSupported({ codec: CONFIG.codec, optimizeForLatency: true });
    return supported;
  } catch { // also browsers that have no such class, or know the class and not the codec
    return false;
  }
}

/**
 * Frames in, pictures out, in a worker: on the page's thread a decoder's answers wait for drawing.
 *
 * `on` has `picture(frame, picture)`, where `picture` is a VideoFrame or an ImageBitmap, now the
 * taker's to close, or `{planes, width, height}`, I420 in an ArrayBuffer; `skipped(frame, why)`,
 * where `why` is empty if nothing is wrong with the frame itself; `broken(message, lastFrameId)`:
 * all frames up to that one (0: none) are lost, and a key is needed.
 */
export class PixelDecoder {
  constructor(on) {
    this.on = on;
    this.epoch = 0; // pictures of before a reset are not shown
    this.jpegBusy = false;
    this.delivered = Promise.resolve(); // the last picture was: they leave in order
    this.reset();
  }

  reset() {
    this.epoch++;
    this.newestJpeg = null;
    this.dropH264();
  }

  push(frame) {
    if (frame.codec === 'jpeg') this.pushJpeg(frame);
    else this.pushH264(frame);
  }

  // -- H.264 ---------------------------------------------------------------------------------

  pushH264(frame) {
    const { key, frameId, payload } = frame;
    if (this.waitingForKey && !key) return this.waitOn(frame);
    this.awaited.set(frameId, frame);
    if (this.h264 && this.h264.decodeQueueSize >= MAX_WAITING && !key) return this.broken('the decoder is too slow');
    try {
      this.h264 ??= this.makeH264();
      this.h264.decode(new EncodedVideoChunk({ type: key ? 'key' : 'delta', timestamp: frameId, data: payload }));
      this.waitingForKey = false;
    } catch (error) {
      this.broken(error.message);
    }
    return undefined;
  }

  waitOn(frame) {
    this.on.skipped(frame, '');
    if (performance.now() - this.waitingSince > KEY_WAIT_MS) this.broken('no key frame came');
  }

  makeH264() {
    const made = this.epoch;
    const fresh = new VideoDecoder({
      output: picture => {
        this.delivered = this.delivered.then(() => this.deliver(picture, made));
      },
      error: error => {
        if (made === this.epoch) this.broken(error.message);
      },
    });
    fresh.configure(CONFIG);
    return fresh;
  }

  async deliver(decoded, made) {
    const frame = this.awaited.get(decoded.timestamp);
    if (made !== this.epoch || !frame) return decoded.close();
    try {
      const picture = await inMemory(decoded);
      if (made !== this.epoch) return picture.close?.();
      this.awaited.delete(frame.frameId);
      this.settle(frame, picture);
    } catch (error) {
      if (made === this.epoch) this.broken(error.message);
    }
    return undefined;
  }

  broken(message) {
    const last = [...this.awaited.keys()].at(-1) ?? 0;
    this.epoch++;
    this.dropH264();
    this.on.broken(message, last);
  }

  dropH264() {
    if (this.h264 && this.h264.state !== 'closed') this.h264.close();
    this.h264 = null;
    this.waitingForKey = true;
    this.waitingSince = performance.now();
    this.awaited = new Map(); // frame_id -> frame, of what is in the decoder
  }

  // -- JPEG ----------------------------------------------------------------------------------

  /** Only the newest picture is worth decoding; one is in work, one waits. */
  async pushJpeg(frame) {
    if (this.newestJpeg) this.on.skipped(this.newestJpeg, '');
    this.newestJpeg = frame;
    if (this.jpegBusy) return;
    this.jpegBusy = true;
    while (this.newestJpeg) {
      const next = this.newestJpeg;
      const made = this.epoch;
      this.newestJpeg = null;
      try {
        const picture = await createImageBitmap(new Blob([next.payload], { type: 'image/jpeg' }), {
          premultiplyAlpha: 'none', colorSpaceConversion: 'none',
        });
        if (made === this.epoch) this.settle(next, picture);
        else picture.close();
      } catch (error) {
        if (made === this.epoch) this.on.skipped(next, error.message);
      }
    }
    this.jpegBusy = false;
  }

  // -- both ----------------------------------------------------------------------------------

  settle(frame, picture) {
    const { frameId, width, height, views } = frame;
    const [across, down] = [picture.displayWidth ?? picture.width, picture.displayHeight ?? picture.height];
    if (across === width * views.length && down === height * 1.5) {
      this.on.picture(frame, picture);
    } else {
      picture.close?.();
      this.on.skipped(frame, `frame ${frameId} has ${across}x${down} pixels, not what its header says`);
    }
  }
}

/** I420 is what software decoders leave in memory; others' pictures stay where they are. */
async function inMemory(decoded) {
  if (decoded.format !== 'I420') return decoded;
  const { width, height } = decoded.visibleRect;
  const planes = new ArrayBuffer(decoded.allocationSize());
  try {
    await decoded.copyTo(planes);
  } finally {
    decoded.close();
  }
  return { planes, width, height };
}
