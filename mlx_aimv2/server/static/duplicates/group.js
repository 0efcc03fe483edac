// One group of photos that show the same: the best first, their facts beside each other.
import { dayName } from '../grid/dates.js';
import { html } from '../html.js';
import { comparedFacts, counted, parted, placeText, sizeText } from './decision.js';

/**
 * `state` is {decision, done}: `done` says in words what became of the group, null while it is open.
 * `stop` is the id of the photo that Tab reaches, null where that is in another group.
 */
export function Group({ group, number, state, stop, act }) {
  const title = `group-${group.id}`;
  if (state.done !== null) {
    return html`<article class="dup-group done" aria-labelledby=${title} data-group=${group.id}>
      <h2 id=${title}>Group ${number}</h2><p>${state.done}</p></article>`;
  }
  const { go, stay } = parted(group, state.decision);
  const gone = group.photos.filter(({ id }) => state.decision.goes.has(id));
  const facts = comparedFacts(group.photos);
  const { rest, restGoes } = state.decision;
  return html`<article class="dup-group" aria-labelledby=${title} data-group=${group.id}>
    <header class="bar">
      <h2 id=${title}>Group ${number}</h2>
      <span class="faint">${counted(group.ids.length, 'file')}</span>
      <div class="bar push">
        <button type="button" class="button plain" title="Not duplicates (N): remembered for good" onClick=${() => act.apart(group)}>Not duplicates</button>
        <button type="button" class="button plain" title="Carry tags, stars and date over to the one that is kept (C)" disabled=${!stay.length || !go.length} onClick=${() => act.carry(group)}>Carry over</button>
        <button type="button" class="button" title="Decide later (Shift+→)" onClick=${() => act.skip(group)}>Skip</button>
        <button type="button" class=${`button ${stop === null ? '' : 'main'}`} title="Confirm and go on (Shift+↑)" onClick=${() => act.confirm(group)}>${confirmText(go, stay, gone)}</button>
      </div>
    </header>
    <div class="dup-photos">
      ${group.photos.map((photo, place) => html`<${Photo} key=${photo.id} photo=${photo} isGoing=${state.decision.goes.has(photo.id)}
        facts=${facts.map(([name, values, isBest]) => [name, values[place], isBest[place]])} isStop=${photo.id === stop} group=${group} act=${act} />`)}
      ${rest.length > 0 && html`<div class="dup-rest">
        <p>${counted(rest.length, 'more file')}</p>
        <${Marks} isGoing=${restGoes} name=${counted(rest.length, 'more file')} stop=${0} onMark=${(isGoing) => act.markRest(group, isGoing)} /></div>`}
    </div>
  </article>`;
}

function confirmText(go, stay, gone) {
  if (!go.length) return 'Keep all';
  if (!stay.length) return 'Pick all';
  const bytes = gone.reduce((sum, { size }) => sum + size, 0);
  return `Keep ${stay.length}, pick ${go.length} (${sizeText(bytes)}${gone.length < go.length ? ' and more' : ''})`;
}

function Photo({ photo, facts, isGoing, isStop, group, act }) {
  const stop = isStop ? 0 : -1;
  const isSame = photo.v === group.photos[0].v;    // of the content
  const words = [photo.best ? 'suggested best' : isSame ? 'the same file' : `${Math.round(photo.alike * 100)} % alike`,
    isGoing ? 'to be picked for removal' : 'is kept', !photo.online && 'its drive is not connected'].filter(Boolean);
  return html`<div class=${`dup-photo ${isGoing ? 'going' : 'staying'} ${photo.online ? '' : 'away'}`} role="group" tabindex=${stop} data-photo=${photo.id}
    aria-label=${`${photo.name}, ${words.join(', ')}`} onFocusIn=${() => act.focused(group, photo.id)}>
    <a class="dup-picture" href=${`#/photo/${photo.id}`} tabindex="-1" aria-label=${`Open ${photo.name}`} onClick=${(event) => look(event, () => act.look(group, photo.id))}>
      <img src=${`/thumb/${photo.id}?v=${photo.v}`} alt=${altOf(photo)} loading="lazy" decoding="async" draggable=${false} />
      ${photo.best && html`<span class="dup-badge">Best</span>`}
      ${!photo.best && html`<span class="dup-badge plain">${isSame ? 'Same file' : `${Math.round(photo.alike * 100)} % alike`}</span>`}
    </a>
    <${Marks} isGoing=${isGoing} name=${photo.name} stop=${stop} onMark=${(going) => act.mark(group, photo.id, going)} />
    <p class="dup-name" title=${`${placeText(photo)}/${photo.name}`}><bdi>${photo.name}</bdi></p>
    ${!photo.online && html`<p class="dup-away">Drive not connected</p>`}
    <dl>${facts.map(([name, value, isBest]) => html`<div key=${name} class=${isBest ? 'better' : ''}>
      <dt>${name}</dt><dd title=${value}><bdi>${value}</bdi></dd></div>`)}</dl>
  </div>`;
}

/** A plain click looks at the photo here; with a key held the browser opens a tab, as ever. */
function look(event, run) {
  if (event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  run();
}

function Marks({ isGoing, name, stop, onMark }) {
  const button = (going, label, key) => html`<button type="button" tabindex=${stop} class=${going ? 'goes' : 'stays'} aria-pressed=${going === isGoing ? 'true' : 'false'}
    aria-label="${label} ${name}" title="${label} (${key})" onClick=${() => onMark(going)}>${label}</button>`;
  return html`<div class="tabs dup-marks" role="group" aria-label=${`What becomes of ${name}`}>
    ${button(false, 'Keep', '↑')}${button(true, 'Remove', '↓')}</div>`;
}

const altOf = (photo) => ['Photo', photo.date === null ? 'no date' : dayName(photo.date)].join(', ');
