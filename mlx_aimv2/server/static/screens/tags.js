// All tags of the library, with where they come from: to find, rename, merge, and teach new ones.
import { get, isAborted } from '../api.js';
import { html, render, useLayoutEffect, useRef, useState } from '../html.js';
import { onLibraryChange } from '../tags/library_changes.js';
import { openChangeDialog } from '../tags/tag_changes.js';
import { counted, ranked, reviewOf, shownTag } from '../tags/tag_names.js';
import { openTeachDialog } from '../tags/teach.js';

const AT_FIRST = 300;
// Origins by the first word of their name: a vocabulary's own name may follow.
const COLUMNS = [
  ['You', ['you']],
  ['Files', ['file', 'sidecar']],
  ['Taught', ['taught']],
  ['Tagger', ['vocabulary']],
];
const BY = {
  photos: (a, b) => b.photos - a.photos || (a.tag < b.tag ? -1 : 1),
  name: (a, b) => a.tag.localeCompare(b.tag),
};

/** Draws the screen into `host`; gives the function that takes it away. */
export function mount(host, params, app) {
  render(html`<${Tags} app=${app} />`, host);
  return () => render(null, host);
}

function Tags({ app }) {
  const [answer, setAnswer] = useState(null);
  const [failed, setFailed] = useState(null);
  const [typed, setTyped] = useState('');
  const [sort, setSort] = useState('photos');
  const [chosen, setChosen] = useState(new Set());
  const [active, setActive] = useState(0);
  const [most, setMost] = useState(AT_FIRST);
  const field = useRef(null);
  const body = useRef(null);

  useLayoutEffect(() => loading(app, setAnswer, setFailed), []);

  const all = answer?.tags ?? [];
  const found = typed.trim() ? ranked(all, typed) : [...all].sort(BY[sort]);
  const rows = found.slice(0, most);
  const place = Math.min(active, rows.length - 1);
  const toggle = ({ tag }) => {
    const next = new Set(chosen);
    if (!next.delete(tag)) next.add(tag);
    setChosen(next);
  };
  const change = async (tags) => {
    const now = await openChangeDialog(app, tags);
    if (now) setChosen(new Set());
  };
  const merged = all.filter((each) => chosen.has(each.tag));
  const move = (to) => {
    const next = Math.max(0, Math.min(rows.length - 1, to));
    setActive(next);
    body.current?.querySelectorAll('a.name')[next]?.focus();
  };
  const here = () => (body.current?.contains(document.activeElement) ? rows[place] : null);
  const onRow = (run) => () => { const row = here(); return row ? void run(row) : false; };
  const actions = useRef(null);
  actions.current = { move, toggle, change, merged, place, onRow, app };
  useLayoutEffect(() => app.keys('Tags', keysOf(actions, field)), []);

  if (failed) return html`<section class="screen"><header><h1>Tags</h1></header><div class="nothing" role="alert">
    <h2>${failed.message}</h2><p>${failed.hint}</p></div></section>`;
  return html`<section class="screen tags" aria-busy=${answer ? 'false' : 'true'}>
    <header>
      <h1>Tags</h1>
      <input type="search" class="field" ref=${field} placeholder="Find a tag" aria-label="Find a tag" autocomplete="off"
        value=${typed} onInput=${(event) => { setTyped(event.target.value); setActive(0); }}
        onKeyDown=${(event) => { if (event.key === 'ArrowDown') { event.preventDefault(); move(0); } }} />
      <div class="tabs" role="group" aria-label="Order">
        <button type="button" aria-pressed=${sort === 'photos' ? 'true' : 'false'} onClick=${() => setSort('photos')}>By photos</button>
        <button type="button" aria-pressed=${sort === 'name' ? 'true' : 'false'} onClick=${() => setSort('name')}>By name</button>
      </div>
      <div class="bar push">
        ${merged.length > 0 && html`<button type="button" class="button" onClick=${() => change(merged)}>
          ${merged.length === 1 ? 'Rename…' : `Merge ${merged.length}…`}</button>`}
        <button type="button" class="button main" onClick=${() => openTeachDialog(app)}>New tag…</button>
      </div>
    </header>
    ${answer && !all.length && html`<${NoTags} app=${app} />`}
    ${all.length > 0 && html`<table>
      <caption class="unseen">Tags with their photos by where they come from</caption>
      <thead><tr><th><span class="unseen">Chosen</span></th><th scope="col">Tag</th><th scope="col">Photos</th>
        ${COLUMNS.map(([name]) => html`<th key=${name} scope="col" class="origin">${name}</th>`)}<th scope="col" class="origin">Said no</th>
        <th><span class="unseen">Rename</span></th></tr></thead>
      <tbody ref=${body}>${rows.map((row, number) => html`<${Row} key=${row.tag} row=${row} isActive=${number === place}
        isChosen=${chosen.has(row.tag)} onFocus=${() => setActive(number)} onToggle=${() => toggle(row)} onRename=${() => change([row])} />`)}
      </tbody></table>`}
    ${typed.trim() && answer && all.length > 0 && !found.length && html`<p class="faint" role="status">No tag holds “<bdi>${typed}</bdi>”.</p>`}
    ${found.length > most && html`<button type="button" class="button more" onClick=${() => setMost(found.length)}>Show all ${counted(found.length, 'tag')}</button>`}
  </section>`;
}

function keysOf(actions, field) {
  const on = (run) => () => actions.current.onRow((row) => run(actions.current, row))();
  return [
    { keys: ['f'], does: 'Find a tag', run: () => { field.current.select(); } },
    { keys: ['ArrowDown'], does: 'Next tag', run: on((now) => now.move(now.place + 1)) },
    { keys: ['ArrowUp'], does: 'Tag before', run: on((now) => now.move(now.place - 1)) },
    { keys: ['Home'], run: on((now) => now.move(0)) },
    { keys: ['End'], run: on((now) => now.move(Infinity)) },
    { keys: ['Enter'], does: 'Review the tag' },
    { keys: ['x'], does: 'Choose the tag', run: on((now, row) => now.toggle(row)) },
    { keys: ['r'], does: 'Rename the tag', run: on((now, row) => now.change([row])) },
    { keys: ['m'], does: 'Merge the chosen tags', run: () => { const { merged, change } = actions.current; return merged.length ? void change(merged) : false; } },
    { keys: ['n'], does: 'New tag', run: () => { openTeachDialog(actions.current.app); } },
  ];
}

/** Loads the tags now, and whenever they have changed; gives what ends that. */
function loading(app, onAnswer, onFailed) {
  let asked = null;
  const load = async () => {
    asked?.abort();
    asked = new AbortController();
    try {
      onAnswer(await get('/api/tags', { signal: asked.signal }));
    } catch (error) {
      if (!isAborted(error)) onFailed(error);
    }
  };
  const end = onLibraryChange(app, load);
  load();
  return () => {
    asked.abort();
    end();
  };
}

function Row({ row, isActive, isChosen, onFocus, onToggle, onRename }) {
  const name = shownTag(row.tag);
  const stop = isActive ? 0 : -1;
  const sum = (names) => Object.entries(row.origins).reduce((all, [origin, count]) => all + (names.includes(origin.split(' ')[0]) ? count : 0), 0);
  const number = (count) => (count ? count.toLocaleString('en') : html`<span class="zero" aria-label="0">·</span>`);
  return html`<tr class=${isChosen ? 'chosen' : ''} onFocusIn=${onFocus}>
    <td><input type="checkbox" tabindex=${stop} checked=${isChosen} aria-label="Choose ${name}" onChange=${onToggle} /></td>
    <th scope="row"><a class="name" href=${reviewOf(row.tag, 'sure')} tabindex=${stop}><bdi>${name}</bdi></a>
      ${row.taught && html` <a class="taught-mark" href=${reviewOf(row.tag, 'ask')} tabindex=${stop} aria-label="Questions about ${name}, which is taught">taught</a>`}</th>
    <td>${number(row.photos)}</td>
    ${COLUMNS.map(([column, names]) => html`<td key=${column} class="origin">${number(sum(names))}</td>`)}
    <td class="origin">${row.rejected ? html`<a href=${reviewOf(row.tag, 'no')} tabindex=${stop} aria-label="${row.rejected} said no">${number(row.rejected)}</a>` : number(0)}</td>
    <td><button type="button" class="button plain" tabindex=${stop} aria-label="Rename ${name}" onClick=${onRename}>Rename…</button></td>
  </tr>`;
}

function NoTags({ app }) {
  return html`<div class="nothing">
    <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M3 4h8l10 10-7 7L3 11z"/><circle cx="7.5" cy="8" r="1.2"/></svg>
    <h2>No tags yet</h2>
    <p>Choose photos anywhere and press T to tag them, or let the program give its tags:</p>
    <div class="command"><code>aimv2 tag</code></div>
    <button type="button" class="button" onClick=${() => openTeachDialog(app)}>Teach a tag by words</button>
  </div>`;
}
