// Short notes at the bottom: what an edit did, with its undo, or why it failed.
import { announce } from './announce.js';
import { element } from './html.js';

const SHOWN_MS = 8000;
const KEPT = 3;

/**
 * Shows a note. `action` is {label, run, heard?}: its button, and how a screen reader tells of it. `hint` is a second line.
 * A note with a button stays while the pointer or the focus is on it.
 */
export function toast(text, { action = null, hint = '', isBad = false } = {}) {
  const host = (isBad && document.querySelector('dialog[open]')) || document.getElementById('toasts');
  const note = element('div', { className: isBad ? 'toast bad' : 'toast' });
  note.append(element('div', {}, element('p', {}, text), hint ? element('p', { className: 'hint' }, hint) : null));
  if (action) {
    const act = () => { close(); action.run(); };
    note.append(element('button', { type: 'button', className: 'button', onclick: act }, action.label));
  }
  note.append(element('button', { type: 'button', className: 'button plain', ariaLabel: 'Close this note', onclick: close }, '×'));

  let timer = setTimeout(close, SHOWN_MS);
  const hold = () => clearTimeout(timer);
  const release = () => { hold(); timer = setTimeout(close, SHOWN_MS); };
  for (const name of ['pointerenter', 'focusin']) note.addEventListener(name, hold);
  for (const name of ['pointerleave', 'focusout']) note.addEventListener(name, release);
  function close() {
    hold();
    note.remove();
  }

  host.append(note);
  while (host.id === 'toasts' && host.children.length > KEPT) host.firstChild.remove();
  announce([text, action?.heard, hint].filter(Boolean).join('. '));
  return close;
}

/** Shows why something failed: message and hint of an error of api.js. */
export const toastError = (error) => toast(error.message, { hint: error.hint ?? '', isBad: true });
