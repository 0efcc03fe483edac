"""Access to one library by any number of threads: those that read, and the one that writes."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from mlx_aimv2.errors import LockedError, OutputError
from mlx_aimv2.files.paths import FilePath

from .connection import CLOSED, CLOSED_HINT
from .schema import default_path
from .store import Store

T = TypeVar("T")
_PATIENCE_S, _AGAIN_S = 2.0, 0.02


class Access:
    """A library's file, open for the threads that use it."""

    def __init__(self, path: FilePath | None = None) -> None:
        self.path = default_path() if path is None else Path(os.fsdecode(path))
        self._store: Store | None = None
        self._resting: list[Store] = []
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, for good; what other threads have begun goes on to its end."""
        self._is_closed = True
        while (store := self._rested()) is not None:
            store.close()
        if self._store is not None:
            self._store.close()
            self._store = None

    @property
    def store(self) -> Store:
        """The library, open for one thread to read. Errors: OutputError where there is none."""
        self._check_open()
        if self._store is None or self._store.is_closed or not self._store.is_in_place:
            self._store = Store(self.path)
        return self._store

    @contextmanager
    def _reading(self) -> Iterator[Store]:
        """A connection that no other thread uses meanwhile; kept for the next one who reads."""
        self._check_open()
        # One that is open to a file that is gone would show, and take edits for, another library.
        while (store := self._rested()) is not None and not store.is_in_place:
            store.close()
        store = store or Store(self.path)
        store.is_resting = False
        try:
            yield store
        finally:
            store.is_resting = True
            self._resting.append(store)
            if self._is_closed:  # meanwhile
                self.close()

    @contextmanager
    def _writing(self, *, creates: bool = False) -> Iterator[Store]:
        """The one connection that writes; without ``creates``, of a library that is there.

        What may create one, an index, lets short edits of other processes end before.
        """
        self._check_open()
        if not creates:
            with self._reading():  # raises where there is none
                pass
        with _turn_to_write(self.path), self._writer(_PATIENCE_S if creates else 0) as store:
            yield store

    def _writer(self, patience_s: float) -> Store:
        until = time.monotonic() + patience_s
        while True:
            try:
                return Store(self.path, can_write=True)
            except LockedError:
                if time.monotonic() >= until:
                    raise
            time.sleep(_AGAIN_S)

    def _of_one_moment(self, look: Callable[[Store], T]) -> T:
        """The result of ``look`` at the library as it was at one moment.

        Vectors lie beside the database: where they were pruned away meanwhile, look again.
        """
        while True:
            with self._reading() as store, store.snapshot():
                before = [each.folder for each in store.sets()]
                try:
                    return look(store)
                except OutputError as error:
                    failed = error
            with self._reading() as store:
                if before == [each.folder for each in store.sets()]:
                    raise failed

    def _rested(self) -> Store | None:
        with suppress(IndexError):  # another thread was faster
            while True:
                store = self._resting.pop()
                if not store.is_closed:  # as all are after a fork
                    return store
        return None

    def _check_open(self) -> None:
        if self._is_closed:
            raise OutputError(CLOSED, hint=CLOSED_HINT)

    @contextmanager
    def _writing_unless(self, dry_run: bool) -> Iterator[Store]:
        """The connection that writes; for a dry run one that reads while no other thread writes."""
        if not dry_run:
            with self._writing() as store:
                yield store
        else:
            with _turn_to_write(self.path), self._reading() as store, store.snapshot():
                yield store


def _turn_to_write(path: Path) -> threading.RLock:
    """A lock for the threads of this process, one for each library.

    A thread that has it gets it again: that it writes in the midst of writing is told by the
    lock on the disk.
    """
    return _turns.setdefault(os.path.realpath(path), threading.RLock())


_turns: dict[str, threading.RLock] = {}
os.register_at_fork(after_in_child=_turns.clear)
