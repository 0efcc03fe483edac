// What the search screen says where it shows no photos, and of the checkpoint behind it.
import { element } from '../html.js';
import { nothing } from '../nothing.js';
import { counted } from '../tags/tag_names.js';
import { shownScore } from './why.js';

const EXAMPLES = ['boat', 'red boat + beach', 'horse - night', 'birthday cake --since 2023'];

/** What a search found, for a screen reader. */
export function spoken({ total, best }) {
  const found = total ? counted(total, 'photo') : 'nothing fits';
  return typeof best === 'number' ? `${found}, best ${shownScore(best)}` : found;
}

/** Can no words be looked for in pictures, as the checkpoint has no text tower? */
export const isTextless = (model) => Boolean(model?.name) && !model.texts;

/** What a person is to know of the checkpoint, of /api/status; '' where all is well. */
export function noticeOf(model) {
  if (isTextless(model)) return 'Pictures only: this checkpoint has no text tower. Likeness, tags, dates and the words of captions work.';
  if (model?.state === 'loading') return 'The checkpoint is loading; the first search waits for it.';
  if (model?.state !== 'failed') return '';
  return `Words cannot be looked for: ${model.message}. ${model.hint ?? ''} Likeness, tags and dates work.`;
}

/** Nothing fits: the best score all the same, and `show()` behind a button. */
export function nothingFits({ best, line }, show) {
  if (typeof best !== 'number') return nothing('No photo passes the filters', ['Take a chip away, or look under another date.']);
  const score = best.toFixed(3);
  return nothing(
    'Nothing fits',
    [`The best photo has ${score}. Below the line, ${line}, a photo fits these words no better than any words.`],
    button(`Show from ${score} on`, show),
  );
}

/** Nothing is asked for yet: what may be, of the actions of the panel; `act.ask(words)` asks an example. */
export function invitation(model, act) {
  if (isTextless(model)) {
    return nothing(
      'Find photos like another',
      ['Drop or paste a picture here, or press S on a photo. Tags, dates and the words of captions can be looked for, too.'],
      bar(button('Choose a picture…', act.choosePicture), button('Tags and dates…', act.toggleFilters)),
    );
  }
  return nothing(
    'Say what is in the photo',
    [
      'Words between + and − belong together. A picture may be dropped here or pasted.',
      'Options of the command line hold too: --tag Sea, --since 2023, --in Norway.',
    ],
    bar(...EXAMPLES.map((words) => button(words, () => act.ask(words)))),
  );
}

const bar = (...buttons) => element('div', { className: 'bar examples' }, ...buttons);
const button = (label, onclick) => element('button', { type: 'button', className: 'button', onclick }, label);
