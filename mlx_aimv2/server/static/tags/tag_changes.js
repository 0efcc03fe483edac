// The dialog that gives a tag another name, or makes several tags one.
import { get } from '../api.js';
import { html, useEffect, useState } from '../html.js';
import { TagField } from './tag_field.js';
import { completions, counted, isSameTag, shownTag } from './tag_names.js';
import { openView } from './view_dialog.js';

/**
 * Opens the dialog for one tag (another name; a name that is taken makes both one) or for several.
 * `chosen` are tags, {tag, photos}. Resolves with the tag that is there now; undefined where nothing was
 * done.
 */
export function openChangeDialog(app, chosen) {
  const title = chosen.length === 1 ? `Rename ${shownTag(chosen[0].tag)}` : `Merge ${chosen.length} tags`;
  return openView(title, (close) => html`<${ChangeDialog} app=${app} chosen=${chosen} close=${close} />`);
}

function ChangeDialog({ app, chosen, close }) {
  const [known, setKnown] = useState(chosen);
  const commonest = chosen.reduce((most, each) => (each.photos > most.photos ? each : most));
  const [name, setName] = useState(commonest.tag);
  const [isBusy, setBusy] = useState(false);
  useEffect(() => { get('/api/tags').then((answer) => setKnown(completions(answer)), () => {}); }, []);
  const target = known.find((each) => isSameTag(each.tag, name));
  const others = chosen.filter((each) => !isSameTag(each.tag, name));
  const isMerge = chosen.length > 1 || (target && others.length > 0);
  const isReady = !isBusy && name && (isMerge ? others.length > 0 : name !== chosen[0].tag);

  const change = async (event) => {
    event?.preventDefault();
    if (!isReady) return;
    setBusy(true);
    const answer = isMerge
      ? await app.edit('merge', {}, { tags: others.map((each) => each.tag), to: name })
      : await app.edit('rename', {}, { tag: chosen[0].tag, to: name });
    setBusy(false);
    if (answer) close(name);
  };

  return html`<form class="stack" onSubmit=${change}>
    ${chosen.length > 1 && html`<ul class="names">${chosen.map((each) => html`<li key=${each.tag}>
      <bdi>${shownTag(each.tag)}</bdi> <span class="faint">${counted(each.photos, 'photo')}</span></li>`)}</ul>`}
    <${TagField} id="change-name" label=${chosen.length > 1 ? 'All of them are' : 'New name'} known=${known}
      start=${commonest.tag} keeps onType=${setName} onChoose=${setName} />
    <p aria-live="polite">${isReady || isBusy ? told(isMerge, others, target, name) : ''}</p>
    <p class="faint">It is one edit: U takes it back. The program uses the name from now on, too.</p>
    <div class="bar end">
      <button type="button" class="button" onClick=${() => close()}>Cancel</button>
      <button type="submit" class="button main" disabled=${!isReady}>${isMerge ? 'Merge' : 'Rename'}</button>
    </div>
  </form>`;
}

function told(isMerge, others, target, name) {
  const photos = others.reduce((sum, each) => sum + each.photos, 0);
  if (!isMerge) return `${counted(photos, 'photo')} and all tags inside this one get the new name.`;
  const from = others.map((each) => shownTag(each.tag)).join(', ');
  const there = target ? ` beside the ${counted(target.photos ?? 0, 'photo')} that have it` : '';
  return `${counted(photos, 'photo')} of ${from} become ${shownTag(name)}${there}. Where you said yes to one and no to another, the yes counts.`;
}
