"""What is in memory, counted: never by how high the process's memory stood at some moment."""

import gc
import tracemalloc
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mlx.core as mx

# Operations that give another view of what they take.
_VIEWS = {
    "Broadcast", "BroadcastAxes", "ExpandDims", "Flatten", "Reshape", "Split", "Squeeze",
    "StopGradient", "Transpose", "Unflatten", "View",
}  # fmt: skip


class Alive:
    """Objects that are noted, of which so many, or so much, ``now`` live; ``most`` at once did."""

    def __init__(self) -> None:
        self.now = self.most = self.noted = 0
        self._references: list[weakref.ref[Any]] = []

    def note(self, each: Any, size: int = 1) -> None:
        self.now += size
        self.noted += 1
        self.most = max(self.most, self.now)
        self._references.append(weakref.ref(each, lambda _: self._go(size)))

    def _go(self, size: int) -> None:
        self.now -= size


@contextmanager
def allocated() -> Iterator[Callable[[], int]]:
    """Inside it, a function that tells how many bytes Python had allocated most at once.

    Garbage in cycles counts in full: it would go at a moment that other tests decide.
    """
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()


def graph_bytes(function: Callable[[mx.array], mx.array], given: mx.array, *, ahead: int) -> int:
    """Bytes of a computation's arrays alive at once, from MLX's own graph of it.

    Operations are done in the graph's order, and what is used for the last time goes ``ahead``
    operations later: MLX frees it when they are done, and begins some before that.
    """
    steps: list[dict[str, Any]] = []
    mx.export_function(
        lambda step: steps.append(dict(step)) if step["type"] == "primitive" else None,
        function,
        given,
    )
    source: dict[str, str] = {}  # of each view
    last_use: dict[str, int] = {}
    for index, step in enumerate(steps):
        taken = [source.get(name, name) for name, _, _ in step["inputs"]]
        last_use |= dict.fromkeys(taken, index)
        if step["name"] in _VIEWS:
            source |= {name: taken[0] for name, _, _ in step["outputs"]}
    going = defaultdict(list)
    for name, index in last_use.items():
        going[index + ahead].append(name)
    sizes: dict[str, int] = {}
    most = 0
    for index, step in enumerate(steps):
        if step["name"] not in _VIEWS:
            sizes |= {name: _nbytes(shape, dtype) for name, shape, dtype in step["outputs"]}
        most = max(most, sum(sizes.values()))
        for name in going[index]:
            sizes.pop(name, None)
    return most


def _nbytes(shape: tuple[int, ...], dtype: mx.Dtype) -> int:
    size = dtype.size
    for length in shape:
        size *= length
    return size
