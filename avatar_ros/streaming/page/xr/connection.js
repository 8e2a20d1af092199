// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
import { ProtocolError, packBye, packEyes, packHello, packKey, packLane } from './protocol.js';

const BACKOFF_MS = [500, 8000];
const STEADY_MS = 5000; // a connection that lived so long was a good one
const SILENCE_MS = 5000;
const CONNECT_MS = 10000;
const KEY_EVERY_MS = 500;
const PING_EVERY_MS = 1000;
const FIRST_PINGS_EVERY_MS = 200;
const CLOCK_SAMPLES = 16;

/**
 * Relates the server's clock to ours. Of the recent answers the fastest is believed: what makes
 * an answer slow rarely makes both ways slow alike.
 */
export class Clock {
  constructor() {
    this.samples = [];
  }

  add(tClient, tServer, now) {
    const roundTrip = now - tClient;
    if (!(roundTrip >= 0 && roundTrip < 60000)) return;
    this.samples.push({ roundTrip, offset: tServer - (tClient + now) / 2 });
    if (this.samples.length > CLOCK_SAMPLES) this.samples.shift();
  }

  get best() {
    return this.samples.reduce((a, b) => (b.roundTrip < a.roundTrip ? b : a), { roundTrip: Infinity, offset: NaN });
  }

  /** Server's clock in ms minus ours; NaN until the first answer. */
  get offset() {
    return this.best.offset;
  }

  /** Ms of the newest answer, NaN until the first. */
  get roundTrip() {
    return this.samples.at(-1)?.roundTrip ?? NaN;
  }
}

/**
 * Says hello, comes back when the socket is lost, keeps the clock, sends eyes.
 *
 * `on` has `state(name, detail)` with connecting, live, reconnecting, refused; `welcome(message)`,
 * `lane(lane)`, `numbers(message)`, `received(bytes)` of a frame or pose, `pose(pose)`,
 * `camera(jpeg)`, `bad(message)`.
 */
export class Connection {
  /** @param {Wire} wire */
  constructor(wire, url, hello, on) {
    this.wire = wire;
    this.url = url;
    this.hello = hello; // () => what packHello takes, as it is at that moment
    this.on = on;
    this.clock = new Clock();
    this.active = false; // a socket is open, or will be
    this.wait = BACKOFF_MS[0];
    this.viewId = 0;
    this.forget();
    wire.listen({
      opened: () => {
        this.heardAt = performance.now();
        this.opened = true;
        this.sayHello();
      },
      closed: ({ code, reason }) => this.lost(code === 1008 ? reason || 'it closed the connection (1008).' : ''),
      text: ({ message }) => {
        this.heardAt = performance.now();
        this.receiveText(message);
      },
      binary: ({ message, at }) => {
        this.heardAt = performance.now();
        this.receiveBinary(message, at);
      },
      received: ({ bytes }) => {
        this.heardAt = performance.now();
        on.received(bytes);
      },
      refused: ({ message }) => on.bad(message),
    });
  }

  forget() {
    this.opened = false;
    this.welcomed = false;
    this.lastPing = -Infinity;
    this.lastKey = -Infinity;
    clearTimeout(this.keyTimer);
    this.keyTimer = null;
    this.pings = 0;
    this.clock.samples.length = 0; // another server has another clock
  }

  open() {
    if (this.active) return;
    this.forget();
    this.active = true;
    this.openedAt = this.heardAt = performance.now();
    this.partingWords = '';
    this.wire.open(this.url);
    clearInterval(this.timer);
    this.timer = setInterval(() => this.watch(), 500);
    if (this.wait === BACKOFF_MS[0]) this.on.state('connecting', '');
  }

  /** A network that went away closes nothing; a server that lives says something every second. */
  watch() {
    const silent = performance.now() - this.heardAt;
    if (silent > (this.welcomed ? SILENCE_MS : CONNECT_MS)) this.lost('');
  }

  /** Let go of the socket and of its late events. */
  drop() {
    clearInterval(this.timer);
    this.active = this.opened = this.welcomed = false;
    this.wire.close();
  }

  lost(reason) {
    const refused = this.partingWords || reason;
    // Only a connection that worked for a while makes the next try a quick one.
    if (this.welcomed && performance.now() - this.openedAt > STEADY_MS) this.wait = BACKOFF_MS[0];
    this.drop();
    this.on.state(refused ? 'refused' : 'reconnecting', refused);
    this.timer = setTimeout(() => this.open(), this.wait * (0.75 + Math.random() / 2));
    this.wait = Math.min(this.wait * 2, BACKOFF_MS[1]);
  }

  close() {
    this.send(packBye());
    this.drop();
  }

  receiveText(message) {
    if (message.type === 'error') this.partingWords = String(message.message ?? 'it gave no reason.').slice(0, 500);
    if (message.type === 'welcome') {
      this.welcomed = true;
      this.on.state('live', '');
      this.on.welcome(message);
    }
    if (message.type === 'lane') this.on.lane(message.lane);
    if (message.type === 'numbers') this.on.numbers(message);
  }

  receiveBinary(message, at) {
    if (message.kind === 'pong') this.clock.add(message.tClient, message.tServer, at);
    if (message.kind === 'camera') this.on.camera(message.jpeg);
    if (message.kind === 'pose') {
      this.on.received(message.bytes);
      this.on.pose(message);
    }
  }

  send(data, newestWins = false) {
    if (this.opened) this.wire.send(data, newestWins);
    return this.opened;
  }

  sayHello() {
    this.send(packHello(this.hello()));
  }

  /**
   * @param {{tClient: number, tDisplay: number, newestFrameId: number, framesShown: number,
   *   eyes: object[]}} view
   * @returns {number} its view_id, or 0 if it was not sent
   */
  sendEyes(view) {
    if (!this.welcomed) return 0;
    const now = performance.now();
    const ping = now - this.lastPing > (this.pings < 8 ? FIRST_PINGS_EVERY_MS : PING_EVERY_MS);
    const viewId = (this.viewId % 0xffffffff) + 1; // 0 is left for "none"
    let message;
    try {
      message = packEyes({ ...view, viewId, ping });
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.on.bad(error.message);
      return 0;
    }
    this.send(message, true);
    this.viewId = viewId;
    if (ping) {
      this.lastPing = now;
      this.pings++;
    }
    return viewId;
  }

  /** Soon, if one was asked for just now: a wish that is forgotten freezes the picture. */
  askForKey() {
    if (this.keyTimer || !this.opened) return;
    const wait = this.lastKey + KEY_EVERY_MS - performance.now();
    this.keyTimer = setTimeout(() => {
      this.keyTimer = null;
      if (this.send(packKey())) this.lastKey = performance.now();
    }, Math.max(0, wait));
  }

  chooseLane(lane) {
    this.send(packLane(lane));
  }
}
