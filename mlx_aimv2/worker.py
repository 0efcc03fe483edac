"""The one thread on which the public API runs MLX.

An array that is not evaluated yet belongs to the thread that made it (MLX 0.31.2 and later), so
calls from several threads meet here, one after the other, and only evaluated arrays leave.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_THREAD_NAME = "mlx-aimv2"
_executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=_THREAD_NAME)


def submit(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Start a call on the MLX thread; its future says when it is done."""
    return _executor.submit(function, *args, **kwargs)


def run(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Make a call on the MLX thread and wait for its result, from any thread, that one too."""
    if threading.current_thread().name.startswith(_THREAD_NAME):
        return function(*args, **kwargs)
    return submit(function, *args, **kwargs).result()
