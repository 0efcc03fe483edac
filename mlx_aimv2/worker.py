"""The one thread on which the public API runs MLX.

An array that is not evaluated yet belongs to the thread that made it (MLX 0.31.2 and later), so
calls from several threads meet here, one after the other, and only evaluated arrays leave.
"""

import atexit
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from .errors import Aimv2Error

P = ParamSpec("P")
T = TypeVar("T")

_calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
_thread: threading.Thread | None = None
_starting = threading.Lock()


def run(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Make a call on the MLX thread and wait for its result, from any thread, that one too."""
    return submit(function, *args, **kwargs).result()


def submit(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Have a call made on the MLX thread, after those that came before; on that thread, now."""
    _start()
    future: Future[T] = Future()
    if threading.current_thread() is _thread:
        _fulfil(future, function, args, kwargs)
    else:
        _calls.put(lambda: _fulfil(future, function, args, kwargs))
    return future


def _fulfil(future: Future[T], function: Callable[..., T], args: Any, kwargs: Any) -> None:
    try:
        future.set_result(function(*args, **kwargs))
    except BaseException as error:
        future.set_exception(error)


def _start() -> None:
    global _thread
    with _starting:
        if _thread is None:
            _thread = threading.Thread(target=_work, name="mlx-aimv2", daemon=True)
            _thread.start()
            atexit.register(_stop)
        elif not _thread.is_alive():
            raise Aimv2Error(
                "MLX does not go on in a forked process",
                hint='start processes with the "spawn" method, and load the model in each',
            )


def _work() -> None:
    while (call := _calls.get()) is not None:
        call()
        del call  # what it held is not kept until the next one
    import mlx.core as mx  # noqa: PLC0415

    # A thread that ends with streams of its own lets the process abort at its exit (MLX 0.32.4).
    mx.clear_streams()


def _stop() -> None:
    if _thread is not None:
        _calls.put(None)
        _thread.join()
