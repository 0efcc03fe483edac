// Where rows are, by arithmetic: rows of photos are equally high, so that a place is a division;
// sections add their headers by prefix sums over at most some thousand months.

const GAP_PX = 4;
const HEAD_PX = 44;
export const FOOT_PX = 26;
const CELL_PX = 190;
const MOST_CELLS = 120;
// Rows kept ready above and below what is seen, and the row of the focus, wherever that is.
export const SPARE_ROWS = 1;
const KEPT_ROWS = 2 * SPARE_ROWS + 2;
// A cell is a little flatter than a square: most photos lie.
const FLATNESS = 0.8;

/** Height of a row with its gap, of cells `cell` px wide. */
const pitchOf = (cell, foot) => Math.round(cell * FLATNESS) + foot + GAP_PX;

/**
 * Columns for a window: as asked, or by the cells' usual width; fewer where a large window would
 * need more than 120 cells at once.
 */
function columnsFor(width, height, asked, foot) {
  const usual = Math.max(2, Math.round(width / CELL_PX));
  let columns = Math.max(1, asked || usual);
  const cells = () => columns * (Math.ceil(height / pitchOf(cellOf(width, columns), foot)) + KEPT_ROWS);
  while (columns > 1 && cells() > MOST_CELLS) columns -= 1;
  return columns;
}

/** Width of a cell in px, whole, so that rows do not blur. */
const cellOf = (width, columns) => Math.max(24, Math.floor((width - GAP_PX * (columns - 1)) / columns));

export class Layout {
  /** `sections`: [{title, count}]; a section with a title has a header, which is a row too. */
  constructor(sections, { width, height, columns, foot }) {
    this.sections = sections;
    this.columns = columnsFor(width, height, columns, foot);
    this.cell = cellOf(width, this.columns);
    this.gap = GAP_PX;
    this.pitch = pitchOf(this.cell, foot);
    this.picture = this.pitch - foot - GAP_PX;
    const last = sections.length;
    this.tops = new Float64Array(last + 1);
    this.rowsBefore = new Int32Array(last + 1);
    this.photosBefore = new Int32Array(last + 1);
    sections.forEach((section, place) => {
      const rows = Math.ceil(section.count / this.columns);
      this.tops[place + 1] = this.tops[place] + this.headOf(place) + rows * this.pitch;
      this.rowsBefore[place + 1] = this.rowsBefore[place] + (section.title ? 1 : 0) + rows;
      this.photosBefore[place + 1] = this.photosBefore[place] + section.count;
    });
    this.height = this.tops[last];
    this.rows = this.rowsBefore[last];
    this.count = this.photosBefore[last];
  }

  headOf(place) {
    return this.sections[place].title ? HEAD_PX : 0;
  }

  /** The row at a height: {row, top, height, section, first, count}; a header has count 0. */
  rowAt(y) {
    const section = sought(this.tops, y);
    const inside = y - this.tops[section] - this.headOf(section);
    const isHead = inside < 0;
    const heads = this.sections[section].title ? 1 : 0;
    const within = isHead ? -1 : Math.min(Math.floor(inside / this.pitch), this.rowsOf(section) - 1);
    return this.row(this.rowsBefore[section] + heads + within);
  }

  row(row) {
    const section = sought(this.rowsBefore, row);
    const heads = this.sections[section].title ? 1 : 0;
    const within = row - this.rowsBefore[section] - heads;
    if (within < 0) return { row, section, top: this.tops[section], height: HEAD_PX, first: this.photosBefore[section], count: 0 };
    const first = this.photosBefore[section] + within * this.columns;
    return {
      row,
      section,
      top: this.tops[section] + this.headOf(section) + within * this.pitch,
      height: this.pitch,
      first,
      count: Math.min(this.columns, this.photosBefore[section + 1] - first),
    };
  }

  rowsOf(section) {
    return Math.ceil(this.sections[section].count / this.columns);
  }

  sectionOf(index) {
    return sought(this.photosBefore, index);
  }

  /** The row of a photo by its index. */
  rowOf(index) {
    const section = this.sectionOf(index);
    const within = Math.floor((index - this.photosBefore[section]) / this.columns);
    return this.row(this.rowsBefore[section] + (this.sections[section].title ? 1 : 0) + within);
  }

  /** The photo that arrows reach from one: `by` rows away in the same column, or the nearest. */
  vertical(index, by) {
    let row = this.rowOf(index);
    const column = index - row.first;
    for (let left = Math.abs(by); left > 0;) {
      const next = row.row + Math.sign(by);
      if (next < 0 || next >= this.rows) break;
      const found = this.row(next);
      if (found.count) left -= 1;
      else if (by < 0 && next === 0) break;
      row = found;
    }
    return row.first + Math.max(0, Math.min(column, row.count - 1));
  }
}

/** The last place whose value is at most `value`, of those that are not empty. */
function sought(values, value) {
  let low = 0;
  let high = values.length - 2;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (values[middle] <= value) low = middle;
    else high = middle - 1;
  }
  return Math.max(low, 0);
}
