"""Texts with more tokens than a text tower reads: where each was cut, and how that is told."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

from mlx_aimv2.errors import Aimv2Warning

_SHOWN = 40  # characters on either side of a cut


@dataclass(frozen=True)
class Cut:
    """A text that is too long; only its first ``kept`` characters are read."""

    text: str
    kept: int

    def __str__(self) -> str:
        kept = " ".join(self.text[: self.kept][-4 * _SHOWN :].split())
        dropped = " ".join(self.text[self.kept :][: 4 * _SHOWN].split())
        before = f"…{kept[-_SHOWN:]}" if len(kept) > _SHOWN else kept
        after = f"{dropped[:_SHOWN]}…" if len(dropped) > _SHOWN else dropped
        return f'cut after "{before}"; left out: "{after}"'


def cut_note(first: Cut, count: int) -> str:
    """What a user should know of so many texts that were cut, in one line."""
    if count == 1:
        return f"a text is too long and was {first}"
    return f"{count:,} texts are too long and were cut; the first was {first}"


def warn_of_cuts(cuts: Iterable[Cut | None]) -> None:
    """One warning for all texts that were cut."""
    if there := [cut for cut in cuts if cut is not None]:
        warnings.warn(cut_note(there[0], len(there)), Aimv2Warning, stacklevel=3)
