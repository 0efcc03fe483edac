"""The published checkpoints of every family, found by any of their names."""

import difflib

from .aimv2 import published as aimv2
from .aria import published as aria

Checkpoint = aimv2.Checkpoint | aria.Checkpoint
CHECKPOINTS: tuple[Checkpoint, ...] = (*aimv2.CHECKPOINTS, *aria.CHECKPOINTS)

_BY_NAME: dict[str, Checkpoint] = {**aimv2.BY_NAME, **aria.BY_NAME}


def find(name_or_alias: str) -> Checkpoint | None:
    """The checkpoint of that alias, name or hub id, in any case, or None."""
    return _BY_NAME.get(name_or_alias.casefold())


def nearest(word: str) -> Checkpoint | None:
    """The checkpoint whose alias or name is closest to a mistyped word, if any is close."""
    close = difflib.get_close_matches(word.casefold(), _BY_NAME, n=1, cutoff=0.6)
    return _BY_NAME[close[0]] if close else None
