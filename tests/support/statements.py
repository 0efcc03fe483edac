"""The statements that a library runs, counted: many rows of values are many statements."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mlx_aimv2.library.database.connection import Database


@contextmanager
def counted_statements() -> Iterator[list[str]]:
    """The statements of all libraries of this process, in their order."""
    seen: list[str] = []

    def noted(name: str) -> None:
        call = getattr(Database, name)

        def noting(self: Database, query: str, *values: Any) -> Any:
            seen.append(query)
            return call(self, query, *values)

        patch.setattr(Database, name, noting)

    def run_many(self: Database, query: str, rows: Iterable[Any]) -> None:
        listed = list(rows)
        seen.extend([query] * len(listed))
        many(self, query, listed)

    with pytest.MonkeyPatch.context() as patch:
        many = Database.run_many
        for name in ("rows", "each_row", "one", "run"):
            noted(name)
        patch.setattr(Database, "run_many", run_many)
        yield seen
