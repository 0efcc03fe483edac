"""Known photos under names that others had: exchanged, shifted, or replaced by their originals."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from mlx_aimv2.errors import Aimv2Error, AwayError
from mlx_aimv2.files.paths import is_gone
from mlx_aimv2.files.stamp import Stamp, stamp_of
from mlx_aimv2.images.metadata.exif import read_facts

from ..database.folders import Root
from ..database.photos import FileRow
from ..database.store import Store
from .photo_reader import hash_file
from .scan import Candidate

_UNREAD = Stamp(-1, 0)  # of a file whose content must be read, whatever is known of it


class Moves:
    """Collects the candidates of a walk; ``settle`` gives them the files that they are now.

    Of files that were read though their stamp is as before, ``same`` are then those that hold the
    same, and ``unread`` those that could not be read.

    A path of another known content takes the file of that content, with its tags and vectors, if
    that is no longer where it was. A picture of Photos stays the same file when another copy of
    it is chosen. What was moved to a new path is recognised later, one by one.
    """

    def __init__(self, store: Store, roots: Sequence[Root]) -> None:
        self._store = store
        self._bundles = [root.path.rstrip(b"/") + b"/" for root in roots if root.is_photos]
        self._hashes: dict[bytes, tuple[Stamp, bytes]] = {}
        self._changed: list[Candidate] = []
        self._new: list[Candidate] = []
        self._moves: list[tuple[FileRow, Candidate]] = []
        self.same: list[int] = []
        self.unread: list[tuple[Candidate, AwayError]] = []

    def note(self, candidate: Candidate) -> None:
        """One of the walk's candidates."""
        if candidate.is_unchanged:
            return
        if candidate.has_old_stamp:
            try:
                self._hashes[candidate.path] = candidate.stamp, self.hash_of(candidate)
            except AwayError as error:  # no walk would see that it cannot be read
                self.unread.append((candidate, error))
                return
        if candidate.known is None and candidate.uuid is not None:
            self._note_photo(candidate)
        elif not self._store.has_size(candidate.stamp.size_bytes):
            return
        elif candidate.known is None:
            self._new.append(candidate)
        else:
            self._changed.append(candidate)

    def settle(self) -> list[int]:
        """Write what has moved, all or nothing; the ids of the files whose content is known."""
        for candidate in self._changed:
            self._take_known(candidate)
        moved = {file.id for file, _ in self._moves}
        for _, candidate in list(self._moves):  # whose names were taken, and are not at another's
            if candidate.known is not None and candidate.known.id not in moved:
                self._find_new(candidate.known)
        if self._moves:
            self._store.move_files(
                [(file.id, each.path, each.stamp, each.uuid) for file, each in self._moves]
            )
        return [file.id for file, each in self._moves if each.stamp != _UNREAD]

    def hash_of(self, candidate: Candidate) -> bytes:
        """The content's hash, read once. Errors: ImageError for a file that cannot be read."""
        stamp, hash = self._hashes.get(candidate.path, (None, b""))
        if stamp != candidate.stamp:
            hash = hash_file(candidate.path)
        return hash

    def _note_photo(self, candidate: Candidate) -> None:
        """Its former copy is in the same library of Photos, which shows each picture once."""
        for bundle in self._bundles:
            if candidate.path.startswith(bundle):
                before = self._store.files("uuid = ? AND path >= ?", (candidate.uuid, bundle))
                file = next((each for each in before if each.path.startswith(bundle)), None)
                if file is not None:
                    self._moves.append((file, replace(candidate, stamp=_UNREAD)))
                return

    def _take_known(self, candidate: Candidate) -> None:
        hash, known = self._read(candidate), candidate.known
        if known is None:
            return
        if candidate.has_old_stamp and hash == known.hash:
            self._keep(candidate, known)
        elif candidate.has_old_stamp and hash is not None:  # no walk would see that it changed
            self._store.move_file(known.id, known.path, _UNREAD, known.uuid)
        if hash is None or hash == known.hash:
            return
        taken = {file.id for file, _ in self._moves}
        gone = [
            file
            for file in self._store.files_with_hash(hash)
            if file.id not in taken and not self._is_there(file)
        ]
        if gone:
            self._moves.append((gone[0], candidate))

    def _keep(self, candidate: Candidate, known: FileRow) -> None:
        """What is known of a file holds; if all was to be read again, its header is too."""
        if candidate.is_reread:
            with suppress(Aimv2Error):
                self._store.set_facts(known.id, read_facts(os.fsdecode(known.path)))
        self._store.move_file(known.id, known.path, candidate.stamp, known.uuid)
        self.same.append(known.id)

    def _find_new(self, file: FileRow) -> None:
        for candidate in self._new:
            has_size = candidate.stamp.size_bytes == file.stamp.size_bytes
            if file.hash is not None and has_size and self._read(candidate) == file.hash:
                self._new.remove(candidate)
                self._moves.append((file, candidate))
                return

    def _is_there(self, file: FileRow) -> bool:
        """Whether the file's path still holds its content."""
        stamp = stamp_of(file.path)
        if stamp is None:
            return not is_gone(file.path)
        if stamp == file.stamp or stamp.size_bytes != file.stamp.size_bytes:
            return stamp == file.stamp
        hash = self._read(Candidate(file.path, stamp, file.uuid, file))
        return hash is None or hash == file.hash

    def _read(self, candidate: Candidate) -> bytes | None:
        try:
            hash = self.hash_of(candidate)
        except Aimv2Error:
            return None  # embedding it will say the same, in its turn
        self._hashes[candidate.path] = candidate.stamp, hash
        return hash
