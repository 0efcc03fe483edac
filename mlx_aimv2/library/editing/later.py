"""Work that goes on in the background after an edit has been answered."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from mlx_aimv2.errors import Aimv2Error

_BETWEEN_S = 0.1  # for edits, and for another process that wants to write the library


class Later:
    """Something that is done turn by turn in a thread of its own, whenever it is woken.

    ``turn`` says whether anything was left to do. What a turn fails with waits to be woken again.
    """

    def __init__(self, turn: Callable[[], bool]) -> None:
        self._turn = turn
        self._lock = threading.Lock()
        self._is_wanted = self._is_running = False

    def wake(self) -> None:
        """There is something to do."""
        with self._lock:
            self._is_wanted = True
            if self._is_running:
                return
            self._is_running = True
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._is_wanted:
                    self._is_running = False
                    return
                self._is_wanted = False
            with suppress(Aimv2Error):
                while self._turn():
                    time.sleep(_BETWEEN_S)
