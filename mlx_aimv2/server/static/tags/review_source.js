// The photos of one tag's review, as the grid's source: those answered just now are left out at once,
// before the library has written the answer.
import { get } from '../api.js';

const PAGE = 200;

/** One kind of a tag's photos as the library has it now: {answer, source}. */
export async function loadReview(tag, kind, signal) {
  const answer = await page(tag, kind, 0, signal);
  return { answer, source: new ReviewSource(tag, kind, answer.total, new Map([[0, answer.hits]])) };
}

const page = (tag, kind, offset, signal) =>
  get(`/api/tags/${encodeURIComponent(tag)}/review`, { query: { kind, offset, limit: PAGE }, signal });

export class ReviewSource {
  /** `pages`: hits by the number of their page; `gone`: places of photos that were answered, in order. */
  constructor(tag, kind, total, pages, gone = []) {
    Object.assign(this, { tag, kind, total, pages, gone, line: 0.5 });
    this.reading = new Map();
    this.count = Math.max(total - gone.length, 0);
    this.sections = [{ title: null, count: this.count }];
    this.everything = { target: { tag_kind: [tag, kind] }, count: this.count };
  }

  /** Hits of the places [start, end). */
  async load(start, end, signal) {
    const places = [];
    for (let index = start; index < Math.min(end, this.count); index += 1) places.push(this.placeOf(index));
    const numbers = [...new Set(places.map((place) => Math.floor(place / PAGE)))];
    await Promise.all(numbers.map((number) => this.read(number)));
    signal?.throwIfAborted();
    return places.map((place) => this.pages.get(Math.floor(place / PAGE))[place % PAGE]).filter(Boolean);
  }

  /** A page is asked for once, however many want it. */
  read(number) {
    if (this.pages.has(number)) return null;
    const known = this.reading.get(number);
    if (known) return known;
    const reading = page(this.tag, this.kind, number * PAGE)
      .then(({ hits }) => this.pages.set(number, hits))
      .finally(() => this.reading.delete(number));
    this.reading.set(number, reading);
    return reading;
  }

  /** Place in the library's list of a place in this one. */
  placeOf(index) {
    let place = index;
    for (const gone of this.gone) {
      if (gone > place) break;
      place += 1;
    }
    return place;
  }

  /** The source without the photos at some places. */
  without(indices) {
    const gone = [...this.gone, ...indices.map((index) => this.placeOf(index))].sort((a, b) => a - b);
    return new ReviewSource(this.tag, this.kind, this.total, this.pages, gone);
  }

  /** No photos: all were answered. */
  emptied() {
    return new ReviewSource(this.tag, this.kind, 0, new Map([[0, []]]));
  }

  /** The first photos in their order, behind one that is looked at just now. */
  withFirst(hit) {
    const others = this.pages.get(0).filter(([id], place) => id !== hit[0] && !this.gone.includes(place)).slice(0, PAGE - 1);
    return new ReviewSource(this.tag, this.kind, others.length + 1, new Map([[0, [hit, ...others]]]));
  }

  /** Place of a photo among those that are loaded, or -1. */
  find(id) {
    for (const [number, hits] of this.pages) {
      const within = hits.findIndex((hit) => hit[0] === id);
      const place = number * PAGE + within;
      if (within >= 0 && !this.gone.includes(place)) return place - this.gone.filter((gone) => gone < place).length;
    }
    return -1;
  }
}
