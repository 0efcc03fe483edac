// The banner of a program that does not answer, or wants its token: tried again after 1, 2, 5 s.
import { announce } from './announce.js';
import { element } from './html.js';

const WAITS_S = [1, 2, 5];

/** Keeps the banner: `onReached(told)` hears of every request, `tryAgain` makes one. */
export function watchReach(banner, onReached, tryAgain) {
  let state = 'reached';
  let tries = 0;
  let timer = 0;

  function again() {
    clearTimeout(timer);
    tries += 1;
    tryAgain();
  }

  onReached((heard) => {
    if (heard === 'unreachable') {
      const wait = WAITS_S[Math.min(tries, WAITS_S.length - 1)];
      clearTimeout(timer);
      timer = setTimeout(again, wait * 1000);
      if (state !== heard) draw(banner, 'The program behind this page does not answer.', 'Start aimv2 browse again; this page goes on by itself if its address is the same.', again);
    } else {
      clearTimeout(timer);
      tries = 0;
      if (heard === 'locked' && state !== heard) draw(banner, 'This page is no longer let in.', 'Open the address that aimv2 browse printed.', again);
      if (heard === 'reached' && state !== heard) {
        banner.replaceChildren();
        announce('The program answers again.');
      }
    }
    state = heard;
  });
}

function draw(banner, message, hint, again) {
  banner.replaceChildren(element(
    'div',
    {},
    element('strong', {}, message),
    element('span', { className: 'faint' }, hint),
    element('button', { type: 'button', className: 'button push', onclick: again }, 'Try now'),
  ));
}
