// What a person chose for this page; kept by the browser, for this address.
const DEFAULTS = { theme: 'system', columns: 0, crop: false, letters: true };
const changed = new EventTarget();

/** A setting's value: theme, columns (0: by the window), crop, letters (single-letter keys). */
export function setting(name) {
  try {
    return JSON.parse(localStorage.getItem(`aimv2.${name}`)) ?? DEFAULTS[name];
  } catch {
    return DEFAULTS[name];
  }
}

export function choose(name, value) {
  try {
    localStorage.setItem(`aimv2.${name}`, JSON.stringify(value));
  } catch {
    // A browser that keeps nothing: the choice holds as far as its listeners take it.
  }
  changed.dispatchEvent(new CustomEvent(name, { detail: value }));
}

/** Calls `told(value)` at every choice of a setting; gives the function that ends it. */
export function onChoice(name, told) {
  const listener = (event) => told(event.detail);
  changed.addEventListener(name, listener);
  return () => changed.removeEventListener(name, listener);
}
