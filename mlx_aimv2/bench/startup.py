"""Starting: a process to its first embedding, loading cold and warm, one tower alone."""

import os
from collections.abc import Iterator
from pathlib import Path

from mlx_aimv2.checkpoints.hub import DEMO
from mlx_aimv2.checkpoints.weights import read_weights, weight_files

from .figure import Figure, seconds
from .fresh import run_job
from .subject import Subject
from .timing import Timing

SECTION = "start"
TEXT = "a red bicycle in snow"
_LARGE_BYTES = 100e6  # of a file: beside a small one, its multiple says nothing
_DROPPED = 0.9  # of a file that has to come from the disk for a load to be called cold


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
    """Loading in new processes: from the disk, from the page cache, and its peak of memory."""
    source, size_bytes = subject.source, read_weights(subject.folder).size_bytes
    about = {"dtype": dtype, "file_bytes": size_bytes}
    if with_cold and drop_pages(subject.folder):
        cold = run_job("load", {"source": source, "dtype": dtype})
        if _came_from_disk(cold["disk_bytes"], size_bytes):
            timing = Timing((cold["load_s"],))
            yield seconds(SECTION, f"load {dtype}, cold", timing, limit="disk", about=about)
    warm = [run_job("load", {"source": source, "dtype": dtype}) for _ in range(starts)]
    timing = Timing(tuple(answer["load_s"] for answer in warm))
    yield seconds(SECTION, f"load {dtype}, file cached", timing, limit="memory", about=about)
    yield load_peak(warm[-1], dtype, size_bytes)


def load_peak(answer: dict[str, int], dtype: str, size_bytes: int) -> Figure:
    """The larger of what the process grew by while loading and MLX's own peak, over the file."""
    largest = max(answer["peak_bytes"], answer["mlx_peak_bytes"])
    about = {"dtype": dtype, "file_bytes": size_bytes, **answer}
    name = f"memory to load {dtype}"
    if size_bytes >= _LARGE_BYTES:
        name += f" ({largest / size_bytes:.2f} × file)"
    return Figure(SECTION, name, largest, "B", about={**about, "of_file": largest / size_bytes})


def text_tower(subject: Subject) -> Iterator[Figure]:
    """What a text's embedding reads and takes, over the text tower's own tensors."""
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
        name = "a text query reads"
        yield Figure(SECTION, name, answer["read_bytes"], "B", about=about)
    yield Figure(SECTION, "memory of a text query", answer["peak_bytes"], "B", about=about)


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


def _came_from_disk(disk_bytes: int | None, size_bytes: int) -> bool:
    return disk_bytes is not None and disk_bytes >= _DROPPED * size_bytes
