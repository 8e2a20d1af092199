// Copyright 2026 Avatar ROS developers
// SPDX-License-Identifier: Apache-2.0

/** The page's end of `socket_worker.js`: one socket at a time, and what its frames decode to. */
export class Wire {
  constructor() {
    this.last = 0;
    this.id = 0; // of the socket in use; what comes of others is too late
    this.on = {};
    this.worker = new Worker(new URL('socket_worker.js', import.meta.url), { type: 'module' });
    this.worker.onmessage = ({ data }) => this.receive(data);
    this.worker.onerror = event => this.on.failed(`the network's thread failed: ${event.message ?? ''}`);
  }

  /**
   * Add those who listen: `opened()`, `closed({code, reason})`, `text({message})`,
   * `binary({message, at})` with `at` in ms of performance.now() here, `received({bytes})`, `refused({message})`,
   * `picture({frame, picture})`, `skipped({why})`, `broken({message})`, `failed(message)`.
   */
  listen(handlers) {
    Object.assign(this.on, handlers);
  }

  receive({ id, type, ...content }) {
    if (type === 'picture') this.worker.postMessage({ type: 'taken' });
    if (id !== this.id) {
      content.picture?.close?.();
      return;
    }
    if (content.at) content.at -= performance.timeOrigin; // a worker's clock starts later
    this.on[type](content);
  }

  open(url) {
    this.id = ++this.last;
    this.worker.postMessage({ type: 'open', url, id: this.id });
  }

  close() {
    this.id = 0;
    this.worker.postMessage({ type: 'close' });
  }

  /** @param {boolean} newestWins it is worth nothing if it cannot leave at once */
  send(data, newestWins = false) {
    this.worker.postMessage({ type: 'send', data, newestWins });
  }

  /** Of a pose: frames of pixels are acknowledged where they are decoded. */
  ack(frameId) {
    this.worker.postMessage({ type: 'ack', frameId });
  }

  /** While acknowledgements are held, and no eyes leave, the server stops after its window: nobody looks. */
  hold(on) {
    this.worker.postMessage({ type: 'hold', on });
  }
}
