// The dialog that begins a tag of one's own from a selection: "these ten are Luna".
import { get } from '../api.js';
import { html, useEffect, useState } from '../html.js';
import { TagField } from './tag_field.js';
import { completions, counted, isSameTag, reviewOf, shownTag } from './tag_names.js';
import { openView } from './view_dialog.js';

export const NO_FACES =
  'This is no face recognition: two dogs that look alike will be confused, and so will people.';

const BY_RESULTS = {
  message: 'A tag is taught by photos that you choose, not by all results.', hint: 'Choose some of them.',
};

/**
 * Opens the dialog for chosen photos, {ids} or the promise of that, which are examples of the tag; goes
 * on to its questions. Without photos its words alone begin. `tag` is given where the tag is known.
 */
export async function openTeachDialog(app, target = { ids: [] }, tag = '') {
  const title = tag ? `Teach ${shownTag(tag)}` : 'Teach a tag';
  const taught = await openView(title, (close) => html`<${TeachDialog} app=${app} target=${target} tag=${tag} close=${close} />`);
  if (taught) app.go(reviewOf(taught, 'ask'));
}

function TeachDialog({ app, target, tag, close }) {
  const [ids, setIds] = useState(null);
  const [failed, setFailed] = useState(null);
  const [name, setName] = useState(tag);
  const [by, setBy] = useState('name');
  const [words, setWords] = useState('');
  const [known, setKnown] = useState([]);
  const [isBusy, setBusy] = useState(false);
  const hasTexts = app.status?.model?.texts ?? true;
  const isKnown = known.some((each) => each.taught && isSameTag(each.tag, name));
  useEffect(() => {
    Promise.resolve(target).then(({ ids: chosen }) => (chosen ? setIds(chosen) : setFailed(BY_RESULTS))).catch(setFailed);
    get('/api/tags').then((answer) => setKnown(completions(answer)), setFailed);
  }, []);

  const isReady = name && ids && !isBusy && (ids.length || tag || isKnown || by !== 'photos') && (by !== 'words' || words.trim());
  const teach = async (event) => {
    event?.preventDefault();
    if (!isReady) return;
    setBusy(true);
    // A tag that was taught before keeps its words unless others are given.
    const given = { name: isKnown ? {} : { words: null }, words: { words: words.trim() }, photos: { words: false } }[by];
    const answer = await app.edit('teach', {}, { tag: name, yes: ids, no: [], ...given });
    setBusy(false);
    if (answer) close(name);
  };
  const last = shownTag(name).split(' › ').at(-1) || 'its name';
  const choice = (value, label, hint) => html`<label class="choice">
    <input type="radio" name="by" checked=${by === value} onChange=${() => setBy(value)} />
    <span>${label}<span class="faint">${hint}</span></span>
  </label>`;

  if (failed) return html`<p role="alert">${failed.message} <span class="faint">${failed.hint}</span></p>`;
  return html`<form class="stack teach" onSubmit=${teach}>
    ${tag ? null : html`<${TagField} id="teach-name" label=${ids?.length ? `${ids.length === 1 ? 'This photo is' : `These ${counted(ids.length, 'photo')} are`}` : 'Name of the tag'}
      known=${known} keeps onType=${setName} onChoose=${setName} hint="A name of your own, like Luna or Pets › Luna." />`}
    ${hasTexts && html`<fieldset>
      <legend>What else tells how it looks</legend>
      ${choice('name', isKnown ? 'The words it has' : html`Its name, “<bdi>${last}</bdi>”, as words`, 'right where the name says what is seen: Sailing boat')}
      ${choice('words', 'Other words', 'a description: our brown dog')}
      ${by === 'words' && html`<input type="text" class="field" aria-label="Words that describe it" autocomplete="off"
        value=${words} onInput=${(event) => setWords(event.target.value)} />`}
      ${choice('photos', 'The photos alone', 'right where the name says nothing of the looks: Luna')}
    </fieldset>`}
    <p class="faint">${NO_FACES}</p>
    <div class="bar end">
      <button type="button" class="button" onClick=${() => close()}>Cancel</button>
      <button type="submit" class="button main" disabled=${!isReady}>${isBusy ? 'Learning…' : 'Teach'}</button>
    </div>
  </form>`;
}
