"""What is kept for a while under short names, so that a page can come back to it."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")

KEPT_S = 30 * 60.0  # after the last use
MOST = 64  # of one kind
MOST_ITEMS = 1 << 23  # of all together: 96 MB of ids and scores


class Kept(Generic[T]):
    """Values by names like ``s81``, for any number of threads; the one used last goes last.

    ``clock`` tells seconds.
    """

    def __init__(self, letter: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._letter = letter
        self._clock = clock
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._values: OrderedDict[str, tuple[float, int, T]] = OrderedDict()

    def put(self, value: T, items: int = 1) -> str:
        """Keep a value of so many items; its name."""
        with self._lock:
            name = f"{self._letter}{next(self._numbers)}"
            self._values[name] = self._clock(), items, value
            self._forget()
            return name

    def get(self, name: str) -> T | None:
        """The value of a name; None if it is kept no more."""
        with self._lock:
            self._forget()
            if name not in self._values:
                return None
            _, items, value = self._values.pop(name)
            self._values[name] = self._clock(), items, value
            return value

    def _forget(self) -> None:
        """Let go what was not used for long, and the oldest of too many, but not the latest."""
        oldest = self._clock() - KEPT_S
        while self._values:
            name, (used, _, _) = next(iter(self._values.items()))
            items = sum(each for _, each, _ in self._values.values())
            is_much = len(self._values) > MOST or items > MOST_ITEMS
            if used >= oldest and not (is_much and len(self._values) > 1):
                return
            del self._values[name]
