// What a screen says when it has nothing to show, and what to do about it.
import { element } from './html.js';

/** A title, lines under it (empty ones are left out) and further elements. */
export const nothing = (title, lines, ...more) =>
  element(
    'div',
    { className: 'nothing' },
    element('h2', {}, title),
    ...lines.filter(Boolean).map((line) => element('p', {}, line)),
    ...more,
  );

/** A command to type in a terminal, with a button that copies it. */
export function commandLine(command, app) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(command);
      app.announce('Copied');
      button.textContent = 'Copied';
    } catch {
      app.toast('The browser did not copy it.', { hint: 'Select the command and copy it yourself.' });
    }
  };
  const button = element('button', { type: 'button', className: 'button', onclick: copy }, 'Copy');
  return element('div', { className: 'command' }, element('code', {}, command), button);
}
