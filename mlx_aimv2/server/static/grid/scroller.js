// The scrolling of a grid. Only a window of the library's height stands in the page, because
// browsers cut elements taller than some 16 million device pixels: it moves along when its end
// comes near.

// At 8 device pixels a pixel, which is a Retina display at 400 %, still 8 million.
export const WINDOW_PX = 1_000_000;
const REST_MS = 60;
// Faster than this, in heights of the window a second, is a fling: nobody looks at what passes.
const FAST = 2;

export class Scroller {
  /** `el` scrolls, `body` in it has the window's height; `onMove` is called once a frame. */
  constructor(el, body, { onMove, onRest }) {
    Object.assign(this, { el, body, onMove, onRest });
    this.total = 0;       // px of the whole library
    this.height = 0;      // px that are seen
    this.origin = 0;      // where the window begins in the whole
    this.place = 0;       // where what is seen begins in the whole
    this.seenAt = 0;
    this.isFast = false;
    this.direction = 0;
    this.frame = 0;
    el.addEventListener('scroll', () => this.scrolled(), { passive: true });
  }

  leave() {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.rest);
  }

  /** Other heights: of the whole, and of what is seen. */
  size(total, height) {
    Object.assign(this, { total, height });
    this.body.style.height = `${this.room}px`;
  }

  get room() {
    return Math.min(this.total, WINDOW_PX);
  }

  /** The last place that can be scrolled to. */
  get most() {
    return Math.max(this.total - this.height, 0);
  }

  get end() {
    return this.place + this.height;
  }

  /** Scrolls at once; what comes of it is the caller's to draw. */
  to(place) {
    const to = Math.max(0, Math.min(place, this.most));
    if (to < this.origin || to + this.height > this.origin + this.room) this.windowAround(to);
    this.el.scrollTop = to - this.origin;
    const before = this.place;
    // As the browser has it: it rounds to device pixels.
    this.place = this.origin + this.el.scrollTop;
    // A jump may be one of many, as when the scrubber is dragged.
    if (Math.abs(this.place - before) > this.height) this.isFast = true;
    this.awaitRest();
  }

  windowAround(place) {
    this.origin = Math.max(0, Math.min(place - this.room / 2, this.total - this.room));
  }

  scrolled() {
    const place = this.origin + this.el.scrollTop;
    const now = performance.now();
    const moved = place - this.place;
    if (moved) {
      // What rested before it began to move did not move all that time.
      const speed = Math.abs(moved) / Math.min(Math.max(now - this.seenAt, 1), REST_MS);
      // It ends at half the speed that it began at: requests do not come and go at its limit.
      const limit = ((this.isFast ? FAST / 2 : FAST) * this.height) / 1000;
      this.isFast = speed > limit;
      this.direction = Math.sign(moved);
    }
    this.place = place;
    this.seenAt = now;
    this.awaitRest();
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.moveWindow();
      this.onMove();
    });
  }

  moveWindow() {
    const inside = this.place - this.origin;
    const isLow = inside < this.room / 10 && this.origin > 0;
    const isHigh = inside > 0.9 * this.room && this.origin + this.room < this.total;
    if (!isLow && !isHigh) return;
    this.windowAround(this.place);
    this.el.scrollTop = this.place - this.origin;
  }

  awaitRest() {
    clearTimeout(this.rest);
    this.rest = setTimeout(() => {
      this.isFast = false;
      this.direction = 0;
      this.onRest();
    }, REST_MS);
  }
}
