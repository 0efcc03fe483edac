"""What a process has taken so far: its peak of memory and what it has read."""

import resource
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Reading:
    """What a process has read so far, in bytes: through calls, and from the disk itself."""

    called: int
    from_disk: int


def peak_bytes() -> int:
    """The largest that this process has been in memory; pages of mapped files count."""
    status = Path("/proc/self/status")  # what getrusage says is inherited from the parent
    if status.exists():
        return _kilobytes(status, "VmHWM")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024)


def bytes_read() -> Reading | None:
    """What this process has read; None where the system does not tell."""
    try:
        lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    counts = {key: int(value) for key, _, value in (each.partition(":") for each in lines)}
    return Reading(counts["rchar"], counts["read_bytes"])


def _kilobytes(status: Path, key: str) -> int:
    lines = status.read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(each.split()[1]) * 1024 for each in lines if each.startswith(key))
