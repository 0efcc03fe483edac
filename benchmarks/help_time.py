"""How long the command takes to show its help, which is how long it takes to start.

    python -m benchmarks.help_time [--runs 10] [--json]

Each help page in wall clock and in processor time, which says more where other work runs; the
medians after one run to warm the disk cache. Exits with 1 where a limit is exceeded.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.checks import Check, positive, run
from mlx_aimv2.bench.figure import Timing, clock, seconds
from mlx_aimv2.cli.app import COMMANDS

AIMV2 = Path(sys.executable).with_name("aimv2")
MOST_S, MOST_OF_A_COMMAND_S = 0.12, 0.2


def processor_s() -> float:
    """What processes that this one waited for have taken so far."""
    times = os.times()
    return times.children_user + times.children_system


def measure(options: argparse.Namespace) -> Iterator[Check]:
    """Two figures of each page."""
    for words in ([], *([name] for name in COMMANDS)):
        page = [*words, "--help"]

        def show(page: list[str] = page) -> None:
            subprocess.run([AIMV2, *page], check=True, stdout=subprocess.DEVNULL)

        show()
        runs = []
        for _ in range(options.runs):
            before_s = processor_s()
            runs.append((clock(show), processor_s() - before_s))
        wall, processor = (Timing(each) for each in zip(*runs, strict=True))
        name = " ".join(["aimv2", *page])
        limit = MOST_OF_A_COMMAND_S if words else MOST_S
        yield Check(seconds("help", name, wall), at_most=limit)
        yield Check(seconds("help", f"  {name}: processor", processor))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=positive, default=10)
    return run(parser, measure)


if __name__ == "__main__":
    raise SystemExit(main())
