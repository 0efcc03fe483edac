// Start of the page: the screen that the address names, the status, what every screen shares.
import { announce } from './announce.js';
import { get, isAborted, onReached } from './api.js';
import { makeEdits } from './edits.js';
import { element } from './html.js';
import { EVERYWHERE, layKeys, showKeys } from './keys.js';
import { watchReach } from './reach.js';
import { startTheme } from './theme.js';
import { toast } from './toast.js';

// Name in the address -> its module, its place in the rail and its title.
const SCREENS = {
  photos: { module: 'photos', rail: 'photos', title: 'Photos' },
  search: { module: 'search', rail: 'search', title: 'Search' },
  photo: { module: 'viewer', title: 'Photo', isOver: true },
  tags: { module: 'tags', rail: 'tags', title: 'Tags' },
  tag: { module: 'review', rail: 'tags', title: 'Tag' },
  duplicates: { module: 'duplicates', rail: 'duplicates', title: 'Duplicates' },
  picks: { module: 'picks', rail: 'duplicates', title: 'Picked for removal' },
  history: { module: 'history', rail: 'history', title: 'History' },
  status: { module: 'status', rail: 'status', title: 'Status' },
};
const BUSY_MS = 1000;
const IDLE_MS = 15000;

const main = document.getElementById('main');
const over = document.getElementById('over');
const changes = new EventTarget();

const listen = (name, told) => {
  const listener = (event) => told(event.detail);
  changes.addEventListener(name, listener);
  return () => changes.removeEventListener(name, listener);
};

const edits = makeEdits((answer) => {
  changes.dispatchEvent(new CustomEvent('edit', { detail: answer }));
  poll();
});

/** What every screen is given. */
const app = {
  /** The newest answer of /api/status; null before the first. */
  status: null,
  /** The grid that is on the screen, if one is: the viewer asks it for neighbours. */
  shown: null,
  announce,
  toast,
  keys: layKeys,
  /** Calls `told(status)` at every change of the status; gives the function that ends it. */
  onStatus: (told) => listen('status', told),
  /** Calls `told(answer)` after every edit of this tab, so that a screen shows what changed. */
  onEdit: (told) => listen('edit', told),
  /** Opens a screen: '#/search?q=boat'. */
  go: (hash) => { location.hash = hash; },
  /** Writes the address of what is shown already, over the last one or as a new one. */
  replace: (hash) => { history.replaceState(null, '', hash); shownAt(hash); },
  push: (hash) => { history.pushState(null, '', hash); shownAt(hash); },
  /** From the viewer to where it was opened. */
  back: () => (viewer.isFromHere ? history.back() : app.go(below.hash)),
  /** Makes an edit, says what it did with an undo beside; gives its answer, or null if it failed. */
  edit: edits.edit,
  /** Takes back an edit by its number or uuid, else the last of this tab; the answer or null. */
  undo: edits.undo,
  redo: edits.redo,
  /** Asks for the status now. */
  refresh: () => poll(),
};

// ---- Status: once a second while something runs, else every 15 s.
let timer = 0;
let asked = null;

async function poll() {
  clearTimeout(timer);
  asked?.abort();
  asked = new AbortController();
  try {
    const status = await get('/api/status', { signal: asked.signal });
    const isOther = JSON.stringify(status) !== JSON.stringify(app.status);
    app.status = status;
    if (isOther) changes.dispatchEvent(new CustomEvent('status', { detail: status }));
    const isBusy = status.index?.running || status.model?.state === 'loading' || status.waiting > 0;
    timer = setTimeout(poll, isBusy && !document.hidden ? BUSY_MS : IDLE_MS);
  } catch (error) {
    // Where the program does not answer, reach.js asks again sooner.
    if (!isAborted(error)) timer = setTimeout(poll, IDLE_MS);
  }
}

// ---- The screen that the address names, and the viewer, which may lie over it.
const below = { screen: null, hash: '', leave: null, update: null };
const viewer = { screen: null, hash: '', leave: null, update: null, isFromHere: false, before: null };
let here = '';
let turn = 0;

function shownAt(hash) {
  here = hash;
  (viewer.screen ? viewer : below).hash = hash;
}

function parsed(hash) {
  const [path, query = ''] = hash.replace(/^#\/?/, '').split(/\?(.*)/s);
  const [name, ...rest] = path.split('/').map(decoded);
  const params = { rest: rest.filter(Boolean), query: Object.fromEntries(new URLSearchParams(query)) };
  return { screen: SCREENS[name] ?? SCREENS.photos, params };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

async function show(hash) {
  const mine = ++turn;
  const { screen, params } = parsed(hash);
  if (!screen.isOver) {
    closeViewer();
    if (hash !== below.hash) await put(below, main, screen, hash, params, mine);
    if (mine === turn) named(screen);
    return;
  }
  viewer.isFromHere ||= below.screen !== null && viewer.screen === null;
  if (!below.screen) await put(below, main, SCREENS.photos, '#/photos', parsed('#/photos').params, mine);
  if (!viewer.screen) viewer.before = document.activeElement;
  over.hidden = false;
  lieUnder(true);
  await put(viewer, over, screen, hash, params, mine);
  document.title = screen.title;
}

/** Shows a screen at a place: anew, or by its update where it is there already. */
async function put(place, host, screen, hash, params, mine) {
  const module = await import(`./screens/${screen.module}.js`);
  if (mine !== turn) return;
  const isSame = place.screen === screen && place.update;
  place.hash = hash;
  if (isSame) {
    place.update(params);
    return;
  }
  place.leave?.();
  if (place === below) app.shown = null;
  host.replaceChildren();
  place.screen = screen;
  const mounted = module.mount(host, params, app);
  place.leave = mounted?.leave ?? mounted;
  place.update = mounted?.update;
}

/** What lies under the viewer takes no focus and is not heard. */
function lieUnder(is) {
  for (const el of document.querySelectorAll('#skip, #rail, #main')) el.inert = is;
}

function closeViewer() {
  if (over.hidden) return;
  viewer.leave?.();
  over.replaceChildren();
  over.hidden = true;
  lieUnder(false);
  const { before } = viewer;
  Object.assign(viewer, { screen: null, hash: '', leave: null, update: null, isFromHere: false, before: null });
  // The grid knows which photo was looked at last; else the focus goes back to where it was.
  if (app.shown) app.shown.focusOn(app.shown.focus);
  else if (before?.isConnected) before.focus({ preventScroll: true });
}

function named(screen) {
  document.title = screen.title;
  for (const link of document.querySelectorAll('#rail a')) {
    if (link.dataset.screen === screen.rail) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
}

function turned() {
  if (location.hash === here) return;
  here = location.hash;
  show(here).catch((error) => {
    main.replaceChildren(element(
      'div',
      { className: 'nothing' },
      element('h2', {}, 'This screen could not be opened'),
      element('p', {}, error.message),
    ));
  });
}

// ---- Start.
startTheme(document.getElementById('theme'));
layKeys(EVERYWHERE, [
  { keys: ['?'], does: 'Show the keys', run: showKeys },
  { keys: ['/'], does: 'Search', run: () => app.go('#/search') },
  { keys: ['u', 'Mod+z'], does: 'Undo', run: () => { app.undo(); } },
  { keys: ['Mod+Shift+z'], does: 'Redo', run: () => { app.redo(); } },
]);
document.getElementById('help').addEventListener('click', showKeys);
document.getElementById('skip').addEventListener('click', () => {
  (main.querySelector('[tabindex="0"]') ?? main).focus();
});
document.addEventListener('visibilitychange', () => { if (!document.hidden) poll(); });
// A picture that is dropped beside its place would replace the page.
for (const name of ['dragover', 'drop']) document.addEventListener(name, (event) => event.preventDefault());
addEventListener('hashchange', turned);
watchReach(document.getElementById('banner'), onReached, poll);
if (!location.hash) history.replaceState(null, '', '#/photos');
turned();
poll();
