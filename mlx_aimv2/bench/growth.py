"""Whether the memory of embedding grows with the number of files: it must not."""

from pathlib import Path

from mlx_aimv2.checkpoints.hub import DEMO

from .figure import Figure
from .fresh import run_job
from .photos import make_small_pictures
from .report import amount

TIMES = 2  # as many files in the second run as in the first


def independence(folder: Path, few: int) -> Figure:
    """Peak memory of embedding so many files and twice as many, each in a new process.

    The demo checkpoint and small pictures of several formats, taken again and again.
    """
    pictures = [str(path) for path in make_small_pictures(folder)]
    peaks = [
        run_job("embed", {"source": DEMO, "paths": pictures, "count": count})["peak_bytes"]
        for count in (few, TIMES * few)
    ]
    return Figure(
        "memory",
        _name(few, peaks),
        peaks[1] - peaks[0],
        "B",
        about={"checkpoint": DEMO, "files": [few, TIMES * few], "peak_bytes": peaks},
    )


def _name(few: int, peaks: list[int]) -> str:
    """With both peaks: beside them a difference is not read as what every file takes."""
    first, second = (amount(peak, "B") for peak in peaks)
    return f"growth (demo): {few} files {first}, {TIMES * few:,} {second}"
