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

/** A library without photos: how it gets some. */
export function noPhotos(app) {
  const { index: run, problem } = app.status ?? {};
  if (run?.running) {
    return nothing('The first photos are on their way', [`${run.done.toLocaleString('en')} read so far. They appear here by themselves.`]);
  }
  // The hint of a library that is not there names it as the terminal needs it.
  const hint = problem?.hint?.startsWith('aimv2 index ') ? problem.hint : 'aimv2 index FOLDER';
  return nothing(
    'No photos yet',
    ['A library begins with an index of a folder of yours. Type this in a terminal; nothing leaves this machine:'],
    commandLine(hint.replace('FOLDER', '~/Pictures'), app),
  );
}
