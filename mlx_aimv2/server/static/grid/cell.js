// One photo in the grid: its picture, its marks, what a screen reader says of it.
import { element } from '../html.js';
import { dayName } from './dates.js';

export const FLAGS = { offline: 1, picked: 2, tagged: 4, captioned: 8, unreadable: 16 };
// Mark of a flag: the symbol of index.html and its words; the first is the first that is seen.
const MARKS = [
  [FLAGS.unreadable, 'unreadable', 'Cannot be read'],
  [FLAGS.offline, 'offline', 'Its drive is not connected'],
  [FLAGS.picked, 'picked', 'Picked for removal'],
  [FLAGS.captioned, 'captioned', 'Has a caption'],
  [FLAGS.tagged, 'tagged', 'Has tags'],
];
// What is heard too; that a photo has tags is heard as the tags themselves.
const HEARD = FLAGS.unreadable | FLAGS.offline | FLAGS.picked;
const NO_CONTENT = '00000000';
const SVG = 'http://www.w3.org/2000/svg';

/** The score that a search gave, as a cell's foot shows it, or null. */
export const shownScore = (hit, line) =>
  hit[2] === null ? null : { text: percent(hit[2]), share: hit[2], line };

const percent = (share) => (share > 0 && share < 0.01 ? '< 1 %' : `${Math.round(share * 100)} %`);

export class Cell {
  constructor(column, withFoot) {
    this.picture = element('img', { className: 'picture', decoding: 'async', draggable: false });
    this.frame = element('div', { className: 'frame' }, this.picture, element('span', { className: 'check', ariaHidden: 'true' }));
    this.marks = element('span', { className: 'flags', ariaHidden: 'true' });
    this.frame.append(this.marks);
    this.el = element('div', { className: 'cell', role: 'gridcell', tabIndex: -1 }, this.frame);
    this.el.setAttribute('aria-colindex', column + 1);
    if (withFoot) this.addFoot();
    this.index = -1;
    this.isSelected = null;
    this.hit = null;
    this.failed = 0;
    this.blank();
  }

  addFoot() {
    this.date = element('span', { className: 'date' });
    this.fill = element('i');
    this.line = element('b');
    this.bar = element('span', { className: 'score-bar', ariaHidden: 'true' }, this.fill, this.line);
    this.score = element('span', { className: 'score' });
    this.el.append(element('div', { className: 'foot' }, this.date, this.bar, this.score));
  }

  /** Nothing is known of the photo yet; a request for its thumbnail is given up. */
  clear() {
    if (!this.hit) return;
    this.hit = null;
    this.drop();
    this.blank();
  }

  blank() {
    this.picture.alt = '';
    this.marks.replaceChildren();
    this.el.classList.remove('dim', 'broken');
    this.shape(0, 0);
    if (this.date) {
      this.date.textContent = '';
      this.score.textContent = '';
      this.bar.hidden = true;
    }
  }

  select(isSelected) {
    if (this.isSelected === isSelected) return;
    this.isSelected = isSelected;
    this.el.setAttribute('aria-selected', isSelected);
  }

  drop() {
    this.failed = 0;
    if (this.picture.hasAttribute('src')) {
      // Emptied before it goes: only so does the browser give the request up.
      this.picture.src = '';
      this.picture.removeAttribute('src');
    }
  }

  /** Shows a hit; `box` is the place of a picture: {width, height} in px. */
  show(hit, box, score) {
    const isOther = !this.hit || this.hit[0] !== hit[0] || this.hit[1] !== hit[1];
    if (isOther && this.hit) this.clear();
    if (isOther || this.hit[5] !== hit[5]) this.mark(hit[5]);
    this.hit = hit;
    this.fit(box);
    if (isOther) {
      this.picture.alt = altOf(hit);
      this.el.classList.toggle('broken', !this.hasPicture);
    }
    if (this.date) this.showFoot(hit, score);
  }

  /** The picture's own shape inside its place, before it is here: ratios come with the hits. */
  fit({ width, height }) {
    const ratio = (this.hit[4] || 64) / 64;
    if (ratio * height > width) this.shape(width, Math.max(1, Math.round(width / ratio)));
    else this.shape(Math.max(1, Math.round(height * ratio)), height);
  }

  /** Size of the picture; its blank and its marks go by it too. */
  shape(width, height) {
    this.frame.style.setProperty('--w', `${width}px`);
    this.frame.style.setProperty('--h', `${height}px`);
  }

  mark(flags) {
    this.el.classList.toggle('dim', (flags & FLAGS.offline) !== 0);
    this.marks.replaceChildren(...MARKS.filter(([flag]) => flags & flag).map(([, name, words]) => {
      const svg = document.createElementNS(SVG, 'svg');
      svg.append(document.createElementNS(SVG, 'use'));
      svg.firstChild.setAttribute('href', `#i-${name}`);
      return element('span', { className: `flag ${name}`, title: words }, svg);
    }));
  }

  showFoot(hit, score) {
    this.date.textContent = hit[3] === null ? 'No date' : dayName(hit[3]);
    this.score.textContent = score?.text ?? '';
    this.bar.hidden = !score || typeof score.share !== 'number';
    if (this.bar.hidden) return;
    this.fill.style.width = `${100 * Math.min(Math.max(score.share, 0), 1)}%`;
    this.line.hidden = typeof score.line !== 'number';
    if (!this.line.hidden) this.line.style.left = `${100 * score.line}%`;
  }

  /** Of a photo that could never be read there is none to ask for. */
  get hasPicture() {
    return this.hit !== null && this.hit[1] !== NO_CONTENT;
  }

  get address() {
    return `/thumb/${this.hit[0]}?v=${this.hit[1]}`;
  }
}

/** What is heard of a photo: its date and the tags that are certain, never a guess, never a name. */
export function altOf(hit, tags = []) {
  const said = ['Photo', hit[3] === null ? 'no date' : dayName(hit[3]), ...tags];
  for (const [flag, , words] of MARKS) if (hit[5] & flag & HEARD) said.push(words.toLowerCase());
  return said.join(', ');
}
