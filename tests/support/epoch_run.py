"""An epoch of a source's pairs in a process of its own; it tells what happened, as JSON.

python -m tests.support.epoch_run SOURCE BATCH_SIZE
"""

import json
import os
import subprocess
import sys

from mlx_aimv2.images.presets import PRESETS
from mlx_aimv2.training.data.batches import Batches, Broken
from mlx_aimv2.training.data.source import open_pairs
from mlx_aimv2.training.data.steps import EqualSteps
from mlx_aimv2.training.data.view import View


def resident_kib() -> int:
    """Memory of this process that is resident now."""
    told = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(os.getpid())], capture_output=True, text=True, check=True
    )
    return int(told.stdout)


def main(source: str, batch_size: int) -> None:
    """Take the batches of an epoch; resident memory after a quarter and at the end."""
    pairs = open_pairs(source)
    told: list[Broken] = []
    batches = Batches(
        pairs, EqualSteps(batch_size), 3, View(PRESETS["hub"], 28), None, tell=told.append
    )
    numbers: list[int] = []
    pictures: set[int] = set()
    resident = []
    made = batches.from_step()
    steps = len(pairs) // batch_size
    for step in range(1, steps + 1):
        arrays = next(made)
        numbers += arrays["numbers"].tolist()
        pictures |= {hash(picture.tobytes()) for picture in arrays["pixels"]}
        if step in (steps // 4, steps):
            resident.append(resident_kib())
    made.close()
    outcome = {
        "notes": pairs.notes,
        "kept": len(numbers),
        "different": len(set(numbers)),
        "pictures": len(pictures),
        "skipped": batches.skipped,
        "told": sorted(each.reason for each in told),
        "grown_kib": resident[1] - resident[0],
    }
    print(json.dumps(outcome))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
