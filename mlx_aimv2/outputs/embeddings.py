"""What an output holds: every input in order, its embedding or its error, and what made them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.files.json_lines import to_json
from mlx_aimv2.files.path_text import escape

from .settings import Settings

Floats = NDArray[np.float32]
Kind = Literal["path", "text"]


@dataclass(frozen=True)
class Entry:
    """One input: how to read its embedding, or the reason why it has none.

    ``name`` is a path as ``os.fsdecode`` gives it, or a text.
    Shapes: ``shape`` is (D,), or (rows, columns, D) of a patch grid, and () with an error.
    """

    name: str
    shape: tuple[int, ...] = ()
    read: Callable[[], Floats] | None = None
    note: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Summary:
    """What has to be known of a table before its first row is written.

    Units: ``longest`` in characters, of escaped names.
    """

    count: int
    width: int
    longest: int
    metadata: str


@dataclass(frozen=True)
class Table:
    """Inputs in order; ``entries`` starts from the first whenever it is called.

    ``facts`` are what else is known of each, for formats with columns: of none, or of all, each
    of which then has an embedding.
    """

    made_by: Settings
    entries: Callable[[], Iterator[Entry]]
    facts: Sequence[Mapping[str, Any]] = ()

    @property
    def kind(self) -> Kind:
        """What inputs are called by: paths of images, or texts."""
        return kind_of(self.made_by)

    @property
    def holds_grids(self) -> bool:
        """Whether rows are patch grids, not vectors."""
        return self.made_by.get("pooling") == "none"

    def rows(self) -> Iterator[Entry]:
        """The entries that have an embedding."""
        return (entry for entry in self.entries() if entry.read is not None)

    def names(self) -> Iterator[str]:
        """The rows' names, escaped."""
        return (escape(entry.name) for entry in self.rows())

    @cached_property
    def summary(self) -> Summary:
        """Counts, and the metadata with what failed and what was noted, as JSON."""
        count = longest = 0
        width = self.made_by.get("width", 0)  # where there is no row to tell
        failed, notes = [], []
        for entry in self.entries():
            name = escape(entry.name)
            if entry.read is None:
                failed.append({self.kind: name, "reason": entry.error or ""})
                continue
            count, width, longest = count + 1, entry.shape[-1], max(longest, len(name))
            if entry.note is not None:
                notes.append({self.kind: name, "note": entry.note})
        metadata = to_json({**self.made_by, "failed": failed, "notes": notes})
        return Summary(count, width, longest, metadata)


def kind_of(settings: Settings) -> Kind:
    """What inputs are called by in an output with these settings."""
    return "text" if settings.get("kind") == "text" else "path"
