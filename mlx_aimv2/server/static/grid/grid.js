// The grid of photos: a few rows of nodes that move over a library of any size.
//
// Only a window of the library's height stands in the page, because browsers cut elements that are
// taller than some 16 million device pixels: it moves along when its end comes near.
import { announce } from '../announce.js';
import { isAborted } from '../api.js';
import { element } from '../html.js';
import { onChoice, setting } from '../settings.js';
import { toastError } from '../toast.js';
import { shownScore } from './cell.js';
import { Facts } from './facts.js';
import { gridKeys } from './grid_keys.js';
import { FOOT_PX, Layout, SPARE_ROWS } from './layout.js';
import { HeadRow, PhotoRow } from './rows.js';
import { Selection } from './selection.js';
import { Thumbs } from './thumbs.js';

// At 8 device pixels a pixel, which is a Retina display at 400 %, still 8 million.
const WINDOW_PX = 1_000_000;
const REST_MS = 60;
// Faster than this, in heights of the window a second, nothing is asked for until it rests.
const FAST = 2;

/**
 * A grid over `source`: {count, sections: [{title|null, count, note?}], load(start, end, signal),
 * line?, everything?: {target, count}}. `onOpen(index, hit)` is Enter or a click; `withFoot`
 * shows dates and scores, as `score(hit)` -> {text, share, line} | null has them.
 */
export function createGrid(host, options) {
  return new Grid(host, options);
}

class Grid {
  constructor(host, { source, label, app, columns = null, onOpen = null, score = null, withFoot = false }) {
    Object.assign(this, { host, source, app, columns, withFoot });
    this.onOpen = onOpen ?? ((index, hit) => app.go(`#/photo/${hit[0]}`));
    this.scoreOf = score ?? ((hit) => shownScore(hit, this.source.line));
    this.selection = new Selection(source);
    this.thumbs = new Thumbs();
    this.facts = new Facts();
    this.rows = new Map();
    this.spare = { head: [], photo: [] };
    this.focus = 0;
    this.origin = 0;
    this.pace = { place: 0, at: 0, isFast: false };
    this.moved = new Set();

    this.body = element('div', { className: 'grid-window', role: 'presentation' });
    this.el = element('div', { className: 'grid', role: 'grid', ariaLabel: label }, this.body);
    this.el.setAttribute('aria-multiselectable', 'true');
    this.el.classList.toggle('crop', setting('crop'));
    host.append(this.el);
    this.listen(label);
    app.shown = this;
    this.lay();
  }

  listen(label) {
    this.el.addEventListener('scroll', () => this.scrolled(), { passive: true });
    this.el.addEventListener('click', (event) => this.clicked(event));
    this.el.addEventListener('mousedown', (event) => {
      // Else the browser's focus would scroll to a photo that is seen in part.
      if (event.target.closest('.cell')) event.preventDefault();
    });
    this.el.addEventListener('focusin', (event) => {
      const cell = this.cellOf(event.target);
      if (cell && (cell.index !== this.focus || !this.isIn(cell.index))) this.focusOn(cell.index);
    });
    const sized = new ResizeObserver(() => { if (this.isResized()) this.lay(); });
    sized.observe(this.el);
    this.ends = [
      () => sized.disconnect(),
      this.app.keys('Photos in the grid', gridKeys(this)),
      this.selection.onChange(() => this.drawSelection()),
      onChoice('crop', (crop) => this.el.classList.toggle('crop', crop)),
      onChoice('columns', () => this.lay()),
    ];
  }

  leave() {
    for (const end of this.ends) end();
    this.thumbs.want([]);
    this.asked?.controller.abort();
    this.facts.leave();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.rest);
    this.el.remove();
    if (this.app.shown === this) this.app.shown = null;
  }

  /** Place of what is at the top of the window, in px of the whole library. */
  get place() {
    return this.origin + this.el.scrollTop;
  }

  get most() {
    return Math.max(this.layout.height - this.el.clientHeight, 0);
  }

  /** Calls `told()` after every move and every other layout (the scrubber). */
  onMove(told) {
    this.moved.add(told);
    return () => this.moved.delete(told);
  }

  isResized() {
    const { size, el } = this;
    return !size || size.width !== el.clientWidth || size.height !== el.clientHeight;
  }

  /** Computes rows anew for the window's size or another source; the first photo seen stays. */
  lay(place = 0) {
    const { clientWidth: width, clientHeight: height } = this.el;
    if (!width || !height) return;
    this.size = { width, height };
    const isFocused = this.el.contains(document.activeElement);
    const first = this.layout && this.count ? this.layout.rowAt(this.place) : null;
    const inside = first ? this.place - first.top : 0;
    const columns = this.columns ?? setting('columns');
    this.layout = new Layout(this.source.sections, { width, height, columns, foot: this.withFoot ? FOOT_PX : 0 });
    this.count = this.layout.count;
    for (const row of this.rows.values()) row.remove();
    this.rows.clear();
    this.spare = { head: [], photo: [] };
    this.el.setAttribute('aria-rowcount', this.layout.rows);
    this.el.setAttribute('aria-colcount', this.layout.columns);
    this.body.style.height = `${Math.min(this.layout.height, WINDOW_PX)}px`;
    this.focus = Math.max(0, Math.min(this.focus, this.count - 1));
    const at = first && first.first < this.count ? this.topOf(first) + inside : place;
    this.scrollTo(at);
    this.draw();
    this.request();
    if (isFocused) this.cellAt(this.focus)?.el.focus({ preventScroll: true });
  }

  topOf({ first, count }) {
    const row = this.layout.rowOf(first);
    return count ? row.top : row.top - this.layout.headOf(row.section);
  }

  // ---- Moving.

  scrollTo(place) {
    const to = Math.max(0, Math.min(place, this.most));
    const room = Math.min(this.layout.height, WINDOW_PX);
    const isAtEnd = to < this.origin || to + this.el.clientHeight > this.origin + room;
    if (isAtEnd) this.origin = Math.max(0, Math.min(to - room / 2, this.layout.height - room));
    this.el.scrollTop = to - this.origin;
  }

  /** The window moves along when scrolling comes near its end. */
  shiftWindow() {
    const room = Math.min(this.layout.height, WINDOW_PX);
    const { place, origin } = this;
    const isLow = this.el.scrollTop < room / 10 && origin > 0;
    const isHigh = this.el.scrollTop > 0.9 * room && origin + room < this.layout.height;
    if (!isLow && !isHigh) return;
    this.origin = Math.max(0, Math.min(place - room / 2, this.layout.height - room));
    this.el.scrollTop = place - this.origin;
  }

  scrolled() {
    const { place } = this;
    const now = performance.now();
    const speed = Math.abs(place - this.pace.place) / Math.max(now - this.pace.at, 1);
    const isFast = speed > (FAST * this.el.clientHeight) / 1000;
    this.pace = { place, at: now, isFast, by: Math.sign(place - this.pace.place) };
    this.awaitRest();
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.shiftWindow();
      this.draw();
      if (this.pace.isFast) this.thumbs.want([]);
      else this.request();
    });
  }

  awaitRest() {
    clearTimeout(this.rest);
    this.rest = setTimeout(() => this.rested(), REST_MS);
  }

  rested() {
    this.pace.isFast = false;
    this.pace.by = 0;
    this.order();
    this.request();
    for (const told of this.moved) told();
  }

  /** Scrolls so that a photo's row is at the top; the focus stays where it is. */
  jump(index) {
    if (!this.count) return;
    const row = this.layout.rowOf(index);
    const isFirst = row.first === this.layout.photosBefore[row.section];
    this.jumpTo(isFirst ? row.top - this.layout.headOf(row.section) : row.top);
  }

  jumpTo(place) {
    this.thumbs.want([]);
    this.scrollTo(place);
    this.draw();
    this.awaitRest();
  }

  isIn(index) {
    const { top } = this.layout.rowOf(index);
    return top >= this.place && top + this.layout.pitch <= this.place + this.el.clientHeight;
  }

  /** Moves the focus to a photo and shows it. */
  focusOn(index, { isQuiet = false } = {}) {
    if (!this.count) return;
    this.focus = Math.max(0, Math.min(index, this.count - 1));
    const row = this.layout.rowOf(this.focus);
    const isFirst = row.first === this.layout.photosBefore[row.section];
    const top = isFirst ? row.top - this.layout.headOf(row.section) : row.top;
    const bottom = row.top + row.height - this.el.clientHeight;
    if (top < this.place) this.scrollTo(top);
    else if (bottom > this.place) this.scrollTo(bottom);
    this.draw();
    this.awaitRest();
    if (!isQuiet) this.cellAt(this.focus)?.el.focus({ preventScroll: true });
  }

  // ---- Drawing.

  /** Rows that are seen, with the spare ones, and the row of the focus, which is never recycled. */
  rowsSeen() {
    const { layout, place } = this;
    const end = place + this.el.clientHeight;
    const seen = new Map();
    let number = Math.max(layout.rowAt(place).row - SPARE_ROWS, 0);
    for (let below = 0; number < layout.rows && below < SPARE_ROWS; number += 1) {
      const row = layout.row(number);
      seen.set(number, row);
      if (row.top >= end) below += 1;
    }
    const kept = layout.rowOf(this.focus);
    seen.set(kept.row, kept);
    return seen;
  }

  draw() {
    if (!this.layout || !this.count) return;
    const seen = this.rowsSeen();
    for (const [number, node] of this.rows) {
      if (seen.has(number)) continue;
      this.rows.delete(number);
      this.spare[node.kind].push(node);
      node.rest();
    }
    for (const [number, row] of seen) {
      let node = this.rows.get(number);
      if (!node) {
        node = this.spare[row.count ? 'photo' : 'head'].pop() ?? this.made(row);
        node.show(row, this);
        this.rows.set(number, node);
      }
      node.put(row.top - this.origin, row.count ? this.layout.pitch : row.height, WINDOW_PX);
    }
    this.drawFocus();
    for (const told of this.moved) told();
  }

  made(row) {
    const node = row.count ? new PhotoRow(this.layout, this.withFoot) : new HeadRow();
    this.body.append(node.el);
    return node;
  }

  drawFocus() {
    const cell = this.cellAt(this.focus);
    if (this.stop === cell?.el) return;
    if (this.stop) this.stop.tabIndex = -1;
    this.stop = cell?.el;
    if (this.stop) this.stop.tabIndex = 0;
  }

  drawSelection() {
    for (const cell of this.cells()) cell.el.setAttribute('aria-selected', this.selection.has(cell.index));
    this.el.classList.toggle('selecting', this.selection.size > 0);
  }

  /** Nodes in the order of the photos, for a screen reader; the focused one is not moved. */
  order() {
    const nodes = [...this.rows].sort((a, b) => a[0] - b[0]).map(([, node]) => node.el);
    const fixed = nodes.findIndex((el) => el.contains(document.activeElement));
    nodes.forEach((el, place) => {
      if (place < fixed) this.body.insertBefore(el, nodes[fixed]);
      else if (place !== fixed) this.body.append(el);
    });
  }

  * cells() {
    for (const row of this.rows.values()) yield* row.shown ?? [];
  }

  cellAt(index) {
    const row = this.rows.get(this.layout.rowOf(index).row);
    return row?.shown.find((cell) => cell.index === index);
  }

  cellOf(target) {
    const el = target.closest?.('.cell');
    return el ? [...this.cells()].find((cell) => cell.el === el) : undefined;
  }

  // ---- Asking: hits of the rows in the page, then thumbnails of what is seen.

  cellsSeen(more = 0) {
    const low = this.place - (this.pace.by < 0 ? more : 0);
    const high = this.place + this.el.clientHeight + (this.pace.by > 0 ? more : 0);
    return [...this.rows.values()]
      .filter(({ row }) => row.count && row.top + row.height > low && row.top < high)
      .sort((a, b) => a.row.top - b.row.top)
      .flatMap((node) => node.shown);
  }

  request() {
    if (!this.count) return;
    // While it scrolls slowly, one row ahead; after a jump nothing but what is seen.
    const seen = this.cellsSeen(this.layout.pitch);
    const unknown = seen.filter((cell) => !cell.hit).map((cell) => cell.index);
    if (unknown.length) this.ask(Math.min(...unknown), Math.max(...unknown) + 1);
    this.thumbs.want(seen);
    if (!unknown.length && !this.pace.by) this.facts.want(seen);
  }

  async ask(start, end) {
    const before = this.asked;
    if (before && start >= before.start && end <= before.end) return;
    const asked = { start, end, controller: new AbortController() };
    this.asked = asked;
    const { source } = this;
    try {
      // Asked before the former is given up: what both want is not asked for twice.
      const loading = source.load(start, end, asked.controller.signal);
      before?.controller.abort();
      const hits = await loading;
      if (this.asked !== asked || this.source !== source) return;
      this.fill(start, hits);
    } catch (error) {
      if (!isAborted(error)) toastError(error);
    } finally {
      if (this.asked === asked) this.asked = null;
    }
  }

  fill(start, hits) {
    const box = { width: this.layout.cell, height: this.layout.picture };
    for (const cell of this.cells()) {
      const hit = hits[cell.index - start];
      if (hit) cell.show(hit, box, this.withFoot ? this.scoreOf(hit) : null);
    }
    if (!this.pace.isFast) {
      const seen = this.cellsSeen();
      this.thumbs.want(seen);
      this.facts.want(seen);
    }
  }

  /** The hit at a place. */
  async hit(index) {
    return this.cellAt(index)?.hit ?? (await this.source.load(index, index + 1))[0];
  }

  /** Flags, scores and texts anew; nothing moves. */
  async refresh() {
    this.source.forget?.();
    this.facts.forget();
    const places = this.cellsSeen().map((cell) => cell.index);
    if (places.length) await this.ask(Math.min(...places), Math.max(...places) + 1);
  }

  /**
   * Another source, with the photo at `index` in sight; without it, from the top. With `isStill` the
   * focus is on that photo, and what is seen moves only as far as that needs.
   */
  show(source, index = null, { isStill = false } = {}) {
    this.source = source;
    if (this.selection.source !== source) {
      this.selection.source = source;
      this.selection.clear();
    }
    this.asked?.controller.abort();
    this.asked = null;
    const isFocused = this.el.contains(document.activeElement);
    const place = isStill && this.layout ? this.place : 0;
    this.focus = index ?? 0;
    this.layout = null;
    this.lay(place);
    if (index !== null && this.count && !isStill) this.jump(index);
    if (isFocused || isStill) this.focusOn(this.focus, { isQuiet: !isFocused });
  }

  // ---- Pointer.

  clicked(event) {
    const cell = this.cellOf(event.target);
    if (!cell) return;
    const { index } = cell;
    const isAdding = event.metaKey || event.ctrlKey || event.target.closest('.check') || this.selection.size > 0;
    const from = this.focus;
    this.focusOn(index);
    if (event.shiftKey) this.selection.extend(index, from);
    else if (isAdding) this.selection.toggle(index);
    else this.open(index);
  }

  async open(index) {
    const hit = await this.hit(index);
    if (hit) this.onOpen(index, hit);
  }

  tellSelection() {
    const { size } = this.selection;
    announce(size === 1 ? '1 photo selected' : `${size.toLocaleString('en')} photos selected`);
  }
}
