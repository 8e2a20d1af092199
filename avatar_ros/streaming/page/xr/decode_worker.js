// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
/**
 * Decodes pictures beside the page's thread: on that thread a decoder's answers wait for drawing.
 *
 * In: `{type: 'reset'}`, `{type: 'frame', codec, key, frameId, data}`.
 * Out: `{type: 'picture', frameId, picture}` (VideoFrame or ImageBitmap, now the page's to close, or
 * `{planes, width, height}`, I420 in an ArrayBuffer),
 * `{type: 'skipped', frameId}`, `{type: 'broken', message}`: the chain is lost, a key is needed.
 */

const CONFIG = {
  codec: 'avc1.42E028',
  optimizeForLatency: true,
  colorSpace: { primaries: 'bt709', transfer: 'bt709', matrix: 'bt709', fullRange: false },
};
const MAX_WAITING = 4; // frames inside the decoder; more means that it will never catch up

let decoder = null;
let waitingForKey = true;
let newestJpeg = null;
let jpegBusy = false;
let epoch = 0; // pictures of before a reset are not shown
let delivered = Promise.resolve(); // the last picture was: they leave in order

self.onmessage = ({ data: message }) => {
  if (message.type === 'reset') {
    epoch++;
    newestJpeg = null;
    dropDecoder();
  } else if (message.codec === 'jpeg') {
    takeJpeg(message);
  } else {
    takeH264(message);
  }
};

function takeH264({ key, frameId, data }) {
  if (waitingForKey && !key) return void postMessage({ type: 'skipped', frameId });
  if (decoder && decoder.decodeQueueSize >= MAX_WAITING && !key) {
    broken('the decoder is too slow');
    return void postMessage({ type: 'skipped', frameId });
  }
  try {
    decoder ??= makeDecoder();
    decoder.decode(new EncodedVideoChunk({ type: key ? 'key' : 'delta', timestamp: frameId, data }));
    waitingForKey = false;
  } catch (error) {
    broken(error.message);
    postMessage({ type: 'skipped', frameId });
  }
  return undefined;
}

function makeDecoder() {
  const made = epoch;
  const fresh = new VideoDecoder({
    output: picture => {
      delivered = delivered.then(() => deliver(picture, made));
    },
    error: error => {
      if (made === epoch) broken(error.message);
    },
  });
  fresh.configure(CONFIG);
  return fresh;
}

/** I420 is what software decoders leave in memory; others' pictures stay where they are. */
async function deliver(picture, made) {
  const { timestamp: frameId, format } = picture;
  if (made !== epoch) return picture.close();
  if (format !== 'I420') return postMessage({ type: 'picture', frameId, picture }, [picture]);
  const { width, height } = picture.visibleRect;
  const planes = new ArrayBuffer(picture.allocationSize());
  try {
    await picture.copyTo(planes);
  } catch (error) {
    if (made === epoch) broken(error.message);
    return undefined;
  } finally {
    picture.close();
  }
  if (made !== epoch) return undefined;
  return postMessage({ type: 'picture', frameId, picture: { planes, width, height } }, [planes]);
}

function broken(message) {
  dropDecoder();
  epoch++;
  postMessage({ type: 'broken', message });
}

function dropDecoder() {
  if (decoder && decoder.state !== 'closed') decoder.close();
  decoder = null;
  waitingForKey = true;
}

/** Only the newest picture is worth decoding; one is in work, one waits. */
async function takeJpeg(message) {
  if (newestJpeg) postMessage({ type: 'skipped', frameId: newestJpeg.frameId });
  newestJpeg = message;
  if (jpegBusy) return;
  jpegBusy = true;
  while (newestJpeg) {
    const { frameId, data } = newestJpeg;
    const made = epoch;
    newestJpeg = null;
    try {
      const picture = await createImageBitmap(new Blob([data], { type: 'image/jpeg' }), {
        premultiplyAlpha: 'none', colorSpaceConversion: 'none',
      });
      if (made === epoch) postMessage({ type: 'picture', frameId, picture }, [picture]);
      else picture.close();
    } catch (error) {
      postMessage({ type: 'skipped', frameId, error: error.message });
    }
  }
  jpegBusy = false;
}
