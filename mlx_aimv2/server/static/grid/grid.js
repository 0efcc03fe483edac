// The grid of photos: a few rows of nodes that move over a library of any size.
import { announce } from '../announce.js';
import { element } from '../html.js';
import { onChoice, setting } from '../settings.js';
import { Asking } from './asking.js';
import { shownScore } from './cell.js';
import { gridKeys } from './grid_keys.js';
import { FOOT_PX, Layout, SPARE_ROWS } from './layout.js';
import { HeadRow, PhotoRow } from './rows.js';
import { Scroller, WINDOW_PX } from './scroller.js';
import { Selection } from './selection.js';

/**
 * A grid over `source`: {count, sections: [{title|null, count, note?}], load(start, end, signal),
 * line?, everything?: {target, count}, forget?()}. `onOpen(index, hit)` is Enter or a click;
 * `withFoot` shows dates and scores, as `score(hit)` -> {text, share, line} | null has them.
 */
export function createGrid(host, options) {
  return new Grid(host, options);
}

class Grid {
  constructor(host, { source, label, app, onOpen = null, score = null, withFoot = false }) {
    Object.assign(this, { source, app, withFoot });
    this.onOpen = onOpen ?? ((index, hit) => app.go(`#/photo/${hit[0]}`));
    this.scoreOf = score ?? ((hit) => shownScore(hit, this.source.line));
    this.selection = new Selection(source);
    this.rows = new Map();    // number of a row -> its node
    this.spare = { head: [], photo: [] };
    this.focus = 0;
    this.count = 0;
    this.moved = new Set();

    this.body = element('div', { className: 'grid-window', role: 'presentation' });
    this.el = element('div', { className: 'grid', role: 'grid', ariaLabel: label }, this.body);
    this.el.setAttribute('aria-multiselectable', 'true');
    this.el.classList.toggle('crop', setting('crop'));
    host.append(this.el);
    this.asking = new Asking(this);
    this.scroller = new Scroller(this.el, this.body, { onMove: () => this.scrolled(), onRest: () => this.rested() });
    this.listen();
    app.shown = this;
    this.lay();
  }

  listen() {
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
      () => this.asking.leave(),
      () => this.scroller.leave(),
      this.app.keys('Photos in the grid', gridKeys(this)),
      this.selection.onChange(() => this.drawSelection()),
      onChoice('crop', (crop) => this.el.classList.toggle('crop', crop)),
      onChoice('columns', () => this.lay()),
    ];
  }

  leave() {
    for (const end of this.ends) end();
    this.el.remove();
    if (this.app.shown === this) this.app.shown = null;
  }

  /** Calls `told()` after every move and every other layout (the scrubber). */
  onMove(told) {
    this.moved.add(told);
    return () => this.moved.delete(told);
  }

  // ---- Laying out.

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
    const first = this.layout && this.count ? this.layout.rowAt(this.scroller.place) : null;
    const inside = first ? this.scroller.place - first.top : 0;
    const columns = setting('columns');
    this.layout = new Layout(this.source.sections, { width, height, columns, foot: this.withFoot ? FOOT_PX : 0 });
    this.count = this.layout.count;
    for (const row of this.rows.values()) row.remove();
    this.rows.clear();
    for (const kept of Object.values(this.spare)) for (const row of kept.splice(0)) row.remove();
    this.el.setAttribute('aria-rowcount', this.layout.rows);
    this.el.setAttribute('aria-colcount', this.layout.columns);
    this.scroller.size(this.layout.height, height);
    this.focus = Math.max(0, Math.min(this.focus, this.count - 1));
    this.scroller.to(first && first.first < this.count ? this.topOf(first) + inside : place);
    this.draw();
    this.asking.request();
    if (isFocused) this.cellAt(this.focus)?.el.focus({ preventScroll: true });
  }

  topOf({ first, count }) {
    return count ? this.layout.rowOf(first).top : this.topWithHead(first);
  }

  /** Where a photo's row begins, with the header of its section if it is the first of it. */
  topWithHead(index) {
    const row = this.layout.rowOf(index);
    return row.first === this.layout.photosBefore[row.section] ? row.top - this.layout.headOf(row.section) : row.top;
  }

  // ---- Moving.

  scrolled() {
    const isOther = this.draw();
    // As long as no row comes or goes, what is asked for is what is seen.
    if (this.scroller.isFast) this.asking.pause();
    else if (isOther || this.asking.isPaused) this.asking.request();
  }

  rested() {
    this.order();
    this.asking.request();
    this.tellMoved();
  }

  tellMoved() {
    for (const told of this.moved) told();
  }

  /** Scrolls so that a photo's row is at the top; the focus stays where it is. */
  jump(index) {
    if (this.count) this.jumpTo(this.topWithHead(index));
  }

  jumpTo(place) {
    this.asking.pause();
    this.scroller.to(place);
    this.draw();
  }

  isIn(index) {
    const { top, height } = this.layout.rowOf(index);
    return top >= this.scroller.place && top + height <= this.scroller.end;
  }

  /** Moves the focus to a photo and shows it. */
  focusOn(index, { isQuiet = false } = {}) {
    if (!this.count) return;
    this.focus = Math.max(0, Math.min(index, this.count - 1));
    const row = this.layout.rowOf(this.focus);
    const top = this.topWithHead(this.focus);
    const bottom = row.top + row.height - this.scroller.height;
    if (top < this.scroller.place) this.scroller.to(top);
    else if (bottom > this.scroller.place) this.scroller.to(bottom);
    this.draw();
    if (!isQuiet) this.cellAt(this.focus)?.el.focus({ preventScroll: true });
  }

  // ---- Drawing.

  /** Rows that are seen, with the spare ones, and the row of the focus, which is never recycled. */
  rowsSeen() {
    const { layout, scroller } = this;
    const seen = new Map();
    let number = Math.max(layout.rowAt(scroller.place).row - SPARE_ROWS, 0);
    for (let below = 0; number < layout.rows && below < SPARE_ROWS; number += 1) {
      const row = layout.row(number);
      seen.set(number, row);
      if (row.top >= scroller.end) below += 1;
    }
    const kept = layout.rowOf(this.focus);
    seen.set(kept.row, kept);
    return seen;
  }

  /** Draws what is seen; says whether rows came that were not there. */
  draw() {
    if (!this.count) return false;
    const seen = this.rowsSeen();
    let isOther = false;
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
        isOther = true;
      }
      node.put(row.top - this.scroller.origin, row.height, WINDOW_PX);
    }
    // Only those that no other row took: a node that is hidden and shown again costs a layout.
    for (const node of [...this.spare.photo, ...this.spare.head]) node.hide();
    this.drawFocus();
    this.tellMoved();
    return isOther;
  }

  made(row) {
    const node = row.count ? new PhotoRow(this.layout, this.withFoot) : new HeadRow();
    this.body.append(node.el);
    return node;
  }

  drawFocus() {
    const stop = this.cellAt(this.focus)?.el;
    if (this.stop === stop) return;
    if (this.stop) this.stop.tabIndex = -1;
    this.stop = stop;
    if (stop) stop.tabIndex = 0;
  }

  drawSelection() {
    for (const cell of this.cells()) cell.select(this.selection.has(cell.index));
    this.el.classList.toggle('selecting', this.selection.size > 0);
  }

  showHit(cell, hit) {
    const box = { width: this.layout.cell, height: this.layout.picture };
    cell.show(hit, box, this.withFoot ? this.scoreOf(hit) : null);
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
    for (const row of this.rows.values()) yield* row.shown;
  }

  cellAt(index) {
    const row = this.rows.get(this.layout.rowOf(index).row);
    return row?.shown.find((cell) => cell.index === index);
  }

  cellOf(target) {
    const el = target.closest?.('.cell');
    return el ? [...this.cells()].find((cell) => cell.el === el) : undefined;
  }

  /** Cells in sight from the top, with those of one row ahead where it goes: down 1, up -1. */
  cellsSeen(direction = 0) {
    const ahead = this.layout.pitch;
    const low = this.scroller.place - (direction < 0 ? ahead : 0);
    const high = this.scroller.end + (direction > 0 ? ahead : 0);
    return [...this.rows.values()]
      .filter(({ row }) => row.top + row.height > low && row.top < high)
      .sort((a, b) => a.row.top - b.row.top)
      .flatMap((node) => node.shown);
  }

  // ---- The photos themselves.

  /** The hit at a place. */
  async hit(index) {
    return this.cellAt(index)?.hit ?? (await this.source.load(index, index + 1))[0];
  }

  /** Flags, scores and texts anew; nothing moves. */
  refresh() {
    return this.asking.refresh();
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
    this.asking.giveUp();
    const isFocused = this.el.contains(document.activeElement);
    const place = isStill ? this.scroller.place : 0;
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
