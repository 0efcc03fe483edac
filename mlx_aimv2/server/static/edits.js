// Edits of this tab: each is said with its undo beside, and taken back one after the other.
import { edit, isAborted, undo } from './api.js';
import { toast, toastError } from './toast.js';

// Errors that a person may overrule: the button, and what is sent with the edit then.
const ALL_THE_SAME = { whole_group: { label: 'Pick all the same', more: { whole_groups: true } } };
// After these the edit may be asked for again as it is.
const NOT_ANSWERED = ['unreachable', 'busy', 'fault'];

/** {edit, undo, redo}; `changed(answer)` is called after each that was made. What undoes may itself be undone. */
export function makeEdits(changed) {
  const done = [];      // names of edits, the newest last
  const undone = [];    // names of the undoings
  // Of several edits only the last has a note: a row of answers does not cover the photos.
  let closeNote = () => {};

  function say(answer, isUndo) {
    const [from, to] = isUndo ? [undone, done] : [done, undone];
    const back = () => takeBack(answer.name, from, to);
    closeNote();
    closeNote = toast(answer.said, {
      hint: answer.waiting ? 'An index is running: this is kept, and written when it ends.' : '',
      action: answer.name === null ? null : { label: isUndo ? 'Redo' : 'Undo', heard: isUndo ? '' : 'Undo with U', run: back },
    });
    for (const error of answer.errors ?? []) toastError(error);
  }

  async function make(verb, target, more) {
    try {
      const answer = await edit(verb, target, more);
      undone.length = 0;
      if (answer.name !== null) done.push(answer.name);
      say(answer, false);
      changed(answer);
      return answer;
    } catch (error) {
      if (isAborted(error)) return null;
      const other = ALL_THE_SAME[error.error];
      const again = other && { label: other.label, run: () => make(verb, target, { ...more, ...other.more }) };
      toast(error.message, { hint: error.hint, isBad: true, action: again ?? null });
      return null;
    }
  }

  /** Takes back an edit of one list; the undoing is in the other. */
  async function takeBack(name, from, to) {
    const place = from.indexOf(name);
    if (place >= 0) from.splice(place, 1);
    try {
      const answer = await undo(name);
      if (answer.name !== null) to.push(answer.name);
      say(answer, to === undone);
      changed(answer);
      return answer;
    } catch (error) {
      if (NOT_ANSWERED.includes(error.error)) from.push(name);
      if (!isAborted(error)) toastError(error);
      return null;
    }
  }

  function last(from, to, nothing) {
    if (from.length) return takeBack(from.at(-1), from, to);
    toast(nothing);
    return Promise.resolve(null);
  }

  return {
    edit: make,
    undo: (name, { isUndoing = false } = {}) => {
      if (name === undefined) return last(done, undone, 'Nothing to undo on this page: see History.');
      return isUndoing ? takeBack(name, undone, done) : takeBack(name, done, undone);
    },
    redo: () => last(undone, done, 'Nothing to do again.'),
  };
}
