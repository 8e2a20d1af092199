// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
import { headingOf, invertPose, projectionFromTangents, tangentsFromProjection } from './matrices.js';
import { Placement } from './placement.js';

const DISTANCE_M = 1.6; // a person one talks to
const DEPTHS_M = [0.05, 50];

/** Which immersive modes this browser offers. @returns {Promise<{vr: boolean, ar: boolean}>} */
export async function immersiveModes() {
  const ask = async mode => {
    try {
      return Boolean(await navigator.xr?.isSessionSupported(mode));
    } catch {
      return false;
    }
  };
  return { vr: await ask('immersive-vr'), ar: await ask('immersive-ar') };
}

/**
 * An immersive session: where the eyes are, where the avatar stands, what the hands do.
 *
 * Select puts the avatar before the viewer. One squeezing hand carries it over the floor and
 * turns it; two also scale it.
 *
 * `on` has `ended()`, and `frame(drawn)`, called inside the XR frame with its framebuffer bound:
 * `{views, eyes, placement, background, framebuffer, size}`; views are in room axes, for drawing,
 * eyes in scene axes, for sending, both left first.
 */
export class XrSession {
  /** Must be called in a click. @param {'vr'|'ar'} mode */
  static async enter(gl, mode, on) {
    // Asked for before anything is awaited, as long as the click counts.
    const asked = navigator.xr.requestSession(`immersive-${mode}`, {
      requiredFeatures: ['local-floor'],
      optionalFeatures: ['hand-tracking'],
    });
    const session = await asked;
    try {
      await gl.makeXRCompatible?.();
      const layer = new XRWebGLLayer(session, gl, { antialias: false, alpha: true, depth: true });
      session.updateRenderState({ baseLayer: layer, depthNear: DEPTHS_M[0], depthFar: DEPTHS_M[1] });
      const space = await session.requestReferenceSpace('local-floor');
      return new XrSession(gl, session, space, mode, on);
    } catch (error) {
      await session.end().catch(() => {});
      throw error;
    }
  }

  constructor(gl, session, space, mode, on) {
    Object.assign(this, { gl, session, space, mode, on });
    this.placement = new Placement();
    this.placed = false;
    this.grabbing = new Map(); // input source -> its pose a frame ago
    this.lastEyes = [];
    session.addEventListener('end', () => on.ended());
    session.addEventListener('select', () => (this.placed = false));
    session.addEventListener('squeezestart', ({ inputSource }) => this.grabbing.set(inputSource, null));
    session.addEventListener('squeezeend', ({ inputSource }) => this.grabbing.delete(inputSource));
    session.addEventListener('inputsourceschange', ({ removed }) => removed.forEach(s => this.grabbing.delete(s)));
    // The world was re-centred: what stood in front stands elsewhere now.
    space.addEventListener?.('reset', () => (this.placed = false));
    this.tick = this.tick.bind(this);
    session.requestAnimationFrame(this.tick);
  }

  end() {
    return this.session.end();
  }

  /** Hidden sessions draw nothing; with a system menu open the avatar stays visible. */
  get visible() {
    return this.session.visibilityState !== 'hidden';
  }

  tick(time, frame) {
    this.session.requestAnimationFrame(this.tick);
    const pose = frame.getViewerPose(this.space);
    if (!pose || !this.visible) return;
    const viewer = poseOf(pose.transform);
    if (!this.placed) {
      this.placement.putBefore(viewer, DISTANCE_M * Math.min(1, this.placement.scale));
      this.placed = true;
    }
    this.carry(frame);
    const layer = this.session.renderState.baseLayer;
    const views = inOrder(pose.views).map(view => {
      const eye = { ...poseOf(view.transform), tangents: tangentsFromProjection(view.projectionMatrix) };
      return { eye, viewport: layer.getViewport(view) };
    }).filter(({ viewport }) => viewport && viewport.width > 0);
    if (!views.length) return;
    this.gl.bindFramebuffer(this.gl.FRAMEBUFFER, layer.framebuffer);
    this.on.frame({
      views: views.map(({ eye, viewport }) => ({
        viewport,
        eye,
        projection: projectionFromTangents(eye.tangents, ...DEPTHS_M),
        eyeFromRoom: invertPose(eye.position, eye.orientation),
        focalPx: viewport.height / (eye.tangents[3] - eye.tangents[2]),
      })),
      eyes: views.map(({ eye }) => this.placement.toScene(eye)),
      placement: this.placement,
      // See-through displays show what is black or transparent as the room.
      background: this.mode === 'vr' && this.session.environmentBlendMode !== 'additive',
      framebuffer: layer.framebuffer,
      size: [layer.framebufferWidth, layer.framebufferHeight],
    });
  }

  /** Apply what the squeezing hands did since the last frame. */
  carry(frame) {
    const hands = [];
    for (const [source, before] of this.grabbing) {
      const pose = frame.getPose(source.gripSpace ?? source.targetRaySpace, this.space);
      const now = pose && poseOf(pose.transform);
      if (before && now) hands.push([before, now]);
      this.grabbing.set(source, now);
    }
    if (hands.length === 1) {
      const [before, now] = hands[0];
      const turn = headingOf(now.orientation) - headingOf(before.orientation);
      const move = now.position.map((p, i) => (p - before.position[i]) * 2); // arms are short
      this.placement.transform(this.placement.position, { turn, move });
    } else if (hands.length >= 2) {
      const [a, b] = hands;
      const middle = k => a[k].position.map((p, i) => (p + b[k].position[i]) / 2);
      const across = k => b[k].position.map((p, i) => p - a[k].position[i]);
      const [was, is] = [across(0), across(1)];
      const length = v => Math.max(0.02, Math.hypot(...v));
      const [from, to] = [middle(0), middle(1)];
      this.placement.transform(this.placement.position, {
        scale: length(is) / length(was),
        turn: Math.atan2(is[0], is[2]) - Math.atan2(was[0], was[2]),
        move: to.map((p, i) => p - from[i]),
      });
    }
  }
}

/** Left first, whatever order the device has; other views (a spectator's) are left out. */
export function inOrder(views) {
  const of = eye => views.find(view => view.eye === eye);
  const pair = [of('left'), of('right')].filter(Boolean);
  return pair.length ? pair : views.slice(0, 1);
}

const poseOf = ({ position: p, orientation: q }) => ({
  position: [p.x, p.y, p.z], orientation: [q.x, q.y, q.z, q.w],
});
