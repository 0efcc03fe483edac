// A group as an order of photos for the viewer: its arrows lay one photo over the other, large.

/** What `app.shown` is for a group, from one of its photos on; `onFocus(id)` hears where it ends. */
export function orderOf({ photos }, id, onFocus) {
  const hits = photos.map(({ id: own, v, date, width, height }) => [
    own, v, null, date?.slice(0, 10) ?? null, ratioOf(width, height), 0,
  ]);
  return {
    focus: photos.findIndex((photo) => photo.id === id),
    source: { count: hits.length, load: async (start, end) => hits.slice(start, end) },
    hit: async (index) => hits[index],
    focusOn(index) {
      this.focus = index;
      onFocus(photos[index].id);
    },
  };
}

/** As hits have it: 64 times width by height, within a byte. */
const ratioOf = (width, height) => (width && height ? Math.min(255, Math.max(1, Math.round((64 * width) / height))) : 64);
