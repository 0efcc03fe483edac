// The large picture: its thumbnail at once, the view over it when it is here, an overlay over both.
import { element } from '../html.js';

const address = (what, [id, v]) => `/${what}/${id}?v=${v}`;

/** `onState(state)` hears 'loading', 'shown' and 'failed' of the view. */
export class Stage {
  #thumb = element('img', { alt: '', className: 'thumb' });
  #view = element('img', { alt: '', className: 'view' });
  #overlay = element('img', { alt: '', className: 'overlay', hidden: true });
  #ahead = []; // views of neighbours, fetched before they are asked for
  #onState;

  constructor(onState) {
    this.#onState = onState;
    this.host = element('div', { className: 'pictures' }, this.#thumb, this.#view, this.#overlay);
    this.#view.addEventListener('load', () => {
      this.#view.classList.remove('coming');
      onState('shown');
    });
    this.#view.addEventListener('error', () => {
      if (this.#view.hasAttribute('src')) onState('failed');
    });
  }

  /** Shows a photo, [id, v]; what was asked for before is given up. */
  show(hit) {
    this.leave();
    this.describe('');
    this.#view.classList.add('coming');
    this.#thumb.src = address('thumb', hit);
    this.#view.src = address('view', hit);
    this.#onState('loading');
  }

  /** Asks for the view once more. */
  again() {
    this.#view.src = this.#view.src;
  }

  /** What the picture is to those who do not see it. */
  describe(text) {
    this.#view.alt = text;
  }

  /** Fetches the views of photos that may come next, two at most. */
  prefetch(hits) {
    this.#ahead = hits.slice(0, 2).map((hit) => element('img', { src: address('view', hit) }));
  }

  /** Lays a picture over the view, by its address; null takes it away. */
  cover(src, opacity = 1) {
    const before = this.#overlay.getAttribute('src');
    if (before && before !== src) URL.revokeObjectURL(before);
    if (src) this.#overlay.src = src;
    else this.#overlay.removeAttribute('src');
    this.#overlay.hidden = !src || opacity === 0;
    this.#overlay.style.opacity = opacity;
  }

  /** Gives up whatever is still under way. */
  leave() {
    this.cover(null);
    for (const image of [this.#view, this.#thumb, ...this.#ahead]) image.removeAttribute('src');
    this.#ahead = [];
  }
}
