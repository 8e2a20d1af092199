// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
/**
 * The socket and the decoder, beside the page's thread, so that neither waits for drawing: frames
 * are decoded and acknowledged as they come, and the page finds the newest when it draws.
 *
 * In, see `Wire`: `open`, `close`, `send`, `ack`, `hold`, `taken`.
 * Out, all with the `id` of the `open` that they belong to: `opened`, `closed` (code, reason),
 * `text` (message), `binary` (message; `at`, see `Wire`), `received` (bytes of a frame of pixels), `refused` (message),
 * `picture` (frame without its payload, picture), `skipped` (why), `broken` (message).
 */
import { PixelDecoder } from './pixel_decoder.js';
import { ProtocolError, packAck, parseBinary, parseText } from './protocol.js';

const MAX_BUFFERED_BYTES = 2000; // eyes that cannot leave are old when they do
/** A hardware decoder stops when too many of its pictures are open, so no more wait for the page. */
const MOST_UNTAKEN = 3;

let socket = null;
let id = 0;
let held = false; // acknowledgements are
let ackHeld = 0;
let untaken = 0;
let newest = null; // {frame, picture} that the page has no room for

const post = (message, moved = []) => postMessage({ id, ...message }, moved);

const decoder = new PixelDecoder({
  picture: (frame, picture) => {
    ack(frame.frameId);
    newest?.picture.close?.();
    newest = { frame, picture };
    handOver();
  },
  skipped: (frame, why) => {
    ack(frame.frameId); // what nobody will decode must not fill the server's window
    post({ type: 'skipped', why });
  },
  broken: (message, lastFrameId) => {
    if (lastFrameId) ack(lastFrameId);
    post({ type: 'broken', message });
  },
});

const TAKES = {
  open: ({ url, id: given }) => {
    close();
    id = given;
    const opened = new WebSocket(url);
    opened.binaryType = 'arraybuffer';
    opened.onopen = () => post({ type: 'opened' });
    opened.onmessage = ({ data }) => receive(data);
    opened.onclose = ({ code, reason }) => post({ type: 'closed', code, reason });
    socket = opened;
  },
  close,
  send: ({ data, newestWins }) => send(data, newestWins),
  ack: ({ frameId }) => ack(frameId),
  hold: ({ on }) => {
    held = on;
    if (!held && ackHeld) ack(ackHeld);
  },
  taken: () => {
    untaken--;
    handOver();
  },
};

self.onmessage = ({ data: message }) => TAKES[message.type](message);

function close() {
  ackHeld = 0;
  decoder.reset();
  newest?.picture.close?.();
  newest = null;
  if (!socket) return;
  socket.onopen = socket.onmessage = socket.onclose = null;
  socket.close();
  socket = null;
}

function receive(data) {
  try {
    if (typeof data === 'string') {
      post({ type: 'text', message: parseText(data) });
      return;
    }
    const message = parseBinary(data);
    if (message.kind === 'frame') {
      post({ type: 'received', bytes: message.bytes });
      decoder.push(message);
    } else {
      post({ type: 'binary', message, at: performance.timeOrigin + performance.now() });
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    post({ type: 'refused', message: error.message });
  }
}

function send(data, newestWins) {
  if (socket?.readyState !== WebSocket.OPEN) return;
  if (newestWins && socket.bufferedAmount > MAX_BUFFERED_BYTES) return;
  socket.send(data);
}

function ack(frameId) {
  ackHeld = held ? frameId : 0;
  if (!held) send(packAck(frameId));
}

function handOver() {
  if (!newest || untaken >= MOST_UNTAKEN) return;
  const { frame, picture } = newest;
  newest = null;
  untaken++;
  post({ type: 'picture', frame: { ...frame, payload: null }, picture }, [picture.planes ?? picture]);
}
