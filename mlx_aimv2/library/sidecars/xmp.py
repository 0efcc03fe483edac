"""Keywords in XMP: added to what is there, and taken out again.

Every keyword is written to all three fields, because programs differ in which they read. What
a library added to each field is noted in a namespace of its own, so that exactly that can be
taken out. What another library wants too stays: the note of it passes to that library. Names with a
field's separator in them are written with its full-width form there (``AC／DC`` in digiKam's
field). What is read in UTF-16 is written in UTF-8.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from mlx_aimv2.errors import OutputError, UsageError
from mlx_aimv2.files.paths import FilePath, printable
from mlx_aimv2.images.metadata import xmp_packet
from mlx_aimv2.images.metadata.xmp_packet import RDF, Element, Name, Packet, trimmed

from ..tag_names import tag_key
from .keywords import (
    FIELDS,
    HIERARCHICAL,
    PATH_FIELDS,
    SUBJECT,
    TAGS_LIST,
    Field,
    Tag,
    clean,
    joined,
)
from .keywords import key as key_of

OURS = "https://github.com/mlx-aimv2/ns/1.0/"
_NAMESPACE = re.compile(re.escape(OURS).encode() + rb"(?:([0-9a-f]{8})/)?")
_MAX_LIBRARIES = 64  # of one sidecar: a hostile one takes no minutes

_NEW = f"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="mlx-aimv2">
 <rdf:RDF xmlns:rdf="{RDF}">
  <rdf:Description rdf:about=""
    xmlns:dc="{SUBJECT.uri}"
    xmlns:lr="{HIERARCHICAL.uri}"
    xmlns:digiKam="{TAGS_LIST.uri}">
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
""".encode()
_NEW_EARLIER = _NEW.replace(
    f'"{TAGS_LIST.uri}">'.encode(), f'"{TAGS_LIST.uri}"\n    xmlns:aimv2="{OURS}">'.encode()
)


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
class _Notes:
    """A library's notes: which tags it has here, and which entries it added to each field."""

    written: Field
    added: Mapping[Field, Field]


@dataclass(frozen=True)
class _Sidecar:
    """A packet with the ids of the libraries that have notes in it: the owner's and others'."""

    file: Packet
    own: tuple[str, ...]
    others: tuple[str, ...]


@dataclass(frozen=True)
class Said:
    """The keywords that a packet names, as tags by their keys.

    ``ours`` are those that its notes say the owner added, ``gone`` those that its notes name
    and none of its fields has; ``others`` are all the rest, ``from_libraries`` those of them that
    only other libraries of this program added.
    """

    others: Mapping[str, str]
    ours: Mapping[str, str]
    gone: Mapping[str, str]
    from_libraries: frozenset[str]


@dataclass(frozen=True)
class _Entry:
    text: str
    item: Element | None  # none where the property has no rdf:Bag or rdf:Seq


def merge(
    data: bytes | None,
    add: Sequence[Tag],
    remove: Sequence[Tag] = (),
    *,
    owner: Owner = EARLIER,
    left_out: Sequence[Tag] = (),
    name: FilePath = "the sidecar",
) -> bytes:
    """A sidecar with these tags and all that was in it, its keywords in all three fields.

    Without data, a new one. Of the tags to remove only those go that the owner added. Tags that
    are ``left_out`` are noted and not written. Merging the same once more changes nothing.
    Errors: OutputError, with ``name``, as for reading; UsageError for a tag that XML cannot hold.
    """
    wanted = [clean(tag) for tag in add]
    unwanted = {key_of(clean(tag)) for tag in remove}
    sidecar = _with_description(_open(_NEW if data is None else data, owner, name), owner, name)
    there = _keys(sidecar, PATH_FIELDS)  # a tag that someone else took out stays out
    kept = [tag for tag in _written(sidecar, *sidecar.own) if key_of(tag) in there]
    tags = [tag for tag in (*wanted, *kept) if key_of(tag) not in unwanted]
    added = _additions(sidecar, tags)
    ours = {field.key(entry) for field in PATH_FIELDS for entry in added[field]}
    ours |= {key_of(tag) for tag in _written(sidecar, *sidecar.others)}  # both want it
    noted = [*(tag for tag in tags if key_of(tag) in ours), *left_out]
    return _write(sidecar, added, {key_of(tag): _notes("").written.entry(tag) for tag in noted})


def replace_ours(
    data: bytes | None,
    tags: Sequence[Tag],
    *,
    owner: Owner = EARLIER,
    left_out: Sequence[Tag] = (),
    name: FilePath = "the sidecar",
) -> bytes | None:
    """A sidecar with these tags in place of those that the owner's notes say were written here.

    None where there is none and nothing to write. Errors: as for ``merge``.
    """
    if data is None or not has_ours(data, owner):
        return merge(data, tags, owner=owner, name=name) if tags else data
    if not (tags or left_out):
        return remove_ours(data, owner=owner, name=name)
    wanted = set(map(key_of, tags))
    noted = _open(data, owner, name)
    dropped = [tag for tag in _written(noted, *noted.own) if key_of(tag) not in wanted]
    return merge(data, tags, dropped, owner=owner, left_out=left_out, name=name)


def read_keywords(data: bytes, flat: Sequence[str] = (), *, owner: Owner = EARLIER) -> Said:
    """The keywords of a sidecar, or of a photo that has these flat ones besides its packet.

    A packet that is none, or is damaged, says nothing.
    """
    everyone: dict[Field, list[str]] = {field: [] for field in FIELDS}
    others = {field: list[str]() for field in FIELDS}
    from_programs = {field: list[str]() for field in FIELDS}
    noted: list[Tag] = []
    try:
        if data:
            sidecar = _open(trimmed(data), owner, "the packet")
            for field in FIELDS:
                programs, libraries, own = _split_off(sidecar, field)
                from_programs[field] = [entry.text for entry in programs]
                others[field] = [entry.text for entry in (*programs, *libraries)]
                everyone[field] = [*others[field], *(entry.text for entry in own)]
            noted = _written(sidecar, *sidecar.own)
    except OutputError:
        everyone = {field: [] for field in FIELDS}
        others = from_programs = {field: [] for field in FIELDS}
    foreign, there = _tags(others, flat), _tags(everyone, flat)
    mine = _by_key(noted)
    gone = {
        key: tag
        for key, tag in mine.items()
        if key not in there and key.rpartition("|")[2] not in there
    }
    ours = {key: tag for key, tag in mine.items() if key in there and key not in foreign}
    from_libraries = frozenset(foreign.keys() - _tags(from_programs, flat).keys())
    return Said(foreign, ours, gone, from_libraries)


def _tags(entries: Mapping[Field, Sequence[str]], flat: Sequence[str]) -> dict[str, str]:
    paths = [field.tag(text) for field in PATH_FIELDS for text in entries[field]]
    return _by_key(joined(paths, (*entries[SUBJECT], *flat)).values())


def _by_key(tags: Iterable[Tag]) -> dict[str, str]:
    """Tags as texts by their keys, but for those that could never be written."""
    found: dict[str, str] = {}
    for tag in tags:
        with suppress(UsageError):
            text = HIERARCHICAL.entry(clean(tag))
            found.setdefault(tag_key(text), text)
    return found


def has_ours(data: bytes, owner: Owner = EARLIER) -> bool:
    """Whether a sidecar has notes of the owner."""
    return not _libraries(data).isdisjoint(owner.libraries)


def without_ours(
    data: bytes, *, owner: Owner = EARLIER, name: FilePath = "the sidecar"
) -> bytes | None:
    """A sidecar without the owner's keywords; None where nothing else is in it."""
    left = remove_ours(data, owner=owner, name=name)
    return None if left in (_NEW, _NEW_EARLIER) else left


def remove_ours(data: bytes, *, owner: Owner = EARLIER, name: FilePath = "the sidecar") -> bytes:
    """A sidecar without what the owner added to its keywords, and no other library wants.

    Errors: OutputError, with ``name``, as for reading.
    """
    return _write(_open(data, owner, name), {field: [] for field in FIELDS}, {})


def _libraries(data: bytes) -> set[str]:
    """The ids of the libraries with notes in a sidecar; "" for notes of earlier versions."""
    # Without zeros UTF-16 is read too.
    return {found[1].decode() if found[1] else "" for found in
            _NAMESPACE.finditer(data.replace(b"\0", b""))}  # fmt: skip


@cache
def _notes(library: str) -> _Notes:
    uri, prefix = (f"{OURS}{library}/", f"aimv2_{library}") if library else (OURS, "aimv2")
    added = {field: Field(uri, prefix, field.name, "Bag", field.separator) for field in FIELDS}
    return _Notes(Field(uri, prefix, "keywords", "Bag", "|"), added)


def _open(data: bytes, owner: Owner, name: FilePath) -> _Sidecar:
    own = owner.libraries
    others = sorted(_libraries(data).difference(own))
    if len(others) > _MAX_LIBRARIES:
        raise OutputError(
            f"{printable(name)} has notes of more than {_MAX_LIBRARIES} libraries",
            hint="the sidecar was left as it is: move it away and a new one is written",
        )
    notes = [_notes(library) for library in (*own, *others)]
    fields = [*FIELDS, *(field for each in notes for field in (each.written, *each.added.values()))]
    return _Sidecar(Packet(data, {_name(field) for field in fields}, name), own, tuple(others))


def _with_description(sidecar: _Sidecar, owner: Owner, name: FilePath) -> _Sidecar:
    file = sidecar.file
    if file.descriptions:
        return sidecar
    scope = file.rdf.scope
    about = xmp_packet.prefix_of(scope, RDF) or "rdf"
    block = xmp_packet.element(
        scope, (RDF, "Description"), "rdf", b"", f' {about}:about=""'.encode()
    )
    file.append(file.rdf, lambda line: block)
    return _open(file.to_bytes(), owner, name)


def _written(sidecar: _Sidecar, *libraries: str) -> list[Tag]:
    """The tags that the notes of libraries name."""
    found = []
    for field in (_notes(library).written for library in libraries):
        found += [field.tag(entry.text) for entry in _entries(sidecar.file, field)]
    return [tag for tag in found if tag]


def _keys(sidecar: _Sidecar, fields: Sequence[Field]) -> set[Tag]:
    return {field.key(entry.text) for field in fields for entry in _entries(sidecar.file, field)}


def _keys_of(field: Field, tags: Sequence[Tag]) -> set[Tag]:
    """The keys of tags as a field has them."""
    return {field.key(field.entry(tag)) for tag in tags}


def _name(field: Field) -> Name:
    return field.uri, field.name


def _entries(file: Packet, field: Field) -> list[_Entry]:
    """All entries of a field, in items or alone, as an element's text or as an attribute."""
    found = [
        _Entry(parent.attributes[_name(field)], None)
        for parent in file.descriptions
        if _name(field) in parent.attributes
    ]
    for element in file.properties(_name(field)):
        for container in element.children:
            if container.name not in {(RDF, "Bag"), (RDF, "Seq"), (RDF, "Alt")}:
                raise file.refused(f"has a {field.prefix}:{field.name} of an unknown form")
            items = [item for item in container.children if item.name == (RDF, "li")]
            found += [_Entry(item.text, item) for item in items]
        if not element.children and element.text.strip():
            found.append(_Entry(element.text, None))
    return found


def _split_off(sidecar: _Sidecar, field: Field) -> tuple[list[_Entry], list[_Entry], list[_Entry]]:
    """The entries of other programs, of other libraries, and those that the owner added.

    What libraries added are the last entries of their kind; of those others' come first.
    """
    noted = [
        Counter(
            field.key(entry.text)
            for library in libraries
            for entry in _entries(sidecar.file, _notes(library).added[field])
        )
        for libraries in (sidecar.others, sidecar.own)
    ]
    found: tuple[list[_Entry], list[_Entry], list[_Entry]] = ([], [], [])
    for entry in reversed(_entries(sidecar.file, field)):
        key = field.key(entry.text)
        whose = next((number for number, keys in enumerate(noted, 1) if keys[key] > 0), 0)
        if whose:
            noted[whose - 1][key] -= 1
        found[whose].append(entry)
    return found[0][::-1], found[1][::-1], found[2][::-1]


def _additions(sidecar: _Sidecar, tags: Sequence[Tag]) -> dict[Field, list[str]]:
    """What each field lacks of the tags and of other programs' keywords in the other fields."""
    split = {field: _split_off(sidecar, field) for field in FIELDS}
    base = {field: programs for field, (programs, _, _) in split.items()}
    there = (field.tag(entry.text) for field in PATH_FIELDS for entry in base[field])
    paths = joined((*there, *tags), (entry.text for entry in base[SUBJECT]))
    added: dict[Field, list[str]] = {}
    for field, (programs, libraries, _) in split.items():
        held = {field.key(entry.text) for entry in (*programs, *libraries)}
        lacking: dict[Tag, str] = {}
        for entry in map(field.entry, paths.values()):
            lacking.setdefault(field.key(entry), entry)
        added[field] = [entry for key, entry in lacking.items() if key not in held]
    return added


def _write(
    sidecar: _Sidecar, added: Mapping[Field, Sequence[str]], written: Mapping[Tag, str]
) -> bytes:
    file = sidecar.file
    passed = {library: dict[Field, list[str]]() for library in sidecar.others}
    for field in FIELDS:
        programs, libraries, ours = _split_off(sidecar, field)
        keys = {field.key(text) for text in added[field]}
        staying, dropped = list[_Entry](), list[_Entry]()
        for entry in ours:
            heir = None if field.key(entry.text) in keys else _heir(sidecar, field, entry)
            if heir is None:
                dropped.append(entry)
            else:
                staying.append(entry)
                passed[heir].setdefault(field, []).append(entry.text)
        _change(file, field, [*programs, *libraries, *staying], dropped, added[field])
    for library, fields in passed.items():
        for field, texts in fields.items():
            note = _notes(library).added[field]
            noted = _entries(file, note)
            _change(file, note, [], noted, [*(entry.text for entry in noted), *texts])
    for library in sidecar.own:
        notes, is_kept = _notes(library), library == sidecar.own[0]
        wanted = {notes.written: list(written.values())}
        wanted |= {notes.added[field]: list(texts) for field, texts in added.items()}
        for note, texts in wanted.items():
            _change(file, note, [], _entries(file, note), texts if is_kept else [])
    return file.to_bytes()


def _heir(sidecar: _Sidecar, field: Field, entry: _Entry) -> str | None:
    """Another library that wants an entry which the owner gives up, if there is one.

    An entry copied from another field is wanted by whoever has keywords here.
    """
    key = field.key(entry.text)
    is_copied = key not in _keys_of(field, _written(sidecar, *sidecar.own))
    for library in sidecar.others:
        wanted = _written(sidecar, library)
        if wanted and (is_copied or key in _keys_of(field, wanted)):
            return library
    return None


def _change(
    file: Packet, field: Field, others: list[_Entry], ours: list[_Entry], wanted: Sequence[str]
) -> None:
    """Change what this program added to a field: unwanted entries go, missing ones are added."""
    keys = {field.key(text) for text in wanted}
    kept: dict[Tag, _Entry] = {}
    for entry in ours:
        if field.key(entry.text) in keys:
            kept.setdefault(field.key(entry.text), entry)
    dropped = [entry for entry in ours if entry not in kept.values()]
    new = [text for text in wanted if field.key(text) not in kept]
    if not dropped and not new:
        return
    elements = file.properties(_name(field))
    staying = [*others, *kept.values()]
    containers = [container for element in elements for container in element.children]
    if containers and all(entry.item for entry in (*staying, *dropped)):
        _change_items(file, elements, dropped, new)
        return
    for element in elements:
        file.remove(element)
    for parent in file.descriptions:
        file.remove_attribute(parent, _name(field))
    texts = [*(entry.text for entry in staying), *new]
    if texts:
        _add_property(file, field, texts)


def _change_items(
    file: Packet, elements: list[Element], dropped: list[_Entry], new: Sequence[str]
) -> None:
    items = {entry.item for entry in dropped}
    for element in elements:
        held = [item for container in element.children for item in container.children]
        if held and not new and items.issuperset(held):
            file.remove(element)
        else:
            for item in held:
                if item in items:
                    file.remove(item)
    container = next(container for element in elements for container in element.children)
    for text in new:
        file.append(container, _item(container.scope, text))


def _item(scope: Mapping[str, str], text: str) -> Callable[[bytes], bytes]:
    item = xmp_packet.element(scope, (RDF, "li"), "rdf", xmp_packet.text(text))
    return lambda line: item


def _add_property(file: Packet, field: Field, texts: Sequence[str]) -> None:
    with_keywords = (parent for parent in file.descriptions if parent.children)
    home = next(with_keywords, file.descriptions[0])
    scope = home.scope
    if not xmp_packet.prefix_of(scope, field.uri):
        scope = {**scope, field.prefix: field.uri}

    def render(line: bytes) -> bytes:
        below, deeper = (line and line + b" " * depth for depth in (1, 2))
        items = b"".join(deeper + _item(scope, text)(deeper) for text in texts)
        container = xmp_packet.element(scope, (RDF, field.container), "rdf", items + below)
        return xmp_packet.element(home.scope, _name(field), field.prefix, below + container + line)

    file.append(home, render)
