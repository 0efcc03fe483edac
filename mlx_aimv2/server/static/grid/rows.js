// Rows of the grid: of photos, and the header of a month. Both are used again for other rows.
import { element } from '../html.js';
import { Cell } from './cell.js';

class Row {
  constructor() {
    this.el = element('div', { className: 'grid-row', role: 'row' });
    this.row = null;
  }

  show(row) {
    this.row = row;
    if (this.el.hidden) this.el.hidden = false;
    this.el.setAttribute('aria-rowindex', row.row + 1);
  }

  /** Puts the row at a height of the window; one that is out of it waits above its top. */
  put(y, height, most) {
    const at = y >= 0 && y < most ? y : -2 * height;
    if (at === this.y) return;
    this.y = at;
    this.el.style.transform = `translateY(${at}px)`;
  }

  /** Not seen for now: free for another row. */
  rest() {}

  hide() {
    if (!this.el.hidden) this.el.hidden = true;
  }

  remove() {
    this.rest();
    this.el.remove();
  }
}

export class PhotoRow extends Row {
  constructor(layout, withFoot) {
    super();
    this.kind = 'photo';
    this.el.style.height = `${layout.pitch}px`;
    this.cells = Array.from({ length: layout.columns }, (_, column) => {
      const cell = new Cell(column, withFoot);
      cell.el.style.left = `${column * (layout.cell + layout.gap)}px`;
      cell.el.style.width = `${layout.cell}px`;
      cell.frame.style.height = `${layout.picture}px`;
      return cell;
    });
    this.el.append(...this.cells.map((cell) => cell.el));
    this.shown = [];
  }

  show(row, { selection }) {
    super.show(row);
    this.shown = this.cells.slice(0, row.count);
    this.cells.forEach((cell, column) => {
      const isUsed = column < row.count;
      if (cell.el.hidden === isUsed) cell.el.hidden = !isUsed;
      cell.index = isUsed ? row.first + column : -1;
      cell.select(isUsed && selection.has(cell.index));
    });
  }

  rest() {
    for (const cell of this.cells) cell.clear();
  }
}

export class HeadRow extends Row {
  constructor() {
    super();
    this.kind = 'head';
    this.title = element('h2');
    this.note = element('span', { className: 'faint' });
    const head = element('div', { className: 'grid-head', role: 'rowheader' }, this.title, this.note);
    this.el.append(head);
    this.head = head;
    this.shown = [];
  }

  show(row, { layout }) {
    super.show(row);
    const { title, count, note } = layout.sections[row.section];
    this.head.setAttribute('aria-colspan', layout.columns);
    this.el.style.height = `${row.height}px`;
    this.title.textContent = title;
    this.note.textContent = note ?? count.toLocaleString('en');
  }
}
