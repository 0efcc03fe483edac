"""Which files are one shot of the camera: a RAW and its pictures, an original and Apple's edit.

They have one name in one folder, but for the extension and the E of ``IMG_E0001.JPG``, and their
dates are seconds apart; where one of them has no date, they look alike. Pictures of one name
alone, as a HEIC and the JPEG made of it, are copies and no shot.
"""

import os
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .database.connection import listed
from .database.store import Store
from .shot_names import EDIT, kind_of
from .signature import coarse_vectors, is_signature, similarity, stack

_MOST_APART_S = 5

# Without dates the looks decide: of 1,000 pairs of unlike drawings 1 is above the first. An edit
# may be grey, darker or cropped, and its name says more: 59 are above one of the other two.
_LEAST_ALIKE = 0.1
_LEAST_ALIKE_EDITED, _LEAST_COARSE_EDITED = 0.02, 0.9

_FIRST = (".jpg", ".jpeg", ".heic", ".heif", ".hif")  # of the pictures, the one to show


class _Member(NamedTuple):
    """A file that may be part of a shot."""

    key: int
    id: int
    path: bytes
    taken_at: str | None


def shots_of(store: Store, ids: Sequence[int] | None = None) -> dict[int, tuple[int, ...]]:
    """The shots of more than one file, the one to show first, by the id of each of their files.

    Of all files that are there and readable, or of those that are in a shot with these.
    """
    keys = "SELECT shot FROM files GROUP BY shot HAVING count(*) > 1"
    if ids is not None:
        keys = (
            "SELECT shot FROM files WHERE shot IN (SELECT shot FROM files "
            "WHERE id IN (SELECT value FROM json_each(?))) GROUP BY shot HAVING count(*) > 1"
        )
    found = store.rows(
        "SELECT shot, id, path, taken_at FROM files "
        f"WHERE missing_since IS NULL AND error IS NULL AND shot IN ({keys}) ORDER BY shot",
        () if ids is None else (listed(ids),),
    )
    shots: dict[int, tuple[int, ...]] = {}
    for _, rows in groupby(found, key=itemgetter(0)):
        for shot in _shots(store, [_Member(*row) for row in rows]):
            shots |= dict.fromkeys((each.id for each in shot), tuple(each.id for each in shot))
    return shots


class KeptShots:
    """The shots of all files of a library, found again only when photos have changed.

    For any number of threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: tuple[str, dict[int, tuple[int, ...]]] = ("", {})

    def of(self, store: Store) -> Mapping[int, tuple[int, ...]]:
        """The shots, as ``shots_of`` gives them."""
        version = store.photos_version()
        with self._lock:
            if self._found[0] != version:
                self._found = version, shots_of(store)
            return self._found[1]


def contents_of_shot(store: Store, id: int) -> list[bytes]:
    """The contents of all files of a file's shot, or its own."""
    hashes = map(store.last_hash, shots_of(store, [id]).get(id, (id,)))
    return [hash for hash in dict.fromkeys(hashes) if hash is not None]


def share_words(store: Store) -> None:
    """What the owner said of one file of a shot holds for those that have come to it since."""
    said = dict(
        store.rows(
            "SELECT id, last_hash FROM files WHERE last_hash IN (SELECT hash FROM verdicts "
            "UNION SELECT hash FROM captions WHERE origin = 'you')"
        )
    )
    with store.transaction():
        for shot in set(shots_of(store, list(said)).values()) if said else ():
            for id in filter(said.__contains__, shot):
                for other in shot:
                    hash = store.last_hash(other)
                    if hash is not None and hash != said[id]:
                        store.share_words(said[id], hash)


def rows_shown(store: Store, known: NDArray[np.int64]) -> dict[int, int]:
    """The row of the file that is shown of a shot, by the id of each of its files."""
    shots = shots_of(store)
    row_of = dict(known[:, ::-1].tolist()) if shots else {}
    firsts = {id: next(filter(row_of.__contains__, shot), None) for id, shot in shots.items()}
    return {id: row_of[first] for id, first in firsts.items() if first is not None}


def with_rows(known: NDArray[np.int64], shown: Mapping[int, int]) -> NDArray[np.int64]:
    """Rows and file ids, each row that of its shot's shown file. Shapes: (n, 2), kept."""
    pairs = [(shown.get(id, row), id) for row, id in known.tolist()] if shown else known
    return np.array(pairs, np.int64).reshape(-1, 2)


def _shots(store: Store, members: Sequence[_Member]) -> list[list[_Member]]:
    """The shots among files of one key, each with the file to show first.

    That is the edit, or else the JPEG, and RAWs come last.
    """
    kind = {each.id: kind_of(each.path) for each in members}
    left = sorted(members, key=lambda each: (kind[each.id], _rank(each.path), each.path))
    shots = []
    while left:
        first = left[0]
        shot = [each for each in left if each is first or _is_one_shot(store, first, each)]
        left = [each for each in left if each not in shot]
        if len({kind[each.id] for each in shot}) > 1:
            shots.append(shot)
    return shots


def _is_one_shot(store: Store, first: _Member, other: _Member) -> bool:
    if first.taken_at is None or other.taken_at is None:
        query = "SELECT signature FROM files WHERE id = ?"
        signatures = [store.one(query, each.id)[0] for each in (first, other)]
        return _is_alike(*signatures, is_edit=kind_of(first.path) == EDIT)
    apart = datetime.fromisoformat(first.taken_at) - datetime.fromisoformat(other.taken_at)
    return abs(apart.total_seconds()) <= _MOST_APART_S


def _is_alike(first: bytes | None, other: bytes | None, *, is_edit: bool) -> bool:
    if first is None or other is None or not (is_signature(first) and is_signature(other)):
        return False
    rows = stack([first, other])
    alike = float(similarity(rows[:1], rows[1:])[0])
    if not is_edit:
        return alike >= _LEAST_ALIKE
    coarse = coarse_vectors(rows)
    return alike >= _LEAST_ALIKE_EDITED or float(coarse[0] @ coarse[1]) >= _LEAST_COARSE_EDITED


def _rank(path: bytes) -> int:
    extension = os.path.splitext(os.fsdecode(path))[1].lower()  # noqa: PTH122  (pathlib takes no bytes)
    return _FIRST.index(extension) if extension in _FIRST else len(_FIRST)
