// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
/** The page of the avatar: puts socket, lanes, views and drawing together. */
import { Connection } from './connection.js';
import { Lanes, offeredLanes } from './lanes.js';
import { invertPose, product, projectionFromTangents } from './matrices.js';
import { Mean, Overlay, Rate } from './overlay.js';
import { Scene } from './scene.js';
import { OrbitView } from './view.js';
import { Wire } from './wire.js';
import { XrSession, immersiveModes } from './xr_session.js';

const DEPTHS_M = [0.05, 100];
const KEEP_ALIVE_MS = 200;
const FASTEST_MS = 1000 / 90 - 1;
const REMEMBERED = 4096;
const LATENCY_GUESS_MS = 50;
const MAX_PIXEL_RATIO = 2;

/**
 * For tests and benchmarks, nothing here depends on it: counters, what was shown and when.
 * `shown` is a ring of the last 4096 [frameId, viewId, tShownMs]. `hold = true` keeps the frame
 * that is shown; `bare = true` leaves floor and background out; `view` is the orbit camera;
 * `capture()` resolves with the next drawn canvas as {width, height, pixels}, RGBA from its bottom
 * row up.
 */
const tests = (window.avatarXr = {
  state: 'starting',
  mode: 'desktop',
  lane: '',
  framesReceived: 0,
  framesShown: 0,
  framesSkipped: 0,
  decodeErrors: 0,
  badMessages: 0,
  errors: [],
  bytesReceived: 0,
  lastFrame: null,
  headToPhotonMs: NaN,
  poseAgeMs: NaN,
  shown: [],
  eyes: [],
  hold: false,
  bare: false,
});

class Page {
  constructor() {
    this.overlay = new Overlay(document);
    this.view = tests.view = new OrbitView();
    this.headToPhoton = new Mean();
    this.poseAge = new Mean();
    this.rate = new Rate();
    this.askedAt = new Map(); // view_id -> t_client of eyes that no frame has answered yet
    this.xr = null;
    this.drawnVersion = -1;
    this.lastSent = { time: -Infinity, version: -1, shown: -1 };
    this.bytes = { count: 0, since: performance.now() };
    this.captures = [];
    tests.capture = () => new Promise(resolve => {
      this.captures.push(resolve);
      this.drawnVersion = -1;
    });
  }

  async start() {
    try {
      this.scene = new Scene(document.getElementById('avatar'));
    } catch (error) {
      this.overlay.state('cannot draw', true);
      this.overlay.note('webgl', 'This browser has no WebGL2, which this page draws with. Update it, or switch on hardware acceleration.', true);
      tests.state = 'no webgl2';
      tests.errors.push(error.message);
      return;
    }
    const wanted = new URLSearchParams(location.search).get('lane');
    this.wire = new Wire(); // loads meanwhile
    this.lanes = new Lanes(this.wire, this.scene, await offeredLanes(this.scene.gl, wanted), wanted, {
      skipped: () => tests.framesSkipped++,
      key: () => this.connection.askForKey(),
      choose: lane => this.connection.chooseLane(lane),
      changed: lane => {
        tests.lane = lane;
        this.overlay.lane(lane);
      },
      bad: message => this.countBad('decodeErrors', message),
      note: text => this.overlay.note('codec', text),
    });
    this.connect();
    this.view.listen(this.scene.canvas);
    new ResizeObserver(() => this.resize()).observe(this.scene.canvas);
    this.resize();
    document.getElementById('front').addEventListener('click', () => this.view.front());
    document.addEventListener('visibilitychange', () => this.pauseIfHidden());
    window.addEventListener('pagehide', () => this.connection.close());
    window.addEventListener('pageshow', event => event.persisted && this.connection.open());
    this.explainWhatIsMissing();
    this.animate = this.animate.bind(this);
    requestAnimationFrame(this.animate);
    setInterval(() => this.showNumbers(), 250);
    const modes = await immersiveModes();
    for (const mode of ['vr', 'ar']) this.overlay.offer(mode, modes[mode], () => this.enter(mode));
  }

  connect() {
    const url = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/xr`;
    this.connection = tests.connection = new Connection(this.wire, url, () => ({ lanes: this.lanes.offered, mode: tests.mode, height: this.height }), {
      state: (name, detail) => this.connectionState(name, detail),
      welcome: message => {
        document.title = message.avatar ? `${message.avatar} – avatar_ros` : 'avatar_ros';
        this.overlay.text('name', String(message.avatar ?? 'avatar_ros'));
        const same = String(message.center) === String(this.view.center) && message.radius === this.view.radius;
        if (!same) this.view.setSphere(message.center, message.radius);
        this.askedAt.clear();
        this.lanes.welcome(message);
      },
      lane: lane => this.lanes.set(lane),
      numbers: message => {
        this.serverNumbers = message;
        this.overlay.graph(message);
      },
      received: bytes => {
        tests.framesReceived++;
        tests.bytesReceived += bytes;
        this.bytes.count += bytes;
      },
      pose: pose => this.lanes.poses.push(pose),
      camera: jpeg => this.overlay.camera(jpeg),
      bad: message => this.countBad('badMessages', message),
    });
    this.connection.open();
  }

  connectionState(name, detail) {
    tests.state = name;
    const lost = name === 'reconnecting' || name === 'refused';
    this.overlay.state({
      connecting: 'connecting', live: 'live', reconnecting: 'reconnecting', refused: 'refused',
    }[name], lost);
    this.overlay.note('server', {
      reconnecting: 'The server does not answer. Trying again.',
      refused: `The server refuses: ${detail} Trying again.`,
    }[name] ?? '', true);
    document.body.classList.toggle('stale', lost);
  }

  explainWhatIsMissing() {
    if (!window.isSecureContext) {
      this.overlay.note('secure', 'This address is not secure (http), so the browser hides headset and H.264 decoder from the page. '
        + 'Open the https:// address that the server printed, or forward the port (adb reverse) and open localhost.');
    }
  }

  countBad(counter, message) {
    tests[counter]++;
    tests.errors.push(message);
    if (tests.errors.length > 50) tests.errors.shift();
  }

  pauseIfHidden() {
    this.wire.hold(document.hidden && !this.xr);
  }

  resize() {
    const { canvas } = this.scene;
    const ratio = Math.min(window.devicePixelRatio || 1, MAX_PIXEL_RATIO);
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map(side => Math.max(1, Math.round(side * ratio)));
    if (this.xr) return; // the headset owns the size now
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
      this.drawnVersion = -1;
    }
    this.height = height;
    this.view.setAspect(width / height);
  }

  async enter(mode) {
    if (this.xr || this.entering) return;
    this.entering = true;
    this.overlay.note('xr', '');
    try {
      this.xr = await XrSession.enter(this.scene.gl, mode, {
        frame: drawn => this.drawXr(drawn),
        ended: () => this.leave(),
      });
      tests.xr = this.xr;
      this.changeMode(mode, this.xr.session.renderState.baseLayer?.framebufferHeight ?? this.height);
    } catch (error) {
      this.overlay.note('xr', `The headset did not start: ${error.message}`, true);
    } finally {
      this.entering = false;
    }
  }

  leave() {
    this.xr = tests.xr = null;
    this.scene.gl.bindFramebuffer(this.scene.gl.FRAMEBUFFER, null);
    this.resize();
    this.drawnVersion = -1;
    this.changeMode('desktop', this.height);
    this.pauseIfHidden();
  }

  changeMode(mode, height) {
    tests.mode = mode;
    this.height = height;
    this.overlay.note('mode', mode === 'desktop' ? '' : 'The avatar is in the headset. Trigger or pinch: before you. Grip: move, turn; both: scale.');
    this.connection.sayHello();
  }

  /** Take the newest picture to the graphics card; true if there was one. */
  upload() {
    if (tests.hold) return false;
    const newest = this.lanes.take();
    if (!newest) return false;
    const { frame, picture } = newest;
    try {
      this.scene.avatar.setFrame(frame, picture);
    } catch (error) { // a picture that the graphics card does not take
      this.countBad('decodeErrors', error.message);
      return false;
    } finally {
      picture.close();
    }
    return true;
  }

  /** Book-keeping of what was just drawn, the first time that its frame was. */
  countShown() {
    const { frame } = this.scene.avatar;
    const now = performance.now();
    this.lanes.countDrawn(now);
    if (!frame || frame === this.counted) return;
    this.counted = frame;
    tests.framesShown++;
    tests.lastFrame = {
      frameId: frame.frameId,
      viewId: frame.viewId ?? 0,
      eyes: frame.views?.length ?? this.scene.avatar.seen,
      height: frame.height ?? 0,
    };
    tests.shown.push([frame.frameId, frame.viewId ?? 0, now]);
    if (tests.shown.length > REMEMBERED) tests.shown.shift();
    this.rate.add(now);
    const asked = this.askedAt.get(frame.viewId);
    if (asked !== undefined) {
      tests.headToPhotonMs = now - asked;
      this.headToPhoton.add(now - asked);
      // Answered, and with it all that were asked before.
      for (const viewId of this.askedAt.keys()) {
        this.askedAt.delete(viewId);
        if (viewId === frame.viewId) break;
      }
    }
    tests.poseAgeMs = now + this.connection.clock.offset - frame.tSample;
    this.poseAge.add(tests.poseAgeMs);
    this.overlay.note('waiting', '');
  }

  sendEyes(eyes, now) {
    const latency = Number.isNaN(this.headToPhoton.value) ? LATENCY_GUESS_MS : this.headToPhoton.value;
    const viewId = this.connection.sendEyes({
      tClient: now,
      tDisplay: now + Math.min(300, Math.max(5, latency)),
      newestFrameId: this.lanes.newestFrameId,
      framesShown: tests.framesShown,
      eyes,
    });
    if (!viewId) return;
    tests.eyes = eyes;
    this.askedAt.set(viewId, now);
    if (this.askedAt.size > 1024) this.askedAt.delete(this.askedAt.keys().next().value);
    this.lastSent = { time: now, version: this.view.version, shown: tests.framesShown };
  }

  animate() {
    requestAnimationFrame(this.animate);
    if (this.xr || this.entering) return;
    const now = performance.now();
    const { eye, version } = this.view;
    const eyeFromScene = invertPose(eye.position, eye.orientation);
    this.lanes.look([{ position: eye.position, eyeFromScene }]);
    const fresh = this.upload();
    const since = now - this.lastSent.time;
    const changed = version !== this.lastSent.version || tests.framesShown !== this.lastSent.shown;
    if (since >= KEEP_ALIVE_MS || (changed && since >= FASTEST_MS)) this.sendEyes([eye], now);
    if (fresh || version !== this.drawnVersion) this.drawDesktop(eye, eyeFromScene, version);
    if (fresh) this.countShown();
  }

  drawDesktop(eye, eyeFromScene, version) {
    const { gl, canvas } = this.scene;
    const { width, height } = canvas;
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    this.scene.clear(!tests.bare);
    this.scene.drawEye({
      index: 0,
      viewport: { x: 0, y: 0, width, height },
      projection: projectionFromTangents(eye.tangents, ...DEPTHS_M),
      eyeFromScene,
      focalPx: height / (eye.tangents[3] - eye.tangents[2]),
      background: !tests.bare,
    });
    this.drawnVersion = version;
    this.answerCaptures(width, height);
  }

  drawXr({ views, eyes, placement, background, framebuffer, size }) {
    this.height = views[0].viewport.height;
    this.sendEyes(eyes, performance.now());
    const eyesFromScene = views.map(({ eyeFromRoom }) => product(eyeFromRoom, placement.matrix));
    this.lanes.look(eyes.map(({ position }, k) => ({ position, eyeFromScene: eyesFromScene[k] })));
    const fresh = this.upload();
    this.scene.drawEyes(views.map(({ viewport, projection, focalPx }, index) => ({
      index,
      viewport,
      projection,
      eyeFromScene: eyesFromScene[index],
      focalPx,
      scale: placement.scale,
    })), { framebuffer, size, background, fresh });
    if (fresh) this.countShown();
    this.answerCaptures(this.scene.gl.drawingBufferWidth, this.scene.gl.drawingBufferHeight);
  }

  answerCaptures(width, height) {
    if (!this.captures.length) return;
    const { gl } = this.scene;
    const pixels = new Uint8Array(width * height * 4);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    for (const resolve of this.captures.splice(0)) resolve({ width, height, pixels });
  }

  showNumbers() {
    const now = performance.now();
    const seconds = (now - this.bytes.since) / 1000;
    if (seconds > 1) {
      this.kbits = (this.bytes.count * 8) / 1000 / seconds;
      this.bytes = { count: 0, since: now };
    }
    if (tests.state === 'live' && !tests.lastFrame) this.overlay.note('waiting', 'Waiting for the first picture.');
    const { frame } = this.scene.avatar;
    this.overlay.numbers({
      fps: [this.rate.at(now), ' /s', 0],
      'pose-age': [this.poseAge.value, ' ms', 0],
      'head-to-photon': [this.headToPhoton.value, ' ms', 0],
      'round-trip': [this.connection.clock.roundTrip, ' ms', 0],
      bitrate: [this.kbits / 1000, ' Mbit/s', 2],
      'render-time': [frame?.renderMs, ' ms', 1],
      'encode-time': [frame?.encodeMs, ' ms', 1],
      viewers: [this.serverNumbers?.clients, '', 0],
    });
    this.overlay.text('size', sizeOf(frame));
  }
}

function sizeOf(frame) {
  if (!frame) return '–';
  if (frame.kind === 'pose') return `${frame.count} Gaussians`;
  return `${frame.views.length > 1 ? '2 × ' : ''}${frame.width} × ${frame.height}`;
}

new Page().start().catch(error => {
  tests.errors.push(String(error));
  document.getElementById('state').textContent = `this page failed: ${error.message}`;
  throw error;
});
