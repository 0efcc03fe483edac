// A photo's tags: where each comes from, how sure it is, and a yes or no to it.
import { html, useLayoutEffect, useRef } from '../html.js';
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
  const section = useRef(null);
  const moved = useRef(null); // the tag whose row is to have the focus where it goes
  const say = (verb, tag) => {
    moved.current = tag;
    act.tag(verb, tag);
  };
  useLayoutEffect(() => {
    if (moved.current === null || section.current.contains(document.activeElement)) return;
    [...section.current.querySelectorAll('button')].find((each) => each.dataset.tag === moved.current)?.focus();
    moved.current = null;
  });

  return html`<section class="tags" aria-labelledby="tags-title" ref=${section}>
    <header><h3 id="tags-title">Tags</h3>
      <button type="button" class="button plain push" aria-keyshortcuts="t" onClick=${act.addTag}>Add or change…</button>
    </header>
    ${tags.length ? html`<ul>${tags.map((each) => html`<${Tag} key=${each.tag} ...${each} say=${say} />`)}</ul>`
      : html`<p class="faint">None yet.</p>`}
    ${rejected.length > 0 && html`<h4>You said no to</h4>
      <ul class="rejected">${rejected.map((tag) => html`<li class="chip" key=${tag}><span><bdi>${shownTag(tag)}</bdi></span>
        <button type="button" data-tag=${tag} aria-label=${`Say yes to ${shownTag(tag)}`} title="Say yes"
          onClick=${() => say('confirm', tag)}>✓</button></li>`)}</ul>`}
  </section>`;
}

function Tag({ tag, origins, score, verdict, say }) {
  const name = shownTag(tag);
  const sure = { added: 'yours', confirmed: 'confirmed' }[verdict];
  return html`<li>
    <div class="what"><bdi>${name}</bdi> <span class="faint">${sure ?? origins.map(shownOrigin).join(', ')}</span></div>
    ${typeof score === 'number' && html`<div class="sure" title="Confidence; at the line, 0.5, it is as likely as not">
      <${Bar} share=${score} line=${LINE} /><output>${shownScore(score)}</output></div>`}
    <div class="verdict">
      ${!sure && html`<button type="button" class="button plain" aria-label=${`Yes, ${name}`} title="Yes: confirm" onClick=${() => say('confirm', tag)}>✓</button>`}
      <button type="button" class="button plain" data-tag=${tag} aria-label=${`No, not ${name}`} title="No: never this tag here" onClick=${() => say('reject', tag)}>✗</button>
    </div>
  </li>`;
}
