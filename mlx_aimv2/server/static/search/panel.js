// The panel over a search's photos: the box, the filters, what was understood, the count.
import { html, useEffect, useState } from '../html.js';
import { TagField } from '../tags/tag_field.js';
import { counted, shownTag } from '../tags/tag_names.js';
import { shownScore } from './why.js';

const PICTURE = html`<svg viewBox="0 0 24 24" aria-hidden="true"><rect x="3" y="5" width="18" height="14" rx="2"/><circle cx="8.5" cy="10" r="1.6"/><path d="m4 18 6-5 4 3 3-2 4 3"/></svg>`;
const FILTERS = html`<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M4 6h16M7 12h10M10 18h4"/></svg>`;

/**
 * `state` is what the screen knows: request, results, isAsking, isFiltering, notice, isTextless, known
 * (tags), pictures (addresses of pictures that were given, by name). `act` are its actions.
 */
export function Panel({ state, act }) {
  const { request, isFiltering, notice, isTextless } = state;
  return html`
    <form role="search" class="ask" onSubmit=${act.submit}>
      <label class="unseen" for="query">Search for</label>
      <input id="query" type="search" autocomplete="off" spellcheck=${false} value=${request.q}
        placeholder=${isTextless ? 'Pictures only: drop one here, or --tag, --since' : 'red boat + beach - night'}
        aria-describedby=${notice ? 'query-notice' : undefined}
        onInput=${(event) => act.type(event.target.value)} onKeyDown=${act.press} />
      <button type="submit" class="button main">Search</button>
      <button type="button" class="button" onClick=${act.choosePicture}>${PICTURE}By a picture…</button>
      <button type="button" class="button" aria-expanded=${isFiltering ? 'true' : 'false'} aria-controls="filters"
        onClick=${act.toggleFilters}>${FILTERS}Filters</button>
    </form>
    ${notice && html`<p class="notice" id="query-notice">${notice}</p>`}
    <div id="filters" hidden=${!isFiltering}>${isFiltering && html`<${Filters} state=${state} act=${act} />`}</div>
    <${Understood} state=${state} act=${act} />
    <${Summary} state=${state} act=${act} />`;
}

function Filters({ state: { request, known }, act }) {
  const tag = (name, label) => html`
    <${TagField} id=${name} label=${label} known=${known} takesNew=${false} isFirst=${false}
      onChoose=${(chosen) => act.addTag(name, chosen)} />`;
  const flag = (name, label) => html`
    <label><input type="checkbox" checked=${request[name]}
      onChange=${(event) => act.filter({ [name]: event.target.checked })} /> ${label}</label>`;
  return html`<div class="filters">
    <${Day} name="since" label="From" value=${request.since} act=${act} />
    <${Day} name="until" label="Until" value=${request.until} act=${act} />
    ${tag('tags', 'With the tag')} ${tag('not_tags', 'Without the tag')}
    <div class="choices">
      ${flag('unique', 'One of each picture')}
      ${flag('captions_only', 'Words of captions only')}
    </div>
  </div>`;
}

/** A date as far as it is known: 2024, 2024-05 or 2024-05-31; asked for once it is typed. */
function Day({ name, label, value, act }) {
  const [text, setText] = useState('');
  useEffect(() => setText(value ?? ''), [value]);
  return html`<div class="day">
    <label for=${name}>${label}</label>
    <input id=${name} type="text" autocomplete="off" size="11" placeholder="2024-05" value=${text}
      onInput=${(event) => setText(event.target.value)} onChange=${() => act.filter({ [name]: text.trim() || null })} />
  </div>`;
}

const WORDS = {
  plus: (text) => text,
  minus: (text) => `− ${text}`,
  like: () => 'like this photo',
  picture: () => 'like this picture',
  tag: (text) => `tag ${shownTag(text)}`,
  not_tag: (text) => `without the tag ${shownTag(text)}`,
  since: (text) => `from ${text}`,
  until: (text) => `until ${text}`,
  min: (text) => `scores from ${text}`,
  photos: () => 'in Photos',
  unique: () => 'one of each picture',
  captions_only: () => 'words of captions only',
};
const said = ({ kind, text }) => (WORDS[kind] ?? ((words) => `${kind.replaceAll('_', ' ')} ${words}`))(text);

function Understood({ state: { results, pictures }, act }) {
  const chips = results?.understood ?? [];
  if (!chips.length) return null;
  return html`<ul class="understood" aria-label="What was understood">
    ${chips.map((chip, place) => html`
      <li class=${`chip ${chip.kind}`} key=${`${chip.kind} ${chip.text} ${place}`}>
        ${chip.kind === 'like' && chip.id !== undefined && html`<img src=${`/thumb/${chip.id}`} alt="" />`}
        ${chip.kind === 'picture' && pictures.has(chip.text) && html`<img src=${pictures.get(chip.text)} alt="" />`}
        <span><bdi>${said(chip)}</bdi></span>
        <button type="button" aria-label=${`Remove: ${said(chip)}`} onClick=${() => act.without(chip, place)}>×</button>
      </li>`)}
  </ul>`;
}

function Summary({ state: { request, results, isAsking }, act }) {
  if (!results) return isAsking && html`<div class="bar summary"><p class="faint">Searching…</p></div>`;
  const sort = request.sort ?? (results.has_scores ? 'best' : 'date');
  const order = (name, label) => html`
    <button type="button" aria-pressed=${sort === name ? 'true' : 'false'} disabled=${name === 'best' && !results.has_scores}
      onClick=${() => act.filter({ sort: name })}>${label}</button>`;
  return html`<div class="bar summary">
    <p aria-busy=${isAsking ? 'true' : 'false'}><strong>${counted(results.total, 'photo')}</strong>
      ${typeof results.best === 'number' && html`<span class="faint"> best ${shownScore(results.best)}</span>`}
      ${typeof results.line === 'number' && html`<span class="faint"> line ${results.line}</span>`}
    </p>
    ${results.notes.length > 0 && html`<ul class="notes">${results.notes.map((note) => html`<li><bdi>${note}</bdi></li>`)}</ul>`}
    <div class="tabs push" role="group" aria-label="Order">${order('best', 'Best first')}${order('date', 'Newest first')}</div>
  </div>`;
}
