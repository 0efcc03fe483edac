// Search: words, likeness and filters, and the photos that fit them, the best or the newest first.
import { get, isAborted, post } from '../api.js';
import { element, html, render } from '../html.js';
import { createGrid } from '../grid/grid.js';
import { selectionBar } from '../grid/selection_bar.js';
import { ask } from '../search/results.js';
import { Panel } from '../search/panel.js';
import { EMPTY, hashOf, isEmpty, requestOf } from '../search/request.js';
import { completions, counted } from '../tags/tag_names.js';
import { nothing } from '../nothing.js';
import { toastError } from '../toast.js';
import { viewButtons } from '../view_buttons.js';
import { openWhy, shownScore } from '../search/why.js';

const PAUSE_MS = 150; // of typing, before words are searched
const AGAIN_MS = 1000; // while the checkpoint loads

// Pictures that were dropped: their names at the server, and what chips show of them.
const pictures = new Map();

/** Draws the screen into `host`; `params.query` is the request. */
export function mount(host, params, app) {
  const screen = new Search(host, app);
  screen.open(requestOf(params.query));
  return { leave: () => screen.leave(), update: ({ query }) => screen.open(requestOf(query)) };
}

class Search {
  #app;
  #panel = element('div', { className: 'panel' });
  #shown = element('div', { className: 'grid-host results' });
  #foot = element('div', { className: 'less' });
  #state = { request: EMPTY, results: null, isAsking: false, isFiltering: false, notice: '', known: [], pictures };
  #grid = null;
  #leaveBar = () => {};
  #isUnfolded = false;
  #isSettled = true; // the next letter begins a new entry of the history
  #pause = 0;
  #asked = new AbortController();
  #ends = [];

  constructor(host, app) {
    this.#app = app;
    const screen = element('section', { className: 'screen full search' },
      element('h1', { className: 'unseen' }, 'Search'), this.#panel, this.#shown, this.#foot);
    host.append(screen);
    this.#ends.push(
      app.keys('Search', [
        { keys: ['/'], does: 'To the box', run: () => this.#box.select() },
        { keys: ['f'], does: 'Filters', run: () => void this.#toggleFilters() },
        { keys: ['w'], does: 'Why this photo', run: () => this.#grid !== null && void this.#why() },
        { keys: ['l'], does: 'Less likely ones', run: () => this.#fold(!this.#isUnfolded) },
        ...viewButtons(app, () => this.#grid).keys,
      ]),
      app.onStatus(() => this.#draw()),
      app.onEdit(() => this.#grid?.refresh()),
      this.#takePictures(screen),
    );
  }

  leave() {
    clearTimeout(this.#pause);
    this.#asked.abort();
    this.#empty();
    for (const end of this.#ends) end();
    render(null, this.#panel);
  }

  /** Shows what an address asks for, unless it is shown already. */
  open(request) {
    this.#isSettled = true;
    if (hashOf(request) === hashOf(this.#state.request) && this.#state.results) return;
    this.#state.request = request;
    this.#draw();
    this.#ask();
    if (isEmpty(request)) this.#box.focus();
  }

  get #box() {
    return this.#panel.querySelector('#query');
  }

  // ---- What is asked.

  #type(q) {
    this.#state.request = { ...this.#state.request, q, min: null };
    this.#draw();
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => this.#turn(this.#state.request, { isTyped: true }), PAUSE_MS);
  }

  /** Goes to another request, which Back leads away from; letters of one word are one entry. */
  #turn(request, { isTyped = false } = {}) {
    clearTimeout(this.#pause);
    const hash = hashOf(request);
    if (hash !== location.hash) {
      if (isTyped && !this.#isSettled) this.#app.replace(hash);
      else this.#app.push(hash);
    }
    this.#isSettled = !isTyped;
    this.#state.request = request;
    this.#draw();
    return this.#ask();
  }

  async #ask() {
    this.#asked.abort();
    const { signal } = (this.#asked = new AbortController());
    const { request } = this.#state;
    if (isEmpty(request)) {
      this.#show(null);
      return;
    }
    this.#state.isAsking = true;
    this.#draw();
    try {
      this.#show(await ask(request, { signal }));
    } catch (error) {
      if (isAborted(error)) return;
      // No chip takes a wrong date away: the field that holds it is shown.
      this.#state.isFiltering ||= Boolean(request.since || request.until);
      this.#show(null, error);
      if (error.error === 'busy') this.#pause = setTimeout(() => this.#ask(), AGAIN_MS);
    }
  }

  async #toggleFilters() {
    const state = this.#state;
    state.isFiltering = !state.isFiltering;
    this.#draw();
    if (!state.isFiltering) return;
    this.#panel.querySelector('#since').focus();
    try {
      state.known = completions(await get('/api/tags'));
      this.#draw();
    } catch (error) {
      toastError(error);
    }
  }

  #addTag(name, tag) {
    const { request } = this.#state;
    if (!request[name].includes(tag)) this.#turn({ ...request, [name]: [...request[name], tag] });
  }

  async #without(chip, place) {
    await this.#turn({ ...EMPTY, ...chip.without });
    // The button that had the focus is gone: the next one has it, or the box.
    const buttons = this.#panel.querySelectorAll('.understood button');
    (buttons[Math.min(place, buttons.length - 1)] ?? this.#box).focus();
  }

  // ---- What is shown.

  #show(results, error = null) {
    this.#state.results = results;
    this.#state.isAsking = false;
    this.#isUnfolded = false;
    this.#draw();
    this.#fill(error);
    if (error) this.#app.announce(`${error.message} ${error.hint}`);
    else if (results) this.#app.announce(spoken(results));
  }

  #fill(error = null) {
    const { results } = this.#state;
    this.#empty();
    const count = results ? results.total + (this.#isUnfolded ? results.below : 0) : 0;
    if (count) {
      this.#grid = createGrid(this.#shown, {
        source: this.#source(count),
        label: 'Photos that were found',
        app: this.#app,
        withFoot: true,
        score: ([, , score]) => (score === null ? null : { text: shownScore(score), share: score, line: results.line }),
      });
      this.#leaveBar = selectionBar(this.#shown, this.#grid, this.#app);
    } else if (error) this.#shown.append(nothing(error.message, [error.hint]));
    else if (results) this.#shown.append(this.#nothingFits());
    else this.#shown.append(this.#invitation());
    this.#drawFoot();
  }

  #empty() {
    this.#leaveBar();
    this.#leaveBar = () => {};
    this.#grid?.leave();
    this.#grid = null;
    this.#shown.replaceChildren();
  }

  #source(count) {
    const { results } = this.#state;
    const sections = [{ title: null, count: results.total }];
    if (count > results.total) sections.push({ title: 'Less likely', note: `below the line, ${results.line}`, count: results.below });
    return {
      count,
      sections: sections.filter((each) => each.count),
      load: (start, end, signal) => results.load(start, end, signal),
      forget: () => results.forget(),
      line: results.line,
      results,
      get everything() { return { target: { search: results.id }, count: results.total }; },
    };
  }

  #fold(isUnfolded) {
    if (!this.#state.results?.below || this.#isUnfolded === isUnfolded) return;
    this.#isUnfolded = isUnfolded;
    const { total } = this.#state.results;
    const hadFocus = this.#shown.contains(document.activeElement);
    this.#fill();
    if (isUnfolded && hadFocus) this.#grid.focusOn(total);
    else if (isUnfolded) this.#grid.jump(total);
  }

  #drawFoot() {
    const { results } = this.#state;
    const text = results?.below && (results.total || this.#isUnfolded) ? `Less likely: ${counted(results.below, 'photo')} below the line` : '';
    render(text && html`
      <button type="button" class="button plain" aria-expanded=${this.#isUnfolded ? 'true' : 'false'} aria-keyshortcuts="l"
        onClick=${() => this.#fold(!this.#isUnfolded)}>
        <svg viewBox="0 0 24 24" aria-hidden="true"><path d=${this.#isUnfolded ? 'm5 9 7 7 7-7' : 'm9 5 7 7-7 7'} /></svg>${text}</button>`, this.#foot);
  }

  #nothingFits() {
    const { results } = this.#state;
    if (typeof results.best !== 'number') return nothing('No photo passes the filters', ['Take a chip away, or look under another date.']);
    const show = element('button', { type: 'button', className: 'button', onclick: () => this.#fold(true) }, `Show from ${results.best.toFixed(3)} on`);
    return nothing('Nothing fits', [
      `The best photo has ${results.best.toFixed(3)}. Below the line, ${results.line}, a photo fits these words no better than any words.`,
    ], show);
  }

  #invitation() {
    const examples = element('div', { className: 'bar' });
    for (const q of ['boat', 'red boat + beach', 'horse - night', 'birthday cake --since 2023']) {
      examples.append(element('button', { type: 'button', className: 'button', onclick: () => this.#turn({ ...EMPTY, q }) }, q));
    }
    const lines = [
      'Words between + and − belong together. A picture may be dropped here or pasted.',
      'Options of the command line hold too: --tag Sea, --since 2023, --in Norway.',
    ];
    if (this.#textless()) return nothing('Find photos like another', ['Drop or paste a picture here, or press S on a photo.']);
    return nothing('Say what is in the photo', lines, examples);
  }

  #textless() {
    const model = this.#app.status?.model;
    return model?.state === 'ready' && !model.texts;
  }

  #draw() {
    this.#state.notice = this.#textless()
      ? 'Pictures only: this checkpoint has no text tower. Likeness, tags, dates and the words of captions work.' : '';
    render(html`<${Panel} state=${this.#state} act=${this.#act} />`, this.#panel);
  }

  #act = {
    submit: (event) => {
      event.preventDefault();
      this.#turn(this.#state.request, { isTyped: true });
      this.#isSettled = true;
    },
    type: (q) => this.#type(q),
    press: (event) => {
      if (event.key !== 'ArrowDown' || !this.#grid) return;
      event.preventDefault();
      this.#grid.focusOn(0);
    },
    filter: (more) => this.#turn({ ...this.#state.request, ...more }),
    addTag: (name, tag) => this.#addTag(name, tag),
    without: (chip, place) => this.#without(chip, place),
    toggleFilters: () => this.#toggleFilters(),
    choosePicture: () => {
      const input = element('input', { type: 'file', accept: 'image/*,.heic,.heif,.dng,.cr2,.cr3,.nef,.arw' });
      input.addEventListener('change', () => this.#takePicture(input.files[0]));
      input.click();
    },
  };

  // ---- Photos and pictures as what to look for.

  async #why() {
    openWhy((await this.#grid.hit(this.#grid.focus))[0], this.#state.results);
  }

  #takePictures(screen) {
    const first = ({ files }) => [...(files ?? [])].find((file) => file.type.startsWith('image/') || /\.(heic|heif|dng|\w{3})$/i.test(file.name));
    const paste = (event) => {
      const file = first(event.clipboardData);
      if (!file || !screen.isConnected || screen.closest('[inert]')) return;
      event.preventDefault();
      this.#takePicture(file);
    };
    const over = (is) => screen.classList.toggle('dropping', is);
    screen.addEventListener('dragover', (event) => over(event.dataTransfer.types.includes('Files')));
    screen.addEventListener('dragleave', (event) => over(screen.contains(event.relatedTarget) && screen.classList.contains('dropping')));
    screen.addEventListener('drop', (event) => {
      over(false);
      const file = first(event.dataTransfer);
      if (file) this.#takePicture(file);
    });
    document.addEventListener('paste', paste);
    return () => document.removeEventListener('paste', paste);
  }

  async #takePicture(file) {
    try {
      const { picture } = await post('/api/picture', file);
      pictures.set(picture, URL.createObjectURL(file));
      await this.#turn({ ...EMPTY, pictures: [picture] });
    } catch (error) {
      toastError(error);
    }
  }
}

function spoken({ total, best }) {
  const found = total ? counted(total, 'photo') : 'nothing fits';
  return typeof best === 'number' ? `${found}, best ${shownScore(best)}` : found;
}
