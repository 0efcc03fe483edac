"""How far a piece of work is: a bar, or whoever wants to know."""

from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

Progress = bool | Callable[[int, int | None], None]
"""True for a bar on stderr, or a function of how many are done, and of how many (None: unknown)."""


class Counter:
    """Counts what is done of a total, and shows it."""

    def __init__(self, progress: Progress, total: int | None = None, unit: str = " images") -> None:
        self._tell = progress if callable(progress) else None
        self._done, self._total = 0, total
        self._bar = None
        if progress is True:
            from tqdm.auto import tqdm  # noqa: PLC0415  (a bar is rarely asked for)

            self._bar = tqdm(total=total, unit=unit)

    def begin(self, total: int) -> None:
        """There are so many."""
        self._total = total
        if self._bar is not None:
            self._bar.reset(total)

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        if self._tell is not None:
            self._tell(self._done, self._total)
        if self._bar is not None:
            self._bar.update()

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()


def follow(items: Iterator[T], progress: Progress, total: int | None) -> Iterator[T]:
    """The items; each one is told when it comes."""
    return _followed(items, progress, total) if progress else items


def _followed(items: Iterator[T], progress: Progress, total: int | None) -> Iterator[T]:
    counter = Counter(progress, total)
    try:
        for item in items:
            counter.step()
            yield item
    finally:
        counter.close()
