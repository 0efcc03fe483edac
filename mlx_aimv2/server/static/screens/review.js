// One tag's photos, answered with yes and no: what is sure, what is asked, what was said no to.
import { isAborted } from '../api.js';
import { createGrid } from '../grid/grid.js';
import { selectionBar } from '../grid/selection_bar.js';
import { element, html, render } from '../html.js';
import { onLibraryChange } from '../tags/library_changes.js';
import { NothingLeft, ReviewHead } from '../tags/review_head.js';
import { loadReview } from '../tags/review_source.js';
import { reviewOf, shownTag } from '../tags/tag_names.js';
import { toastError } from '../toast.js';

const KINDS = ['sure', 'ask', 'no'];
const FEW = 8; // answers: with fewer a share in per cent would claim more than is known

/** Draws the screen into `host`; gives the function that takes it away. */
export function mount(host, { rest: [tag = '', kind] }, app) {
  const review = new Review(host, tag, KINDS.includes(kind) ? kind : 'sure', app);
  review.load();
  return () => review.leave();
}

class Review {
  constructor(host, tag, kind, app) {
    Object.assign(this, { tag, kind, app, answer: null, source: null, grid: null });
    this.isTaking = false; // between a key and the next photo
    this.pending = 0;      // answers that are on their way
    this.waiting = new Set(); // photos whose answers wait for an index to end
    this.edits = [];       // of this screen, the newest last: {name, ids, hit that its undo brings back}
    this.head = element('header');
    this.place = element('div', { className: 'grid-host' });
    host.append(element('section', { className: 'screen full review' }, this.head, this.place));
    this.ends = [
      onLibraryChange(app, () => this.load()),
      app.onStatus(({ waiting }) => { if (!waiting) this.waiting.clear(); }),
      app.keys('Review', [
        { keys: ['y'], does: 'Yes, for good; goes on to the next', run: () => { this.say('yes'); } },
        { keys: ['n'], does: 'No, for good; goes on to the next', run: () => { this.say('no'); } },
        { keys: ['u', 'Mod+z'], does: 'Undo', run: () => { this.undo(); } },
        { keys: ['1', '2', '3'], does: 'Sure, ask me, said no', run: ({ key }) => { app.go(reviewOf(tag, KINDS[key - 1])); } },
      ]),
    ];
    this.draw();
  }

  leave() {
    this.asked?.abort();
    for (const end of this.ends) end();
    this.leaveGrid();
    render(null, this.head);
    render(null, this.place);
  }

  leaveGrid() {
    this.endBar?.();
    this.grid?.leave();
    this.grid = null;
  }

  draw() {
    render(html`<${ReviewHead} app=${this.app} tag=${this.tag} kind=${this.kind} answer=${this.answer}
      left=${this.source?.count ?? 0} onSay=${(word) => this.say(word)} />`, this.head);
  }

  /**
   * Reads the photos as they are now. The photo that is looked at stays where it is, or the next Y would
   * be said of another one; `hit` gets the focus instead, and is kept among questions in any case.
   */
  async load(hit = null) {
    if (this.pending) return;
    this.asked?.abort();
    this.asked = new AbortController();
    const { signal } = this.asked;
    try {
      const seen = hit ?? (await this.seen());
      const { answer, source: all } = await loadReview(this.tag, this.kind, signal);
      if (this.pending || signal.aborted) return;
      this.answer = answer;
      const source = all.without([...this.waiting].map((id) => all.find(id)).filter((place) => place >= 0));
      const isKept = this.kind === 'ask' && seen && (hit || source.find(seen[0]) >= 0);
      const shown = isKept ? source.withFirst(seen) : source;
      const found = seen ? shown.find(seen[0]) : -1;
      this.show(shown, found < 0 ? (this.grid?.focus ?? 0) : found);
    } catch (error) {
      if (isAborted(error)) return;
      if (this.source) toastError(error);
      else render(html`<div class="nothing"><h2>${error.message}</h2><p>${error.hint}</p></div>`, this.place);
    }
  }

  /** The photo that has the focus; null where none is. */
  seen() {
    return this.grid && this.source.count ? this.grid.hit(this.grid.focus) : null;
  }

  show(source, index) {
    this.source = source;
    this.draw();
    const isEmpty = source.count === 0;
    const hadFocus = this.place.contains(document.activeElement);
    if (isEmpty === Boolean(this.grid)) {
      this.leaveGrid();
      render(null, this.place);
      this.place.replaceChildren();
    }
    const place = Math.max(0, Math.min(index, source.count - 1));
    if (isEmpty) {
      render(html`<${NothingLeft} app=${this.app} tag=${this.tag} kind=${this.kind} answer=${this.answer} />`, this.place);
      if (hadFocus) this.head.querySelector('[aria-current]').focus();
      return;
    }
    if (this.grid) this.grid.show(source, place, { isStill: true });
    else {
      this.grid = createGrid(this.place, {
        source,
        label: `Photos of ${shownTag(this.tag)}`,
        app: this.app,
        withFoot: true,
        score: (hit) => this.confidence(hit),
        onOpen: (at, hit) => this.app.go(`#/photo/${hit[0]}`),
      });
      this.endBar = selectionBar(this.place, this.grid, this.app);
      this.grid.focusOn(place);
    }
  }

  /** What stands under a photo: how sure it is, in words where too few answers are known. */
  confidence([, , share]) {
    if (share === null) return null;
    const { taught, verdicts } = this.answer;
    const word = share >= 0.8 ? 'sure' : share >= 0.5 ? 'likely' : 'maybe';
    return { text: verdicts < FEW ? word : `${Math.round(100 * share)} %`, share, line: taught?.line ?? null };
  }

  /** Says yes or no of the selection, else of the photo that has the focus, and goes on at once. */
  async say(word) {
    if (this.isTaking || !this.source?.count || (word === 'no' && this.kind === 'no')) return;
    const { grid, source } = this;
    this.isTaking = true;
    this.pending += 1;
    let next = null;
    try {
      const isAll = grid.selection.isEverything;
      const places = isAll ? [0] : grid.selection.size ? placesOf(grid.selection) : [grid.focus];
      const [first] = await source.load(places[0], places[0] + 1);
      const target = grid.selection.size ? await grid.selection.target() : { ids: [first[0]] };
      grid.selection.clear();
      this.show(isAll ? source.emptied() : source.without(places), places[0]);
      this.isTaking = false;
      next = await this.seen();
      const made = await this.app.edit(...this.editOf(word, target));
      if (made?.name) this.edits.push({ name: made.name, hit: first, ids: target.ids ?? [] });
      if (made?.waiting) target.ids?.forEach((id) => this.waiting.add(id));
    } catch (error) {
      toastError(error);
    } finally {
      this.isTaking = false;
      this.pending -= 1;
      await this.load(next);
    }
  }

  /** The edit of an answer: a taught tag learns from it at once. */
  editOf(word, target) {
    const { tag, kind, answer } = this;
    if (answer.taught && target.ids) {
      const [yes, no] = word === 'yes' ? [target.ids, []] : [[], target.ids];
      return ['teach', {}, { tag, yes, no }];
    }
    const verb = word === 'no' ? 'reject' : kind === 'no' ? 'add' : 'confirm';
    return [verb, target, { tag }];
  }

  /** Takes the last edit back, and goes back to its photo. */
  async undo() {
    const last = this.edits.pop();
    if (!last) return this.app.undo();
    for (const id of last.ids) this.waiting.delete(id);
    this.pending += 1;
    await this.app.undo(last.name);
    this.pending -= 1;
    return this.load(last.hit);
  }
}

/** All places of a selection. */
function placesOf({ shown }) {
  return shown.parts.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, step) => from + step));
}
