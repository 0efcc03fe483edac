"""Known files whose names, or their folders', were changed in capitals or normal form only."""

import os
from collections import defaultdict

from mlx_aimv2.files.spelling import fold, has_other_spellings

from ..database.photos import FileRow
from ..database.store import Store


class Respelled:
    """Finds the file that a new path is, on a disk that takes its former path for the same one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[bytes, list[tuple[int, bytes]]] = {}
        self._names: dict[bytes, frozenset[bytes] | None] = {}

    def before(self, path: bytes) -> FileRow | None:
        """The known file that is listed by this path now, and no more by its own."""
        if not has_other_spellings(path):
            return None
        if not self._known:
            known = defaultdict(list)
            for id, each in self._store.paths():
                known[fold(each)].append((id, each))
            self._known = dict(known)
        for id, former in self._known.get(fold(path), []):
            if former != path and not self._is_listed(former):
                return self._store.files_of([id])[id]
        return None

    def _is_listed(self, path: bytes) -> bool:
        folder, name = os.path.split(path)
        if folder == path:
            return True
        names = self._names_in(folder)
        return names is None or (name in names and self._is_listed(folder))

    def _names_in(self, folder: bytes) -> frozenset[bytes] | None:
        """The names in a folder; None where it cannot say."""
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(os.listdir(folder))  # noqa: PTH208  (bytes)
            except (FileNotFoundError, NotADirectoryError):
                self._names[folder] = frozenset()
            except OSError:
                self._names[folder] = None
        return self._names[folder]
