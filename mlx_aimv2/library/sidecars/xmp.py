"""Keywords in XMP: added to what is there, and taken out again.

Every keyword is written to all three fields, because programs differ in which they read. What
a library added to each field is noted in a namespace of its own, so that exactly that can be
taken out. What another library wants too stays: the note of it passes to that library. Names with a
field's separator in them are written with its full-width form there (``AC／DC`` in digiKam's
field). What is read in UTF-16 is written in UTF-8.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mlx_aimv2.errors import OutputError, UsageError
from mlx_aimv2.files.paths import FilePath
from mlx_aimv2.images.metadata import xmp_packet
from mlx_aimv2.images.metadata.xmp_packet import RDF, trimmed

from ..tag_names import tag_key
from .caption import change_caption
from .entries import Entry, change, entries_of
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
from .notes import (
    EARLIER,
    OURS,
    Owner,
    Sidecar,
    has_ours,
    notes_of,
    open_sidecar,
    split_off,
    written_by,
)
from .value import change_values

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
class Said:
    """The keywords that a packet names, as tags by their keys.

    ``ours`` are those that its notes say the owner added, ``gone`` those that its notes name
    and none of its fields has; ``others`` are all the rest, ``from_libraries`` those of them that
    only other libraries of this program added. ``problem``: why the packet could not be read.
    """

    others: Mapping[str, str]
    ours: Mapping[str, str]
    gone: Mapping[str, str]
    from_libraries: frozenset[str]
    problem: OutputError | None = None


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
    sidecar = _with_description(
        open_sidecar(_NEW if data is None else data, owner, name), owner, name
    )
    there = _keys(sidecar, PATH_FIELDS)  # a tag that someone else took out stays out
    kept = [tag for tag in written_by(sidecar, *sidecar.own) if key_of(tag) in there]
    tags = [tag for tag in (*wanted, *kept) if key_of(tag) not in unwanted]
    added = _additions(sidecar, tags)
    ours = {field.key(entry) for field in PATH_FIELDS for entry in added[field]}
    ours |= {key_of(tag) for tag in written_by(sidecar, *sidecar.others)}  # both want it
    noted = [*(tag for tag in tags if key_of(tag) in ours), *left_out]
    return _write(sidecar, added, {key_of(tag): notes_of("").written.entry(tag) for tag in noted})


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
        return _write(open_sidecar(data, owner, name), {field: [] for field in FIELDS}, {})
    wanted = set(map(key_of, tags))
    noted = open_sidecar(data, owner, name)
    dropped = [tag for tag in written_by(noted, *noted.own) if key_of(tag) not in wanted]
    return merge(data, tags, dropped, owner=owner, left_out=left_out, name=name)


def read_keywords(
    data: bytes,
    flat: Sequence[str] = (),
    *,
    owner: Owner = EARLIER,
    name: FilePath = "the packet",
) -> Said:
    """The keywords of a sidecar, or of a photo that has these flat ones besides its packet.

    A packet that is none, or is damaged, says nothing but its problem, with ``name``.
    """
    problem = None
    everyone: dict[Field, list[str]] = {field: [] for field in FIELDS}
    others = {field: list[str]() for field in FIELDS}
    from_programs = {field: list[str]() for field in FIELDS}
    noted: list[Tag] = []
    try:
        if data:
            sidecar = open_sidecar(trimmed(data), owner, name)
            for field in FIELDS:
                programs, libraries, own = split_off(sidecar, field)
                from_programs[field] = [entry.text for entry in programs]
                others[field] = [entry.text for entry in (*programs, *libraries)]
                everyone[field] = [*others[field], *(entry.text for entry in own)]
            noted = written_by(sidecar, *sidecar.own)
    except OutputError as error:
        problem = error
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
    return Said(foreign, ours, gone, from_libraries, problem)


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


def without_ours(
    data: bytes, *, owner: Owner = EARLIER, name: FilePath = "the sidecar"
) -> bytes | None:
    """A sidecar without what the owner wrote; None where nothing else is in it."""
    left = remove_ours(data, owner=owner, name=name)
    return None if left in (_NEW, _NEW_EARLIER) else left


def remove_ours(data: bytes, *, owner: Owner = EARLIER, name: FilePath = "the sidecar") -> bytes:
    """A sidecar without the owner's caption and values, and what it added to keywords and no other
    wants.

    Errors: OutputError, with ``name``, as for reading.
    """
    sidecar = open_sidecar(data, owner, name)
    change_caption(sidecar, None)
    change_values(sidecar, {})
    return _write(sidecar, {field: [] for field in FIELDS}, {})


def replace_caption(
    data: bytes | None,
    text: str | None,
    *,
    owner: Owner = EARLIER,
    name: FilePath = "the sidecar",
) -> bytes | None:
    """A sidecar with this caption in place of the owner's, where nobody else has one; None: none.

    Errors: OutputError, with ``name``, as for reading.
    """
    if data is None and text is None:
        return None
    sidecar = open_sidecar(_NEW if data is None else data, owner, name)
    if text is not None:
        sidecar = _with_description(sidecar, owner, name)
    change_caption(sidecar, text)
    return sidecar.file.to_bytes()


def replace_values(
    data: bytes | None,
    values: Mapping[str, str],
    *,
    owner: Owner = EARLIER,
    name: FilePath = "the sidecar",
) -> bytes | None:
    """A sidecar with these values, ``rating`` and ``date``, in place of the owner's.

    Where it has more stars, or a date, those stay. Errors: OutputError, with ``name``, as for
    reading.
    """
    if data is None and not values:
        return None
    sidecar = open_sidecar(_NEW if data is None else data, owner, name)
    if values:
        sidecar = _with_description(sidecar, owner, name)
    change_values(sidecar, values)
    return sidecar.file.to_bytes()


def has_keywords(data: bytes, owner: Owner) -> bool:
    """Whether a sidecar has notes of keywords of the owner's."""
    sidecar = open_sidecar(data, owner, "the sidecar")
    return bool(written_by(sidecar, *sidecar.own))


def _with_description(sidecar: Sidecar, owner: Owner, name: FilePath) -> Sidecar:
    file = sidecar.file
    if file.descriptions:
        return sidecar
    scope = file.rdf.scope
    about = xmp_packet.prefix_of(scope, RDF) or "rdf"
    block = xmp_packet.element(
        scope, (RDF, "Description"), "rdf", b"", f' {about}:about=""'.encode()
    )
    file.append(file.rdf, lambda line: block)
    return open_sidecar(file.to_bytes(), owner, name)


def _keys(sidecar: Sidecar, fields: Sequence[Field]) -> set[Tag]:
    return {field.key(entry.text) for field in fields for entry in entries_of(sidecar.file, field)}


def _keys_of(field: Field, tags: Sequence[Tag]) -> set[Tag]:
    """The keys of tags as a field has them."""
    return {field.key(field.entry(tag)) for tag in tags}


def _additions(sidecar: Sidecar, tags: Sequence[Tag]) -> dict[Field, list[str]]:
    """What each field lacks of the tags and of other programs' keywords in the other fields."""
    split = {field: split_off(sidecar, field) for field in FIELDS}
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
    sidecar: Sidecar, added: Mapping[Field, Sequence[str]], written: Mapping[Tag, str]
) -> bytes:
    file = sidecar.file
    passed = {library: dict[Field, list[str]]() for library in sidecar.others}
    for field in FIELDS:
        programs, libraries, ours = split_off(sidecar, field)
        keys = {field.key(text) for text in added[field]}
        staying, dropped = list[Entry](), list[Entry]()
        for entry in ours:
            heir = None if field.key(entry.text) in keys else _heir(sidecar, field, entry)
            if heir is None:
                dropped.append(entry)
            else:
                staying.append(entry)
                passed[heir].setdefault(field, []).append(entry.text)
        change(file, field, [*programs, *libraries, *staying], dropped, added[field])
    for library, fields in passed.items():
        for field, texts in fields.items():
            note = notes_of(library).added[field]
            noted = entries_of(file, note)
            change(file, note, [], noted, [*(entry.text for entry in noted), *texts])
    for library in sidecar.own:
        notes, is_kept = notes_of(library), library == sidecar.own[0]
        wanted = {notes.written: list(written.values())}
        wanted |= {notes.added[field]: list(texts) for field, texts in added.items()}
        for note, texts in wanted.items():
            change(file, note, [], entries_of(file, note), texts if is_kept else [])
    return file.to_bytes()


def _heir(sidecar: Sidecar, field: Field, entry: Entry) -> str | None:
    """Another library that wants an entry which the owner gives up, if there is one.

    An entry copied from another field is wanted by whoever has keywords here.
    """
    key = field.key(entry.text)
    is_copied = key not in _keys_of(field, written_by(sidecar, *sidecar.own))
    for library in sidecar.others:
        wanted = written_by(sidecar, library)
        if wanted and (is_copied or key in _keys_of(field, wanted)):
            return library
    return None
