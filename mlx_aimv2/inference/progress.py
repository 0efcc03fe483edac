"""How far a piece of work is: a bar on stderr, or calls of a function that was given."""

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
        """Say the total, where it is known only now."""
        self._total = total
        if self._bar is not None:
            self._bar.reset(total)

    def step(self) -> None:
        """Count one more as done."""
        self._done += 1
        if self._tell is not None:
            self._tell(self._done, self._total)
        if self._bar is not None:
            self._bar.update()

    def close(self) -> None:
        """Close the bar; it stays as it is on the screen."""
        if self._bar is not None:
            self._bar.close()


def follow(items: Iterator[T], progress: Progress, total: int | None) -> Iterator[T]:
    """The items; each is counted as it comes."""
    counter = Counter(progress, total)
    try:
        for item in items:
            counter.step()
            yield item
    finally:
        counter.close()
