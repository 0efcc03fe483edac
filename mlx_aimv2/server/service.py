"""What the routes share: the library as a page sees it."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.editing.waiting import waiting_path
from mlx_aimv2.library.library import Library

T = TypeVar("T")


class Service(Library):
    """A library that a page shows; every method may be called from any thread."""

    def look(self, question: Callable[[Store], T]) -> T:
        """The answer to a question about the library as it is at one moment."""
        return self._of_one_moment(question)

    def version(self) -> str:
        """Another text after every change of the library, by whatever process."""
        marks = []
        for path in (
            self.path,
            self.path.with_name(f"{self.path.name}-wal"),
            waiting_path(self.path),
        ):
            with suppress(FileNotFoundError):
                stamp = path.stat()
                marks.append(f"{stamp.st_mtime_ns:x}.{stamp.st_size:x}")
        return "-".join(marks)
