// Dialogs whose content preact draws.
import { openDialog } from '../dialog.js';
import { render } from '../html.js';

/** Opens a dialog; `view(close)` gives its content. Resolves with what it was closed with. */
export function openView(title, view) {
  return new Promise((resolve) => {
    let body = null;
    openDialog(
      title,
      (host, close) => {
        body = host;
        render(view(close), body);
      },
      {
        onClose: (result) => {
          render(null, body);
          resolve(result);
        },
      },
    );
  });
}
