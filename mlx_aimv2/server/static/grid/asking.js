// What a grid asks for: hits of the cells that are seen, then their thumbnails, then their tags.
import { isAborted } from '../api.js';
import { toastError } from '../toast.js';
import { Facts } from './facts.js';
import { Thumbs } from './thumbs.js';

export class Asking {
  constructor(grid) {
    this.grid = grid;
    this.thumbs = new Thumbs();
    this.facts = new Facts();
    this.asked = null;    // {start, end, controller} of the hits that are on their way
    this.isPaused = false;
  }

  /** Nobody looks: what is on its way is given up, but for hits, which are few octets. */
  pause() {
    this.isPaused = true;
    this.thumbs.want([]);
  }

  leave() {
    this.pause();
    this.giveUp();
    this.facts.leave();
  }

  giveUp() {
    this.asked?.controller.abort();
    this.asked = null;
  }

  request() {
    this.isPaused = false;
    // While it scrolls slowly, one row ahead; after a jump nothing but what is seen.
    const { direction } = this.grid.scroller;
    const seen = this.grid.cellsSeen(direction);
    const unknown = seen.filter((cell) => !cell.hit).map((cell) => cell.index);
    if (unknown.length) this.ask(Math.min(...unknown), Math.max(...unknown) + 1);
    this.thumbs.want(seen);
    if (!unknown.length && !direction) this.facts.want(seen);
  }

  async ask(start, end) {
    const before = this.asked;
    if (before && start >= before.start && end <= before.end) return;
    const asked = { start, end, controller: new AbortController() };
    this.asked = asked;
    try {
      // Asked before the former is given up: what both want is not asked for twice.
      const loading = this.grid.source.load(start, end, asked.controller.signal);
      before?.controller.abort();
      const hits = await loading;
      if (this.asked === asked) this.fill(start, hits);
    } catch (error) {
      if (!isAborted(error)) toastError(error);
    } finally {
      if (this.asked === asked) this.asked = null;
    }
  }

  fill(start, hits) {
    const { grid } = this;
    for (const cell of grid.cells()) {
      const hit = hits[cell.index - start];
      if (hit) grid.showHit(cell, hit);
    }
    if (grid.scroller.isFast) return;
    const seen = grid.cellsSeen();
    this.thumbs.want(seen);
    this.facts.want(seen);
  }

  /** Flags, scores and tags anew of what is seen; the rest is asked for when it is. */
  async refresh() {
    this.grid.source.forget?.();
    this.facts.forget();
    this.giveUp();
    const seen = this.grid.cellsSeen();
    for (const cell of this.grid.cells()) if (!seen.includes(cell)) cell.clear();
    if (seen.length) await this.ask(seen[0].index, seen.at(-1).index + 1);
  }
}
