// Why a search found a photo: how well each of its terms fits, as bars with the line.
import { openDialog } from '../dialog.js';
import { html, render } from '../html.js';
import { shownTag } from '../tags/tag_names.js';
import { toastError } from '../toast.js';

const NAMES = {
  plus: (text) => `Fits: ${text}`,
  minus: (text) => `Taken away: ${text}`,
  like: (text) => `Looks like ${text}`,
  picture: () => 'Looks like the picture',
  tag: (text) => `Tag: ${shownTag(text)}`,
};

/** Opens the reasons why a search found a photo; `results` are that search. */
export async function openWhy(id, results) {
  let why;
  try {
    why = await results.why(id);
  } catch (error) {
    toastError(error);
    return;
  }
  openDialog('Why this photo', (body) => render(html`<${Why} id=${id} why=${why} />`, body));
}

function Why({ id, why }) {
  const hasLine = [why, ...why.terms].some((each) => typeof each.line === 'number');
  return html`
    <div class="why">
      <img src=${`/thumb/${id}`} alt="" />
      <div class="stack">
        ${typeof why.score === 'number' && html`<${Term} name="Together" score=${why.score} line=${why.line} isSum />`}
        ${why.terms.map((term) => html`<${Term} ...${term} name=${NAMES[term.kind](term.text)} />`)}
        ${typeof why.caption === 'number' && html`
          <p class="faint">Its caption has words of the search: that adds ${why.caption.toFixed(2)} to what the picture says.</p>`}
        ${!why.terms.length && html`<p class="faint">Nothing was looked for but filters: every photo that passes them is here.</p>`}
        ${hasLine && html`<p class="faint">At the line a photo fits a text no better than any text.</p>`}
      </div>
    </div>`;
}

function Term({ name, score, line, kind, isSum = false }) {
  if (typeof score !== 'number') return html`<p>${name} <span class="faint">not compared</span></p>`;
  const is = isSum ? 'term sum' : kind === 'minus' ? 'term away' : 'term';
  return html`
    <div class=${is}>
      <p><span>${name}</span><output>${shownScore(score)}</output></p>
      <${Bar} share=${score} line=${line} />
    </div>`;
}

/** A score as a number: cut, not rounded, so that none is said to be certain that is not. */
export const shownScore = (score) => (Math.floor(100 * score + 1e-6) / 100).toFixed(2);

/** A bar from 0 to 1 with a mark at the line; the number stands beside it as text. */
export function Bar({ share, line = null }) {
  const at = (number) => `${100 * Math.min(1, Math.max(0, number))}%`;
  const hasLine = typeof line === 'number';
  return html`
    <span class=${hasLine && share < line ? 'score-bar under' : 'score-bar'} aria-hidden="true">
      <i style=${{ width: at(share) }}></i>${hasLine && html`<b style=${{ left: at(line) }}></b>`}
    </span>`;
}
