// Names of tags: how they are shown, compared, and found while somebody types.

/** A tag's path as people read it: Animals|Dog is Animals › Dog. */
export const shownTag = (tag) => tag.split('|').join(' › ');

/** The address of a tag's review: sure, ask or no. */
export const reviewOf = (tag, kind) => `#/tag/${encodeURIComponent(tag)}/${kind}`;

/** What was typed, as a tag's path: Animals › Dog, Animals > Dog and Animals|Dog are one. */
export const typedTag = (text) =>
  text
    .split(/[|›>]/)
    .map((name) => name.trim().replace(/\s+/g, ' '))
    .filter(Boolean)
    .join('|');

/** Are two names one tag? The library decides that; this saves a line of completion. */
export const isSameTag = (one, other) => spelled(one) === spelled(other);
const spelled = (tag) => tag.normalize('NFC').toLocaleLowerCase();

// Marks are left out of what is compared: cafe finds Café.
const folded = (text) => text.normalize('NFD').replace(/\p{M}/gu, '').toLocaleLowerCase();

/** Does a tag, or a word of it, begin with what was typed? */
export const begins = (tag, typed) => rankOf(tag, folded(typedTag(typed))) < 3;

/** How well a tag fits: 0 the name itself, 1 begins so, 2 a word of it does, 3 holds it, null not at all. */
function rankOf(tag, wanted) {
  const path = folded(tag);
  const place = path.indexOf(wanted);
  if (place < 0) return null;
  const last = path.slice(path.lastIndexOf('|') + 1);
  if (last === wanted || path === wanted) return 0;
  if (place === 0 || last.startsWith(wanted)) return 1;
  return /[\s|-]/.test(path[place - 1]) ? 2 : 3;
}

/** The tags, {tag, photos}, that hold what was typed: those that fit best, of these the commonest first. */
export function ranked(known, typed) {
  const wanted = folded(typedTag(typed));
  const found = known.map((each) => ({ each, rank: rankOf(each.tag, wanted) })).filter(({ rank }) => rank !== null);
  found.sort((a, b) => a.rank - b.rank || (b.each.photos ?? 0) - (a.each.photos ?? 0));
  return found.map(({ each }) => each);
}

/** All names for completion, of an answer of /api/tags. */
export const completions = ({ tags, known }) => [...tags, ...known.map((tag) => ({ tag }))];

/** A count with its noun: 1 photo, 5,000 photos. */
export const counted = (count, noun) => `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;
