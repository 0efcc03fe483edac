"""What names a file system takes: some, like a Mac's, take only UTF-8."""

import os
from pathlib import Path


def takes_any_bytes(folder: Path) -> bool:
    probe = folder / os.fsdecode(b"\xff")
    try:
        probe.touch()
    except OSError:
        return False
    probe.unlink()
    return True
