"""Single values in XMP, stars and a date, which were carried to a photo from its copies.

What others wrote there is changed only where the value carried is better, and is noted: where it is
still ours that stands there, it is set back. Once another program changes it, it is that program's.
"""

from collections.abc import Mapping

from mlx_aimv2.images.metadata import xmp_packet
from mlx_aimv2.images.metadata.xmp_values import stars

from .entries import change, entries_of, name_of
from .keywords import RATING, VALUES, Field
from .notes import Owner, Sidecar, notes_of, open_sidecar


def change_values(sidecar: Sidecar, values: Mapping[str, str]) -> None:
    """Write these values, by the names of ``VALUES``, in place of the owner's; others go.

    Where another program took the owner's out or changed it, that stays, and so does the note.
    """
    for name, field in VALUES.items():
        notes = notes_of(sidecar.own[0]).values[field]
        said, ours, earlier = (_text(sidecar, each) for each in (field, *notes))
        wanted, is_ours = values.get(name), ours is not None and ours == said
        if wanted is not None and ours is not None and not is_ours:
            continue
        before = earlier if is_ours else said
        is_better = wanted is not None and _is_better(field, wanted, before)
        shown = wanted if is_better else before
        if shown != said:
            _set(sidecar, field, shown)
        for note, text in zip(notes, (wanted, before), strict=True):
            kept = [text] if is_better and text is not None else []
            change(sidecar.file, note, [], entries_of(sidecar.file, note), kept)


def has_values(data: bytes, owner: Owner) -> bool:
    """Whether a sidecar has notes of values of the owner's."""
    sidecar = open_sidecar(data, owner, "the sidecar")
    notes = notes_of(sidecar.own[0]).values.values()
    return any(entries_of(sidecar.file, note) for note, _ in notes)


def _text(sidecar: Sidecar, field: Field) -> str | None:
    return next((entry.text for entry in entries_of(sidecar.file, field)), None)


def _is_better(field: Field, wanted: str, before: str | None) -> bool:
    return stars(wanted) > stars(before or "") if field == RATING else not before


def _set(sidecar: Sidecar, field: Field, value: str | None) -> None:
    """Write a value where one is, or where properties are; None takes it out."""
    file, name = sidecar.file, name_of(field)
    attributed = [parent for parent in file.descriptions if name in parent.attributes]
    elements = file.properties(name)
    if value is None:
        for parent in attributed:
            file.remove_attribute(parent, name)
        for element in elements:
            file.remove(element)
    elif attributed:
        file.replace_attribute(attributed[0], name, value)
    elif elements:
        file.replace_text(elements[0], value)
    else:
        with_properties = (parent for parent in file.descriptions if parent.children)
        home = next(with_properties, file.descriptions[0])
        content = xmp_packet.text(value)
        file.append(home, lambda line: xmp_packet.element(home.scope, name, field.prefix, content))
