// What a screen reader says of the photos that are seen: tags come once the grid rests.
import { get, isAborted } from '../api.js';
import { altOf } from './cell.js';

const REST_MS = 250;
const MOST = 200;
const KEPT = 2000;

export class Facts {
  constructor() {
    this.known = new Map();    // id -> the tags that are certain
  }

  want(cells) {
    clearTimeout(this.timer);
    this.controller?.abort();
    this.timer = setTimeout(() => this.ask(cells), REST_MS);
  }

  leave() {
    clearTimeout(this.timer);
    this.controller?.abort();
  }

  forget() {
    this.known.clear();
  }

  async ask(cells) {
    const shown = cells.filter((cell) => cell.hit).slice(0, MOST);
    const unknown = shown.map((cell) => cell.hit[0]).filter((id) => !this.known.has(id));
    if (this.known.size > KEPT) this.known.clear();
    this.controller = new AbortController();
    try {
      if (unknown.length) {
        const query = { ids: unknown.join(',') };
        const { photos } = await get('/api/photos', { query, signal: this.controller.signal });
        for (const { id, tags } of photos) this.known.set(id, tags.filter(isCertain).map(({ tag }) => tag));
      }
    } catch (error) {
      // Without its tags a photo is still heard by its date.
      if (!isAborted(error)) return;
    }
    for (const cell of shown) {
      const tags = cell.hit && this.known.get(cell.hit[0]);
      if (tags) cell.picture.alt = altOf(cell.hit, tags);
    }
  }
}

/** A person said so, or a file does: not the guess of a model. */
const isCertain = ({ verdict, score }) => verdict !== null || score === null;
