// Where a word is in a photo: a picture of the same size laid over it, as strong as wanted.
import { html, useState } from '../html.js';

/**
 * `where` is {state: '' | 'asked' | 'shown' | 'hidden', opacity, error}.
 * `act.where(words)` asks; `act.showWhere(is)` and `act.fade(opacity)` change how it is shown.
 */
export function Where({ where, act }) {
  const { state, opacity, error } = where;
  const [words, setWords] = useState('');
  const has = state === 'shown' || state === 'hidden';
  const submit = (event) => {
    event.preventDefault();
    act.where(words.trim());
  };
  return html`<section class="where" aria-labelledby="where-title">
    <h3 id="where-title">Where is it?</h3>
    <form class="bar" onSubmit=${submit}>
      <label class="unseen" for="where">Word to look for in this photo</label>
      <input id="where" name="where" type="text" autocomplete="off" placeholder="boat" value=${words}
        onInput=${(event) => setWords(event.target.value)} />
      <button type="submit" class="button">Look</button>
    </form>
    ${state === 'asked' && html`<p class="faint" role="status">Looking…</p>`}
    ${error && html`<p class="wrong" role="alert">${error.message} <span class="faint">${error.hint}</span></p>`}
    ${has && html`<div class="bar">
      <button type="button" class="button" aria-pressed=${state === 'shown' ? 'true' : 'false'} aria-keyshortcuts="h"
        onClick=${() => act.showWhere(state !== 'shown')}>Shown</button>
      <label for="fade">Strength</label>
      <input id="fade" type="range" min="0" max="100" step="5" value=${Math.round(100 * opacity)}
        onInput=${(event) => act.fade(event.target.value / 100)} />
    </div>`}
  </section>`;
}
