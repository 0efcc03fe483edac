// The bar of what can be done with what is selected, over every grid alike.
import { element } from '../html.js';
import { openTagDialog } from '../tags/tag_dialog.js';
import { openTeachDialog } from '../tags/teach.js';
import { toastError } from '../toast.js';

const MOST_LIKE = 20;

/**
 * Shows a bar in `host` while something is selected in `grid`. `more` are further actions:
 * {label, key, does, run(target)}; the bar's own are tags, teaching, likeness and picks.
 */
export function selectionBar(host, grid, app, more = []) {
  const own = [
    { label: 'Tag…', key: 't', does: 'Tag the selection', run: (target) => openTagDialog(app, target), isDialog: true },
    { label: 'Teach…', key: 'e', does: 'Teach a tag by the selection', run: (target) => openTeachDialog(app, target), isDialog: true },
    { label: 'More like this', key: 's', does: 'Search for more like the selection', run: openLike },
    { label: 'Pick for removal', key: 'p', does: 'Pick the selection for removal', run: (target) => app.edit('pick', target) },
  ];
  // What a screen has for a key of the bar's stands in its place.
  const actions = [...own.filter(({ key }) => !more.some((action) => action.key === key)), ...more];

  async function openLike({ ids: named }) {
    const ids = named?.slice(0, MOST_LIKE) ?? await grid.selection.ids(MOST_LIKE);
    app.go(`#/search?like=${ids.join(',')}`);
  }

  const count = element('strong');
  const bar = element('div', { className: 'selection-bar', role: 'toolbar', ariaLabel: 'What is selected', hidden: true }, count);
  const clear = () => grid.selection.clear();
  bar.append(element('button', { type: 'button', className: 'button plain', title: 'Select nothing (Esc)', ariaLabel: 'Select nothing', onclick: clear }, '×'));
  for (const action of actions) {
    const title = `${action.does} (${action.key.toUpperCase()})`;
    bar.append(element('button', { type: 'button', className: 'button', title, onclick: () => act(action) }, action.label));
  }
  host.append(bar);

  const meant = async () => (grid.selection.size ? grid.selection.target() : { ids: [(await grid.hit(grid.focus))[0]] });

  /**
   * Acts on the selection; without one, on the photo of the focus. A dialog is there at once and waits
   * itself for what is meant: letters that are typed meanwhile are its own, and no keys.
   */
  async function act({ run, isDialog = false }) {
    try {
      await run(isDialog ? meant() : await meant());
    } catch (error) {
      toastError(error);
    }
  }

  function draw() {
    const { size } = grid.selection;
    bar.hidden = size === 0;
    count.textContent = `${size.toLocaleString('en')} selected`;
  }
  const ends = [
    grid.selection.onChange(draw),
    app.keys('The selection, or the focused photo', actions.map((action) => ({
      keys: [action.key],
      does: action.does,
      run: () => (grid.count ? void act(action) : false),
    }))),
  ];
  draw();
  return () => {
    for (const end of ends) end();
    bar.remove();
  };
}
