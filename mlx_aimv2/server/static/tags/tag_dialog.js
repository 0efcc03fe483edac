// The dialog behind `t`: which tags a selection has, all or some of it, and giving it others.
import { get, post } from '../api.js';
import { html, useEffect, useRef, useState } from '../html.js';
import { TagField } from './tag_field.js';
import { completions, counted, isSameTag, shownTag } from './tag_names.js';
import { openView } from './view_dialog.js';

const AT_FIRST = 12;

/**
 * Opens the dialog for what an edit takes, {ids}, {search} or {tag_kind}, or for the promise of it. It
 * reaches a photo and "all 80,000 results" alike, as nothing here is done photo by photo. Resolves once
 * it is closed.
 */
export const openTagDialog = (app, target) =>
  openView('Tags', (close) => html`<${TagDialog} app=${app} target=${target} close=${close} />`);

function TagDialog({ app, target, close }) {
  const [known, setKnown] = useState([]);
  const [count, setCount] = useState(null);
  const [rows, setRows] = useState([]);
  const [shown, setShown] = useState(AT_FIRST);
  const [said, setSaid] = useState({ text: '', name: null });
  const [isBusy, setBusy] = useState(false);
  const [failed, setFailed] = useState(null);
  const list = useRef(null);

  const load = async (first = null) => {
    try {
      const { count: photos, tags } = await post('/api/tags/of', await target);
      setCount(photos);
      setRows((before) => merged(before, tags, first));
      return tags;
    } catch (error) {
      setFailed(error);
      return null;
    }
  };
  // The button that showed them all is gone, and the focus would be with it.
  useEffect(() => {
    if (shown > AT_FIRST) list.current.querySelectorAll('[role="checkbox"]')[AT_FIRST]?.focus();
  }, [shown]);
  useEffect(() => {
    load();
    get('/api/tags').then((answer) => setKnown(completions(answer)), setFailed);
  }, []);

  const run = async (ask, tag, verb) => {
    setBusy(true);
    const answer = await ask();
    if (answer) {
      const left = (await load(tag))?.find((each) => each.tag === tag)?.have;
      const kept = verb === 'remove' && left && !answer.waiting ? ` ${counted(left, 'photo')} keep it as a keyword of another program: Not this hides it.` : '';
      const later = answer.waiting ? ' It counts once the index that is running has ended.' : '';
      setSaid({ text: `${answer.said}.${kept}${later}`, name: answer.name, isUndo: verb === 'undo' });
    }
    setBusy(false);
  };
  const change = (verb, tag) => run(async () => app.edit(verb, await target, { tag }), tag, verb);
  const toggle = (row) => change(row.have === count ? 'remove' : 'add', row.tag);
  const turn = () => (said.isUndo ? run(() => app.redo(), null, 'redo') : run(() => app.undo(said.name), null, 'undo'));
  const step = (event) => {
    const boxes = [...list.current.querySelectorAll('[role="checkbox"]')];
    const place = boxes.indexOf(event.target) + ({ ArrowDown: 1, ArrowUp: -1 }[event.key] ?? NaN);
    if (!boxes[place]) return;
    event.preventDefault();
    boxes[place].focus();
  };

  if (failed) return html`<p role="alert">${failed.message} <span class="faint">${failed.hint}</span></p>`;
  const photos = count === null ? 'the selection' : counted(count, 'photo');
  return html`
    <${TagField} id="tag-dialog-field" label="Add a tag to ${photos}" known=${known}
      hint="Enter adds it at once. Places › Norway is a tag inside another." onChoose=${(tag) => change('add', tag)} />
    <ul class="tag-states" ref=${list} onKeyDown=${step} aria-label="Tags of ${photos}" aria-busy=${isBusy ? 'true' : 'false'}>
      ${rows.slice(0, shown).map((row) => html`<${State} key=${row.tag} row=${row} count=${count} isBusy=${isBusy}
        onToggle=${() => toggle(row)} onNever=${() => change('reject', row.tag)} />`)}
      ${count !== null && !rows.length && html`<li class="faint empty">No tags yet.</li>`}
    </ul>
    ${rows.length > shown && html`<button type="button" class="button plain" onClick=${() => setShown(rows.length)}>
      Show all ${rows.length} tags</button>`}
    <div class="bar">
      <p class="faint tag-said">${isBusy ? 'Writing…' : said.text}</p>
      ${said.name !== null && html`<button type="button" class="button" aria-disabled=${isBusy ? 'true' : 'false'}
        onClick=${() => isBusy || turn()}>${said.isUndo ? 'Redo' : 'Undo'}</button>`}
      <button type="button" class="button main push" onClick=${() => close()}>Done</button>
    </div>`;
}

function State({ row, count, isBusy, onToggle, onNever }) {
  const isAll = row.have === count;
  const name = shownTag(row.tag);
  const has = isAll ? (count === 1 ? '' : 'all') : row.have ? `${row.have.toLocaleString('en')} of ${count.toLocaleString('en')}` : 'none';
  // Busy buttons stay enabled to the eye and the focus: a disabled one would lose it.
  return html`<li>
    <button type="button" role="checkbox" class="state" aria-checked=${isAll ? 'true' : row.have ? 'mixed' : 'false'}
      aria-disabled=${isBusy ? 'true' : 'false'} onClick=${() => isBusy || onToggle()}>
      <span class="box" aria-hidden="true"></span><bdi>${name}</bdi> <span class="faint">${has}</span>
    </button>
    <button type="button" class="button plain" aria-label="Say no to ${name}, for good"
      title="Say no for good: the program never gives it to these photos again, and a keyword of the files is hidden"
      aria-disabled=${isBusy ? 'true' : 'false'} onClick=${() => isBusy || onNever()}>Not this</button>
  </li>`;
}

/** Rows in their old order, with the counts of now: none moves under the pointer. */
function merged(before, tags, first) {
  const left = new Map(tags.map((each) => [each.tag, each.have]));
  const rows = before.map(({ tag }) => {
    const have = left.get(tag) ?? 0;
    left.delete(tag);
    return { tag, have };
  });
  const added = [...left].map(([tag, have]) => ({ tag, have }));
  const isFirst = (row) => first !== null && isSameTag(row.tag, first);
  return [...added.filter(isFirst), ...rows, ...added.filter((row) => !isFirst(row))];
}
