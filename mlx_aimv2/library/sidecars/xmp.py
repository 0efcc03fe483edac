"""Keywords in XMP: added to what is there, and taken out again.

Every keyword is written to all three fields, because programs differ in which they read. What
this program added to each field is noted in a namespace of its own, so that exactly that can be
taken out. Names with a field's separator in them are written with its full-width form there
(``AC／DC`` in digiKam's field). What is read in UTF-16 is written in UTF-8.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mlx_aimv2.errors import OutputError, UsageError
from mlx_aimv2.files.paths import FilePath
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
# Which tags were written here, and per field which entries were added for them.
_WRITTEN = Field(OURS, "aimv2", "keywords", "Bag", separator="|")
_ADDED = {field: Field(OURS, "aimv2", field.name, "Bag", field.separator) for field in FIELDS}

_NEW = f"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="mlx-aimv2">
 <rdf:RDF xmlns:rdf="{RDF}">
  <rdf:Description rdf:about=""
    xmlns:dc="{SUBJECT.uri}"
    xmlns:lr="{HIERARCHICAL.uri}"
    xmlns:digiKam="{TAGS_LIST.uri}"
    xmlns:aimv2="{OURS}">
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
""".encode()


@dataclass(frozen=True)
class Said:
    """The keywords that a packet names, as tags by their keys.

    ``ours`` are those that its notes say this program added, ``gone`` those that its notes name
    and none of its fields has; ``others`` are all the rest.
    """

    others: Mapping[str, str]
    ours: Mapping[str, str]
    gone: Mapping[str, str]


@dataclass(frozen=True)
class _Entry:
    text: str
    item: Element | None  # none where the property has no rdf:Bag or rdf:Seq


def merge(
    data: bytes | None,
    add: Sequence[Tag],
    remove: Sequence[Tag] = (),
    *,
    name: FilePath = "the sidecar",
) -> bytes:
    """A sidecar with these tags and all that was in it, its keywords in all three fields.

    Without data, a new one. Of the tags to remove only those go that were added here. Merging
    the same once more changes nothing.
    Errors: OutputError, with ``name``, as for reading; UsageError for a tag that XML cannot hold.
    """
    wanted = [clean(tag) for tag in add]
    unwanted = {key_of(clean(tag)) for tag in remove}
    file = _with_description(_open(_NEW if data is None else data, name), name)
    there = {
        field.key(entry.text) for field in PATH_FIELDS for entry in _entries(file, field)
    }  # a tag that someone else took out stays out
    before = [_WRITTEN.tag(entry.text) for entry in _entries(file, _WRITTEN)]
    kept = [tag for tag in before if tag and key_of(tag) in there]
    tags = [tag for tag in (*wanted, *kept) if key_of(tag) not in unwanted]
    base = {field: _split_off(file, field)[0] for field in FIELDS}
    added = _additions(base, tags)
    ours = {field.key(entry) for field in PATH_FIELDS for entry in added[field]}
    written = {key_of(tag): _WRITTEN.entry(tag) for tag in tags if key_of(tag) in ours}
    return _write(file, added, list(written.values()))


def replace_ours(
    data: bytes | None, tags: Sequence[Tag], *, name: FilePath = "the sidecar"
) -> bytes | None:
    """A sidecar with these tags in place of those that its notes say were written here.

    None where there is none and nothing to write. Errors: as for ``merge``.
    """
    if data is None:
        return merge(None, tags, name=name) if tags else None
    if not has_ours(data):
        return merge(data, tags, name=name) if tags else data
    if not tags:
        return remove_ours(data, name=name)
    noted = (_WRITTEN.tag(entry.text) for entry in _entries(_open(data, name), _WRITTEN))
    wanted = set(map(key_of, tags))
    dropped = [tag for tag in noted if tag and key_of(tag) not in wanted]
    return merge(data, tags, dropped, name=name)


def read_keywords(data: bytes, flat: Sequence[str] = ()) -> Said:
    """The keywords of a sidecar, or of a photo that has these flat ones besides its packet.

    A packet that is none, or is damaged, says nothing.
    """
    everyone: dict[Field, list[str]] = {field: [] for field in FIELDS}
    others = {field: list[str]() for field in FIELDS}
    noted: list[Tag] = []
    try:
        file = _open(trimmed(data), "the packet") if data else None
        for field in FIELDS if file else ():
            assert file is not None
            everyone[field] = [entry.text for entry in _entries(file, field)]
            others[field] = [entry.text for entry in _split_off(file, field)[0]]
        if file:
            noted = [_WRITTEN.tag(entry.text) for entry in _entries(file, _WRITTEN)]
    except OutputError:
        everyone = {field: [] for field in FIELDS}
        others = {field: [] for field in FIELDS}
    foreign, there = _tags(others, flat), _tags(everyone, flat)
    mine = _by_key(noted)
    gone = {
        key: tag
        for key, tag in mine.items()
        if key not in there and key.rpartition("|")[2] not in there
    }
    ours = {key: tag for key, tag in mine.items() if key in there and key not in foreign}
    return Said(foreign, ours, gone)


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


def has_ours(data: bytes) -> bool:
    """Whether a sidecar has notes of this program."""
    return OURS.encode() in data


def without_ours(data: bytes, *, name: FilePath = "the sidecar") -> bytes | None:
    """A sidecar without this program's keywords; None where nothing else is in it."""
    left = remove_ours(data, name=name)
    return None if left == _NEW else left


def remove_ours(data: bytes, *, name: FilePath = "the sidecar") -> bytes:
    """A sidecar without what this program added to its keywords.

    Errors: OutputError, with ``name``, as for reading.
    """
    return _write(_open(data, name), {field: [] for field in FIELDS}, [])


def _open(data: bytes, name: FilePath) -> Packet:
    fields = (*FIELDS, _WRITTEN, *_ADDED.values())
    return Packet(data, {_name(field) for field in fields}, name)


def _with_description(file: Packet, name: FilePath) -> Packet:
    if file.descriptions:
        return file
    scope = file.rdf.scope
    about = xmp_packet.prefix_of(scope, RDF) or "rdf"
    block = xmp_packet.element(
        scope, (RDF, "Description"), "rdf", b"", f' {about}:about=""'.encode()
    )
    file.append(file.rdf, lambda line: block)
    return _open(file.to_bytes(), name)


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


def _split_off(file: Packet, field: Field) -> tuple[list[_Entry], list[_Entry]]:
    """The entries of others and those that were added here, which are the last of their kind."""
    noted = Counter(_ADDED[field].key(entry.text) for entry in _entries(file, _ADDED[field]))
    others: list[_Entry] = []
    ours: list[_Entry] = []
    for entry in reversed(_entries(file, field)):
        key = field.key(entry.text)
        is_ours = noted[key] > 0
        noted[key] -= is_ours
        (ours if is_ours else others).append(entry)
    return others[::-1], ours[::-1]


def _additions(
    base: Mapping[Field, Sequence[_Entry]], tags: Sequence[Tag]
) -> dict[Field, list[str]]:
    """What each field lacks of the tags and of the other fields' keywords."""
    there = (field.tag(entry.text) for field in PATH_FIELDS for entry in base[field])
    paths = joined((*there, *tags), (entry.text for entry in base[SUBJECT]))
    added: dict[Field, list[str]] = {}
    for field in FIELDS:
        held = {field.key(entry.text) for entry in base[field]}
        lacking: dict[Tag, str] = {}
        for entry in map(field.entry, paths.values()):
            lacking.setdefault(field.key(entry), entry)
        added[field] = [entry for key, entry in lacking.items() if key not in held]
    return added


def _write(file: Packet, added: Mapping[Field, Sequence[str]], written: Sequence[str]) -> bytes:
    for field in FIELDS:
        others, ours = _split_off(file, field)
        _change(file, field, others, ours, added[field])
    for note, entries in (
        (_WRITTEN, written),
        *((_ADDED[field], added[field]) for field in FIELDS),
    ):
        _change(file, note, [], _entries(file, note), entries)
    return file.to_bytes()


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
