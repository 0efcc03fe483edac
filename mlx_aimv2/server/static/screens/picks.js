// What is picked for removal: a list for whoever removes it, which this program does not.
import { get, isAborted, post } from '../api.js';
import { counted, sizeText } from '../duplicates/decision.js';
import { createGrid } from '../grid/grid.js';
import { selectionBar } from '../grid/selection_bar.js';
import { element } from '../html.js';
import { commandLine, nothing } from '../nothing.js';
import { toastError } from '../toast.js';

const PART = 500;
const isMac = /Mac/.test(navigator.platform);

/** Draws the screen into `host`; gives the function that takes it away. */
export function mount(host, params, app) {
  const stopped = new AbortController();
  const told = element('p', { className: 'faint', role: 'status' });
  const ways = element('details', { className: 'picks-ways' });
  const place = element('div', { className: 'grid-place' });
  const back = element('a', { className: 'button push', href: '#/duplicates' }, 'Duplicates');
  host.append(element(
    'section',
    { className: 'screen full', ariaLabel: 'Picked for removal' },
    element('header', {}, element('h1', {}, 'Picked for removal'), told, back),
    ways,
    place,
  ));
  let shown = null;
  let command = null;

  async function load() {
    try {
      const first = await get('/api/picks', { query: { offset: 0, limit: PART }, signal: stopped.signal });
      draw(first);
    } catch (error) {
      if (!isAborted(error)) place.replaceChildren(nothing('The list cannot be shown', [error.message, error.hint]));
    }
  }

  function draw(first) {
    const { total, bytes, changed, in_photos: inPhotos } = first;
    const apple = inPhotos ? ` ${counted(inPhotos, 'file')} in Apple’s Photos: delete those there, they are not in the list of paths.` : '';
    const since = changed ? ` ${counted(changed, 'file')} changed since and no longer listed: pick again what is still to go.` : '';
    told.textContent = `${total ? `${counted(total, 'file')}, ${sizeText(bytes)}. Nothing is removed here.` : ''}${apple}${since}`;
    const focus = shown?.grid.focus ?? 0;
    leaveGrid();
    ways.hidden = !total;
    if (command !== first.command) drawWays(first.command);
    if (!total) {
      place.replaceChildren(nothing('Nothing is picked for removal', ['Pick copies on the Duplicates screen, or any photo with P. They are listed here; nothing is ever removed by this program.']));
      return;
    }
    const gridHost = element('div', { className: 'grid-host' });
    place.replaceChildren(gridHost);
    const grid = createGrid(gridHost, { source: sourceOf(first), label: 'Photos picked for removal', app, withFoot: true });
    const more = [
      { label: 'Take off the list', key: 'p', does: 'Take the selection off the list', run: (target) => app.edit('unpick', target) },
    ];
    if (isMac) more.push({ label: 'Show in Finder', key: 'f', does: 'Show in Finder', run: reveal });
    const leaveBar = selectionBar(gridHost, grid, app, more);
    shown = { grid, leave: () => { leaveBar(); grid.leave(); } };
    if (focus > 0) grid.focusOn(Math.min(focus, total - 1), { isQuiet: true });
  }

  function drawWays(list) {
    command = list;
    const isOpen = ways.open;
    ways.replaceChildren(
      element('summary', {}, 'The list on the command line'),
      element('p', {}, 'As paths, one on each line; with -0 a NUL after each, for xargs -0; or as a sheet to look at:'),
      commandLine(list, app),
      commandLine(`${list} -0 | xargs -0 ls -l`, app),
      commandLine(`${list} --html picked.html --open`, app),
      element('p', { className: 'faint' }, 'A file that was changed since it was picked is not in the list.'),
    );
    ways.open = isOpen;
  }

  const reveal = async (target) => {
    try {
      const [id] = target.ids ?? await shown.grid.selection.ids(1);
      await post('/api/reveal', { id });
    } catch (error) {
      toastError(error);
    }
  };

  function leaveGrid() {
    shown?.leave();
    shown = null;
  }

  /** The picks by path, asked for in parts; `first` is the first of them. */
  function sourceOf({ total, hits }) {
    const parts = new Map([[0, Promise.resolve(hits)]]);
    const part = (number) => {
      if (!parts.has(number)) {
        const asked = get('/api/picks', { query: { offset: number * PART, limit: PART }, signal: stopped.signal }).then((answer) => answer.hits);
        asked.catch(() => parts.delete(number));
        parts.set(number, asked);
      }
      return parts.get(number);
    };
    return {
      count: total,
      sections: [{ title: null, count: total }],
      async load(start, end) {
        const numbers = [];
        for (let number = Math.floor(start / PART); number * PART < end; number += 1) numbers.push(number);
        const found = (await Promise.all(numbers.map(part))).flat();
        return found.slice(start - numbers[0] * PART, end - numbers[0] * PART);
      },
    };
  }

  const off = app.onEdit(load);
  load();
  return () => {
    off();
    stopped.abort();
    leaveGrid();
  };
}
