// Thumbnails on their way: at most four at once, of the browser's six connections.
const AT_ONCE = 4;
const TRIES = 2;
const AGAIN_MS = 1500;

export class Thumbs {
  constructor() {
    this.under = new Map();    // cell -> the address that is on its way to it
    this.cells = [];
  }

  /** These cells are looked at, in this order; what others had on its way is given up. */
  want(cells) {
    this.cells = cells;
    for (const [cell, address] of [...this.under]) {
      const isSame = cell.picture.getAttribute('src') === address;
      if (isSame && cells.includes(cell)) continue;
      this.under.delete(cell);
      if (isSame) cell.drop();
    }
    this.next();
  }

  next() {
    for (const cell of this.cells) {
      if (this.under.size >= AT_ONCE) return;
      if (cell.hasPicture && cell.failed < TRIES && !cell.picture.hasAttribute('src')) this.start(cell);
    }
  }

  start(cell) {
    const { picture } = cell;
    const address = cell.address;
    this.under.set(cell, address);
    const ended = (isHere) => {
      picture.onload = picture.onerror = null;
      // The cell may show another photo by now, whose request this is not.
      if (picture.getAttribute('src') !== address) return;
      this.under.delete(cell);
      if (!isHere) this.missed(cell);
      this.next();
    };
    picture.onload = () => ended(true);
    picture.onerror = () => ended(false);
    picture.src = address;
  }

  missed(cell) {
    const { failed } = cell;
    cell.drop();
    cell.failed = failed + 1;
    cell.el.classList.toggle('broken', cell.failed >= TRIES);
    // A server that is busy is asked once more, later.
    if (cell.failed < TRIES) setTimeout(() => this.next(), AGAIN_MS);
  }
}
