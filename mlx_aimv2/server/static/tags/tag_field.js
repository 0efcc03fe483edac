// A field for a tag's name, completed from the tags that are known (the editable combobox of ARIA's guide).
import { html, useEffect, useRef, useState } from '../html.js';
import { begins, isSameTag, ranked, shownTag, typedTag } from './tag_names.js';

const SHOWN = 8;

/**
 * `known` are tags, {tag, photos}. `onChoose(tag)` is called after Enter or a click, `onType(tag)` at every
 * change; both get a tag's path. With `keeps` the chosen name stays in the field; without `takesNew`
 * only what is known is offered. `isFirst`: it has the focus when its dialog opens. `id` is the field's own.
 */
export function TagField({ id, label, known, start = '', keeps = false, takesNew = true, isFirst = true, hint = '', onChoose, onType }) {
  const [text, setText] = useState(shownTag(start));
  const [active, setActive] = useState(0);
  const [isOpen, setOpen] = useState(false);
  const list = useRef(null);
  const typed = typedTag(text);
  const options = typed ? offered(known, typed, takesNew) : [];
  const isShown = isOpen && options.length > 0;
  const place = Math.min(active, options.length - 1);

  useEffect(() => {
    if (isShown) list.current.children[place].scrollIntoView({ block: 'nearest' });
  }, [place, isShown]);

  const type = (value) => {
    setText(value);
    setActive(0);
    setOpen(true);
    onType?.(typedTag(value));
  };
  const choose = (tag) => {
    setText(keeps ? shownTag(tag) : '');
    setActive(0);
    setOpen(false);
    onType?.(keeps ? tag : '');
    onChoose(tag);
  };
  const press = (event) => {
    if (event.isComposing) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && options.length) {
      setActive(isShown ? (place + step + options.length) % options.length : 0);
      setOpen(true);
    } else if (event.key === 'Enter' && typed && (isShown || (takesNew && !keeps))) choose(isShown ? options[place].tag : typed);
    else if (event.key === 'Escape' && isShown) setOpen(false);
    else return;
    event.preventDefault();
  };

  return html`<div class="tag-field">
    <label for=${id}>${label}</label>
    <div class="tag-input">
    <input id=${id} type="text" class="field" role="combobox" autocomplete="off" spellcheck=${false} autofocus=${isFirst}
      aria-expanded=${isShown ? 'true' : 'false'} aria-controls="${id}-list" aria-autocomplete="list"
      aria-describedby=${hint ? `${id}-hint` : undefined}
      aria-activedescendant=${isShown ? `${id}-${place}` : undefined}
      value=${text} onInput=${(event) => type(event.target.value)} onKeyDown=${press} onBlur=${() => setOpen(false)} onFocus=${(event) => event.target.select()} />
    <ul id="${id}-list" ref=${list} role="listbox" aria-label="Tags that fit" hidden=${!isShown}>
      ${(isShown ? options : []).map((each, number) => html`<li key=${each.tag} id="${id}-${number}" role="option"
        class=${number === place ? 'active' : ''} aria-selected=${number === place ? 'true' : 'false'}
        onMouseDown=${(event) => {
          event.preventDefault(); // the field keeps the focus
          choose(each.tag);
        }}>
        <bdi>${shownTag(each.tag)}</bdi>
        <span class="faint">${each.isNew ? 'new tag' : each.photos?.toLocaleString('en') ?? ''}</span>
      </li>`)}
    </ul>
    </div>
    ${hint && html`<p class="faint" id="${id}-hint">${hint}</p>`}
  </div>`;
}

/** Tags that fit; one that is not there yet stands before those that only hold its letters somewhere. */
function offered(known, typed, takesNew) {
  const found = ranked(known, typed).slice(0, SHOWN);
  if (!takesNew || found.some((each) => isSameTag(each.tag, typed))) return found;
  const begun = found.filter((each) => begins(each.tag, typed));
  return [...begun, { tag: typed, isNew: true }, ...found.slice(begun.length)];
}
