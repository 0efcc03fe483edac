// Photos that show the same picture, group by group: which one stays, which are picked for removal.
import { get, isAborted } from '../api.js';
import { counted, marked, parted, sizeText, suggested } from '../duplicates/decision.js';
import { Group } from '../duplicates/group.js';
import { orderOf } from '../duplicates/order.js';
import { html, render, useLayoutEffect, useReducer, useRef, useState } from '../html.js';
import { choose, setting } from '../settings.js';

const PAGE = 24;
const AGAIN_MS = 1500;
const KINDS = [['exact', 'Exact'], ['near', 'Near']];

/** Draws the screen into `host`; gives what leaves it and what another address of it does. */
export function mount(host, params, app) {
  const draw = ({ rest }) => {
    const kind = rest[0] === 'near' ? 'near' : 'exact';
    render(html`<${Duplicates} key=${kind} kind=${kind} app=${app} />`, host);
  };
  draw(params);
  return { leave: () => render(null, host), update: draw };
}

/** The state of a page: its answer, and of each of its groups what is decided. */
function turned(page, { type, ...more }) {
  if (type === 'answer') {
    // What was marked already stays marked, where the same page comes anew.
    const known = (group) => (page?.states.get(group.id)?.done === null ? page.states.get(group.id) : null);
    const groups = more.answer.groups.map((group) => [group.id, known(group) ?? { decision: suggested(group), done: null }]);
    return { ...more, states: new Map(groups) };
  }
  if (type === 'totals') return { ...page, answer: { ...page.answer, ...more.totals } };
  const states = new Map(page.states);
  states.set(more.id, { ...states.get(more.id), ...more.state });
  return { ...page, states };
}

function Duplicates({ kind, app }) {
  const [page, tell] = useReducer(turned, null);
  const [failed, setFailed] = useState(null);
  const [carries, setCarries] = useState(setting('carries') ?? false);
  const [at, setAt] = useState(null);    // {group, photo}: where the keys act
  const list = useRef(null);
  const now = useRef(null);

  const loader = useRef(null);
  loader.current ??= createLoader(kind, (answer, first) => {
    setFailed(null);
    tell({ type: 'answer', answer, first });
    setAt((before) => {
      const group = answer.groups.find(({ id }) => id === before?.group) ?? answer.groups[0];
      if (!group) return null;
      const isSame = group.photos.some(({ id }) => id === before?.photo);
      return { group: group.id, photo: isSame ? before.photo : group.photos[0]?.id };
    });
  }, (totals) => tell({ type: 'totals', totals }), setFailed);
  const { load } = loader.current;

  const groups = page?.answer.groups ?? [];
  const groupOf = (id) => groups.find((group) => group.id === id);
  const isOpen = (group) => page.states.get(group.id).done === null;
  const set = (group, state) => tell({ type: 'group', id: group.id, state });

  const go = (group, photo) => {
    setAt({ group: group.id, photo });
    // Drawn first: what is to have the focus may not be there yet.
    requestAnimationFrame(() => {
      const cell = list.current?.querySelector(`[data-group="${group.id}"] [data-photo="${photo}"]`);
      cell?.focus({ preventScroll: true });
      cell?.closest('.dup-group').scrollIntoView({ block: 'nearest' });
    });
  };
  const step = (from, by) => {
    for (let place = groups.indexOf(from) + by; place >= 0 && place < groups.length; place += by) {
      if (isOpen(groups[place])) return go(groups[place], groups[place].photos[0].id);
    }
    if (by > 0 && page.answer.next !== null) return void turnPage();
    app.announce(by > 0 ? 'No further groups' : 'The first group of this page');
    return undefined;
  };
  const turnPage = async () => {
    await load(page.answer.next, page.first + groups.length);
    list.current?.closest('.screen').scrollTo(0, 0);
    requestAnimationFrame(() => list.current?.querySelector('[data-photo][tabindex="0"]')?.focus({ preventScroll: true }));
  };
  /** Closes a group with words of what became of it, and goes on to the next. */
  const settle = (group, done) => {
    set(group, { done });
    loader.current.count();
    step(group, 1);
  };
  const mine = useRef(false);    // an edit of this screen, which it draws itself
  const edit = async (...given) => {
    mine.current = true;
    try {
      return await app.edit(...given);
    } finally {
      mine.current = false;
    }
  };

  const act = {
    focused: (group, photo) => setAt({ group: group.id, photo }),
    mark: (group, photo, isGoing) => {
      set(group, { decision: marked(page.states.get(group.id).decision, photo, isGoing) });
      app.announce(isGoing ? 'Remove' : 'Keep');
    },
    markRest: (group, restGoes) => set(group, { decision: { ...page.states.get(group.id).decision, restGoes } }),
    look: (group, photo) => {
      app.shown = orderOf(group, photo, (id) => go(group, id));
      app.go(`#/photo/${photo}`);
    },
    skip: (group) => step(group, 1),
    confirm: async (group, { isMeant = false } = {}) => {
      const { go: ids, stay } = parted(group, page.states.get(group.id).decision);
      if (!stay.length && !isMeant) {
        app.toast('None of this group would be left.', { action: { label: `Pick all ${ids.length}`, run: () => act.confirm(group, { isMeant: true }) } });
        return;
      }
      const back = group.photos.filter(({ id, picked }) => picked && stay.includes(id)).map(({ id }) => id);
      if (back.length && !await edit('unpick', { ids: back })) return;
      if (!ids.length) {
        await act.apart(group, 'All kept, for good');
        return;
      }
      const carried = carries && stay.length ? { carry_to: stay[0] } : {};
      const done = await edit('pick', { ids }, { ...carried, whole_groups: isMeant });
      if (done) settle(group, `${counted(stay.length, 'file')} kept, ${ids.length.toLocaleString('en')} picked for removal`);
    },
    // Who keeps all is not to be asked again either.
    apart: async (group, done = 'Not duplicates') => {
      const { goes } = page.states.get(group.id).decision;
      const ids = group.ids.filter((id) => !group.photos.some((photo) => photo.id === id && photo.picked && goes.has(id)));
      if (await edit('not_duplicates', {}, { groups: [ids] })) settle(group, done);
    },
    carry: async (group) => {
      const { go: from, stay } = parted(group, page.states.get(group.id).decision);
      if (stay.length && from.length) await app.edit('carry', {}, { keep: stay[0], from });
    },
  };
  now.current = { page, groups, at, act, step, go, groupOf, isOpen, mine, first: page?.first ?? 0 };

  useLayoutEffect(() => {
    load(null, 0);
    const ends = [
      // An edit from elsewhere, or one that was taken back: the page as it is now.
      app.onEdit(() => { if (!now.current.mine.current) loader.current.again(); }),
      app.keys('Duplicates', keysOf(now, app)),
      () => loader.current.stop(),
    ];
    return () => { for (const end of ends) end(); };
  }, []);

  const answer = page?.answer;
  const isEmpty = answer && !groups.length && !answer.computing;
  return html`<section class="screen duplicates" aria-busy=${answer ? 'false' : 'true'}>
    <header>
      <h1>Duplicates</h1>
      <nav class="tabs" aria-label="Kind of duplicates">${KINDS.map(([name, label]) => html`
        <a key=${name} href=${`#/duplicates/${name}`} aria-current=${name === kind ? 'page' : null}>${label}</a>`)}</nav>
      <p class="faint" role="status">${answer && summary(answer)}</p>
      <div class="bar push">
        <label><input type="checkbox" checked=${carries} onChange=${(event) => { setCarries(event.target.checked); choose('carries', event.target.checked); }} />
          Carry tags, stars and dates over</label>
        <a class="button" href="#/picks">Picked for removal</a>
      </div>
    </header>
    ${failed && html`<p role="alert">${failed.message} <span class="faint">${failed.hint}</span>
      <button type="button" class="button" onClick=${() => load(null, 0)}>Load again</button></p>`}
    ${answer?.computing && html`<p class="faint" role="status">Near copies are being looked for. They appear here by themselves.</p>`}
    ${isEmpty && html`<${None} kind=${kind} isLater=${page.first > 0} onFirst=${() => load(null, 0)} />`}
    <div class="dup-groups" ref=${list}>${groups.map((group, place) => html`<${Group} key=${group.id} group=${group} number=${page.first + place + 1}
      state=${page.states.get(group.id)} stop=${at?.group === group.id ? at.photo : null} act=${act} />`)}</div>
    ${groups.length > 0 && html`<div class="bar dup-foot">
      ${page.first > 0 && html`<button type="button" class="button" onClick=${() => load(null, 0)}>First groups</button>`}
      ${answer.next !== null && html`<button type="button" class="button" onClick=${turnPage}>Next groups</button>`}
    </div>`}
  </section>`;
}

function summary({ total, copies, bytes }) {
  if (!total) return '';
  return `${counted(total, 'group')} to decide, ${copies === 1 ? '1 copy' : `${copies.toLocaleString('en')} copies`} (${sizeText(bytes)})`;
}

function None({ kind, isLater, onFirst }) {
  return html`<div class="nothing">
    <svg viewBox="0 0 24 24" aria-hidden="true"><rect x="3" y="3" width="12" height="12" rx="1"/><path d="M19 9v11a1 1 0 0 1-1 1H9"/></svg>
    <h2>${isLater ? 'No further groups' : kind === 'exact' ? 'No exact copies to decide on' : 'No near copies to decide on'}</h2>
    <p>${kind === 'exact' ? 'Files that are the same byte for byte appear here.' : 'The same picture resized, recompressed or lightly cropped appears here.'}</p>
    ${isLater && html`<button type="button" class="button" onClick=${onFirst}>First groups</button>`}
  </div>`;
}

/** Asks for pages of groups, again while they are being looked for; only the last answer counts. */
function createLoader(kind, onAnswer, onTotals, onFailed) {
  let asked = new AbortController();
  let timer = 0;
  let last = [null, 0];
  async function load(after, first) {
    clearTimeout(timer);
    asked.abort();
    asked = new AbortController();
    last = [after, first];
    try {
      const answer = await get('/api/duplicates', { query: { kind, after, limit: PAGE }, signal: asked.signal });
      onAnswer(answer, first);
      if (answer.computing) timer = setTimeout(() => load(after, first), AGAIN_MS);
    } catch (error) {
      if (!isAborted(error)) onFailed(error);
    }
  }
  return {
    load,
    again: () => load(...last),
    /** What all groups come to by now. */
    count: async () => {
      try {
        const { total, copies, bytes } = await get('/api/duplicates', { query: { kind, limit: 1 }, signal: asked.signal });
        onTotals({ total, copies, bytes });
      } catch (error) {
        if (!isAborted(error)) onFailed(error);
      }
    },
    stop: () => { clearTimeout(timer); asked.abort(); },
  };
}

function keysOf(now, app) {
  /** With the photo of the focus and its group, unless the group is decided. */
  const on = (run) => (event) => {
    const { groupOf, at, isOpen } = now.current;
    const group = at && groupOf(at.group);
    if (!group || !isOpen(group) || event.target.closest?.('header > .tabs')) return false;
    return void run(now.current, group, at.photo);
  };
  const beside = (by) => on(({ groups, isOpen, go }, group, photo) => {
    const cells = groups.filter(isOpen).flatMap((each) => each.photos.map(({ id }) => [each, id]));
    const next = cells[cells.findIndex(([each, id]) => each === group && id === photo) + by];
    if (next) go(...next);
  });
  const mark = (isGoing) => on(({ act, go }, group, photo) => { act.mark(group, photo, isGoing); go(group, photo); });
  const turn = on(({ act, go, page }, group, photo) => {
    act.mark(group, photo, !page.states.get(group.id).decision.goes.has(photo));
    go(group, photo);
  });
  return [
    { keys: ['ArrowRight'], does: 'Next photo', run: beside(1) },
    { keys: ['ArrowLeft'], does: 'Photo before', run: beside(-1) },
    { keys: ['ArrowUp'], does: 'Keep the photo', run: mark(false) },
    { keys: ['ArrowDown'], does: 'Remove the photo', run: mark(true) },
    { keys: ['p', ' '], does: 'Keep or remove it', run: (event) => (event.target.closest?.('button, a, label, input') ? false : turn(event)) },
    { keys: ['Shift+ArrowUp'], does: 'Confirm the group and go on', run: on(({ act }, group) => act.confirm(group)) },
    { keys: ['Shift+ArrowRight'], does: 'Skip the group', run: on(({ act }, group) => act.skip(group)) },
    { keys: ['Shift+ArrowLeft'], does: 'Back to the group before', run: on(({ step }, group) => step(group, -1)) },
    { keys: ['n'], does: 'Not duplicates, for good', run: on(({ act }, group) => act.apart(group)) },
    { keys: ['c'], does: 'Carry tags, stars and date over', run: on(({ act }, group) => act.carry(group)) },
    { keys: ['Enter'], does: 'Look at the photo large; arrows compare', run: (event) => (event.target.dataset?.photo ? on(({ act }, group, photo) => act.look(group, photo))(event) : false) },
    { keys: ['l'], does: 'The list of what is picked for removal', run: () => app.go('#/picks') },
  ];
}
