// What stands above a tag's review: its kinds with their counts, yes and no, and what is known of the tag.
import { html } from '../html.js';
import { openChangeDialog } from './tag_changes.js';
import { reviewOf, shownTag } from './tag_names.js';
import { NO_FACES, openTeachDialog } from './teach.js';

const KINDS = [['sure', 'Sure'], ['ask', 'Ask me'], ['no', 'Said no']];

/** `answer` is what the library says of the tag, null before it came; `left` photos are to be answered. */
export function ReviewHead({ app, tag, kind, answer, left, onSay }) {
  const change = async () => {
    const own = { tag, photos: answer?.counts.sure ?? 0 };
    const now = await openChangeDialog(app, [own]);
    if (now) app.go(reviewOf(now, kind));
  };
  return html`
    <h1><a href="#/tags">Tags</a><span class="faint" aria-hidden="true">›</span><bdi>${shownTag(tag)}</bdi></h1>
    <nav class="tabs" aria-label="Photos of the tag">${KINDS.map(([each, label]) => html`<a key=${each} href=${reviewOf(tag, each)}
      aria-current=${each === kind ? 'page' : undefined}>${label}${answer && html` <b>${answer.counts[each].toLocaleString('en')}</b>`}</a>`)}</nav>
    ${left > 0 && html`<div class="bar answers">
      <button type="button" class="button" aria-keyshortcuts="y" onClick=${() => onSay('yes')}>Yes <kbd aria-hidden="true">Y</kbd></button>
      ${kind !== 'no' && html`<button type="button" class="button" aria-keyshortcuts="n" onClick=${() => onSay('no')}>No <kbd aria-hidden="true">N</kbd></button>`}
    </div>`}
    <div class="bar push">
      <button type="button" class="button plain" onClick=${change}>Rename…</button>
      <button type="button" class="button" onClick=${() => openTeachDialog(app, undefined, tag)}>${answer?.taught ? 'Words…' : 'Teach…'}</button>
    </div>
    ${answer?.taught && kind !== 'no' && html`<${Known} taught=${answer.taught} />`}`;
}

function Known({ taught }) {
  const { yes, no, words, follows_words: follows, found_again: found, kept_out: kept, given, expected, doubtful } = taught;
  const by = follows ? html`the words “<bdi>${words}</bdi>”${yes ? ' and photos' : ''}` : 'photos alone';
  return html`<p class="known" role="group" aria-label="What is known of the tag">
    <span><strong>${yes}</strong> yes, <strong>${no}</strong> no</span>
    <span>taught by ${by}</span>
    ${given > 0 && html`<span>given to <strong>${given.toLocaleString('en')}</strong>, of which about ${Math.round(expected).toLocaleString('en')} have it</span>`}
    ${doubtful > 0 && html`<span>${doubtful.toLocaleString('en')} in doubt</span>`}
    ${(found !== null || kept !== null) && html`<span>by what the others teach: ${found !== null && `${found} of ${yes} found`}${found !== null && kept !== null && ', '}${kept !== null && `${kept} of ${no} kept out`}</span>`}
    <span>${NO_FACES}</span>
  </p>`;
}

/** What a kind says where it has no photo. */
export function NothingLeft({ app, tag, kind, answer }) {
  const isTaught = Boolean(answer.taught);
  const name = html`<bdi>${shownTag(tag)}</bdi>`;
  if (kind === 'sure') return html`<div class="nothing"><h2>No photo has ${name}</h2>
    <p>Choose photos anywhere and press T to tag them.</p></div>`;
  if (kind === 'no') return html`<div class="nothing"><h2>Nothing was said no to</h2>
    <p>A photo that you say no to never gets ${name} again, and is kept here.</p></div>`;
  if (isTaught) return html`<div class="nothing"><h2>No question is left</h2><p>What you have said is given to all photos.</p></div>`;
  return html`<div class="nothing"><h2>Nothing is in doubt</h2>
    <p>Teach ${name}, by the photos that have it and by words, and those are asked whose answer helps most. ${NO_FACES}</p>
    <button type="button" class="button main" onClick=${() => openTeachDialog(app, undefined, tag)}>Teach ${shownTag(tag)}…</button></div>`;
}
