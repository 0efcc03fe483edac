"""The index as a process beside the page, so that decoding never holds an answer up."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.files.lock import holder_of
from mlx_aimv2.library.database.connection import vectors_folder

# With the same Python: what is named aimv2 on the path may be another version. Answers of the page
# come first: nice.
_RUN = "import os; os.nice(5); from mlx_aimv2.cli.app import script; script()"
_AIMV2 = (sys.executable, "-P", "-c", _RUN)
_SOME_FAILED, _INTERRUPTED = 3, 130  # as the command's exit codes
_ENDING_S = 30  # for the batch at hand; then it is killed, which costs that batch alone
_MEASURED_S = 3.0  # before that no rate is told
_ERRORS_KEPT = 40  # lines of stderr


@dataclass(frozen=True)
class IndexState:
    """How far an index is.

    ``is_here``: it was started from the page, else by another process. ``done`` and ``left`` are
    photos, 0 while they are being found. ``message``: why the last one from here failed.
    """

    is_running: bool = False
    is_here: bool = False
    done: int = 0
    left: int = 0
    per_s: float | None = None
    message: str | None = None
    hint: str = ""


class IndexProcess:
    """One index of a library at a time. It ends with the page, or at its next word after that."""

    def __init__(self, library: Path) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._follower: threading.Thread
        self._state = IndexState()

    def state(self) -> IndexState:
        """How far the index is, from here or of another process, which tells no numbers."""
        state = self._state
        if not state.is_running and self.other_writer() is not None:
            return replace(state, is_running=True, message=None, hint="")
        return state

    def other_writer(self) -> int | None:
        """The process that writes the library, if it is neither this one nor its index."""
        child = self._child
        ours = (os.getpid(), None if child is None else child.pid)
        return holder_of(vectors_folder(self._library), apart_from=ours)

    def start(self) -> None:
        """Bring all up to date that was indexed before, unless that is under way.

        Errors: Aimv2Error where no process can be started.
        """
        with self._lock:
            if self._child is not None and self._child.poll() is None:
                return
            words = ("index", "--json", "--progress", "--quiet", f"--library={self._library}")
            try:
                self._child = subprocess.Popen(
                    [*_AIMV2, *words],
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    text=True, encoding="utf-8", errors="replace",
                    start_new_session=True,  # Ctrl-C at the terminal ends the page, which ends this
                )  # fmt: skip
            except OSError as error:  # this Python was updated meanwhile, or memory is short
                raise Aimv2Error(
                    f"the index cannot be started: {error.strerror}",
                    hint="start aimv2 browse again",
                ) from error
            self._state = IndexState(is_running=True, is_here=True)
            self._follower = threading.Thread(target=self._follow, args=(self._child,), daemon=True)
            self._follower.start()

    def stop(self) -> None:
        """Have the index from here end as by Ctrl-C, soon; what is done is kept."""
        child = self._child
        if child is not None and child.poll() is None:
            child.send_signal(signal.SIGINT)

    def close(self) -> None:
        """End the index from here, and wait until it has ended."""
        child = self._child
        if child is None:
            return
        self.stop()
        try:
            child.wait(_ENDING_S)
        except subprocess.TimeoutExpired:
            child.kill()
        self._follower.join()

    def _follow(self, child: "subprocess.Popen[str]") -> None:
        assert child.stdout is not None and child.stderr is not None
        said: deque[str] = deque(maxlen=_ERRORS_KEPT)
        with child:
            reader = threading.Thread(target=said.extend, args=(child.stderr,), daemon=True)
            reader.start()
            self._read_progress(child.stdout)
            reader.join()
        is_well = child.returncode in (0, _SOME_FAILED, _INTERRUPTED, -signal.SIGINT)
        message, hint = (None, "") if is_well else _reason(said)
        self._state = IndexState(message=message, hint=hint)

    def _read_progress(self, lines: IO[str]) -> None:
        first: tuple[float, int] | None = None  # when the first photos were done, and how many
        for line in lines:
            now_s, told = time.monotonic(), _record(line)
            if told.get("progress") != "read":
                continue
            done = int(told["count"])
            if first is None and done:
                first = now_s, done
            rate = None
            if first is not None and now_s - first[0] >= _MEASURED_S:
                rate = round((done - first[1]) / (now_s - first[0]), 1)
            self._state = replace(self._state, done=done, left=int(told["of"]) - done, per_s=rate)


def _record(line: str) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _reason(said: "deque[str]") -> tuple[str, str]:
    """The error that a command ended with, and its hint, from what it wrote last."""
    texts = {"error": "the index ended without a word", "hint": ""}
    for line in said:
        label, _, text = line.strip().partition(": ")
        if label == "error":
            texts = {"error": text, "hint": ""}
        elif label == "hint":
            texts["hint"] = text
    return texts["error"], texts["hint"]
