"""Figures of new processes: the first embedding, loading, one text, the memory of many files."""

import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from mlx_aimv2.checkpoints.hub import DEMO
from mlx_aimv2.checkpoints.weights import read_weights, weight_files
from mlx_aimv2.errors import Aimv2Error

from . import worker
from .figure import Figure, Timing, amount, seconds
from .photos import make_small_pictures
from .subject import Subject

SECTION = "start"
TEXT = "a red bicycle in snow"
_LARGE_BYTES = 100e6  # of a file: beside a small one, its multiple says nothing
_DROPPED = 0.9  # of a file that has to come from the disk for a load to be called cold
_MORE_FILES = 2  # times as many in the second run as in the first


class Worker:
    """A process that does a job of a script: what it found, and the seconds to its answer.

    One that has not answered after ``start_s`` is ended: torch alone can take a minute to import.
    Errors: Aimv2Error with the last line of what it said where it fails.
    """

    def __init__(
        self,
        job: str,
        settings: Mapping[str, Any],
        start_s: float = math.inf,
        script: str = worker.__file__,
    ) -> None:
        self._job = job
        self._start_s = start_s
        self._started_s = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-P", script, job, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        is_late = threading.Event()

        def end() -> None:
            is_late.set()
            self._process.kill()

        timer = threading.Timer(min(self._start_s, threading.TIMEOUT_MAX), end)
        timer.start()
        try:
            self.facts = self.answer()
            self.elapsed_s = time.perf_counter() - self._started_s
        except Aimv2Error:
            if not is_late.is_set():
                raise
            raise Aimv2Error(
                f"{self._job} is not measured: it was not ready after {self._start_s:.0f} s"
            ) from None
        finally:
            timer.cancel()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate()

    def ask(self, command: str) -> dict[str, Any]:
        """What a peer answers to a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """The next line of JSON."""
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line.startswith("{"):  # a library may talk in between
                return dict(json.loads(line))
        _, said = self._process.communicate()
        reason = (said.strip().splitlines() or ["it said nothing"])[-1]
        raise Aimv2Error(f"{self._job} cannot be measured: {reason}")


def run_job(job: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a job found; ``elapsed_s`` is from the start of its process to its answer."""
    with Worker(job, settings) as process:
        return {"elapsed_s": process.elapsed_s, **process.facts}


def first_embedding(photo: Path, starts: int) -> Figure:
    """From the start of a process to the demo's embedding of an image, a first run uncounted."""
    answers = [
        run_job("first image", {"source": DEMO, "path": str(photo)}) for _ in range(starts + 1)
    ]
    timing = Timing(tuple(answer["elapsed_s"] for answer in answers[1:]))
    return seconds(SECTION, "process to first embedding (demo)", timing, about={"checkpoint": DEMO})


def load_figures(
    subject: Subject, dtype: str, starts: int, *, with_cold: bool = True
) -> Iterator[Figure]:
    """Loading in new processes: from the disk, from the page cache, and its peak of memory.

    The peak is the larger of what the process grew by and of MLX's own.
    """
    settings = {"source": subject.source, "dtype": dtype}
    size_bytes = read_weights(subject.folder).size_bytes
    about = {"dtype": dtype, "file_bytes": size_bytes}
    if with_cold and drop_pages(subject.folder):
        cold = run_job("load", settings)
        if (cold["disk_bytes"] or 0) >= _DROPPED * size_bytes:
            timing = Timing((cold["load_s"],))
            yield seconds(SECTION, f"load {dtype}, cold", timing, limit="disk", about=about)
    warm = [run_job("load", settings) for _ in range(starts)]
    timing = Timing(tuple(answer["load_s"] for answer in warm))
    yield seconds(SECTION, f"load {dtype}, file cached", timing, limit="memory", about=about)
    peak = max(warm[-1]["peak_bytes"], warm[-1]["mlx_peak_bytes"])
    of_file = peak / size_bytes
    name = f"memory to load {dtype}"
    if size_bytes >= _LARGE_BYTES:
        name += f" ({of_file:.2f} × file)"
    yield Figure(SECTION, name, peak, "B", about={**about, **warm[-1], "of_file": of_file})


def text_tower(subject: Subject) -> Iterator[Figure]:
    """Bytes read for a text's embedding and its memory; those of the tower are in ``about``."""
    answer = run_job("first text", {"source": subject.source, "text": TEXT})
    weights = read_weights(subject.folder)
    tower_bytes = sum(
        header.size_bytes
        for name, source in weights.sources.items()
        if name.startswith("text_")
        for header in source.headers
    )
    about = {"file_bytes": weights.size_bytes, "tower_bytes": tower_bytes, **answer}
    if answer["read_bytes"] is not None:
        yield Figure(SECTION, "a text query reads", answer["read_bytes"], "B", about=about)
    yield Figure(SECTION, "memory of a text query", answer["peak_bytes"], "B", about=about)


def growth(folder: Path, few: int) -> Figure:
    """How much more memory twice as many files take; with both peaks, beside which it is read.

    The demo checkpoint and small pictures of several formats, taken again and again.
    """
    pictures = [str(path) for path in make_small_pictures(folder)]
    files = [few, _MORE_FILES * few]
    peaks = [
        run_job("embed", {"source": DEMO, "paths": pictures, "count": count})["peak_bytes"]
        for count in files
    ]
    first, second = (amount(peak, "B") for peak in peaks)
    return Figure(
        "memory",
        f"growth (demo): {few} files {first}, {_MORE_FILES * few:,} {second}",
        peaks[1] - peaks[0],
        "B",
        about={"checkpoint": DEMO, "files": files, "peak_bytes": peaks},
    )


def drop_pages(folder: Path) -> bool:
    """Ask the system to forget a checkpoint's files; False where a program may not."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for file in weight_files(folder):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # pages that are not on the disk yet are kept
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
    return True
