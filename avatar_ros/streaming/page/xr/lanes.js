// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
import { rendersInSoftware } from './gl.js';
import { Pictures } from './pictures.js';
import { decodesH264 } from './pixel_decoder.js';
import { PoseLane } from './pose_lane.js';

const BROKEN_TOO_OFTEN = 6;
const SLOW_MS = 100; // a frame; of so many
const SLOW_FRAMES = 60;
const FAR_MS = 1000; // the page was hidden meanwhile

/**
 * What this browser can show, best first. Gaussians are drawn here where a graphics processor
 * is; `wanted`, the address's ?lane=, comes first whatever there is.
 */
export async function offeredLanes(gl, wanted) {
  const lanes = (await decodesH264()) ? ['h264', 'jpeg'] : ['jpeg'];
  if (!rendersInSoftware(gl) || wanted === 'pose') lanes.unshift('pose');
  return lanes.includes(wanted) ? [wanted, ...lanes.filter(lane => lane !== wanted)] : lanes;
}

/**
 * The ways in which the avatar comes, decoded pictures or poses that are drawn here, and what is
 * done when one of them fails. Newest wins in all.
 *
 * `on` has `skipped()`, `key()`, `choose(lane)`, `changed(lane)`, `bad(message)`
 * and `note(text)` for people.
 */
export class Lanes {
  /** @param {Wire} wire @param {string[]} offered best first */
  constructor(wire, scene, offered, wanted, on) {
    Object.assign(this, { scene, offered, wanted, on });
    this.lane = '';
    this.rig = '';
    this.brokenInARow = 0;
    this.drawn = []; // times of the last frames
    this.explain();
    this.pictures = new Pictures();
    wire.listen({
      picture: decoded => {
        this.brokenInARow = 0;
        this.pictures.add(decoded);
        if (this.lane === 'pose') this.pictures.reset(); // one of before the change
      },
      skipped: ({ why }) => {
        on.skipped();
        if (why) on.bad(why);
      },
      broken: ({ message }) => {
        on.bad(message);
        this.recover();
      },
      failed: message => {
        on.bad(message);
        on.note(`This browser cannot run what the page loads (${message}). Update it.`);
      },
    });
    this.poses = new PoseLane(new URL('pose_worker.js', import.meta.url), {
      settled: (frameId, shown) => {
        if (!shown) on.skipped();
        wire.ack(frameId);
      },
      bad: on.bad,
      failed: message => this.leavePoses(message),
    });
  }

  explain() {
    if (window.isSecureContext && !this.offered.includes('h264')) {
      this.on.note('This browser has no H.264 decoder for pages (WebCodecs). Pictures come as JPEG, which needs a faster network.');
    }
  }

  /** A new connection: `welcome` says what it will bring. */
  welcome({ lane, rig }) {
    this.pictures.reset();
    this.poses.reset();
    this.rig = rig;
    if (this.wanted === 'pose' && lane !== 'pose' && this.offered.includes('pose')) {
      this.on.note('The server has no poses of this avatar for clients. Pictures come instead.');
    }
    this.set(lane);
  }

  set(lane) {
    this.lane = lane;
    this.drawn.length = 0;
    try {
      this.scene.show(lane === 'pose');
    } catch (error) {
      this.leavePoses(error.message);
      return;
    }
    if (lane === 'pose') {
      this.pictures.reset();
      this.poses.start('/xr/avatar', this.rig);
      this.on.note(''); // pictures are nobody's concern now
    } else {
      this.poses.stop();
    }
    this.on.changed(lane);
  }

  get source() {
    return this.lane === 'pose' ? this.poses : this.pictures;
  }

  get newestFrameId() {
    return this.source.newestFrameId;
  }

  /** Where the eyes are: [{position, eyeFromScene}], in scene axes. */
  look(eyes) {
    if (this.lane !== 'pose') return;
    this.poses.look(eyes.map(({ position, eyeFromScene: m }) => ({ position, depthRow: [-m[2], -m[6], -m[10], -m[14]] })));
  }

  /** The newest {frame, picture}, or null; to be drawn by `scene.avatar`, then closed. */
  take() {
    return this.source.take();
  }

  /** A frame was drawn: a machine that cannot keep up is better served with pictures. */
  countDrawn(now) {
    if (this.lane !== 'pose' || this.wanted === 'pose') return;
    if (now - this.drawn.at(-1) > FAR_MS) this.drawn.length = 0;
    this.drawn.push(now);
    if (this.drawn.length <= SLOW_FRAMES) return;
    if (now - this.drawn.shift() > SLOW_FRAMES * SLOW_MS) this.leavePoses('this machine draws it too slowly');
  }

  /** After an error of the decoder: a key frame, and if keys do not help, another codec. */
  recover() {
    this.brokenInARow++;
    if (this.brokenInARow < BROKEN_TOO_OFTEN) {
      this.on.key();
      return;
    }
    this.brokenInARow = 0;
    this.offered = ['jpeg']; // for the next hello too
    this.on.choose('jpeg');
    this.on.note('The H.264 decoder of this browser fails. Pictures come as JPEG, which needs a faster network.');
  }

  leavePoses(reason) {
    this.poses.stop();
    this.offered = this.offered.filter(lane => lane !== 'pose');
    this.on.bad(`poses: ${reason}`);
    this.on.choose(this.offered[0]);
    this.on.note(`The avatar cannot be drawn here (${reason}). Pictures come instead.`);
  }
}
