"""The one thread on which the public API runs MLX.

An array that is not evaluated yet belongs to the thread that made it (MLX 0.31.2 and later), so
calls from several threads meet here, one after the other, and only evaluated arrays leave. On a CPU
a batch's parts have threads of their own: see ``parallel``.
"""

import atexit
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

from mlx_aimv2 import forks
from mlx_aimv2.errors import Aimv2Error

P = ParamSpec("P")
T = TypeVar("T")


class Worker:
    """A thread that calls come to; it begins with the first one and ends with the process."""

    _lock = threading.Lock()  # one for all: they end together
    _process_ends = False

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make a call on the thread and wait for its result, from any thread, that one too."""
        return self.submit(function, *args, **kwargs).result()

    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a call made on the thread, after those that came before; on that thread, now."""
        future: Future[T] = Future()

        def call() -> None:
            try:
                future.set_result(function(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        if threading.current_thread() is self._thread:
            call()
            return future
        with self._lock:
            if Worker._process_ends:
                raise Aimv2Error(
                    "MLX does not go on while the process ends",
                    hint="take the results that are needed before the program's last line",
                )
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
                atexit.register(self._stop)
            self.check()
            self._calls.put(call)
        return future

    def check(self) -> None:
        """Errors: Aimv2Error in a process that was forked after the thread began."""
        if self._thread is not None and not self._thread.is_alive():
            raise forks.error("MLX")

    def after_fork(self) -> None:
        """In a forked process: leave MLX alone if it has begun."""
        Worker._lock = threading.Lock()  # another thread may have held it as the process forked
        if self._thread is not None and "mlx.core" in sys.modules:
            for each in vars(sys.modules["mlx.core"]).values():
                if isinstance(each, type):
                    forks.keep_all(each)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call  # what it held is not kept until the next one
        import mlx.core as mx  # noqa: PLC0415

        # A thread that ends with streams of its own lets the process abort at its exit (0.32.4).
        mx.clear_streams()

    def _stop(self) -> None:
        if self._thread is not None:
            # A call behind the last would never be made, and whoever waits for it never end: a
            # batch that nobody takes may be on its way when the threads of its parts go.
            with self._lock:
                Worker._process_ends = True
                self._calls.put(None)
            self._thread.join()


_worker = Worker("mlx-aimv2")
run, submit, check = _worker.run, _worker.submit, _worker.check
os.register_at_fork(after_in_child=_worker.after_fork)
