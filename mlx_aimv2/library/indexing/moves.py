"""Known photos under other names: exchanged, shifted, respelled, or replaced by their originals."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache

from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.files.paths import is_gone
from mlx_aimv2.files.spelling import fold, has_other_spellings
from mlx_aimv2.files.stamp import Stamp, stamp_of
from mlx_aimv2.images.metadata.exif import read_facts

from ..database.folders import Root, is_inside, under
from ..database.photos import FileRow
from ..database.store import Store
from .photo_reader import hash_file
from .scan_results import Candidate, FoundPhotos

_UNREAD = Stamp(-1, 0)  # of a file whose content must be read, whatever is known of it
_PAGE = 256

Move = tuple[int, bytes, Stamp, str | None]  # as ``Store.move_files`` takes it
KeepAway = Callable[[bytes, FileRow | None, Aimv2Error], bool]


class Moves:
    """Gives the files that were found the photos that they are now.

    A path of another known content takes the file of that content, with its tags and vectors, if
    that is no longer where it was. A picture of Photos stays the same file when another copy of
    it is chosen. What was moved to a new path is recognised later, one by one.
    """

    def __init__(self, store: Store, roots: Sequence[Root], keep_away: KeepAway) -> None:
        self._store = store
        self._bundles = [root for root in roots if root.is_photos]
        self._keep_away = keep_away
        self._moves: dict[int, Move] = {}
        self._taken: set[bytes] = set()  # paths that moved files have now
        self._displaced: list[FileRow] = []  # files whose paths those were

    def settle(self, found: FoundPhotos, set_id: int | None, *, rereads: bool) -> list[int]:
        """Write what has moved, all or nothing; the ids of the files whose content is known.

        With ``rereads`` the headers of photos that hold the same as before are read again too.
        """
        for candidate in found.to_read(set_id, rereads=rereads):
            known, size_bytes = candidate.known, candidate.stamp.size_bytes
            if candidate.is_unchanged:
                continue
            if known is not None and (candidate.is_doubtful or self._store.has_size(size_bytes)):
                self._take_known(candidate, known, rereads=rereads)
            elif known is None and candidate.uuid is not None:
                self._note_photo(candidate)
        for file in self._displaced:
            if file.id not in self._moves:
                self._find_new(file)
        self._store.move_files(list(self._moves.values()))
        return [id for id, (_, _, stamp, _) in self._moves.items() if stamp != _UNREAD]

    def _note_photo(self, candidate: Candidate) -> None:
        """Its former copy is in the same library of Photos, which shows each picture once."""
        for bundle in self._bundles:
            inside, values = under(bundle.path)
            if is_inside(candidate.path, bundle.path):
                before = self._store.files(f"uuid = ? AND {inside}", (candidate.uuid, *values))
                if file := next(before, None):
                    self._move(file, candidate.path, _UNREAD, candidate.uuid)
                return

    def _take_known(self, candidate: Candidate, known: FileRow, *, rereads: bool) -> None:
        try:
            hash = self._hash(candidate.path)
        except Aimv2Error as error:  # of what has changed, embedding it will say the same
            if candidate.is_doubtful:  # but no walk would see that it cannot be read
                self._keep_away(candidate.path, known, error)
            return
        is_same = hash == known.hash
        if candidate.is_doubtful:  # no later look would see that it has changed
            stamp = candidate.stamp if is_same else _UNREAD
            self._store.move_file(known.id, known.path, stamp, known.uuid)
        if is_same:
            if rereads:
                with suppress(Aimv2Error):
                    self._store.set_facts(known.id, read_facts(os.fsdecode(known.path)))
            return
        for file in self._store.files_with_hash(hash):
            if file.id not in self._moves and not self._is_there(file):
                self._move(file, candidate.path, candidate.stamp, candidate.uuid)
                self._displaced.append(known)
                return

    def _move(self, file: FileRow, path: bytes, stamp: Stamp, uuid: str | None) -> None:
        self._moves[file.id] = (file.id, path, stamp, uuid)
        self._taken.add(path)

    def _find_new(self, file: FileRow) -> None:
        """The new path, if any, at which a photo is whose name was taken."""
        self._store.run("CREATE INDEX IF NOT EXISTS temp.found_by_size ON found (size_bytes)")
        new = self._store.rows(
            "SELECT found.path, found.size_bytes, found.mtime_ns, found.ctime_ns FROM found "
            "WHERE found.size_bytes = ? AND uuid IS NULL AND NOT is_away "
            "AND path NOT IN (SELECT path FROM files) ORDER BY number",
            (file.stamp.size_bytes,),
        )
        for path, *stamp in new:
            with suppress(Aimv2Error):
                if path not in self._taken and self._hash(path) == file.hash:
                    self._move(file, path, Stamp(*stamp), None)
                    return

    def _is_there(self, file: FileRow) -> bool:
        """Whether the file's path still holds its content."""
        stamp = stamp_of(file.path)
        if stamp is None:
            return not is_gone(file.path)
        if stamp == file.stamp or stamp.size_bytes != file.stamp.size_bytes:
            return stamp == file.stamp
        try:
            return self._hash(file.path) == file.hash
        except Aimv2Error:
            return True

    def _hash(self, path: bytes) -> bytes:
        """The content's hash, read once. Errors: ImageError for a file that cannot be read."""
        known = self._store.one("SELECT hash FROM found WHERE path = ?", path)
        if known is not None and known[0] is not None:
            return bytes(known[0])
        hash = hash_file(path)
        self._store.run("UPDATE found SET hash = ? WHERE path = ?", hash, path)
        return hash


def respelled(store: Store) -> list[tuple[FileRow, bytes]]:
    """Known files, and the paths by which they were found, on a disk that takes both for the same.

    Their names, or their folders', were changed in capitals or normal form only.
    """
    number = 0
    new = (
        "SELECT number, path FROM found WHERE number > ? AND path NOT IN (SELECT path FROM files) "
        f"ORDER BY number LIMIT {_PAGE}"
    )
    while page := store.rows(new, (number,)):
        number = page[-1][0]
        folded = [(fold(path), id) for id, path in page if has_other_spellings(path)]
        store.run_many("UPDATE found SET folded = ? WHERE number = ?", folded)
    if store.one("SELECT 1 FROM found WHERE folded IS NOT NULL") is None:
        return []
    store.run("CREATE INDEX temp.found_by_folded ON found (folded) WHERE folded IS NOT NULL")
    alike = store.rows(
        "SELECT files.id, files.path, found.path FROM files "
        "CROSS JOIN found ON folded = fold(files.path) "  # CROSS: all files are looked at once
        "WHERE files.path NOT IN (SELECT path FROM found) ORDER BY number, files.id"
    )
    is_listed = _listing()
    ids: dict[bytes, int] = {}
    for id, former, path in alike:
        if path not in ids and not is_listed(former):
            ids[path] = id
    files = store.files_of(ids.values())
    return [(files[id], path) for path, id in ids.items()]


def _listing() -> Callable[[bytes], bool]:
    """Whether a path is so listed by its folder, and that by its own; each is listed once."""

    @cache
    def names_in(folder: bytes) -> frozenset[bytes] | None:
        try:
            return frozenset(os.listdir(folder))  # noqa: PTH208  (bytes)
        except (FileNotFoundError, NotADirectoryError):
            return frozenset()
        except OSError:  # it cannot say
            return None

    def is_listed(path: bytes) -> bool:
        folder, name = os.path.split(path)
        if folder == path:
            return True
        names = names_in(folder)
        return names is None or (name in names and is_listed(folder))

    return is_listed
