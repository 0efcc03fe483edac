// What screens draw with: preact's functions, and templates in place of JSX.
import htm from './vendor/htm.mjs';
import { h } from './vendor/preact.mjs';

export { render } from './vendor/preact.mjs';
export { useEffect, useLayoutEffect, useReducer, useRef, useState } from './vendor/hooks.mjs';
export const html = htm.bind(h);

/** A plain element: `element('p', {className: 'faint'}, 'text', child)`. Texts stay texts. */
export function element(name, props = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (key in made) made[key] = value;
    else made.setAttribute(key, value === true ? '' : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}
