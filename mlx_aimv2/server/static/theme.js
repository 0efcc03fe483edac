// Light, dark, or as the system has it.
import { announce } from './announce.js';
import { choose, setting } from './settings.js';

const THEMES = { system: 'Auto', light: 'Light', dark: 'Dark' };

/** Draws the page as chosen; the button goes from one theme to the next. */
export function startTheme(button) {
  const names = Object.keys(THEMES);
  let chosen = setting('theme');
  function draw() {
    document.documentElement.dataset.theme = chosen;
    button.querySelector('span').textContent = THEMES[chosen];
    button.title = `Colours: ${THEMES[chosen]}`;
    button.setAttribute('aria-label', `${THEMES[chosen]}: colours of the page`);
  }
  button.addEventListener('click', () => {
    chosen = names[(names.indexOf(chosen) + 1) % names.length];
    choose('theme', chosen);
    draw();
    announce(`Colours: ${THEMES[chosen]}`);
  });
  draw();
}
