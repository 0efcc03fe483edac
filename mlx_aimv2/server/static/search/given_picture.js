// A picture as what to look for: dropped, pasted or chosen. It goes to the program behind the page,
// which keeps what it looks like in memory, and nowhere else.
import { post } from '../api.js';
import { element } from '../html.js';
import { toastError } from '../toast.js';

const READ = 'image/*,.heic,.heif,.dng,.cr2,.cr3,.nef,.arw,.raf,.orf,.rw2';
const IS_READ = new RegExp(`(${READ.split(',').slice(1).join('|').replaceAll('.', '\\.')})$`, 'i');

/** Pictures that were given: name at the program -> address of the picture here, for chips. */
export const pictures = new Map();

/** Takes pictures that are dropped on a screen or pasted; `told(name)` hears of each. Gives its end. */
export function takePictures(screen, told) {
  const drag = (is) => screen.classList.toggle('dropping', is);
  screen.addEventListener('dragover', (event) => drag(event.dataTransfer.types.includes('Files')));
  screen.addEventListener('dragleave', (event) => {
    if (!screen.contains(event.relatedTarget)) drag(false);
  });
  screen.addEventListener('drop', (event) => {
    drag(false);
    send(pictureIn(event.dataTransfer), told);
  });
  const paste = (event) => {
    const file = pictureIn(event.clipboardData);
    if (!file || screen.closest('[inert]') || document.querySelector('dialog[open]')) return;
    event.preventDefault();
    send(file, told);
  };
  document.addEventListener('paste', paste);
  return () => document.removeEventListener('paste', paste);
}

/** Asks for a picture of this computer. */
export function choosePicture(told) {
  const input = element('input', { type: 'file', accept: READ });
  input.addEventListener('change', () => send(input.files[0], told));
  input.click();
}

const pictureIn = ({ files }) => [...files].find(({ type, name }) => type.startsWith('image/') || IS_READ.test(name));

async function send(file, told) {
  if (!file) return;
  try {
    const { picture } = await post('/api/picture', file);
    pictures.set(picture, URL.createObjectURL(file));
    told(picture);
  } catch (error) {
    toastError(error);
  }
}
