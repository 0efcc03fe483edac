// The bar over a large photo: where one is, and what may be done with the photo.
import { html } from '../html.js';

const isMac = /Mac/.test(navigator.platform); // Finder is there, unless the page came through ssh

/** `act` are the viewer's actions; `photo` is null until its facts are here. */
export function ViewerBar({ id, photo, title, position, hasFacts, hasReasons, act }) {
  return html`
    <button type="button" class="button plain" onClick=${act.back} aria-keyshortcuts="Escape">‹ Back</button>
    <h1>${title || 'Photo'}</h1> <span class="faint">${position}</span>
    <div class="bar push">
      ${hasReasons && html`<button type="button" class="button plain" aria-keyshortcuts="w" onClick=${act.why}>Why this</button>`}
      <button type="button" class="button plain" aria-keyshortcuts="s" onClick=${act.like}>More like this</button>
      <button type="button" class="button plain" aria-keyshortcuts="t" onClick=${act.addTag}>Tags</button>
      <button type="button" class="button plain" aria-keyshortcuts="Space" aria-pressed=${photo?.picked ? 'true' : 'false'}
        disabled=${!photo} onClick=${act.pick}>Pick for removal</button>
      ${photo?.online === false ? html`<button type="button" class="button plain" disabled>Original</button>`
        : html`<a id="original" class="button plain" aria-keyshortcuts="o" href=${`/original/${id}`} target="_blank" rel="noopener">Original</a>`}
      ${isMac && html`<button type="button" class="button plain" onClick=${act.reveal}>Show in Finder</button>`}
      <button type="button" class="button plain" aria-keyshortcuts="i" aria-pressed=${hasFacts ? 'true' : 'false'} onClick=${act.facts}>Facts</button>
    </div>`;
}
