// Search: words, likeness and filters, and the photos that fit them, the best or the newest first.
import { get, isAborted } from '../api.js';
import { createGrid } from '../grid/grid.js';
import { selectionBar } from '../grid/selection_bar.js';
import { element, html, render } from '../html.js';
import { nothing } from '../nothing.js';
import { choosePicture, pictures, takePictures } from '../search/given_picture.js';
import { Panel } from '../search/panel.js';
import { EMPTY, hashOf, isEmpty, requestOf } from '../search/request.js';
import { ask } from '../search/results.js';
import { openWhy, shownScore } from '../search/why.js';
import { invitation, isTextless, noticeOf, nothingFits, spoken } from '../search/words.js';
import { completions, counted } from '../tags/tag_names.js';
import { toastError } from '../toast.js';
import { viewButtons } from '../view_buttons.js';

const PAUSE_MS = 150; // of typing, before words are searched

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
  #asking = { hash: '', controller: new AbortController(), answer: null };
  #failed = null; // why the last search failed
  #modelState = '';
  #ends = [];

  constructor(host, app) {
    this.#app = app;
    const screen = element('section', { className: 'screen full search' },
      element('h1', { className: 'unseen' }, 'Search'), this.#panel, this.#shown, this.#foot);
    host.append(screen);
    this.#ends.push(
      app.keys('Search', [
        { keys: ['/'], does: 'To the box', run: () => this.#toBox() },
        { keys: ['f'], does: 'Filters', run: () => void this.#toggleFilters() },
        { keys: ['w'], does: 'Why this photo', run: () => this.#grid !== null && void this.#why() },
        { keys: ['l'], does: 'Less likely ones', run: () => this.#fold(!this.#isUnfolded) },
        ...viewButtons(app, () => this.#grid).keys,
      ]),
      app.onStatus(() => this.#heard()),
      app.onEdit(() => this.#grid?.refresh()),
      takePictures(screen, (picture) => this.#byPicture(picture)),
    );
  }

  leave() {
    clearTimeout(this.#pause);
    this.#asking.controller.abort();
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

  #toBox() {
    this.#box.focus();
    this.#box.select();
  }

  get #box() {
    return this.#panel.querySelector('#query');
  }

  /** Another status: a search that failed is made again once its checkpoint is here. */
  #heard() {
    const { state } = this.#app.status.model;
    const isHere = state === 'ready' && this.#modelState !== 'ready';
    this.#modelState = state;
    const { isTextless: wasTextless } = this.#state;
    this.#draw();
    if (isHere && this.#failed) this.#ask();
    else if (wasTextless !== this.#state.isTextless && isEmpty(this.#state.request)) this.#fill();
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

  /** Asks for what is wanted now; Enter behind the pause of typing does not ask a second time. */
  #ask() {
    const hash = hashOf(this.#state.request);
    if (!this.#state.isAsking || hash !== this.#asking.hash) {
      this.#asking.controller.abort();
      this.#asking = { hash, controller: new AbortController() };
      this.#asking.answer = this.#answer(this.#state.request, this.#asking.controller.signal);
    }
    return this.#asking.answer;
  }

  async #answer(request, signal) {
    if (isEmpty(request)) {
      this.#show(null);
      return;
    }
    this.#state.isAsking = true;
    this.#draw();
    try {
      const results = await ask(request, { signal });
      if (!signal.aborted) this.#show(results);
    } catch (error) {
      if (isAborted(error)) return;
      // No chip takes a wrong date away: the field that holds it is shown.
      this.#state.isFiltering ||= Boolean(request.since || request.until);
      this.#show(null, error);
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
    Object.assign(this.#state, { results, isAsking: false });
    this.#failed = error;
    this.#isUnfolded = false;
    this.#draw();
    this.#fill();
    if (error) this.#app.announce(`${error.message} ${error.hint}`);
    else if (results) this.#app.announce(spoken(results));
  }

  #fill() {
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
    } else if (this.#failed) this.#shown.append(nothing(this.#failed.message, [this.#failed.hint]));
    else if (results) this.#shown.append(nothingFits(results, () => this.#fold(true)));
    else this.#shown.append(invitation(this.#app.status?.model, this.#act));
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
      everything: { get count() { return results.total; }, get target() { return results.target(); } },
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

  #draw() {
    const { model } = this.#app.status ?? {};
    Object.assign(this.#state, { notice: noticeOf(model), isTextless: isTextless(model) });
    render(html`<${Panel} state=${this.#state} act=${this.#act} />`, this.#panel);
  }

  #act = {
    submit: (event) => {
      event.preventDefault();
      this.#turn(this.#state.request, { isTyped: true });
      this.#isSettled = true;
    },
    type: (q) => this.#type(q),
    ask: (q) => this.#turn({ ...EMPTY, q }),
    press: (event) => {
      // Escape would empty the box, and the photos with it.
      if (!this.#grid || !['ArrowDown', 'Escape'].includes(event.key)) return;
      event.preventDefault();
      this.#grid.focusOn(event.key === 'Escape' ? this.#grid.focus : 0);
    },
    filter: (more) => this.#turn({ ...this.#state.request, ...more }),
    addTag: (name, tag) => this.#addTag(name, tag),
    without: (chip, place) => this.#without(chip, place),
    toggleFilters: () => this.#toggleFilters(),
    choosePicture: () => choosePicture((picture) => this.#byPicture(picture)),
  };

  #byPicture(picture) {
    this.#turn({ ...EMPTY, pictures: [picture] });
  }

  async #why() {
    openWhy((await this.#grid.hit(this.#grid.focus))[0], this.#state.results);
  }
}
