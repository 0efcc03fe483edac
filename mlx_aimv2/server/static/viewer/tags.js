// A photo's tags: where each comes from, how sure it is, and a yes or no to it.
import { html } from '../html.js';
import { shownTag } from '../tags/tag_names.js';
import { Bar, shownScore } from '../search/why.js';

const LINE = 0.5; // of every confidence: above it a tag is given
const ORIGINS = { you: 'yours', file: 'in the file', sidecar: 'in its sidecar', taught: 'taught', vocabulary: 'suggested' };

/** An origin as people say it; what stands behind its first word is a vocabulary's or program's name. */
function shownOrigin(origin) {
  const [word, ...name] = origin.split(' ');
  return [ORIGINS[word] ?? word, ...name].join(' ');
}

/** `act.tag(verb, tag)` makes the edit; `act.addTag()` opens the dialog of tags. */
export function PhotoTags({ photo, act }) {
  const { tags, rejected } = photo;
  return html`<section class="tags" aria-labelledby="tags-title">
    <header><h3 id="tags-title">Tags</h3>
      <button type="button" class="button plain push" aria-keyshortcuts="t" onClick=${act.addTag}>Add or change…</button>
    </header>
    ${tags.length ? html`<ul>${tags.map((each) => html`<${Tag} key=${each.tag} ...${each} act=${act} />`)}</ul>`
      : html`<p class="faint">None yet.</p>`}
    ${rejected.length > 0 && html`<h4>You said no to</h4>
      <ul class="rejected">${rejected.map((tag) => html`<li class="chip" key=${tag}><span><bdi>${shownTag(tag)}</bdi></span>
        <button type="button" aria-label=${`Say yes to ${shownTag(tag)}`} title="Say yes" onClick=${() => act.tag('confirm', tag)}>✓</button></li>`)}</ul>`}
  </section>`;
}

function Tag({ tag, origins, score, verdict, act }) {
  const name = shownTag(tag);
  const sure = { added: 'yours', confirmed: 'confirmed' }[verdict];
  return html`<li>
    <div class="what"><bdi>${name}</bdi> <span class="faint">${sure ?? origins.map(shownOrigin).join(', ')}</span></div>
    ${typeof score === 'number' && html`<div class="sure" title="Confidence; at the line, 0.5, it is as likely as not">
      <${Bar} share=${score} line=${LINE} /><output>${shownScore(score)}</output></div>`}
    <div class="verdict">
      ${!sure && html`<button type="button" class="button plain" aria-label=${`Yes, ${name}`} title="Yes: confirm" onClick=${() => act.tag('confirm', tag)}>✓</button>`}
      <button type="button" class="button plain" aria-label=${`No, not ${name}`} title="No: never this tag here" onClick=${() => act.tag('reject', tag)}>✗</button>
    </div>
  </li>`;
}
