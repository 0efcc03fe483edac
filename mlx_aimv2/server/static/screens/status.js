// How the library is: its folders and drives, what could not be read, the index, the model.
import { get, isAborted, post } from '../api.js';
import { html, render, useEffect, useLayoutEffect, useState } from '../html.js';
import { counted } from '../tags/tag_names.js';
import { toastError } from '../toast.js';

const PAGE = 100;
const MODEL = {
  none: 'No photo is indexed yet, so no model is loaded.',
  loading: 'The model is being loaded; photos can be looked at meanwhile.',
  ready: '',
  failed: 'The model could not be loaded.',
};

/** Draws the screen into `host`; gives the function that takes it away. */
export function mount(host, params, app) {
  render(html`<${Status} app=${app} />`, host);
  app.refresh();
  return () => render(null, host);
}

function Status({ app }) {
  const [status, setStatus] = useState(app.status);
  const [isAsked, setAsked] = useState(false);
  useLayoutEffect(() => app.onStatus(setStatus), []);

  const run = async (verb) => {
    setAsked(true);
    try {
      await post('/api/index', { do: verb });
      app.announce(verb === 'start' ? 'The index has started.' : 'The index was stopped; what it read is kept.');
    } catch (error) {
      toastError(error);
    }
    setAsked(false);
    app.refresh();
  };
  useLayoutEffect(() => app.keys('Status', [
    { keys: ['i'], does: 'Start or stop the index', run: () => {
      const { running, here } = app.status?.index ?? {};
      return running && !here ? false : void run(running ? 'stop' : 'start');
    } },
  ]), []);

  if (!status) return html`<section class="screen status" aria-busy="true"><h1>Status</h1></section>`;
  const { index, model, roots } = status;
  return html`<section class="screen status">
    <header><h1>Status</h1><p class="faint"><bdi>${status.library}</bdi>, ${counted(status.photos, 'photo')}</p></header>
    ${status.problem && html`<div class="note bad" role="alert"><p><strong>${status.problem.message}</strong></p><p>${status.problem.hint}</p></div>`}
    <${Index} index=${index} isAsked=${isAsked} onRun=${run} hasRoots=${roots.length > 0} />
    ${status.waiting > 0 && html`<section><h2>Edits that wait</h2>
      <p>${counted(status.waiting, 'edit')} ${status.waiting === 1 ? 'is' : 'are'} kept beside the library and count${status.waiting === 1 ? 's' : ''} once the index that runs has ended. Nothing is lost if this page is closed.</p></section>`}
    <section><h2>Folders and drives</h2>
      ${roots.length ? html`<ul class="rows roots">${roots.map((root) => html`<li key=${root.id} class=${root.online ? '' : 'offline'}>
        <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M3 6h7l2 2h9v11H3z"/></svg>
        <span><bdi>${root.name}</bdi></span>
        <span class="faint">${counted(root.photos, 'photo')}</span>
        <span class=${root.online ? 'state good' : 'state'}>${root.online ? 'connected' : 'not connected'}</span></li>`)}</ul>`
        : html`<p class="faint">No folder was indexed yet.</p><div class="command"><code>aimv2 index ~/Pictures</code></div>`}
      ${roots.some((root) => !root.online) && html`<p class="faint">Photos of a drive that is not connected keep their thumbnails, tags and searches; connect it to open its originals.</p>`}
      ${status.missing > 0 && html`<p class="faint">${counted(status.missing, 'photo')} ${status.missing === 1 ? 'is' : 'are'} no longer where ${status.missing === 1 ? 'it was' : 'they were'}; what you said of ${status.missing === 1 ? 'it' : 'them'} is kept.</p>`}
    </section>
    <section><h2>Model</h2>
      <p class=${`model ${model.state}`}><strong><bdi>${model.name || 'none'}</bdi></strong> <span class="faint">${MODEL[model.state]}</span></p>
      ${model.state === 'ready' && html`<p class="faint">${model.texts ? 'Searches by words and by pictures.' : 'Searches by pictures only: this checkpoint reads no words.'}</p>`}
      ${model.message && html`<p>${model.message} <span class="faint">${model.hint}</span></p>`}
    </section>
    <section><h2>Thumbnails</h2>
      <p class="faint">They are kept in <code><bdi>${status.library}</bdi>.thumbs</code> beside the library, so that photos of a drive that is not connected are still seen. The file may be deleted at any time: it is made again.</p></section>
    <${Errors} count=${status.errors} version=${status.version} />
  </section>`;
}

function Index({ index, isAsked, onRun, hasRoots }) {
  const total = index.done + index.left;
  const rest = index.per_s > 0 ? `, ${lasting(index.left / index.per_s)} left` : '';
  return html`<section><h2>Index</h2>
    ${index.running ? html`
      <progress max=${total || undefined} value=${total ? index.done : undefined} aria-label="Photos that were read"></progress>
      <p>${index.done.toLocaleString('en')} of ${counted(total, 'photo')}${index.per_s > 0 ? `, ${index.per_s.toFixed(1)} a second` : ''}${rest}</p>
      <p class="faint">${index.here ? 'Stopped or not, what was read is kept.' : 'It was started by a command in another window, and is stopped there.'}</p>`
      : html`<p class="faint">${hasRoots ? 'Looks for new, changed and moved photos in the folders below.' : 'Begin with a folder of photos, on the command line.'}</p>`}
    ${index.message && html`<p role="status">${index.message} <span class="faint">${index.hint}</span></p>`}
    ${(index.running ? index.here : hasRoots) && html`<button type="button" class=${index.running ? 'button' : 'button main'}
      aria-disabled=${isAsked ? 'true' : 'false'} onClick=${() => isAsked || onRun(index.running ? 'stop' : 'start')}>
      ${index.running ? 'Stop the index' : 'Start an index'}</button>`}
  </section>`;
}

function Errors({ count, version }) {
  const [errors, setErrors] = useState([]);
  const [next, setNext] = useState(null);
  const load = async (after, signal) => {
    try {
      const answer = await get('/api/errors', { query: { after, limit: PAGE }, signal });
      setErrors((before) => (after === null ? answer.errors : [...before, ...answer.errors]));
      setNext(answer.next);
    } catch (error) {
      if (!isAborted(error)) toastError(error);
    }
  };
  useEffect(() => {
    const asked = new AbortController();
    if (count) load(null, asked.signal);
    else setErrors([]);
    return () => asked.abort();
  }, [count, version]);

  return html`<section><h2>Photos that cannot be read</h2>
    ${count ? html`<p class="faint">${counted(count, 'file')}. Each is tried again by an index after it has changed.</p>`
      : html`<p class="faint">None.</p>`}
    <ul class="rows errors">${errors.map((each) => html`<li key=${each.id}>
      <span><bdi>${each.name}</bdi><span class="faint"><bdi>${each.folder}</bdi></span></span>
      <span>${each.message}<span class="faint">${each.hint}</span></span></li>`)}</ul>
    ${count > 0 && next !== null && html`<button type="button" class="button more" onClick=${() => load(next)}>More</button>`}
  </section>`;
}

/** A time in words: 40 s, 3 min, 2 h 10 min. */
function lasting(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
