// A set of whole numbers as intervals: a range of 100,000 photos is one of them.

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
