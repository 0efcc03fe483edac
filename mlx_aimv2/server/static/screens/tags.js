// Tags.
import { element } from '../html.js';

/** Draws the screen into `host`; gives the function that takes it away. */
export function mount(host) {
  host.append(element('section', { className: 'screen' }, element('header', {}, element('h1', {}, 'Tags'))));
  return () => {};
}
