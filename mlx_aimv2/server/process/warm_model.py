"""The checkpoint of a library's searches, loaded before the first one and kept."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.library.database.vectors import VectorSet

if TYPE_CHECKING:
    from mlx_aimv2.checkpoints.hub import Download

_AGAIN_S = 60  # before a checkpoint that could not be loaded is tried again
State = Literal["none", "loading", "ready", "failed"]


@dataclass(frozen=True)
class ModelState:
    """How far the checkpoint is; ``texts``: searches may be for words."""

    name: str = ""
    state: State = "none"
    texts: bool = False
    message: str = ""
    hint: str = ""


def no_download(download: "Download") -> bool:
    """The page fetches nothing: weights come by the command, where somebody was asked."""
    return False


class WarmModel:
    """How far the checkpoint is that serves searches: it is loaded once the page is asked."""

    def __init__(self) -> None:
        self.state = ModelState()
        self._fingerprint = ""
        self._again_s = 0.0
        self._lock = threading.Lock()

    def follow(self, vectors: VectorSet | None, warm_up: Callable[[VectorSet], None]) -> None:
        """Have this set's checkpoint loaded in the background, unless it is at hand already.

        One that could not be loaded is tried again after a while: it may be here by now.
        """
        with self._lock:
            fingerprint = "" if vectors is None else vectors.fingerprint
            is_due = self.state.state == "failed" and time.monotonic() > self._again_s
            if fingerprint == self._fingerprint and not is_due:
                return
            self._again_s = time.monotonic() + _AGAIN_S
            self._fingerprint = fingerprint
            self.state = ModelState()
            if vectors is not None:
                name = str(vectors.settings["checkpoint"])
                self.state = ModelState(name, "loading", vectors.has_text)
                threading.Thread(target=self._load, args=(vectors, warm_up), daemon=True).start()

    def _load(self, vectors: VectorSet, warm_up: Callable[[VectorSet], None]) -> None:
        loading = self.state
        try:
            warm_up(vectors)
            found = replace(loading, state="ready")
        except Aimv2Error as error:
            found = replace(loading, state="failed", message=str(error), hint=error.hint)
        except Exception as error:  # of MLX, or of a file that fails
            message = f"the checkpoint cannot be loaded: {type(error).__name__}: {error}"
            found = replace(loading, state="failed", message=message, hint="aimv2 doctor")
        with self._lock:
            if vectors.fingerprint == self._fingerprint:
                self.state = found
