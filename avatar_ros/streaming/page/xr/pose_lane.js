// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0

const LOAD_MS = 30000;

/**
 * The avatar, once, and then its poses, newest wins; `take` as `Decoder` has it.
 *
 * `on` has `settled(frameId, shown)` for the ack, `bad(message)` for a pose that is none, and
 * `failed(message)` when nothing more will come.
 */
export class PoseLane {
  constructor(workerUrl, on) {
    this.workerUrl = workerUrl;
    this.on = on;
    this.worker = null;
    this.key = '';
    this.stop();
  }

  /** Forget everything; poses are settled unseen until `start`. */
  stop() {
    this.worker?.terminate();
    this.worker = null;
    this.key = '';
    this.avatar = null; // {count, antialiased} when the worker has it
    this.loading?.abort();
    this.loading = null;
    this.busy = null; // the pose in work
    this.reset();
    this.spare = { geometry: [], orders: [], colors: [] };
  }

  /** Poses of a new connection have new numbers. */
  reset() {
    this.waiting = null;
    this.newest = null;
    this.newestFrameId = 0;
    this.posed = null; // header of the newest pose that came back
    this.eyes = null;
    this.eyesMoved = false;
    this.epoch = (this.epoch ?? 0) + 1;
  }

  /** Fetch the avatar with this key, unless it is here. */
  async start(url, key) {
    if (key === this.key && (this.avatar || this.loading)) return;
    this.stop();
    this.key = key;
    const loading = (this.loading = new AbortController());
    const worker = (this.worker = new Worker(this.workerUrl, { type: 'module' })); // loads meanwhile
    worker.onmessage = ({ data }) => this.receive(data);
    worker.onerror = event => this.fail(event.message || 'its thread failed');
    const timer = setTimeout(() => loading.abort(new Error(`it did not come within ${LOAD_MS / 1000} s`)), LOAD_MS);
    try {
      const response = await fetch(url, { signal: loading.signal, cache: 'no-store' });
      if (!response.ok) throw new Error(`the server answers ${response.status}`);
      const buffer = await response.arrayBuffer();
      if (loading !== this.loading) return;
      worker.postMessage({ type: 'avatar', buffer }, [buffer]);
    } catch (error) {
      if (loading === this.loading) this.fail(error.message);
    } finally {
      clearTimeout(timer);
    }
  }

  fail(message) {
    this.stop();
    this.on.failed(message);
  }

  /** A pose of the server. */
  push(frame) {
    if (this.waiting || !this.avatar) this.on.settled((this.waiting ?? frame).frameId, false);
    if (!this.avatar && !this.loading) return;
    this.waiting = frame;
    this.pump();
  }

  /** Where the eyes are now: [{position, depthRow}]. */
  look(eyes) {
    this.eyesMoved ||= JSON.stringify(eyes) !== JSON.stringify(this.eyes);
    this.eyes = eyes;
    this.pump();
  }

  pump() {
    if (this.busy || !this.avatar || !this.eyes) return;
    const frame = this.waiting;
    if (!frame && !(this.posed && this.eyesMoved)) return;
    this.waiting = null;
    this.eyesMoved = false;
    this.busy = { frame, epoch: this.epoch };
    const { spare } = this;
    this.spare = { geometry: [], orders: [], colors: [] };
    const moved = Object.values(spare).flat().map(array => array.buffer);
    this.worker.postMessage({ type: 'work', pose: frame?.payload ?? null, eyes: this.eyes, spare }, moved);
  }

  receive(message) {
    if (message.type === 'failed') return this.fail(message.message);
    if (message.type === 'ready') {
      this.avatar = { count: message.count, antialiased: message.antialiased };
      this.loading = null;
      return this.pump();
    }
    const { frame, epoch } = this.busy;
    this.busy = null;
    if (epoch === this.epoch) {
      if (message.type === 'refused') this.on.bad(message.message);
      else this.keep(frame, message);
      if (frame) this.on.settled(frame.frameId, message.type === 'posed');
    }
    return this.pump();
  }

  keep(frame, { geometry, orders, colors }) {
    if (frame) {
      this.posed = { ...frame, ...this.avatar };
      this.newestFrameId = frame.frameId;
    }
    // What nobody took: its geometry still counts if this answer brings none.
    const overtaken = this.newest?.picture;
    if (overtaken && !geometry) {
      geometry = overtaken.geometry;
      overtaken.geometry = null;
    }
    overtaken?.close();
    const picture = { geometry, orders, colors, close: () => this.giveBack(picture) };
    this.newest = { frame: this.posed, picture };
  }

  giveBack({ geometry, orders, colors }) {
    if (geometry) this.spare.geometry.push(geometry);
    this.spare.orders.push(...orders);
    this.spare.colors.push(...colors);
  }

  /** The newest that was not taken yet, or null; the taker closes its picture. */
  take() {
    const taken = this.newest;
    this.newest = null;
    return taken;
  }
}
