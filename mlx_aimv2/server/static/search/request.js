// What is asked of a search: the body of POST /api/search, and the same in the page's address, so
// that Back, a reload and a bookmark ask again.

// Between the parts of a list: a tag may have a comma, but no end of a line.
const LISTS = { like: ',', pictures: ',', tags: '\n', not_tags: '\n' };
const TEXTS = ['q', 'since', 'until', 'sort'];
const FLAGS = ['unique', 'captions_only'];

/** A request for nothing. `sort` null: by score, or by date where there are no scores. */
export const EMPTY = Object.freeze({
  q: '', like: [], pictures: [], tags: [], not_tags: [], since: null, until: null,
  sort: null, min: null, unique: false, captions_only: false,
});

/** The request that an address asks for: `query` is what stands behind its `?`, as an object. */
export function requestOf(query) {
  const request = { ...EMPTY };
  for (const [name, sign] of Object.entries(LISTS)) request[name] = (query[name] ?? '').split(sign).filter(Boolean);
  request.like = request.like.map(Number).filter(Number.isSafeInteger);
  for (const name of TEXTS) request[name] = query[name] || EMPTY[name];
  if (!['best', 'date'].includes(request.sort)) request.sort = null;
  const min = Number.parseFloat(query.min);
  request.min = Number.isFinite(min) ? min : null;
  for (const name of FLAGS) request[name] = query[name] === '1';
  return request;
}

/** The address of a request: `#/search?q=boat&sort=date`. What is as in EMPTY is left out. */
export function hashOf(request) {
  const query = new URLSearchParams();
  for (const name of TEXTS) if (request[name]?.trim()) query.set(name, request[name]);
  for (const [name, sign] of Object.entries(LISTS)) if (request[name]?.length) query.set(name, request[name].join(sign));
  if (typeof request.min === 'number') query.set('min', request.min);
  for (const name of FLAGS) if (request[name]) query.set(name, '1');
  return query.size ? `#/search?${query}` : '#/search';
}

/** Is nothing asked for? An order alone finds no photos. */
export const isEmpty = (request) =>
  hashOf({ ...request, sort: null, min: null, unique: false, captions_only: false }) === '#/search';

/** The address that finds more like these photos. */
export const likeHash = (ids) => hashOf({ ...EMPTY, like: ids });
