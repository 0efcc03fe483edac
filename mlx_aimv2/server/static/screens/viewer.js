// The viewer: one photo, large, over the grid that it was opened from; arrows go to its neighbours.
import { get, isAborted, octets, post } from '../api.js';
import { Facts, shownDate, spokenPhoto } from '../viewer/facts.js';
import { element, html, render } from '../html.js';
import { isTyping } from '../keys.js';
import { likeHash } from '../search/request.js';
import { choose, setting } from '../settings.js';
import { Stage } from '../viewer/stage.js';
import { openTagDialog } from '../tags/tag_dialog.js';
import { toastError } from '../toast.js';
import { ViewerBar } from '../viewer/bar.js';
import { Where } from '../viewer/where.js';
import { openWhy } from '../search/why.js';

const UNSEEN = { words: '', state: '', opacity: 0.7, error: null };

/** Draws the viewer into `host`; the photo's id is the rest of the address. */
export function mount(host, params, app) {
  const viewer = new Viewer(host, app);
  viewer.open(Number(params.rest[0]));
  return { leave: () => viewer.leave(), update: ({ rest }) => viewer.open(Number(rest[0])) };
}

class Viewer {
  #app;
  #grid; // what the viewer lies over; its neighbours are the photo's
  #place = null; // of the photo in that grid; null for one that was opened by its address
  #next = null; // the place that is gone to
  #id = 0;
  #photo = null;
  #why = null; // the reason why there is no view
  #isAgain = false; // was the view asked for a second time?
  #where = UNSEEN;
  #asked = new AbortController();
  #stage = new Stage((state) => this.#staged(state));
  #bar = element('header', { className: 'bar' });
  #note = element('div', { className: 'viewer-note', role: 'status' });
  #side = element('aside', { ariaLabel: 'Facts' });
  #root;
  #ends;

  constructor(host, app) {
    this.#app = app;
    this.#grid = app.shown;
    const step = (by, label, sign) => element('button', {
      type: 'button', className: `step ${label.toLowerCase()}`, ariaLabel: `${label} photo`, onclick: () => this.#step(by),
    }, sign);
    this.#root = element('div', { className: 'viewer', role: 'dialog', ariaModal: 'true', ariaLabel: 'Photo', tabIndex: -1 },
      this.#bar,
      element('div', { className: 'stage' }, this.#stage.host, step(-1, 'Previous', '‹'), step(1, 'Next', '›'), this.#note),
      this.#side);
    this.#side.hidden = setting('facts') === false;
    host.append(this.#root);
    this.#root.focus();
    this.#ends = [
      app.keys('Photo', this.#keys(), { isOver: true }),
      app.onEdit(() => this.#readFacts()),
      app.onStatus(() => this.#photo?.online === false && this.#readFacts()),
    ];
  }

  leave() {
    this.#asked.abort();
    this.#id = 0; // what is still on its way shows nothing
    this.#next = null;
    this.#stage.leave();
    for (const end of this.#ends) end();
    for (const host of [this.#bar, this.#side]) render(null, host);
    if (this.#place !== null) this.#grid.focusOn(this.#place);
  }

  /** Shows a photo by its id. */
  async open(id) {
    if (id === this.#id) return;
    this.#id = id;
    const place = this.#grid?.focus ?? null;
    const hit = place === null ? null : await this.#grid.hit(place).catch(() => null);
    if (id !== this.#id) return;
    const isHere = hit?.[0] === id;
    this.#place = this.#next = isHere ? place : null;
    this.#show(isHere ? hit : [id, '']);
  }

  #show(hit) {
    [this.#id] = hit;
    this.#why = null;
    this.#isAgain = false;
    this.#where = UNSEEN;
    this.#stage.show(hit);
    this.#draw();
    this.#readFacts();
  }

  async #step(by) {
    if (this.#place === null) return;
    const place = Math.min(this.#grid.source.count - 1, Math.max(0, this.#next + by));
    if (place === this.#next) return;
    this.#next = place;
    try {
      const [hit] = await this.#grid.source.load(place, place + 1);
      if (place !== this.#next) return;
      this.#place = place;
      this.#app.replace(`#/photo/${hit[0]}`);
      this.#show(hit);
    } catch (error) {
      this.#next = this.#place;
      toastError(error);
    }
  }

  async #readFacts() {
    this.#asked.abort();
    const { signal } = (this.#asked = new AbortController());
    try {
      const [photo] = (await get('/api/photos', { query: { ids: this.#id }, signal })).photos;
      const isNew = this.#photo?.id !== this.#id;
      const isBack = !isNew && !this.#photo.online && photo?.online;
      this.#photo = photo ?? null;
      if (isBack) this.#stage.show([photo.id, photo.v]);
      if (photo) this.#stage.describe(spokenPhoto(photo));
      if (isNew && photo) this.#app.announce([spokenPhoto(photo), this.#position()].filter(Boolean).join('. '));
      this.#draw();
    } catch (error) {
      if (!isAborted(error)) toastError(error);
    }
  }

  #position() {
    if (this.#place === null) return '';
    return `${(this.#place + 1).toLocaleString('en')} of ${this.#grid.source.count.toLocaleString('en')}`;
  }

  async #staged(state) {
    const id = this.#id;
    if (state === 'shown' && this.#place !== null) {
      const start = Math.max(0, this.#place - 1);
      const near = await this.#grid.source.load(start, Math.min(this.#grid.source.count, this.#place + 2)).catch(() => []);
      if (id === this.#id) this.#stage.prefetch(near.filter((hit) => hit[0] !== id));
    } else if (state === 'failed') {
      // An image tells no reason; the same address asked as data does.
      const why = await octets(`/view/${id}`).then(() => null, (error) => error);
      if (id !== this.#id) return;
      this.#why = why;
      this.#draw();
      if (!why && !this.#isAgain) this.#stage.again(); // the program was busy, and is no more
      this.#isAgain = true;
    }
  }

  // ---- Where a word is.

  async #look(words) {
    if (!words) {
      this.#setWhere({ ...UNSEEN });
      return;
    }
    this.#setWhere({ words, state: 'asked', error: null });
    const id = this.#id;
    try {
      const picture = await octets(`/where/${id}`, { query: { words, v: this.#photo?.v } });
      if (id !== this.#id || words !== this.#where.words) return;
      this.#overlay = URL.createObjectURL(new Blob([picture]));
      this.#setWhere({ state: 'shown' });
      this.#app.announce(`Where ${words} is lies over the photo.`);
    } catch (error) {
      if (id === this.#id) this.#setWhere({ state: '', error });
    }
  }
  #overlay = null;

  #setWhere(more) {
    this.#where = { ...this.#where, ...more };
    const { state, opacity } = this.#where;
    if (state === 'shown' || state === 'hidden') this.#stage.cover(this.#overlay, state === 'shown' ? opacity : 0);
    else this.#stage.cover(null);
    this.#draw();
  }

  // ---- What may be done.

  #target = () => ({ ids: [this.#id] });

  #act = {
    back: () => this.#app.back(),
    like: () => this.#app.go(likeHash([this.#id])),
    why: () => openWhy(this.#id, this.#results),
    pick: () => this.#isKnown && this.#app.edit(this.#photo.picked ? 'unpick' : 'pick', this.#target()),
    tag: (verb, tag) => this.#app.edit(verb, this.#target(), { tag }),
    addTag: () => openTagDialog(this.#app, this.#target()),
    caption: (text, id) => this.#app.edit('caption', { ids: [id] }, { text }),
    reveal: () => post('/api/reveal', { id: this.#id }).catch(toastError),
    facts: () => {
      this.#side.hidden = !this.#side.hidden;
      choose('facts', !this.#side.hidden);
      this.#draw();
    },
    where: (words) => this.#look(words),
    showWhere: (is) => this.#setWhere({ state: is ? 'shown' : 'hidden' }),
    fade: (opacity) => this.#setWhere({ opacity, state: 'shown' }),
  };

  /** Are the facts those of the photo that is shown? Else those of the last one wait, inert. */
  get #isKnown() {
    return this.#photo?.id === this.#id;
  }

  /** The search that found the photo; null elsewhere. */
  get #results() {
    return this.#grid?.source.results ?? null;
  }

  #keys() {
    // A button under the focus has Space for itself, a slider the arrows.
    const alone = (event) => !event.target.closest('button, a, input');
    const steps = (by) => (event) => alone(event) || event.target.type !== 'range' ? void this.#step(by) : false;
    return [
      { keys: ['ArrowLeft'], does: 'Photo before', run: steps(-1) },
      { keys: ['ArrowRight'], does: 'Photo after', run: steps(1) },
      { keys: ['Home'], does: 'First photo', run: steps(-Infinity) },
      { keys: ['End'], does: 'Last photo', run: steps(Infinity) },
      { keys: ['Escape'], does: 'Back', run: () => this.#escape() },
      { keys: [' ', 'p'], does: 'Pick for removal, or not', run: (event) => (event.key !== ' ' || alone(event)) && void this.#act.pick() },
      { keys: ['t'], does: 'Tags', run: () => void this.#act.addTag() },
      { keys: ['c'], does: 'Edit the caption', run: () => this.#root.querySelector('#edit-caption')?.click() },
      { keys: ['s'], does: 'More like this photo', run: () => this.#act.like() },
      { keys: ['w'], does: 'Why this photo', run: () => this.#results !== null && void this.#act.why() },
      { keys: ['o'], does: 'Open the original', run: () => this.#root.querySelector('#original')?.click() },
      { keys: ['i'], does: 'Facts', run: () => this.#act.facts() },
      { keys: ['h'], does: 'Overlay of where a word is', run: () => this.#flip() },
    ];
  }

  #escape() {
    if (isTyping(document.activeElement)) this.#root.focus();
    else this.#app.back();
  }

  #flip() {
    const { state } = this.#where;
    if (state !== 'shown' && state !== 'hidden') return false;
    this.#act.showWhere(state === 'hidden');
    return true;
  }

  // ---- What is shown.

  #draw() {
    const photo = this.#isKnown ? this.#photo : null;
    this.#root.ariaLabel = photo ? spokenPhoto(photo) : 'Photo';
    this.#root.classList.toggle('bare', this.#side.hidden);
    this.#root.classList.toggle('alone', this.#place === null);
    this.#root.classList.toggle('unreadable', Boolean(photo?.error));
    // Facts of the photo before stay where they are until the new ones come: nothing flickers.
    this.#side.inert = !photo;
    render(html`<${ViewerBar} id=${this.#id} photo=${photo} title=${shownDate(photo?.date)} position=${this.#position()}
      hasFacts=${!this.#side.hidden} hasReasons=${this.#results !== null} act=${this.#act} />`, this.#bar);
    render(this.#photo && html`<${Facts} photo=${this.#photo} act=${this.#act} />
      ${!this.#photo.error && html`<${Where} where=${this.#where} act=${this.#act} />`}`, this.#side);
    render(this.#said(photo), this.#note);
  }

  #said(photo) {
    if (photo?.error) return html`<p><strong>This photo cannot be read.</strong></p>`;
    if (photo && !photo.online) return html`<p><strong>${photo.root} is not connected.</strong> This is what is kept of the photo.</p>`;
    return this.#why && html`<p><strong>${this.#why.message}</strong> <span class="faint">${this.#why.hint}</span></p>`;
  }
}
