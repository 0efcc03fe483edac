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

/**
 * The tags, {tag, photos}, that hold what was typed: first the name itself, then names that begin so, then
 * words that do, then the rest; the commonest first among each.
 */
export function ranked(known, typed, most = known.length) {
  const wanted = folded(typedTag(typed));
  if (!wanted) return known.slice(0, most);
  const found = [];
  for (const each of known) {
    const path = folded(each.tag);
    const place = path.indexOf(wanted);
    if (place < 0) continue;
    const last = path.slice(path.lastIndexOf('|') + 1);
    const begins = place === 0 || last.startsWith(wanted);
    const rank = last === wanted ? 0 : begins ? 1 : /[\s|-]/.test(path[place - 1]) ? 2 : 3;
    found.push({ each, rank });
  }
  found.sort((a, b) => a.rank - b.rank || (b.each.photos ?? 0) - (a.each.photos ?? 0));
  return found.slice(0, most).map(({ each }) => each);
}

/** All names for completion, of an answer of /api/tags. */
export const completions = ({ tags, known }) => [...tags, ...known.map((tag) => ({ tag }))];

/** A count with its noun: 1 photo, 5,000 photos. */
export const counted = (count, noun) => `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;
