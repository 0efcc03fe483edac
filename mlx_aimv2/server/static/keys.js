// Keys: each screen lays a table over those below, and `?` shows all that hold now.
import { openDialog } from './dialog.js';
import { element } from './html.js';
import { choose, setting } from './settings.js';

const isMac = /Mac|iP(hone|ad)/.test(navigator.platform);
const NAMES = {
  Mod: isMac ? '⌘' : 'Ctrl', Shift: isMac ? '⇧' : 'Shift', Alt: isMac ? '⌥' : 'Alt',
  ArrowLeft: '←', ArrowRight: '→', ArrowUp: '↑', ArrowDown: '↓',
  ' ': 'Space', Escape: 'Esc', PageUp: 'PgUp', PageDown: 'PgDn', Delete: 'Del',
};
const tables = [];

/**
 * Lays a table of keys over those that hold; gives the function that takes it away.
 * A row is {keys: ['t'], does: 'Tag the selection', run(event)}. A key is an event's `key`, letters
 * in lower case, behind 'Mod+' (Command on a Mac, else Control), 'Alt+' and 'Shift+', in this
 * order: 'Mod+Shift+z', 'Shift+ArrowUp', '?'. A run that returns false leaves the event to the
 * tables below and to the browser. `isOver`: the tables below do not hold meanwhile (the viewer).
 */
export function layKeys(title, rows, { isOver = false } = {}) {
  const table = { title, rows, isOver };
  tables.unshift(table);
  return () => {
    const place = tables.indexOf(table);
    if (place >= 0) tables.splice(place, 1);
  };
}

/** Name of the key of an event, as tables have it. */
export function keyOf(event) {
  const letter = event.key.length === 1 && event.key.toLowerCase() !== event.key.toUpperCase();
  const key = letter ? event.key.toLowerCase() : event.key;
  // A sign such as '?' is what it is, wherever a keyboard has it; only letters and named keys shift.
  const isSign = key.length === 1 && !letter && key !== ' ';
  const held = { Mod: isMac ? event.metaKey : event.ctrlKey, Alt: event.altKey && !isSign, Shift: event.shiftKey && !isSign };
  return [...Object.keys(held).filter((name) => held[name]), key].join('+');
}

/** Is a text being typed here? Then letters are letters. */
export const isTyping = (target) =>
  target.closest?.('input:not([type="checkbox"], [type="radio"], [type="range"], [type="button"]), textarea, select, [contenteditable="true"]') !== null;

/** Title of the table that holds over every screen. */
export const EVERYWHERE = 'Everywhere';

function holding() {
  const over = tables.findIndex((table) => table.isOver);
  const lowest = over < 0 ? tables.length : over + 1;
  return tables.filter((table, place) => place < lowest || table.title === EVERYWHERE);
}

document.addEventListener('keydown', (event) => {
  if (event.defaultPrevented || event.isComposing) return;
  // A dialog has its own keys: those of the page under it do not hold.
  if (document.querySelector('dialog[open]')) return;
  const key = keyOf(event);
  const isSingle = [...key].length === 1 || /^Shift\+.$/.test(key);
  if (isTyping(event.target) && key !== 'Escape' && !key.startsWith('Mod+Enter')) return;
  // A single letter can be switched off (WCAG 2.1.4); Space is a key of the grid, not a letter.
  if (isSingle && key !== ' ' && !setting('letters')) return;
  for (const table of holding()) {
    for (const row of table.rows) {
      if (row.keys.includes(key) && row.run && row.run(event) !== false) {
        event.preventDefault();
        return;
      }
    }
  }
});

/** The table of all keys that hold now. */
export function showKeys() {
  openDialog('Keys', (body) => {
    const list = element('div', { className: 'keys' });
    for (const { title, rows } of holding()) {
      const shown = rows.filter((row) => row.does);
      if (!shown.length) continue;
      list.append(element('section', {}, element('h3', {}, title), element('dl', {}, ...shown.map(drawn))));
    }
    const box = element('input', { type: 'checkbox', checked: setting('letters'), id: 'letters' });
    box.addEventListener('change', () => choose('letters', box.checked));
    body.append(list, element('label', { htmlFor: 'letters' }, box, ' Keys of a single letter act'));
  });
}

function drawn({ keys, does }) {
  const shown = element('dd');
  keys.forEach((key, place) => {
    if (place) shown.append(' ');
    const parts = key.split(/\+(?=.)/).map((part) => NAMES[part] ?? (part.length === 1 ? part.toUpperCase() : part));
    shown.append(element('kbd', {}, parts.join(isMac ? '' : '+')));
  });
  return element('div', {}, element('dt', {}, does), shown);
}
