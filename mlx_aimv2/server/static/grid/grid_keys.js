// The keys of a grid: moving, selecting, opening.

/** Rows of the table of keys (keys.js) for a grid; they act while nothing else has the focus. */
export function gridKeys(grid) {
  const isHere = ({ target }) => grid.count > 0 && (grid.el.contains(target) || target === document.body || target.id === 'main');
  const here = (act) => (event) => (isHere(event) ? (act(event), true) : false);
  const screen = () => Math.max(1, Math.floor(grid.scroller.height / grid.layout.pitch));
  const moves = [
    ['ArrowLeft', () => grid.focus - 1],
    ['ArrowRight', () => grid.focus + 1],
    ['ArrowUp', () => grid.layout.vertical(grid.focus, -1)],
    ['ArrowDown', () => grid.layout.vertical(grid.focus, 1)],
    ['PageUp', () => grid.layout.vertical(grid.focus, -screen())],
    ['PageDown', () => grid.layout.vertical(grid.focus, screen())],
    ['Home', () => 0],
    ['End', () => grid.count - 1],
  ];
  const move = (to) => here(() => grid.focusOn(to()));
  const extend = (to) => here(() => {
    const from = grid.focus;
    grid.focusOn(to());
    grid.selection.extend(grid.focus, from);
    grid.tellSelection();
  });
  const toggle = here(() => {
    grid.selection.toggle(grid.focus);
    grid.tellSelection();
  });
  return [
    { keys: ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown'], does: 'Move' },
    { keys: ['PageUp', 'PageDown'], does: 'A screen up or down' },
    { keys: ['Home', 'End'], does: 'First or last photo of all' },
    { keys: ['Enter'], does: 'Open large', run: here(() => grid.open(grid.focus)) },
    { keys: ['x', ' '], does: 'Select or unselect', run: toggle },
    { keys: ['Shift+arrows', 'Shift+click'], does: 'A range' },
    { keys: ['Mod+a'], does: 'Select all', run: here(() => { grid.selection.all(); grid.tellSelection(); }) },
    {
      keys: ['Escape'],
      does: 'Select nothing',
      run: (event) => {
        if (!grid.selection.size || !isHere(event)) return false;
        grid.selection.clear();
        grid.tellSelection();
        return true;
      },
    },
    ...moves.flatMap(([key, to]) => [
      { keys: [key], run: move(to) },
      { keys: [`Shift+${key}`], run: extend(to) },
    ]),
    { keys: ['Mod+Home'], run: move(() => 0) },
    { keys: ['Mod+End'], run: move(() => grid.count - 1) },
  ];
}
