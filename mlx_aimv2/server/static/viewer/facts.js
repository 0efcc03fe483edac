// What is known of one photo, as text and as the panel beside it.
import { Caption } from './captions.js';
import { dayName } from '../grid/dates.js';
import { html } from '../html.js';
import { PhotoTags } from './tags.js';

/** A date of the camera's clock as people write it: 3 May 2024, 14:05. No zone is added to it. */
export function shownDate(iso) {
  if (!iso) return '';
  const time = iso.slice(11, 16);
  return time ? `${dayName(iso)}, ${time}` : dayName(iso);
}

/** A size in bytes as people read it: 3.4 MB. */
export function shownSize(bytes) {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let [size, unit] = [bytes, 0];
  while (size >= 999.5 && unit < units.length - 1) [size, unit] = [size / 1000, unit + 1];
  return `${unit && size < 99.5 ? size.toFixed(1) : Math.round(size)} ${units[unit]}`;
}

/** A place as degrees: 45.7640° N, 4.8357° E. */
export const shownPlace = ([latitude, longitude]) =>
  `${Math.abs(latitude).toFixed(4)}° ${latitude < 0 ? 'S' : 'N'}, ${Math.abs(longitude).toFixed(4)}° ${longitude < 0 ? 'W' : 'E'}`;

/** What stands for a photo where it is not seen: its date, and what people said of it. */
export function spokenPhoto({ date, caption, tags = [] }) {
  const sure = tags.filter(({ verdict }) => verdict).map(({ tag }) => tag.split('|').at(-1));
  const words = caption?.origin === 'you' ? caption.text : '';
  return ['Photo', shownDate(date).split(',')[0], words, ...sure].filter(Boolean).join(', ');
}

/** The panel: facts, tags, caption. `act` are the viewer's actions. */
export function Facts({ photo, act }) {
  const pixels = photo.width && `${photo.width} × ${photo.height} (${(photo.width * photo.height / 1e6).toFixed(1)} megapixels)`;
  const rows = [
    ['Taken', shownDate(photo.date) || 'no date'],
    ['Pixels', pixels],
    ['File', [photo.format, photo.size && shownSize(photo.size)].filter(Boolean).join(', ')],
    ['Place', photo.gps && shownPlace(photo.gps)],
    ['Folder', photo.folder],
    ['Shot', photo.shot.length > 1 && `${photo.shot.length} files, as a RAW beside its JPEG`],
    ['Drive', photo.root && `${photo.root}${photo.online ? '' : ' (not connected)'}`],
  ];
  return html`
    <h2 class="name"><bdi>${photo.name}</bdi></h2>
    ${photo.error && html`<div class="wrong"><strong>This photo cannot be read.</strong><p>${photo.error.message}</p><p class="faint">${photo.error.hint}</p></div>`}
    ${photo.missing && html`<p class="wrong">Its file was not there when its folder was last looked at.</p>`}
    <dl class="facts">${rows.map(([name, text]) => text && html`<div key=${name}><dt>${name}</dt><dd><bdi>${text}</bdi></dd></div>`)}</dl>
    <${Caption} key=${`caption ${photo.id}`} photo=${photo} act=${act} />
    <${PhotoTags} photo=${photo} act=${act} />`;
}
