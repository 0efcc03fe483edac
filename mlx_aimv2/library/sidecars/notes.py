"""The notes of libraries in a sidecar: which keywords each of them has there, and what it added."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain

from mlx_aimv2.errors import OutputError
from mlx_aimv2.files.paths import FilePath, printable
from mlx_aimv2.images.metadata.xmp_packet import Packet

from .entries import Entry, entries_of, name_of
from .keywords import ALT_TEXT, DESCRIPTION, FIELDS, VALUES, Field, Tag

OURS = "https://github.com/mlx-aimv2/ns/1.0/"
_NAMESPACE = re.compile(re.escape(OURS).encode() + rb"(?:([0-9a-f]{8})/)?")
_MAX_LIBRARIES = 64  # of one sidecar: a hostile one takes no minutes


@dataclass(frozen=True)
class Owner:
    """The library whose keywords are meant, by its id.

    ``has_earlier``: notes of earlier versions, which name no library, are its own too.
    """

    library: str = ""
    has_earlier: bool = False

    @property
    def libraries(self) -> tuple[str, ...]:
        """The ids of the notes that are its own, that of new ones first."""
        return (self.library, "") if self.has_earlier and self.library else (self.library,)


EARLIER = Owner()


@dataclass(frozen=True)
class Notes:
    """A library's notes: which tags it has here, which entries it added to each field, what it
    wrote as a caption, and what as single values, each with what was there before."""

    written: Field
    added: Mapping[Field, Field]
    captions: Mapping[Field, Field]
    values: Mapping[Field, tuple[Field, Field]]


@dataclass(frozen=True)
class Sidecar:
    """A packet with the ids of the libraries that have notes in it: the owner's and others'."""

    file: Packet
    own: tuple[str, ...]
    others: tuple[str, ...]


def has_ours(data: bytes, owner: Owner = EARLIER) -> bool:
    """Whether a sidecar has notes of the owner."""
    return not _libraries(data).isdisjoint(owner.libraries)


@cache
def notes_of(library: str) -> Notes:
    """The notes of a library by its id, "" for those of earlier versions."""
    uri, prefix = (f"{OURS}{library}/", f"aimv2_{library}") if library else (OURS, "aimv2")
    added = {field: Field(uri, prefix, field.name, "Bag", field.separator) for field in FIELDS}
    captions = {
        DESCRIPTION: Field(uri, prefix, "caption", "Bag"),
        ALT_TEXT: Field(uri, prefix, "altText", "Bag"),
    }
    values = {
        field: (Field(uri, prefix, name, "Bag"), Field(uri, prefix, f"{name}Before", "Bag"))
        for name, field in VALUES.items()
    }
    return Notes(Field(uri, prefix, "keywords", "Bag", "|"), added, captions, values)


def open_sidecar(data: bytes, owner: Owner, name: FilePath) -> Sidecar:
    """The packet with its keywords and notes. Errors: OutputError for what cannot be read."""
    own = owner.libraries
    others = sorted(_libraries(data).difference(own))
    if len(others) > _MAX_LIBRARIES:
        raise OutputError(
            f"{printable(name)} has notes of more than {_MAX_LIBRARIES} libraries",
            hint="the sidecar was left as it is: move it away and a new one is written",
        )
    notes = [notes_of(library) for library in (*own, *others)]
    fields = [*FIELDS, DESCRIPTION, ALT_TEXT, *VALUES.values()]
    for each in notes:
        fields += [each.written, *each.added.values(), *each.captions.values()]
        fields += chain.from_iterable(each.values.values())
    return Sidecar(Packet(data, {name_of(field) for field in fields}, name), own, tuple(others))


def written_by(sidecar: Sidecar, *libraries: str) -> list[Tag]:
    """The tags that the notes of libraries name."""
    found = []
    for field in (notes_of(library).written for library in libraries):
        found += [field.tag(entry.text) for entry in entries_of(sidecar.file, field)]
    return [tag for tag in found if tag]


def split_off(sidecar: Sidecar, field: Field) -> tuple[list[Entry], list[Entry], list[Entry]]:
    """The entries of other programs, of other libraries, and those that the owner added.

    What libraries added are the last entries of their kind; of those others' come first.
    """
    noted = [
        Counter(
            field.key(entry.text)
            for library in libraries
            for entry in entries_of(sidecar.file, notes_of(library).added[field])
        )
        for libraries in (sidecar.others, sidecar.own)
    ]
    found: tuple[list[Entry], list[Entry], list[Entry]] = ([], [], [])
    for entry in reversed(entries_of(sidecar.file, field)):
        key = field.key(entry.text)
        whose = next((number for number, keys in enumerate(noted, 1) if keys[key] > 0), 0)
        if whose:
            noted[whose - 1][key] -= 1
        found[whose].append(entry)
    return found[0][::-1], found[1][::-1], found[2][::-1]


def _libraries(data: bytes) -> set[str]:
    """The ids of the libraries with notes in a sidecar; "" for notes of earlier versions."""
    # Without zeros UTF-16 is read too.
    return {found[1].decode() if found[1] else "" for found in
            _NAMESPACE.finditer(data.replace(b"\0", b""))}  # fmt: skip
