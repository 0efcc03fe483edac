// The library by month, as the grid's source: a part of a month is a few octets a photo.
import { get, octets } from '../api.js';
import { monthName } from './dates.js';

const PART = 4096;
// One request at a time: with the thumbnails' four and the status, the browser's six connections
// are never all taken, and a search or an edit never waits behind pictures.
const AT_ONCE = 1;
/** The timeline as it is now: the grid's source. */
export async function loadTimeline(signal) {
  return new Timeline(await get('/api/timeline', { signal }));
}

export class Timeline {
  constructor({ version, months, undated, total }) {
    this.version = version;
    this.months = undated ? [...months, ['undated', undated]] : months;
    this.count = total;
    this.sections = this.months.map(([month, count]) => ({
      title: month === 'undated' ? 'Without a date' : monthName(month), count,
    }));
    this.starts = [0];
    for (const [, count] of this.months) this.starts.push(this.starts.at(-1) + count);
    this.parts = new Map();    // 'month/offset' -> {data: Promise, wanted, controller}
    this.lane = [];
    this.running = 0;
  }

  /** Does another timeline have the same photos in the same places? */
  isLike(other) {
    return JSON.stringify(this.months) === JSON.stringify(other.months);
  }

  /** Flags may have changed: parts are asked for anew. */
  forget() {
    this.parts.clear();
  }

  /** Month of a photo by its place: its number in `months`. */
  monthAt(index) {
    let [low, high] = [0, this.months.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.starts[middle] <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Hits of the places [start, end). */
  async load(start, end, signal) {
    const wanted = [];
    for (let month = this.monthAt(start); month < this.months.length && this.starts[month] < end; month += 1) {
      const from = Math.max(start - this.starts[month], 0);
      const to = Math.min(end - this.starts[month], this.months[month][1]);
      for (let offset = from - (from % PART); offset < to; offset += PART) {
        wanted.push({ month, offset, from: Math.max(from - offset, 0), to: Math.min(to - offset, PART) });
      }
    }
    const parts = await Promise.all(wanted.map(({ month, offset }) => this.part(this.months[month][0], offset, signal)));
    return wanted.flatMap(({ month, from, to }, place) => hitsOf(parts[place], this.months[month][0], from, to));
  }

  /** Octets of a part, asked for once however many want it, and given up when none does. */
  part(month, offset, signal) {
    const key = `${month}/${offset}`;
    let part = this.parts.get(key);
    if (!part) {
      part = { key, month, offset, wanted: 0, isHere: false, controller: new AbortController() };
      part.data = new Promise((resolve, reject) => Object.assign(part, { resolve, reject }));
      this.parts.set(key, part);
      this.lane.push(part);
      this.next();
    }
    part.wanted += 1;
    signal?.addEventListener('abort', () => {
      part.wanted -= 1;
      if (part.wanted === 0 && !part.isHere) this.giveUp(part);
    }, { once: true });
    return part.data;
  }

  giveUp(part) {
    this.parts.delete(part.key);
    this.lane = this.lane.filter((other) => other !== part);
    part.controller.abort();
    part.reject(new DOMException('given up', 'AbortError'));
  }

  async next() {
    // What was asked for last is what is looked at now.
    const part = this.running < AT_ONCE ? this.lane.pop() : null;
    if (!part) return;
    this.running += 1;
    try {
      const query = { offset: part.offset, limit: PART };
      part.resolve(decoded(await octets(`/api/timeline/${part.month}`, { query, signal: part.controller.signal })));
      part.isHere = true;
    } catch (error) {
      this.parts.delete(part.key);
      part.reject(error);
    } finally {
      this.running -= 1;
      this.next();
    }
  }

  /** Place of a photo of a month, or -1; looked for first where it was within the month before. */
  async placeOf(id, month, within = 0) {
    const found = this.months.findIndex(([name]) => name === month);
    if (found < 0) return -1;
    const offsets = Array.from({ length: Math.ceil(this.months[found][1] / PART) }, (_, part) => part * PART);
    offsets.sort((a, b) => Math.abs(a + PART / 2 - within) - Math.abs(b + PART / 2 - within));
    for (const offset of offsets) {
      const place = (await this.part(month, offset)).ids.indexOf(id);
      if (place >= 0) return this.starts[found] + offset + place;
    }
    return -1;
  }

  /** Place of the newest photo of a date or before it; '2024', '2024-05' or '2024-05-03'. */
  async placeAt(date) {
    const found = this.months.findIndex(([month]) => month === 'undated' || month <= date.slice(0, 7) || month.startsWith(date));
    if (found < 0) return Math.max(this.count - 1, 0);
    const [month, count] = this.months[found];
    if (date.length < 10 || month !== date.slice(0, 7)) return this.starts[found];
    const day = Number(date.slice(8));
    // The last part that begins after that day, by halving: the days of a month go down.
    let [low, high] = [0, Math.ceil(count / PART) - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((await this.part(month, middle * PART)).days[0] > day) low = middle;
      else high = middle - 1;
    }
    const { days } = await this.part(month, low * PART);
    const within = days.findIndex((one) => one <= day);
    return Math.min(this.starts[found] + low * PART + (within < 0 ? days.length : within), this.starts[found + 1] - 1);
  }
}

function decoded(buffer) {
  const [n] = new Uint32Array(buffer, 0, 1);
  return {
    n,
    ids: new Uint32Array(buffer, 4, n),
    versions: new Uint32Array(buffer, 4 + 4 * n, n),
    ratios: new Uint8Array(buffer, 4 + 8 * n, n),
    flags: new Uint8Array(buffer, 4 + 9 * n, n),
    days: new Uint8Array(buffer, 4 + 10 * n, n),
  };
}

function hitsOf({ n, ids, versions, ratios, flags, days }, month, from, to) {
  const hits = [];
  for (let i = from; i < Math.min(to, n); i += 1) {
    const date = days[i] ? `${month}-${String(days[i]).padStart(2, '0')}` : null;
    hits.push([ids[i], versions[i].toString(16).padStart(8, '0'), null, date, ratios[i], flags[i]]);
  }
  return hits;
}
