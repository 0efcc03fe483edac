// What is decided of one group of photos, before it is sent: which stay, which are picked.

/** Octets as people read them, in powers of 1000: '4.2 MB'. */
export function sizeText(bytes) {
  let amount = bytes;
  for (const unit of ['B', 'kB', 'MB']) {
    if (amount < 999.5) return `${Number(amount.toPrecision(3))} ${unit}`;
    amount /= 1000;
  }
  return `${amount.toFixed(amount < 10 ? 2 : 1)} GB`;
}

export const counted = (count, noun) => `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;

/**
 * What is suggested at first: the best stays and the others go; where something was picked before,
 * that is what holds. `rest` are the photos of a large group that are not shown one by one.
 */
export function suggested({ ids, photos }) {
  const isBegun = photos.some((photo) => photo.picked);
  const goes = new Set(photos.filter((photo) => (isBegun ? photo.picked : !photo.best)).map(({ id }) => id));
  const shown = new Set(photos.map(({ id }) => id));
  const rest = ids.filter((id) => !shown.has(id));
  return { goes, rest, restGoes: true };
}

/** The ids that go and those that stay. */
export function parted(group, { goes, rest, restGoes }) {
  const shown = group.photos.map(({ id }) => id);
  return {
    go: [...shown.filter((id) => goes.has(id)), ...(restGoes ? rest : [])],
    stay: [...shown.filter((id) => !goes.has(id)), ...(restGoes ? [] : rest)],
  };
}

/** A photo marked as one that stays or goes. */
export function marked(decision, id, isGoing) {
  const goes = new Set(decision.goes);
  if (isGoing) goes.add(id);
  else goes.delete(id);
  return { ...decision, goes };
}

/**
 * The facts that decide, beside each other: [name, [value of each photo], [whether it is the best]].
 * Where all photos say the same, none is the best.
 */
export function comparedFacts(photos) {
  const most = (number) => {
    const numbers = photos.map(number);
    const top = Math.max(...numbers.filter((each) => each !== null));
    const isSame = numbers.every((each) => each === top);
    return numbers.map((each) => !isSame && each === top);
  };
  const pixels = (photo) => (photo.width && photo.height ? photo.width * photo.height : null);
  const noBest = photos.map(() => false);
  const named = (photo) => photo.tags.map(({ tag }) => tag.replaceAll('|', ' › '));
  return [
    ['Pixels', photos.map((photo) => (pixels(photo) ? `${photo.width} × ${photo.height}` : '–')), most(pixels)],
    ['Size', photos.map((photo) => sizeText(photo.size)), most((photo) => photo.size)],
    ['Format', photos.map((photo) => photo.format ?? '–'), noBest],
    ['Date', photos.map((photo) => dateText(photo.date)), photos.map((photo) => photo.date !== null && photos.some((each) => each.date === null))],
    ['Tags', photos.map((photo) => named(photo).join(', ') || '–'), most((photo) => photo.tags.length)],
    ['Folder', photos.map(placeText), noBest],
  ];
}

const dateText = (date) => (date === null ? 'no date' : date.slice(0, 16).replace('T', ' '));

/** Where a photo lies: its root, then its folder there. */
export const placeText = ({ root, folder }) => [root, folder].filter(Boolean).join('/') || '–';
