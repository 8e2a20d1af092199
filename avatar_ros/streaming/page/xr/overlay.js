// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0

const LANE_NAMES = { h264: 'H.264', jpeg: 'JPEG', pose: 'poses' };
const SMOOTH = 0.1;

/** Exponential mean that forgets; NaN until the first value. */
export class Mean {
  value = NaN;

  add(x) {
    if (!Number.isFinite(x)) return;
    this.value = Number.isNaN(this.value) ? x : this.value + SMOOTH * (x - this.value);
  }
}

/** Frames a second over the last second. */
export class Rate {
  times = [];

  add(now) {
    this.times.push(now);
  }

  at(now) {
    while (this.times.length && this.times[0] < now - 1000) this.times.shift();
    return this.times.length;
  }
}

/** The page around the picture: state, numbers, notes, buttons. Text only, never markup. */
export class Overlay {
  constructor(document) {
    this.element = id => document.getElementById(id);
    this.notes = new Map(); // key -> {text, bad}
    this.bitmapBusy = false;
    for (const name of ['numbers', 'camera']) {
      this.element(`${name}-toggle`).addEventListener('click', () => this.toggle(name));
    }
    this.cameraWanted = true;
    this.cameraSeen = false;
  }

  text(id, text) {
    const element = this.element(id);
    if (element.textContent !== text) element.textContent = text;
  }

  toggle(name) {
    const button = this.element(`${name}-toggle`);
    const shown = button.getAttribute('aria-pressed') !== 'true';
    button.setAttribute('aria-pressed', String(shown));
    if (name === 'camera') {
      this.cameraWanted = shown;
      this.element('camera').hidden = !(shown && this.cameraSeen);
    } else {
      this.element(name).hidden = !shown;
    }
  }

  state(text, bad = false) {
    this.text('state', text);
    this.element('state').classList.toggle('bad', bad);
  }

  /** A note stays until it is taken back with an empty text. */
  note(key, text, bad = false) {
    if ((this.notes.get(key)?.text ?? '') === text) return;
    if (text) this.notes.set(key, { text, bad });
    else this.notes.delete(key);
    this.element('notes').replaceChildren(...[...this.notes.values()].map(note => {
      const line = document.createElement('p');
      line.textContent = note.text;
      line.classList.toggle('bad', note.bad);
      return line;
    }));
  }

  /** @param {Record<string, [number, string, number]>} values cell's id -> value, unit, digits */
  numbers(values) {
    if (this.element('numbers').hidden) return;
    for (const [id, [value, unit, digits]] of Object.entries(values)) {
      this.text(id, Number.isFinite(value) ? `${value.toFixed(digits)}${unit}` : '–');
    }
  }

  /**
   * How the nodes behind the server do.
   * @param {{stages?: Record<string, Record<string, number[]>>, problems?: string[], tracking?: string}} graph
   *   stages: node -> stage -> [p50, p95] ms
   */
  graph({ stages = {}, problems = [], tracking = '' }) {
    this.note('graph', problems.join(' '), true);
    if (this.element('numbers').hidden) return;
    this.text('tracking', tracking || '–');
    const rows = Object.entries(stages).flatMap(([node, times]) =>
      Object.entries(times).map(([stage, [p50, p95]]) => [`${node} ${stage}`, `${p50.toFixed(1)} · ${p95.toFixed(1)} ms`]));
    this.element('stages').replaceChildren(...rows.map(cells => {
      const row = document.createElement('tr');
      row.append(...cells.map((text, k) => Object.assign(document.createElement(k ? 'td' : 'th'), { textContent: text })));
      return row;
    }));
  }

  lane(lane) {
    this.text('lane', LANE_NAMES[lane] ?? '–');
  }

  offer(mode, possible, enter) {
    const button = this.element(`enter-${mode}`);
    button.hidden = !possible;
    button.addEventListener('click', enter);
  }

  /** The tracker's picture in the corner; a JPEG that is none is dropped. */
  async camera(jpeg) {
    if (this.bitmapBusy || !this.cameraWanted) return false;
    this.bitmapBusy = true;
    try {
      const bitmap = await createImageBitmap(new Blob([jpeg], { type: 'image/jpeg' }));
      const canvas = this.element('camera-picture');
      if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
        canvas.width = bitmap.width;
        canvas.height = bitmap.height;
      }
      canvas.getContext('2d').drawImage(bitmap, 0, 0);
      bitmap.close();
      this.cameraSeen = true;
      this.element('camera-toggle').hidden = false;
      this.element('camera').hidden = !this.cameraWanted;
      return true;
    } catch {
      return false;
    } finally {
      this.bitmapBusy = false;
    }
  }
}
