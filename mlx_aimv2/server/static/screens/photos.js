// The library by month, the newest first, with a scrubber to any date.
import { isAborted } from '../api.js';
import { openDialog } from '../dialog.js';
import { typedDate } from '../grid/dates.js';
import { createGrid } from '../grid/grid.js';
import { createScrubber } from '../grid/scrubber.js';
import { selectionBar } from '../grid/selection_bar.js';
import { loadTimeline } from '../grid/timeline.js';
import { element } from '../html.js';
import { commandLine, nothing } from '../nothing.js';
import { viewButtons } from '../view_buttons.js';

// Where the timeline was left, to come back to.
let leftAt = null;

// How often a library that changes is asked for its months, at most.
const NEWS_MS = 5000;

/** Draws the screen into `host`; gives the function that takes it away. */
export function mount(host, params, app) {
  const count = element('span', { className: 'faint' });
  const index = element('a', { className: 'faint', href: '#/status', hidden: true });
  const place = element('div', { className: 'grid-place' });
  const head = element('header', {}, element('h1', {}, 'Photos'), count, index);
  const screen = element('section', { className: 'screen full', ariaLabel: 'Photos' }, head, place);
  host.append(screen);

  const stopped = new AbortController();
  let shown = null;    // {timeline, grid, scrubber, leave}
  let newer = null;    // a timeline with other photos, not shown yet
  let asked = 0;
  let version = null;
  let drives = null;
  let timer = 0;

  const dateButton = element('button', { type: 'button', className: 'button plain', title: 'Go to a date (G)', onclick: askDate }, 'Go to date…');
  const view = viewButtons(app, () => shown?.grid);
  const tools = element('div', { className: 'bar push' }, dateButton, ...view.buttons);
  head.append(tools);
  const news = element('button', { type: 'button', className: 'button main new-photos', hidden: true, onclick: showNews });

  async function load() {
    asked = Date.now();
    try {
      const timeline = await loadTimeline(stopped.signal);
      const found = leftAt ? await timeline.placeOf(leftAt.id, leftAt.month, leftAt.within) : -1;
      if (stopped.signal.aborted) return;
      draw(timeline);
      if (found > 0) {
        shown.grid.focusOn(found, { isQuiet: true });
        shown.grid.jump(found);
      }
    } catch (error) {
      if (!isAborted(error) && !shown) place.replaceChildren(nothing('The photos cannot be shown', [error.message, error.hint]));
    }
  }

  function draw(timeline) {
    shown?.leave();
    shown = null;
    place.replaceChildren();
    version = timeline.version;
    count.textContent = timeline.count ? `${timeline.count.toLocaleString('en')}` : '';
    tools.hidden = !timeline.count;
    if (!timeline.count) {
      drawEmpty();
      return;
    }
    const gridHost = element('div', { className: 'grid-host' });
    place.append(gridHost, news);
    const grid = createGrid(gridHost, { source: timeline, label: 'Photos, the newest first', app });
    const scrubber = createScrubber(place, grid);
    const leaveBar = selectionBar(gridHost, grid, app);
    shown = { timeline, grid, scrubber, leave: () => { leaveBar(); scrubber.leave(); grid.leave(); } };
  }

  function drawEmpty() {
    const { index: run, problem } = app.status ?? {};
    if (run?.running) {
      place.replaceChildren(nothing('The first photos are on their way', [`${run.done.toLocaleString('en')} read so far. They appear here by themselves.`]));
      return;
    }
    // The hint of a library that is not there names it as the terminal needs it.
    const hint = problem?.hint?.startsWith('aimv2 index ') ? problem.hint : 'aimv2 index FOLDER';
    place.replaceChildren(nothing(
      'No photos yet',
      ['A library begins with an index of a folder of yours. Type this in a terminal; nothing leaves this machine:'],
      commandLine(hint.replace('FOLDER', '~/Pictures'), app),
    ));
  }

  /** Hears of changes of the library: flags are drawn anew, other photos wait for the button. */
  async function heard(status) {
    drawIndex(status);
    if (!shown && place.querySelector('.nothing')) drawEmpty();
    // A drive that came or went changes marks, not the library.
    const online = status.roots.map((root) => root.online).join();
    if (drives !== null && drives !== online) shown?.grid.refresh();
    drives = online;
    if (status.version === version) return;
    clearTimeout(timer);
    const wait = asked + NEWS_MS - Date.now();
    if (wait > 0) {
      timer = setTimeout(() => heard(app.status), wait);
      return;
    }
    asked = Date.now();
    try {
      const timeline = await loadTimeline(stopped.signal);
      version = timeline.version;
      if (!shown) {
        if (timeline.count) draw(timeline);
      } else if (timeline.isLike(shown.timeline)) {
        newer = null;
        shown.grid.refresh();
      } else {
        newer = timeline;
      }
      drawNews();
    } catch {
      // The banner says what is wrong; the next status asks again.
    }
  }

  function drawIndex({ index: run }) {
    index.hidden = !run?.running;
    if (run?.running) index.textContent = `Indexing: ${run.done.toLocaleString('en')} done, ${(run.left ?? 0).toLocaleString('en')} left`;
  }

  function drawNews() {
    news.hidden = !newer;
    if (!newer) return;
    const more = newer.count - shown.timeline.count;
    news.textContent = more > 0 ? `Show ${more.toLocaleString('en')} new` : 'Show changes';
  }

  /** Takes the newer timeline; the photo at the top stays where it is. */
  async function showNews() {
    const { grid } = shown;
    const next = newer;
    newer = null;
    drawNews();
    if (!next.count) {
      draw(next);
      return;
    }
    const top = grid.scroller.place > 0 ? placeNow() : null;
    const kept = top ? await next.placeOf(top.id, top.month, top.within) : 0;
    await grid.selection.carry(next);
    grid.show(next, Math.max(kept, 0));
    shown.timeline = next;
    count.textContent = next.count.toLocaleString('en');
    app.announce(`${next.count.toLocaleString('en')} photos`);
  }

  /** The first photo that is seen: its id and month, where they are known. */
  function placeNow() {
    if (!shown?.grid.layout) return null;
    const { grid, timeline } = shown;
    const { first } = grid.layout.rowAt(grid.scroller.place);
    const hit = grid.cellAt(first)?.hit;
    const month = timeline.monthAt(first);
    return hit ? { id: hit[0], month: timeline.months[month][0], within: first - timeline.starts[month] } : null;
  }

  function askDate() {
    if (!shown) return;
    openDialog('Go to a date', (body, close) => {
      const input = element('input', { type: 'text', id: 'date', autofocus: true, autocomplete: 'off', placeholder: '2024, May 2024, 2024-05-03', spellcheck: false });
      const wrong = element('p', { className: 'faint', role: 'status' });
      const form = element('form', {}, element('label', { htmlFor: 'date' }, 'A year, a month or a day'), input, wrong, element('div', { className: 'bar end' }, element('button', { className: 'button main' }, 'Go')));
      form.addEventListener('submit', (event) => {
        event.preventDefault();
        const date = typedDate(input.value);
        if (date) close(date);
        else wrong.textContent = 'Not a date. Type a year, as 2024, a month, as May 2024, or a day, as 2024-05-03.';
      });
      body.append(form);
    }, { onClose: (date) => { if (date) goTo(date); } });
  }

  async function goTo(date) {
    const { grid, timeline } = shown;
    const found = await timeline.placeAt(date);
    grid.focusOn(found);
    grid.jump(found);
  }

  const ends = [
    app.onStatus(heard),
    app.onEdit(() => shown?.grid.refresh()),
    app.keys('Photos', [
      { keys: ['g'], does: 'Go to a date', run: askDate },
      { keys: ['['], does: 'Newer month', run: () => byMonth(-1) },
      { keys: [']'], does: 'Older month', run: () => byMonth(1) },
      ...view.keys,
    ]),
  ];
  function byMonth(by) {
    if (!shown) return;
    shown.scrubber.toMonth(shown.scrubber.monthNow() + by);
  }

  load();
  if (app.status) drawIndex(app.status);
  return () => {
    stopped.abort();
    clearTimeout(timer);
    for (const end of ends) end();
    leftAt = placeNow();
    shown?.leave();
    screen.remove();
  };
}
