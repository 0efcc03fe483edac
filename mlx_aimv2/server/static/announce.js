// What a screen reader hears without losing its place.
let waiting = 0;

/** Says a text politely; of several in a row the last is heard. */
export function announce(text) {
  const region = document.querySelector('dialog[open] .said') ?? document.getElementById('said');
  clearTimeout(waiting);
  // Emptied first: the same text a second time would not be a change, and so not be heard.
  region.textContent = '';
  waiting = setTimeout(() => { region.textContent = text; }, 50);
}
