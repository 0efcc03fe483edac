// A dialog over the page; Escape closes it and the focus goes back to where it was.
import { element } from './html.js';

/**
 * Opens a dialog: `fill(body, close)` puts its content in. Gives `close(result)`.
 * `onClose(result)` is called once; the result is undefined after Escape.
 */
export function openDialog(title, fill, { onClose = () => {} } = {}) {
  const before = document.activeElement;
  let result;
  const close = (value) => { result = value; dialog.close(); };
  const body = element('div');
  // What lies under a dialog is not heard and not clicked: it has its own place for what is said.
  const said = element('p', { className: 'unseen said', role: 'status' });
  const dialog = element(
    'dialog',
    { ariaLabel: title },
    element(
      'header',
      {},
      element('h2', {}, title),
      element('button', { type: 'button', className: 'button plain', ariaLabel: 'Close', onclick: () => close() }, '×'),
    ),
    body,
    said,
  );
  const gone = () => close();
  addEventListener('hashchange', gone);
  dialog.addEventListener('close', () => {
    removeEventListener('hashchange', gone);
    dialog.remove();
    if (before?.isConnected) before.focus({ preventScroll: true });
    onClose(result);
  });
  dialog.addEventListener('pointerdown', (event) => {
    if (event.target === dialog) close();
  });
  fill(body, close);
  document.body.append(dialog);
  dialog.showModal();
  return close;
}
