"""How long the command takes to show its help, which is how long it takes to start.

    python -m benchmarks.help_time [--runs 10]

Prints JSON: median and quartiles of each help page in milliseconds, wall clock and processor
(the latter says more where other work runs), after one run to warm the disk cache. The aim:
`aimv2 --help` under 120 ms, `aimv2 COMMAND --help` under 200 ms.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

from mlx_aimv2.cli.app import COMMANDS
from mlx_aimv2.device import available_cores

AIMV2 = Path(sys.executable).with_name("aimv2")


def measure_ms(arguments: list[str]) -> tuple[float, float]:
    """Milliseconds of one run: wall clock, processor."""
    before, started_s = os.times(), time.perf_counter()
    subprocess.run([AIMV2, *arguments], check=True, stdout=subprocess.DEVNULL)
    elapsed_s, after = time.perf_counter() - started_s, os.times()
    user_s = after.children_user - before.children_user
    system_s = after.children_system - before.children_system
    return 1000 * elapsed_s, 1000 * (user_s + system_s)


def summary_ms(values: list[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": round(median, 1), "quartiles": [round(low, 1), round(high, 1)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, choices=range(2, 1001), metavar="RUNS", default=10)
    runs = parser.parse_args().runs
    results = {}
    for arguments in ([], *([name] for name in COMMANDS)):
        measure_ms([*arguments, "--help"])
        pairs = [measure_ms([*arguments, "--help"]) for _ in range(runs)]
        wall_ms, processor_ms = map(list, zip(*pairs, strict=True))
        results[" ".join(["aimv2", *arguments, "--help"])] = {
            "wall_ms": summary_ms(wall_ms),
            "processor_ms": summary_ms(processor_ms),
        }
    conditions = {
        "runs": runs,
        "python": platform.python_version(),
        "typer": version("typer"),
        "mlx_aimv2": version("mlx-aimv2"),
        "system": platform.platform(),
        "cores": available_cores(),
        "load": os.getloadavg()[0],
        "bytecode_cached": not sys.dont_write_bytecode,  # else sources are compiled each time
    }
    print(json.dumps(conditions | {"help": results}, indent=2))


if __name__ == "__main__":
    main()
