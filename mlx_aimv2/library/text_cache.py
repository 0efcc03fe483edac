"""Embeddings of texts on disk, so that a text once searched for needs no model again.

It is a cache: whatever is wrong with its file, texts are embedded as if there were none. Damaged
ones are made anew; what cannot be read or written is done without.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
T = TypeVar("T")

MAX_TEXTS = 50_000  # 150 MB at 768 wide

# Another layout of the table needs another name: programs of two versions may share the file.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS texts_1 (
    age INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL, text BLOB NOT NULL, vector BLOB NOT NULL,
    UNIQUE (fingerprint, text)
)
"""
_WAIT_S = 0.5  # for another process that writes
_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


def default_path() -> Path:
    """Where the system keeps caches: ``~/Library/Caches/mlx-aimv2/texts.db`` on a Mac."""
    from platformdirs import user_cache_path  # noqa: PLC0415

    return user_cache_path("mlx-aimv2") / "texts.db"


class TextCache:
    """The embeddings of texts by the checkpoint that made them, in one file.

    It keeps the latest ``MAX_TEXTS``. Threads and processes may share the file.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or default_path()

    def embed(
        self,
        texts: Sequence[str],
        fingerprint: str,
        embed: Callable[[list[str]], Floats],
        width: int,
    ) -> Floats:
        """The embeddings of texts, from the file or, those that are missing there, by ``embed``.

        ``fingerprint`` stands for the checkpoint and all that changes what it makes of a text.
        ``embed`` is called at most once, with each missing text once.
        Shapes: n texts -> (n, ``width``).
        Errors: those of ``embed``; ValueError if what it gives is not (n, ``width``).
        """
        distinct = list(dict.fromkeys(texts))
        known = self._read(distinct, fingerprint, width)
        missing = [text for text in distinct if text not in known]
        if missing:
            made = np.asarray(embed(missing), np.float32)
            if made.shape != (len(missing), width):
                raise ValueError(f"embeddings are {made.shape}, not {(len(missing), width)}")
            fresh = dict(zip(missing, made, strict=True))
            self._write(fresh, fingerprint)
            known |= fresh
        rows = [known[text] for text in texts]
        return np.stack(rows) if rows else np.empty((0, width), np.float32)

    def _read(self, texts: list[str], fingerprint: str, width: int) -> dict[str, Floats]:
        def read(database: sqlite3.Connection) -> dict[str, Floats]:
            found = {}
            query = "SELECT text, vector FROM texts_1 WHERE fingerprint = ? AND text = ?"
            for text in texts:
                for key, data in database.execute(query, (fingerprint, _key(text))):
                    vector = _vector(data, width)
                    if vector is not None and key == _key(text):  # a damaged index may give others
                        found[text] = vector
            return found

        return (self._use(read) or {}) if texts else {}

    def _write(self, vectors: Mapping[str, Floats], fingerprint: str) -> None:
        def write(database: sqlite3.Connection) -> None:
            database.executemany(
                "INSERT OR REPLACE INTO texts_1 (fingerprint, text, vector) VALUES (?, ?, ?)",
                [
                    (fingerprint, _key(text), vector.astype("<f4").tobytes())
                    for text, vector in vectors.items()
                    if np.isfinite(vector).all()
                ],
            )
            database.execute(
                "DELETE FROM texts_1 WHERE age <= (SELECT max(age) FROM texts_1) - ?", (MAX_TEXTS,)
            )

        self._use(write)

    def _use(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """What some work with the file gives, or None where the file cannot be used."""
        for _ in range(2):  # the second time without what was damaged
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with closing(sqlite3.connect(self.path, timeout=_WAIT_S)) as database, database:
                    # What a power cut damages is made anew; to wait for the disk takes longer.
                    database.execute("PRAGMA synchronous = OFF")
                    database.execute(_SCHEMA)
                    return work(database)
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
                    return None
                self._remove()
            except OSError:
                return None
        return None

    def _remove(self) -> None:
        journal = self.path.with_name(f"{self.path.name}-journal")
        for path in (journal, self.path):
            with suppress(OSError):
                path.unlink()


def _key(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _vector(data: object, width: int) -> Floats | None:
    """What a row holds, or None if it is no vector of that width."""
    if not isinstance(data, bytes) or len(data) != 4 * width:
        return None
    vector = np.frombuffer(data, "<f4")
    return vector if np.isfinite(vector).all() else None
