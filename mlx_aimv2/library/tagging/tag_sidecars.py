"""Writing tags into the library, and tags and captions into sidecars; and taking them out again."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from mlx_aimv2.errors import Aimv2Error, OutputError
from mlx_aimv2.files.paths import printable
from mlx_aimv2.files.stamp import stamp_of
from mlx_aimv2.images.metadata.xmp_values import read_taken_at

from ..database.photos import FileRow
from ..database.store import Store
from ..database.tags import FROM_OUTSIDE, Held
from ..indexing.photo_reader import read_keywords_inside
from ..sidecars import exiftool, sidecar, xmp
from ..sidecars.caption import has_caption
from ..sidecars.keywords import Tag as TagPath
from ..sidecars.notes import Owner, has_ours
from ..sidecars.sidecar import Style, Undone
from ..sidecars.value import has_values
from ..tag_names import tag_key
from .tagger import Tagged

_TOGETHER = 4096  # photos in a transaction: what a kill may cost
_SEES = "aimv2 index sees where the photos are now"
_MOVED = (
    "if they were moved, aimv2 index FOLDER; if they are gone, aimv2 index and aimv2 library "
    "prune; then undo again"
)


@dataclass(frozen=True)
class Written:
    """A photo's sidecar after writing, or the error; ``is_new`` where there was none before.

    ``undone``: nothing of this library is left in the sidecar. ``arguments`` are the lines for
    ExifTool, where these were asked for; there is no sidecar then.
    """

    file: FileRow
    path: bytes
    error: Aimv2Error | None = None
    is_new: bool = False
    undone: Undone | None = None
    arguments: tuple[bytes, ...] = ()


def keep(
    store: Store,
    found: Iterator[Tagged],
    style: Style | None,
    *,
    for_exiftool: bool = False,
    dry_run: bool,
) -> Iterator[tuple[Tagged, Written | None]]:
    """Each photo with its tags, and what became of its sidecar, once both are written.

    Without a ``style`` no sidecars are written; with ``dry_run`` nothing is. ``for_exiftool`` gives
    the lines of an argument file instead.
    """
    if style and not dry_run:
        follow_sidecars(store)
    known = _known_paths(store) if style else {}
    # A photo's tags are in the library before its sidecar is touched.
    while some := list(islice(found, 1 if style or for_exiftool else _TOGETHER)):
        if not dry_run:
            _remember(store, some)
        for each in some:
            if each.is_in_photos or not (style or for_exiftool):
                yield each, None
                continue
            wanted = _wanted(store, each)
            if for_exiftool:
                yield each, _arguments(store, each.file, wanted, dry_run=dry_run)
                continue
            assert style is not None
            path = os.fsencode(sidecar.existing_or_new(each.file.path, style))
            beside = [other for other in known.get(each.file.id, ()) if other != path]
            done = [
                write_sidecar(store, each.file, at, wanted, dry_run=dry_run)
                for at in (path, *filter(os.path.lexists, beside))
            ]
            written = [one for one in done if one is not None]
            yield each, next((one for one in written if one.error), next(iter(written), None))


def _known_paths(store: Store) -> dict[int, list[bytes]]:
    """The sidecars that this library has written, by the files that they are of."""
    known: dict[int, list[bytes]] = {}
    for path, id in store.rows("SELECT path, file_id FROM sidecars WHERE file_id IS NOT NULL"):
        known.setdefault(id, []).append(path)
    return known


def _wanted(store: Store, tagged: Tagged) -> list[str]:
    """The tags that a photo's sidecar is to have: all that are shown but those of others."""
    origins = store.origins_of([tagged.file.id])[tagged.file.id]
    others = {*FROM_OUTSIDE, *tagged.given}
    stored = [tag for tag, each in origins.items() if not others.issuperset(each)]
    return list({tag_key(tag): tag for tag in (*(tag for tag, _ in tagged.tags), *stored)}.values())


def _arguments(store: Store, file: FileRow, wanted: list[str], *, dry_run: bool) -> Written | None:
    """The lines that make ExifTool write a photo's tags, and take out those given earlier.

    What was given is remembered first. It is taken out anew until ``forget_emitted`` says that
    the photo was seen without it.
    """
    hash = store.last_hash(file.id) or b""
    gone = set(store.emitted_tags(hash)).difference(wanted)
    try:
        others = _of_others(store, file)
        keep = [*others.values(), *store.names_of_others(hash)]
        change = exiftool.Change(
            file.path, *([_path_of(tag) for tag in tags] for tags in (wanted, sorted(gone), keep))
        )
        lines = tuple(exiftool.arguments([change]))
        _check_there(file)
    except Aimv2Error as error:
        return Written(file, file.path, error)
    if not dry_run:
        lasts = {tag_key(tag).rpartition("|")[2] for tag in wanted}
        with store.transaction():
            # A path hides its name: of whom that is, no later look at the photo can tell.
            store.remember_names(hash, [others[key] for key in others.keys() & lasts])
        _remember_emitted(store, file, wanted, others)
    return Written(file, file.path, arguments=lines) if lines else None


def _of_others(store: Store, file: FileRow) -> dict[str, str]:
    """The keywords that a file and its sidecars say without this library, by key."""
    others = store.from_outside(file.id)
    if stamp_of(file.path) != file.stamp:  # changed since the index has read it
        emitted = store.emitted(store.last_hash(file.id) or b"")
        with suppress(Aimv2Error):  # as the index will say
            inside = read_keywords_inside(file.path)
            others |= {key: tag for key, tag in inside.items() if key not in emitted}
    return others


def _check_there(file: FileRow) -> None:
    """Errors: OutputError for a photo that is no longer where the index has seen it."""
    if not os.path.lexists(file.path):
        raise OutputError(f"{printable(file.path)} is not there", hint=_SEES)


def _remember_emitted(
    store: Store, file: FileRow, tags: Sequence[str], others: Mapping[str, str]
) -> None:
    """Remember what is about to be written, but for what others wrote before."""
    hash = store.last_hash(file.id)
    if hash is not None:
        with store.transaction():
            store.remember_emitted(hash, [tag for tag in tags if tag_key(tag) not in others])


def _remember(store: Store, tagged: Sequence[Tagged]) -> None:
    """Write the tags of photos into the library, in place of those given before."""
    with store.transaction():
        for origin in {origin for each in tagged for origin in each.given}:
            store.remove_tags(
                origin,
                [(each.file.id, tag) for each in tagged for tag in each.taken.get(origin, ())],
            )
            store.add_tags(
                origin,
                [
                    (each.file.id, tag, score)
                    for each in tagged
                    for tag, score in each.given.get(origin, ())
                ],
            )


def write_sidecar(
    store: Store,
    file: FileRow,
    path: bytes,
    tags: Sequence[str] | None,
    *,
    caption: bool | None = None,
    carried: bool | None = None,
    dry_run: bool = False,
) -> Written | None:
    """Make a photo's sidecar say these tags and its caption; None where nothing is to change.

    Without ``tags`` it has those of the library if it had any, and without ``caption``, whether
    it is to have one, it has one if it had; so with ``carried``, the values carried from copies.
    What was there before is kept in the library, so that it can be undone; it is written there
    before the sidecar is touched. A tag that another program took out since stays out, until the
    index has read what that means; so does a caption or value that it changed. ``dry_run`` writes
    nothing.
    """
    known = store.sidecar(path)
    owner = _owner(store, is_known=known is not None)
    try:
        now = sidecar.read_sidecar(path)
        had = store.held_in_sidecar(path) or _noted(now, owner)
        held = Held(
            had.tags or tags is not None,
            had.caption if caption is None else caption,
            had.carried if carried is None else carried,
        )
        if tags is None:
            tags = _wanted(store, Tagged(file, {}, {}, (), ())) if had.tags else []
        words = _caption(store, file) if held.caption else None
        values = _values(store, file, now, owner, path) if held.carried else {}
        if now is None:
            if not (tags or words or values):
                return None
            _check_there(file)
        is_ours = bool(known and now and sidecar.is_as_written(now, known[1], owner, name=path))
        said = xmp.read_keywords(now or b"", owner=owner) if not _was_read(store, file) else None
        gone = said.gone if said and known else {}
        left_out = [_path_of(gone[key]) for key in map(tag_key, tags) if key in gone]
        paths = [_path_of(tag) for tag in tags if tag_key(tag) not in gone]

        def change(paths: list[TagPath], left_out: Sequence[TagPath] = ()) -> bytes | None:
            tagged = xmp.replace_ours(now, paths, owner=owner, left_out=left_out, name=path)
            captioned = xmp.replace_caption(tagged, words, owner=owner, name=path)
            return xmp.replace_values(captioned, values, owner=owner, name=path)

        after = change(paths, left_out)
        undone = None
        is_empty = not (paths or left_out or words or values)
        if known and now is not None and is_empty and has_ours(now, owner):
            undone = Undone.RESTORED if is_ours else Undone.CLEANED
            after = known[0] if is_ours else xmp.without_ours(now, owner=owner, name=path)
        if after == now:
            return None
        if not dry_run:
            before = (
                known[0]
                if known and is_ours
                else now and xmp.without_ours(now, owner=owner, name=path)
            )  # our own tags are no original
            # With tags that were taken out the bytes are not as after our writing: that stays told.
            noted = change([_path_of(tag) for tag in tags]) if left_out else after
            others = {**_of_others(store, file), **(said.others if said else {})}
            with store.transaction():
                _remember_emitted(store, file, tags, others)
                store.remember_sidecar(path, file.id, before, noted or b"", held)
            sidecar.put_back(path, after)
    except Aimv2Error as error:
        return Written(file, path, error)
    return Written(file, path, is_new=now is None, undone=undone)


def _noted(now: bytes | None, owner: Owner) -> Held:
    """What a sidecar has by its notes of this library."""
    if now is None or not has_ours(now, owner):
        return Held()
    return Held(xmp.has_keywords(now, owner), has_caption(now, owner), has_values(now, owner))


def _values(
    store: Store, file: FileRow, now: bytes | None, owner: Owner, path: bytes
) -> dict[str, str]:
    """The values that a photo's sidecar is to have; no date where it has one of others."""
    values = store.carried_to(store.last_hash(file.id) or b"")
    others = now and xmp.without_ours(now, owner=owner, name=path)
    if others and read_taken_at(others):
        values.pop("date", None)
    return values


def _caption(store: Store, file: FileRow) -> str | None:
    """The caption that a photo's sidecar is to have: not what it, or the photo, has without us."""
    caption = store.captions_of([file.id]).get(file.id)
    return None if caption is None or caption.origin == "file" else caption.text


def _was_read(store: Store, file: FileRow) -> bool:
    """Whether the index has read a photo's sidecars as they are."""
    names = [name for name in sidecar.sidecar_names(file.path) if os.path.lexists(name)]
    stamps = {name.name.lower(): name.lstat().st_mtime_ns for name in names}
    [stamp] = store.one("SELECT keywords_stamp FROM files WHERE id = ?", file.id)
    return stamp == sidecar.stamp(stamps.values())


def _owner(store: Store, *, is_known: bool) -> Owner:
    """This library as the owner of keywords; of a sidecar that it knows, earlier notes too."""
    return Owner(store.setting("library_id") or "", has_earlier=is_known)


def follow_sidecars(store: Store) -> None:
    """Give sidecars that were moved with their photos their new paths in the library."""
    known = store.sidecars()
    moves: dict[bytes, bytes] = {}
    targets: set[bytes] = set()
    for path, photo in known:
        now = None if photo is None else _moved_to(store, path, photo)
        if now is not None and now not in targets:
            moves[path] = now
            targets.add(now)
    held = {path for path, _ in known}
    while taken := [was for was, now in moves.items() if now in held and now not in moves]:
        for was in taken:
            del moves[was]
    with store.transaction():
        store.move_sidecars(moves)


def sync_sidecars(
    store: Store, file_ids: Sequence[int]
) -> Iterator[tuple[bytes, Undone | Aimv2Error | None]]:
    """Bring the sidecars of these files up to date that this library has written before.

    Yields each sidecar that was changed, with what undoing did to it, None where tags of this
    library are left, or the error. A sidecar that somebody removed is not written anew.
    """
    known = _known_paths(store)
    if not known and not store.sidecars():
        return
    if not known.keys().isdisjoint(file_ids):
        follow_sidecars(store)
        known = _known_paths(store)
    for file in store.files_of(file_ids).values():
        paths = dict.fromkeys((*known.get(file.id, ()), *_with_notes(store, file)))
        names = {os.fsencode(name) for name in sidecar.sidecar_names(file.path)}
        for path in paths:
            row = store.sidecar(path)
            is_removed = row is None or row[1] or path not in names
            if is_removed and not os.path.lexists(path):
                continue
            written = write_sidecar(store, file, path, None)
            if written is not None:
                yield path, written.error or written.undone


def _with_notes(store: Store, file: FileRow) -> Iterator[bytes]:
    """The sidecars beside a photo that have notes of this library.

    A copy's, or one of a photo that was forgotten and came back, is known by these alone.
    """
    for path in map(os.fsencode, () if file.uuid else sidecar.own_sidecars(file.path)):
        owner = _owner(store, is_known=store.sidecar(path) is not None)
        with suppress(Aimv2Error):  # as whoever writes it next will say
            if has_ours(sidecar.read_sidecar(path) or b"", owner):
                yield path


def undo(store: Store) -> Iterator[tuple[bytes, Undone | Aimv2Error]]:
    """Take back all tags: sidecars as they were before, and the tags in the library.

    Which vocabularies the library uses is not forgotten.
    A sidecar with a caption of this library, or with values carried from copies, keeps these. One
    that cannot be restored stays known, so that undoing can be tried again. One beside a photo that
    is not known, as that of a copy, is cleaned by its own notes.
    """
    follow_sidecars(store)
    for path, photo in store.sidecars():
        known = store.sidecar(path)
        if known is None:
            continue
        try:
            if photo is not None and not any(map(os.path.lexists, (path, photo))):
                raise OutputError(f"{printable(path)} is not there, nor its photo", hint=_MOVED)
            if not known[1] and not os.path.lexists(path):
                done = Undone.RESTORED  # by an edit before
            elif (file := _holds_more(store, path, photo)) is not None:
                written = write_sidecar(store, file, path, [])
                if written is not None and written.error is not None:
                    raise written.error
                store.run("UPDATE sidecars SET has_tags = 0 WHERE path = ?", path)
                yield path, Undone.CAPTIONED
                continue
            else:
                done = sidecar.restore(path, *known, _owner(store, is_known=True))
        except Aimv2Error as error:
            yield path, error
            continue
        with store.transaction():
            store.run("DELETE FROM sidecars WHERE path = ?", path)
        yield path, done
    known_paths = {path for path, _ in store.sidecars()}
    for file in list(store.files("missing_since IS NULL AND uuid IS NULL")):
        for path in map(os.fsencode, sidecar.own_sidecars(file.path)):
            if path not in known_paths:
                yield from _clean(path, _owner(store, is_known=False))
    with store.edit("undo", "all tags of the program taken back"):
        store.run("DELETE FROM tags WHERE origin LIKE 'vocabulary %' OR origin = 'taught'")


def _holds_more(store: Store, path: bytes, photo: bytes | None) -> FileRow | None:
    """The photo of a sidecar that is to have more than tags; None of one that has only these."""
    held = store.held_in_sidecar(path) or Held()
    is_more = held.caption or held.carried
    return store.file_at(photo) if photo is not None and is_more else None


def _clean(path: bytes, owner: Owner) -> Iterator[tuple[bytes, Undone | Aimv2Error]]:
    try:
        now = sidecar.read_sidecar(path)
    except Aimv2Error:
        return  # none that was written here can be told from it
    if now is None or not has_ours(now, owner):
        return
    try:
        if has_caption(now, owner) or has_values(now, owner):
            sidecar.put_back(path, xmp.replace_ours(now, [], owner=owner, name=path))
            yield path, Undone.CAPTIONED
        else:
            yield path, sidecar.clean(path, now, owner)
    except Aimv2Error as error:
        yield path, error


def _moved_to(store: Store, path: bytes, photo: bytes) -> bytes | None:
    """Where a sidecar is beside its photo now, if it is no longer where it was written."""
    names = [os.fsencode(name) for name in sidecar.sidecar_names(photo)]
    if path in names or (known := store.sidecar(path)) is None:
        return None
    owner = _owner(store, is_known=True)
    found: dict[bytes, bytes] = {}
    for name in filter(os.path.lexists, names):
        with suppress(Aimv2Error):
            found[name] = sidecar.read_sidecar(name) or b""
    same = [name for name, data in found.items() if data == known[1]]
    own = set(map(os.fsencode, sidecar.own_sidecars(photo)))
    ours = [name for name, data in found.items() if name in own and has_ours(data, owner)]
    return next(iter(same or (ours if not os.path.lexists(path) else [])), None)


def _path_of(tag: str) -> TagPath:
    return tuple(tag.split("|"))
