// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0
import { aboutRight, aboutUp, multiplyQuaternions, rotate, wrapAngle } from './matrices.js';

const FOV_Y = (40 * Math.PI) / 180;
const ELEVATION = [(-30 * Math.PI) / 180, (85 * Math.PI) / 180];
const FRONT = { azimuth: 0, elevation: (5 * Math.PI) / 180 };
const LIFT = 0.07; // of half the picture
const MARGIN = 1.25; // who moves leaves the sphere of who stands
const LOWEST_M = 0.05; // the eye stays above the floor
const KEY_STEP = { turn: 0.09, zoom: 1.1 };

/** A camera that circles the avatar; the desktop's and the phone's one eye. */
export class OrbitView {
  constructor() {
    this.version = 0; // counts changes
    this.aspect = 1;
    this.setSphere([0, 0.9, 0], 1.1);
  }

  /** The sphere that a standing person fills: what the front view shows. */
  setSphere(center, radius) {
    this.center = center;
    this.radius = radius;
    this.front();
  }

  front() {
    this.azimuth = FRONT.azimuth;
    this.elevation = FRONT.elevation;
    this.target = [...this.center];
    this.zoom = 1;
    this.changed();
  }

  setAspect(aspect) {
    if (aspect === this.aspect || !(aspect > 0)) return;
    this.aspect = aspect;
    this.changed();
  }

  /** @param {{azimuth?: number, elevation?: number, zoom?: number}} values radians, and 1 = all */
  set(values) {
    Object.assign(this, values);
    this.changed();
  }

  changed() {
    this.azimuth = wrapAngle(this.azimuth);
    this.elevation = Math.min(ELEVATION[1], Math.max(ELEVATION[0], this.elevation));
    this.zoom = Math.min(6, Math.max(0.25, this.zoom));
    this.target = this.target.map((t, i) =>
      Math.min(this.center[i] + 1.5 * this.radius, Math.max(this.center[i] - 1.5 * this.radius, t)));
    this.version++;
  }

  orbit(turn, raise) {
    this.azimuth -= turn;
    this.elevation += raise;
    this.changed();
  }

  /** Move what is looked at: fractions of the picture's height, right and up. */
  pan(right, up) {
    const size = 2 * Math.tan(FOV_Y / 2) * this.distance;
    const move = rotate(this.orientation, [-right * size, -up * size, 0]);
    this.target = this.target.map((t, i) => t + move[i]);
    this.changed();
  }

  zoomBy(factor) {
    this.zoom *= factor;
    this.changed();
  }

  /** From the eye to the target, metres. */
  get distance() {
    const narrow = Math.min(FOV_Y, 2 * Math.atan(Math.tan(FOV_Y / 2) * this.aspect * 1.5));
    return (MARGIN * this.radius) / Math.sin(narrow / 2) / this.zoom;
  }

  get orientation() {
    return multiplyQuaternions(aboutUp(this.azimuth), aboutRight(-this.elevation));
  }

  /** The one eye, in scene axes. */
  get eye() {
    const back = rotate(this.orientation, [0, 0, this.distance]);
    const position = this.target.map((t, i) => t + back[i]);
    position[1] = Math.max(position[1], LOWEST_M);
    const up = Math.tan(FOV_Y / 2);
    const right = up * this.aspect;
    // Shifted as a view camera's lens is: the buttons below take room from the feet.
    const [down, top] = [-up * (1 + LIFT), up * (1 - LIFT)];
    return { position, orientation: this.orientation, tangents: [-right, right, down, top] };
  }

  /** Mouse, touch, wheel and keys on the element. */
  listen(element) {
    const pointers = new Map();
    const middle = () => [...pointers.values()].reduce((a, p) => [a[0] + p[0] / pointers.size, a[1] + p[1] / pointers.size], [0, 0]);
    const spread = () => {
      const [a, b] = [...pointers.values()];
      return Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1]));
    };
    element.addEventListener('pointerdown', event => {
      element.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      element.classList.add('dragging');
    });
    element.addEventListener('pointermove', event => {
      if (!pointers.has(event.pointerId)) return;
      const before = { middle: middle(), spread: pointers.size === 2 ? spread() : 0 };
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      const after = middle();
      const height = element.clientHeight || 1;
      const moved = [(after[0] - before.middle[0]) / height, (after[1] - before.middle[1]) / height];
      if (pointers.size === 2) {
        this.zoomBy(spread() / before.spread);
        this.pan(moved[0], -moved[1]);
      } else if (pointers.size === 1) {
        if (event.shiftKey || event.buttons & 6) this.pan(moved[0], -moved[1]);
        else this.orbit(moved[0] * 4, moved[1] * 2.5);
      }
    });
    for (const end of ['pointerup', 'pointercancel']) {
      element.addEventListener(end, event => {
        pointers.delete(event.pointerId);
        if (!pointers.size) element.classList.remove('dragging');
      });
    }
    element.addEventListener('contextmenu', event => event.preventDefault());
    element.addEventListener('wheel', event => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 16 : 1;
      this.zoomBy(Math.exp(-event.deltaY * lines * 0.001));
    }, { passive: false });
    element.addEventListener('dblclick', () => this.front());
    element.addEventListener('keydown', event => {
      const step = KEY_STEP.turn;
      const act = {
        ArrowLeft: () => this.orbit(step, 0),
        ArrowRight: () => this.orbit(-step, 0),
        ArrowUp: () => this.orbit(0, step),
        ArrowDown: () => this.orbit(0, -step),
        '+': () => this.zoomBy(KEY_STEP.zoom),
        '=': () => this.zoomBy(KEY_STEP.zoom),
        '-': () => this.zoomBy(1 / KEY_STEP.zoom),
        0: () => this.front(),
        Home: () => this.front(),
      }[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    });
  }
}
