// The strip beside the timeline: the whole library from the newest photo to the oldest, by height.
import { announce } from '../announce.js';
import { element } from '../html.js';

const LABEL_PX = 26;
// A label stands under the line of its year's newest photo.
const UNDER_PX = 7;

/** A scrubber for a grid over a Timeline: drag, click, wheel, arrows (month), PgUp and PgDn (year). */
export function createScrubber(host, grid) {
  const years = element('div', { className: 'scrub-years', ariaHidden: 'true' });
  const bubble = element('div', { className: 'scrub-bubble', ariaHidden: 'true' });
  const thumb = element('div', { className: 'scrub-thumb', ariaHidden: 'true' });
  const el = element('div', { className: 'scrubber', role: 'slider', tabIndex: 0, ariaLabel: 'Date', title: 'Drag to a date (G: type one)' }, years, thumb, bubble);
  el.setAttribute('aria-orientation', 'vertical');
  host.append(el);
  let drawnFor = null;    // the layout that the years and these heights are of
  let heights = {};
  let month = -1;

  const monthNow = () => (grid.count ? grid.layout.rowAt(grid.scroller.place).section : 0);
  const titleOf = (place) => grid.source.sections[place]?.title ?? '';

  function draw() {
    if (!grid.layout) return;
    if (drawnFor !== grid.layout) drawYears();
    const { most, place, isFast } = grid.scroller;
    const share = most ? place / most : 0;
    move(thumb, share * (heights.all - heights.thumb));
    move(bubble, share * (heights.all - heights.bubble));
    el.classList.toggle('moving', isFast);
    if (month !== monthNow()) drawMonth();
  }

  /** By whole pixels, and only where it moves: each move makes the browser put its layers together. */
  function move(mark, y) {
    const place = `translateY(${Math.round(y)}px)`;
    if (mark.style.transform !== place) mark.style.transform = place;
  }

  function drawMonth() {
    month = monthNow();
    bubble.textContent = titleOf(month);
    el.setAttribute('aria-valuemin', 0);
    el.setAttribute('aria-valuemax', Math.max(grid.source.sections.length - 1, 0));
    el.setAttribute('aria-valuenow', month);
    el.setAttribute('aria-valuetext', titleOf(month));
  }

  /** A label for each year, where there is room, and a tick for the others. */
  function drawYears() {
    drawnFor = grid.layout;
    drawMonth();
    heights = { all: el.clientHeight, thumb: thumb.offsetHeight, bubble: bubble.offsetHeight };
    years.replaceChildren();
    let last = -LABEL_PX;
    let before = null;
    grid.source.months.forEach(([name], place) => {
      const year = name === 'undated' ? 'No date' : name.slice(0, 4);
      if (year === before) return;
      before = year;
      const y = (grid.layout.tops[place] / Math.max(grid.layout.height, 1)) * heights.all;
      const hasRoom = y - last >= LABEL_PX && y <= heights.all - LABEL_PX;
      const mark = element('span', { className: hasRoom ? 'year' : 'tick' }, hasRoom ? year : '');
      mark.style.transform = `translateY(${Math.min(hasRoom ? y + UNDER_PX : y, heights.all - 2)}px)`;
      years.append(mark);
      if (hasRoom) last = y;
    });
  }

  function toPointer(event) {
    const box = el.getBoundingClientRect();
    const share = (event.clientY - box.top - heights.thumb / 2) / Math.max(box.height - heights.thumb, 1);
    grid.jumpTo(Math.min(Math.max(share, 0), 1) * grid.scroller.most);
  }

  /** To the start of a month, said aloud. */
  function toMonth(wanted) {
    const place = Math.min(Math.max(wanted, 0), grid.source.sections.length - 1);
    grid.jump(grid.layout.photosBefore[place]);
    announce(titleOf(place));
  }

  /** The next month of another year, older (1) or newer (-1). */
  function yearFrom(from, by) {
    const { months } = grid.source;
    const yearOf = (place) => months[place][0].slice(0, 4);
    let place = from;
    while (months[place + by] && yearOf(place) === yearOf(from)) place += by;
    // Upwards: to the newest month of that year, where it begins on the page.
    while (by < 0 && months[place - 1] && yearOf(place - 1) === yearOf(place)) place -= 1;
    return place;
  }

  el.addEventListener('pointerdown', (event) => {
    el.setPointerCapture(event.pointerId);
    el.classList.add('held');
    toPointer(event);
  });
  el.addEventListener('pointermove', (event) => {
    if (el.hasPointerCapture(event.pointerId)) toPointer(event);
  });
  for (const name of ['pointerup', 'pointercancel']) {
    el.addEventListener(name, () => el.classList.remove('held'));
  }
  el.addEventListener('wheel', (event) => grid.el.scrollBy(0, event.deltaY), { passive: true });
  el.addEventListener('keydown', (event) => {
    const now = monthNow();
    const moves = {
      ArrowDown: now + 1, ArrowRight: now + 1, ArrowUp: now - 1, ArrowLeft: now - 1,
      PageDown: yearFrom(now, 1), PageUp: yearFrom(now, -1),
    };
    if (event.key === 'Home') grid.jumpTo(0);
    else if (event.key === 'End') grid.jumpTo(grid.scroller.most);
    else if (event.key in moves) toMonth(moves[event.key]);
    else return;
    event.preventDefault();
  });

  const end = grid.onMove(draw);
  draw();
  return {
    toMonth,
    monthNow,
    leave: () => {
      end();
      el.remove();
    },
  };
}
