// When what a screen shows is to be read anew.
const INDEXING_MS = 10_000;

/**
 * Calls `load()` after every edit of this tab, and where another tab or a command has changed the library:
 * while an index runs that is every 10 s at most. Gives the function that ends it.
 */
export function onLibraryChange(app, load) {
  let version = app.status?.version;
  let read = -INDEXING_MS;
  const ends = [
    app.onEdit((answer) => {
      version = answer.version;
      load();
    }),
    app.onStatus((status) => {
      const isSoon = status.index.running && performance.now() - read < INDEXING_MS;
      if (status.version === version || isSoon) return;
      version = status.version;
      read = performance.now();
      load();
    }),
  ];
  return () => ends.forEach((end) => end());
}
