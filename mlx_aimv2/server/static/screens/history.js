// Every edit of the library, by batch, with its undo; also those of other days and of the command line.
import { get, isAborted } from '../api.js';
import { html, render, useLayoutEffect, useRef, useState } from '../html.js';
import { onLibraryChange } from '../tags/library_changes.js';
import { counted } from '../tags/tag_names.js';

const PAGE = 100;
const MOST = 500; // at once, as the library answers
// What an edit is called by its kind; others are called as they are.
const KINDS = {
  add: 'Tag added', remove: 'Tag removed', confirm: 'Yes', reject: 'No', rename: 'Renamed', merge: 'Merged',
  teach: 'Taught', tag: 'Tagger', index: 'Index', describe: 'Described', caption: 'Caption', undo: 'Undone',
  pick: 'Picked', unpick: 'Unpicked', not_duplicates: 'Not duplicates', carry: 'Carried over',
};

/** Draws the screen into `host`; gives the function that takes it away. */
export function mount(host, params, app) {
  render(html`<${History} app=${app} />`, host);
  return () => render(null, host);
}

function History({ app }) {
  const [edits, setEdits] = useState(null);
  const [next, setNext] = useState(null);
  const [failed, setFailed] = useState(null);
  const [waiting, setWaiting] = useState(app.status?.waiting ?? 0);
  const [active, setActive] = useState(0);
  const list = useRef(null);
  const shown = useRef(PAGE);

  useLayoutEffect(() => {
    let asked = null;
    // As many as are shown: none of them goes when the list is read anew.
    const load = async () => {
      asked?.abort();
      asked = new AbortController();
      try {
        const answer = await get('/api/edits', { query: { limit: Math.min(shown.current, MOST) }, signal: asked.signal });
        setEdits(answer.edits);
        setNext(answer.next);
      } catch (error) {
        if (!isAborted(error)) setFailed(error);
      }
    };
    const ends = [onLibraryChange(app, load), app.onStatus((status) => setWaiting(status.waiting))];
    load();
    return () => {
      asked.abort();
      for (const end of ends) end();
    };
  }, []);

  const move = useRef(null);
  move.current = (step) => {
    const rows = [...(list.current?.querySelectorAll('[data-row]') ?? [])];
    const row = document.activeElement?.closest?.('[data-row]');
    const place = row ? rows.indexOf(row) + step : 0;
    if (!rows[place]) return row ? undefined : false;
    setActive(place);
    rows[place].focus();
    return undefined;
  };
  const now = useRef(null);
  now.current = {
    edits: edits ?? [],
    focused: () => edits?.[document.activeElement?.dataset.row],
  };
  const turn = (edit) => (edit && !edit.undone ? void app.undo(edit.edit, { isUndoing: edit.kind === 'undo' }) : false);
  const newest = (isUndo) => now.current.edits.find((each) => each.can_undo && isUndo === (each.kind === 'undo'));
  useLayoutEffect(() => app.keys('History', [
    { keys: ['ArrowDown'], does: 'Edit before', run: () => move.current(1) },
    { keys: ['ArrowUp'], does: 'Edit after', run: () => move.current(-1) },
    { keys: ['Enter'], does: 'Undo the edit, or do it again', run: () => turn(now.current.focused()) },
    { keys: ['u', 'Mod+z'], does: 'Undo the newest edit', run: () => turn(newest(false)) },
    { keys: ['Mod+Shift+z'], does: 'Do the newest undone edit again', run: () => turn(newest(true)) },
  ]), []);

  const more = async () => {
    try {
      const answer = await get('/api/edits', { query: { limit: PAGE, before: next } });
      shown.current += PAGE;
      setEdits([...edits, ...answer.edits]);
      setNext(answer.next);
    } catch (error) {
      setFailed(error);
    }
  };

  return html`<section class="screen history" aria-busy=${edits || failed ? 'false' : 'true'}>
    <header><h1>History</h1>
      <p class="faint">Each line is one edit and can be undone, in any order.</p></header>
    ${waiting > 0 && html`<p class="note" role="status">${counted(waiting, 'edit')} wait${waiting === 1 ? 's' : ''} beside the library and count${waiting === 1 ? 's' : ''} once the index that runs has ended.</p>`}
    ${failed && html`<p role="alert">${failed.message} <span class="faint">${failed.hint}</span></p>`}
    ${edits && !edits.length && html`<div class="nothing">
      <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M4 5v5h5"/><path d="M4.5 10A8 8 0 1 1 4 13.5"/><path d="M12 8v5l3 2"/></svg>
      <h2>Nothing was changed yet</h2><p>Tags, answers, captions and picks appear here, each with its undo.</p></div>`}
    <div ref=${list}>${days(edits ?? []).map(([day, rows]) => html`<section key=${day} aria-label=${day}>
      <h2>${day}</h2>
      <ul class="rows">${rows.map(([edit, number]) => html`<${Edit} key=${edit.edit} edit=${edit} number=${number}
        isActive=${number === active} onFocus=${() => setActive(number)} onTurn=${() => turn(edit)} />`)}</ul>
    </section>`)}</div>
    ${next !== null && edits?.length > 0 && html`<button type="button" class="button more" onClick=${more}>Older edits</button>`}
  </section>`;
}

function Edit({ edit, number, isActive, onFocus, onTurn }) {
  const isUndo = edit.kind === 'undo';
  const label = isUndo ? 'Redo' : 'Undo';
  const stop = isActive ? 0 : -1;
  return html`<li data-row=${number} tabindex=${stop} class=${edit.undone ? 'undone' : ''} onFocusIn=${onFocus}>
    <time datetime=${edit.at}>${timeOf(edit.at)}</time>
    <span class="kind">${KINDS[edit.kind] ?? edit.kind}${edit.undone && (isUndo ? ', done again' : ', undone')}</span>
    <span class="said"><bdi>${edit.said}</bdi></span>
    ${!edit.undone && html`<button type="button" class="button" tabindex=${stop} aria-label="${label}: ${edit.said}" onClick=${onTurn}>${label}</button>`}
  </li>`;
}

/** Edits by the day they were made on here: [day, [[edit, its number in the list], …]]. */
function days(edits) {
  const found = new Map();
  edits.forEach((edit, number) => {
    const day = dayOf(new Date(edit.at));
    if (!found.has(day)) found.set(day, []);
    found.get(day).push([edit, number]);
  });
  return [...found];
}

function dayOf(date) {
  const midnight = (ago) => new Date(new Date().setHours(0, 0, 0, 0) - ago * 86400000 + 3600000 * (ago ? 12 : 0)).toDateString();
  if (date.toDateString() === midnight(0)) return 'Today';
  if (date.toDateString() === midnight(1)) return 'Yesterday';
  return date.toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric' });
}

const timeOf = (at) => new Date(at).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
