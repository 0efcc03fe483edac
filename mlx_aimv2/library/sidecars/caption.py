"""Captions in XMP, in the two properties that programs read: a description, and the text for those
who do not see the picture.

What others wrote there stays. What this program wrote is noted, so that exactly that can be taken
out or replaced; once another program changes it, it is that program's.
"""

from contextlib import suppress

from mlx_aimv2.errors import OutputError
from mlx_aimv2.images.metadata.xmp_packet import trimmed

from ..caption_text import clean_caption
from .entries import Entry, change, entries_of
from .notes import EARLIER, Owner, Sidecar, notes_of, open_sidecar

_LANGUAGE = ("http://www.w3.org/XML/1998/namespace", "lang")


def change_caption(sidecar: Sidecar, text: str | None) -> None:
    """Write a caption where nobody else has one, in place of the owner's; None takes that out.

    Where another program took the owner's out it stays out, and its note stays.
    """
    for field, note in notes_of(sidecar.own[0]).captions.items():
        noted = entries_of(sidecar.file, note)
        said = entries_of(sidecar.file, field)
        if text and noted and not said:
            continue
        ours = _noted(said, noted)
        others = [entry for entry in said if entry not in ours]
        wanted = [text] if text and (ours or not said) else []
        change(sidecar.file, field, others, ours, wanted)
        change(sidecar.file, note, [], noted, wanted)


def has_caption(data: bytes, owner: Owner) -> bool:
    """Whether a sidecar has notes of a caption of the owner's."""
    sidecar = open_sidecar(data, owner, "the sidecar")
    notes = notes_of(sidecar.own[0]).captions.values()
    return any(entries_of(sidecar.file, note) for note in notes)


def read_caption(data: bytes, owner: Owner = EARLIER) -> str:
    """The caption that a packet has of others, the one for all languages first; "" without one.

    A packet that is none, or is damaged, says nothing.
    """
    with suppress(OutputError):
        sidecar = open_sidecar(trimmed(data), owner, "the packet")
        for field, note in notes_of(sidecar.own[0]).captions.items():
            said = entries_of(sidecar.file, field)
            ours = _noted(said, entries_of(sidecar.file, note))
            others = sorted((entry for entry in said if entry not in ours), key=_is_of_a_language)
            if text := next(filter(None, (clean_caption(entry.text) for entry in others)), ""):
                return text
    return ""


def _noted(said: list[Entry], noted: list[Entry]) -> list[Entry]:
    texts = {entry.text for entry in noted}
    return [entry for entry in said if entry.text in texts][:1]


def _is_of_a_language(entry: Entry) -> bool:
    language = entry.item.attributes.get(_LANGUAGE, "") if entry.item else ""
    return language != "x-default"
