// What is selected, as intervals of the grid's places: their ids are asked for when an edit needs
// them. A range moves with Shift until something else is selected.

const ASKED_AT_ONCE = 4096;

/** A set of whole numbers as intervals: a range of 100,000 photos is one of them. */
export class Intervals {
  /** `parts`: [[from, to]] in order, both ends in the set, none touching the next. */
  constructor(parts = []) {
    this.parts = parts;
  }

  get size() {
    return this.parts.reduce((sum, [from, to]) => sum + to - from + 1, 0);
  }

  has(number) {
    return this.parts.some(([from, to]) => number >= from && number <= to);
  }

  /** The set with a further interval. */
  with(from, to) {
    const kept = [];
    for (const [low, high] of this.parts) {
      if (high < from - 1 || low > to + 1) kept.push([low, high]);
      else [from, to] = [Math.min(low, from), Math.max(high, to)];
    }
    kept.push([from, to]);
    return new Intervals(kept.sort((a, b) => a[0] - b[0]));
  }

  /** The set without an interval. */
  without(from, to) {
    const kept = [];
    for (const [low, high] of this.parts) {
      if (low < from) kept.push([low, Math.min(high, from - 1)]);
      if (high > to) kept.push([Math.max(low, to + 1), high]);
    }
    return new Intervals(kept);
  }
}

/** The selection of a grid whose photos `source` gives. */
export class Selection {
  constructor(source) {
    this.source = source;
    this.told = new Set();
    this.start(new Intervals());
  }

  start(settled, anchor = null) {
    this.settled = settled;
    this.shown = settled;     // with the range that still moves
    this.anchor = anchor;
    this.isEverything = false;
  }

  get size() {
    return this.isEverything ? this.everything.count : this.shown.size;
  }

  has(index) {
    return this.isEverything ? index < this.everything.count : this.shown.has(index);
  }

  get everything() {
    return this.source.everything ?? { count: this.source.count };
  }

  /** Selects or unselects one photo; ranges start from it. */
  toggle(index) {
    const { count } = this.everything;
    const now = this.isEverything ? new Intervals(count ? [[0, count - 1]] : []) : this.shown;
    this.start(now.has(index) ? now.without(index, index) : now.with(index, index), index);
    this.change();
  }

  /** From the anchor (else `from`) to a photo: the range grows and shrinks as the focus moves. */
  extend(index, from = index) {
    if (this.isEverything) return;
    this.anchor ??= from;
    this.shown = this.settled.with(Math.min(this.anchor, index), Math.max(this.anchor, index));
    this.change();
  }

  /** All photos of the source, of a search those above its line. */
  all() {
    this.start(new Intervals());
    this.isEverything = this.everything.count > 0;
    this.change();
  }

  clear() {
    this.start(new Intervals());
    this.change();
  }

  /** What an edit takes: the name of everything, where it has one, or {ids}. */
  async target() {
    if (this.isEverything && this.everything.target) return this.everything.target;
    return { ids: await this.ids() };
  }

  /** Ids of what is selected, at most so many. */
  async ids(most = Infinity) {
    const { count } = this.everything;
    const parts = this.isEverything ? [[0, count - 1]] : this.shown.parts;
    const ids = [];
    for (const [from, to] of parts) {
      for (let start = from; start <= to; start += ASKED_AT_ONCE) {
        const end = Math.min(start + ASKED_AT_ONCE, to + 1, start + most - ids.length);
        if (end <= start) return ids;
        const hits = await this.source.load(start, end);
        for (const hit of hits) ids.push(hit[0]);
      }
    }
    return ids;
  }

  /** The same photos in a newer source; sections tell by their titles where to look for them. */
  async carry(source) {
    const old = this.source;
    const ids = this.size && !this.isEverything ? new Set(await this.ids()) : new Set();
    const titles = new Set();
    let first = 0;
    for (const { title, count } of old.sections) {
      if (this.shown.parts.some(([from, to]) => from < first + count && to >= first)) titles.add(title);
      first += count;
    }
    let found = new Intervals();
    first = 0;
    for (const { title, count } of ids.size ? source.sections : []) {
      if (titles.has(title)) {
        const hits = await source.load(first, first + count);
        hits.forEach((hit, place) => {
          if (ids.has(hit[0])) found = found.with(first + place, first + place);
        });
      }
      first += count;
    }
    this.source = source;
    if (!this.isEverything) this.start(found);
    this.change();
  }

  onChange(told) {
    this.told.add(told);
    return () => this.told.delete(told);
  }

  change() {
    for (const told of this.told) told(this);
  }
}
