"""A kill in the midst of writing: what was on the disk at that moment is all that is left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import pytest

from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.editing import waiting
from mlx_aimv2.library.sidecars import sidecar

Place = Literal["before", "after", "noted", "folded"]
# Where a sidecar is written, and where an edit has been made that waited ("folded").
PLACES: tuple[Place, ...] = ("before", "after", "noted")
T = TypeVar("T")


class KilledError(BaseException):
    """The process ends here."""


@contextmanager
def killed(place: Place, nth: int, keep: Callable[[], None]) -> Iterator[None]:
    """End at the nth time that a place is passed, once ``keep`` has kept the files as they are."""
    left = nth

    def die() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            keep()
            raise KilledError

    def dying(call: Callable[..., T], *, first: bool = False) -> Callable[..., T]:
        def instead(*arguments: Any) -> T:
            if first:
                die()
            done = call(*arguments)
            if not first:
                die()
            return done

        return instead

    with pytest.MonkeyPatch.context() as patch:
        if place == "noted":
            patch.setattr(Store, "remember_sidecar", dying(Store.remember_sidecar))
        elif place == "folded":
            patch.setattr(waiting, "make", dying(waiting.make))
        else:
            write = dying(sidecar.write_sidecar, first=place == "before")
            patch.setattr(sidecar, "write_sidecar", write)
        yield
