// The photos that a search found, page by page. The program lets a search go after half an hour;
// it is asked again then, and nobody is told.
import { get, post } from '../api.js';

const PAGE = 200; // hits, as many as an answer begins with
const KEPT = 100; // pages

/** Asks for a request's photos. Errors: Failed; AbortError where the signal came first. */
export async function ask(request, { signal } = {}) {
  return new Results(request, await post('/api/search', request, { signal }));
}

/**
 * One search that was answered. `total` photos are above its line and `below` under it; places
 * count through both, the ones above the line first.
 */
export class Results {
  #pages = new Map(); // number of a page -> the promise of its hits
  #again = null;
  #looked = null;

  constructor(request, answer) {
    this.request = request;
    this.#take(answer);
    this.#pages.set(0, Promise.resolve(answer.hits));
  }

  #take({ search, hits: _hits, ...known }) {
    Object.assign(this, known, { id: search });
  }

  /** Hits of the places from start to end, without end. */
  async load(start, end) {
    const wanted = [];
    for (let page = Math.floor(start / PAGE); page * PAGE < end; page += 1) wanted.push(this.#page(page));
    const first = start - (start % PAGE);
    return (await Promise.all(wanted)).flat().slice(start - first, end - first);
  }

  /** What is known of the photos may have changed: they are asked for anew. */
  forget() {
    this.#pages.clear();
  }

  /** A page that is asked for stays asked for, though the grid moved on: it is small. */
  #page(page) {
    const known = this.#pages.get(page);
    if (known) return known;
    const asked = this.#read(page * PAGE);
    this.#pages.set(page, asked);
    asked.catch(() => this.#pages.delete(page));
    for (const old of this.#pages.keys()) {
      if (this.#pages.size <= KEPT) break;
      this.#pages.delete(old);
    }
    return asked;
  }

  async #read(offset) {
    const query = { offset, limit: PAGE };
    return (await this.#kept(() => get(`/api/search/${this.id}`, { query }))).hits;
  }

  /** How far a photo fits each term. */
  why(id) {
    return this.#kept(() => get(`/api/photos/${id}/why`, { query: { search: this.id } }));
  }

  /** What an edit of all photos above the line takes: the name of the search, which is kept still. */
  target() {
    this.#looked ??= this.#kept(() => get(`/api/search/${this.id}`, { query: { offset: 0, limit: 1 } }))
      .then(() => ({ search: this.id }))
      .finally(() => { this.#looked = null; });
    return this.#looked;
  }

  /** What is read of the kept search; after asking again where it is kept no more. */
  async #kept(read) {
    try {
      return await read();
    } catch (error) {
      if (error.status !== 410) throw error;
      await this.#askAgain();
      return read();
    }
  }

  /** Asks the same again, once for all that wait. */
  #askAgain() {
    this.#again ??= post('/api/search', this.request)
      .then((answer) => this.#take(answer))
      .finally(() => { this.#again = null; });
    return this.#again;
  }
}
