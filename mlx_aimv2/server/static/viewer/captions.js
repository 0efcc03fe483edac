// A photo's caption, and its editing: words of a person stand, whatever a program says later.
import { html, useEffect, useLayoutEffect, useRef, useState } from '../html.js';

const ORIGINS = { you: 'yours', file: "from the photo's file", program: 'by a describing model' };

/**
 * `act.caption(text, id)` makes the edit: a text, '' for no caption at all, null for taking yours back.
 * What was typed is kept also where the photo is left without a word: only Cancel and Escape drop it.
 */
export function Caption({ photo, act }) {
  const { caption } = photo;
  const [isEditing, setEditing] = useState(false);
  const [text, setText] = useState('');
  const field = useRef(null);
  const opener = useRef(null);
  const typed = useRef(null); // what is not saved yet

  useLayoutEffect(() => {
    if (isEditing) field.current.focus();
  }, [isEditing]);
  useEffect(() => () => {
    if (typed.current !== null) act.caption(typed.current, photo.id);
  }, []);
  const type = (words) => {
    typed.current = words;
    setText(words);
  };
  const edit = () => {
    setText(caption?.text ?? '');
    setEditing(true);
  };
  const close = () => {
    typed.current = null;
    setEditing(false);
    requestAnimationFrame(() => opener.current?.focus());
  };
  const save = async (words) => {
    if (await act.caption(words, photo.id)) close();
  };
  const press = (event) => {
    if (event.key === 'Escape') close();
    else if (event.key === 'Enter' && !event.isComposing && (event.metaKey || event.ctrlKey)) save(text);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  if (isEditing) {
    return html`<section class="caption" aria-labelledby="caption-title">
      <h3 id="caption-title">Caption</h3>
      <label class="unseen" for="caption">Your words for this photo</label>
      <textarea id="caption" ref=${field} rows="4" value=${text} onInput=${(event) => type(event.target.value)} onKeyDown=${press}></textarea>
      <div class="bar">
        <button type="button" class="button main" onClick=${() => save(text)}>Save</button>
        <button type="button" class="button" onClick=${close}>Cancel</button>
        ${caption && html`<button type="button" class="button plain push" onClick=${() => save('')}>No caption</button>`}
        ${caption?.origin === 'you' && html`
          <button type="button" class="button plain" title="What others said of the photo counts again" onClick=${() => save(null)}>Take mine back</button>`}
      </div>
      <p class="faint">Your words stand: no program writes over them.</p>
    </section>`;
  }
  return html`<section class="caption" aria-labelledby="caption-title">
    <header><h3 id="caption-title">Caption</h3>
      ${caption && html`<span class="faint">${ORIGINS[caption.origin] ?? caption.origin}</span>`}
      <button type="button" class="button plain push" id="edit-caption" ref=${opener} aria-keyshortcuts="c" onClick=${edit}>
        ${caption ? 'Edit' : 'Write one'}</button>
    </header>
    ${caption ? html`<p class="words"><bdi>${caption.text}</bdi></p>` : html`<p class="faint">None yet.</p>`}
  </section>`;
}
