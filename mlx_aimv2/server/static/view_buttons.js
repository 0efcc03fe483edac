// How grids look: larger or smaller pictures, whole or cropped.
import { element } from './html.js';
import { choose, onChoice, setting } from './settings.js';

/** Buttons and keys for a screen with a grid; `gridNow()` is the grid that is shown, or nothing. */
export function viewButtons(app, gridNow) {
  const bySize = (by) => {
    const grid = gridNow();
    if (!grid?.layout) return;
    const before = grid.layout.columns;
    choose('columns', Math.max(1, before + by));
    // A large window may not have room for more columns: the choice is what it has.
    choose('columns', grid.layout.columns);
    app.announce(`${grid.layout.columns} columns`);
  };
  const button = (label, title, act) => element('button', { type: 'button', className: 'button plain', title, ariaLabel: title, onclick: act }, label);
  const crop = button('Crop', 'Pictures cropped to fill their places', () => choose('crop', !setting('crop')));
  const drawCrop = (isOn) => crop.setAttribute('aria-pressed', isOn);
  drawCrop(setting('crop'));
  onChoice('crop', drawCrop);
  return {
    buttons: [button('−', 'Smaller pictures (−)', () => bySize(1)), button('+', 'Larger pictures (+)', () => bySize(-1)), crop],
    keys: [
      { keys: ['-'], does: 'Smaller pictures', run: () => bySize(1) },
      { keys: ['+', '='], does: 'Larger pictures', run: () => bySize(-1) },
    ],
  };
}
