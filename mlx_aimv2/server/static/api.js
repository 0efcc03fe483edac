// Requests to the program behind this page. An error is always an object
// {error, message, hint}; `error` is "unreachable" where no answer came at all.

/** An answer that is an error, or no answer. */
export class Failed extends Error {
  constructor({ error, message, hint = '' }, status = 0) {
    super(message);
    Object.assign(this, { error, hint, status });
  }
}

/** Was a request given up by the page itself? Then nobody is told. */
export const isAborted = (error) => error?.name === 'AbortError';

const heard = new EventTarget();
/** Calls `told(reached)` after every request that was answered, or was not. */
export const onReached = (told) => heard.addEventListener('reached', (event) => told(event.detail));
const reached = (detail) => heard.dispatchEvent(new CustomEvent('reached', { detail }));

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (isAborted(error)) throw error;
    reached('unreachable');
    throw new Failed({
      error: 'unreachable',
      message: 'The program behind this page does not answer.',
      hint: 'Start aimv2 browse again.',
    });
  }
  reached(answer.status === 401 ? 'locked' : 'reached');
  if (answer.ok) return answer;
  let said;
  try {
    said = await answer.json();
  } catch {
    said = {};
  }
  throw new Failed(
    { error: said.error ?? 'failed', message: said.message ?? `The answer was ${answer.status}.`, hint: said.hint },
    answer.status,
  );
}

/** JSON of an address; `query` becomes its ?a=b, less what is null. */
export async function get(path, { query = {}, signal } = {}) {
  return (await ask(withQuery(path, query), { signal })).json();
}

/** The octets of an address. */
export async function octets(path, { query = {}, signal } = {}) {
  return (await ask(withQuery(path, query), { signal })).arrayBuffer();
}

/** Sends JSON, or the bytes of a picture as they are, and gives the JSON of the answer. */
export async function post(path, body, { signal } = {}) {
  const isBytes = body instanceof Blob;
  const headers = { 'X-Aimv2': '1', 'Content-Type': isBytes ? 'application/octet-stream' : 'application/json' };
  const sent = isBytes ? body : JSON.stringify(body);
  return (await ask(path, { method: 'POST', headers, body: sent, signal })).json();
}

/**
 * An edit: `target` is {ids} | {search} | {tag_kind} | {}, `more` what the edit needs besides.
 * It is sent once more when no answer came: its uuid makes sure that nothing is done twice.
 */
export const edit = (verb, target = {}, more = {}) =>
  sendOnce('/api/edits', { do: verb, ...target, ...more });

/** Takes an edit back, by its number or its uuid; taking back that taking back does it again. */
export const undo = (name) => sendOnce(`/api/edits/${name}/undo`, {});

async function sendOnce(path, body) {
  const marked = { uuid: crypto.randomUUID(), ...body };
  let answer;
  try {
    answer = await post(path, marked);
  } catch (error) {
    if (error.error !== 'unreachable') throw error;
    await new Promise((later) => setTimeout(later, 500));
    answer = await post(path, marked);
  }
  // An edit that waits for an index has no number yet: its uuid names it.
  return { ...answer, name: answer.edit ?? (answer.waiting ? marked.uuid : null) };
}

function withQuery(path, query) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}
