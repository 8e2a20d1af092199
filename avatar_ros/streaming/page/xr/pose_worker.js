// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
/**
 * Poses the avatar and sorts its Gaussians beside the page's thread.
 *
 * In: `{type: 'avatar', buffer}`; `{type: 'work', pose, eyes, spare}`: bytes of a pose or null, and
 * eyes as `Deformer.see` takes them; `spare` is what an earlier answer brought, to be used again.
 * Out: `{type: 'ready', count, antialiased}`, `{type: 'posed', geometry, orders, colors}` (geometry
 * is null if there was no pose), `{type: 'refused', message}` for a pose that is none,
 * `{type: 'failed', message}`.
 */
import { Deformer } from './deform.js';
import { ProtocolError } from './protocol.js';
import { parseRig, unpackPose } from './rig.js';
import { geometryLength } from './splats.js';

let deformer = null;

self.onmessage = ({ data: message }) => {
  try {
    if (message.type === 'avatar') takeAvatar(message.buffer);
    else work(message);
  } catch (error) {
    const refused = message.type === 'work' && error instanceof ProtocolError;
    postMessage({ type: refused ? 'refused' : 'failed', message: error.message });
  }
};

function takeAvatar(buffer) {
  const rig = parseRig(buffer);
  deformer = new Deformer(rig);
  postMessage({ type: 'ready', count: rig.count, antialiased: rig.antialiased });
}

function work({ pose, eyes, spare }) {
  const { count } = deformer.rig;
  const pick = (kind, Type, length) => {
    const found = spare[kind].pop();
    return found?.length === length ? found : new Type(length);
  };
  const unpacked = pose && unpackPose(deformer.rig, pose);
  const geometry = unpacked && pick('geometry', Float32Array, geometryLength(count));
  if (geometry) deformer.pose(unpacked, geometry);
  const orders = [], colors = [];
  for (const eye of eyes) {
    orders.push(pick('orders', Uint32Array, count));
    colors.push(pick('colors', Uint8Array, 4 * count));
    deformer.see(eye, orders.at(-1), colors.at(-1));
  }
  const moved = [...orders, ...colors, ...(geometry ? [geometry] : [])].map(array => array.buffer);
  postMessage({ type: 'posed', geometry, orders, colors }, moved);
}
