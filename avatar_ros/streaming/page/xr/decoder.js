// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
import { Planes } from './picture.js';

const MAX_AWAITED = 16;

/** What this browser can decode, best first. H.264 needs WebCodecs, and they a secure context. */
export async function supportedLanes() {
  const lanes = ['jpeg'];
  if (typeof VideoDecoder === 'undefined') return lanes;
  try {
    const { supported } = await VideoDecoder.isConfigSupported({ codec: 'avc1.42E028', optimizeForLatency: true });
    if (supported) lanes.unshift('h264');
  } catch {
    // A browser that knows the class and not the codec.
  }
  return lanes;
}

/**
 * Frames in, pictures out, newest wins: the page takes a picture when it draws, and whatever was
 * overtaken until then is closed (a decoder whose pictures stay open stops).
 *
 * `on` has `settled(frameId, decoded)` for the ack, `broken(message)` when a key is needed, and
 * `bad(message)` for a frame that could not be decoded.
 */
export class Decoder {
  constructor(workerUrl, on) {
    this.on = on;
    this.awaited = new Map(); // frame_id -> header, of frames in the worker
    this.newest = null; // {frame, picture}
    this.newestFrameId = 0;
    this.overtaken = 0;
    this.worker = new Worker(workerUrl, { type: 'module' });
    this.worker.onmessage = ({ data }) => this.receive(data);
    this.worker.onerror = event => on.bad(`the decoding thread failed: ${event.message ?? ''}`);
  }

  reset() {
    this.awaited.clear();
    this.take()?.picture.close();
    this.newestFrameId = 0;
    this.worker.postMessage({ type: 'reset' });
  }

  push(frame) {
    const { codec, key, frameId, payload } = frame;
    this.awaited.set(frameId, frame);
    if (this.awaited.size > MAX_AWAITED) this.awaited.delete(this.awaited.keys().next().value);
    frame.payload = null; // its bytes move to the worker
    this.worker.postMessage({ type: 'frame', codec, key, frameId, data: payload }, [payload.buffer]);
  }

  receive(message) {
    if (message.type === 'broken') {
      this.on.bad(message.message);
      // What the decoder still held will not come: it must not fill the server's window.
      if (this.awaited.size) this.on.settled(Math.max(...this.awaited.keys()), false);
      this.on.broken(message.message);
      return;
    }
    const frame = this.awaited.get(message.frameId);
    this.awaited.delete(message.frameId);
    if (!frame) { // of before a reset
      message.picture?.close?.();
      return;
    }
    if (message.error) this.on.bad(message.error);
    if (message.type === 'picture') {
      const picture = message.picture.planes ? new Planes(message.picture) : message.picture;
      const fits = sizeOf(picture);
      if (fits.width !== frame.width * frame.views.length || fits.height !== frame.height * 1.5) {
        picture.close();
        this.on.bad(`frame ${frame.frameId} has ${fits.width}x${fits.height} pixels, not what its header says`);
      } else {
        if (this.newest) {
          this.newest.picture.close();
          this.overtaken++;
        }
        this.newest = { frame, picture };
        this.newestFrameId = frame.frameId;
      }
    }
    // Skipped frames are acknowledged too: they no longer fill the server's window.
    this.on.settled(message.frameId, message.type === 'picture');
  }

  /** The newest picture that was not taken yet, or null; the taker closes it. */
  take() {
    const taken = this.newest;
    this.newest = null;
    return taken;
  }
}

const sizeOf = picture => ({
  width: picture.displayWidth ?? picture.width,
  height: picture.displayHeight ?? picture.height,
});
