"""An index killed with SIGKILL at random moments, and in the middle of its commits.

    python -m benchmarks.kill_test [--kills 30] [--seed 1]

Prints JSON: each kill with the files that the library then held and what SQLite's integrity check
found; and whether the library, once finished, is bit for bit that of a run without a kill.
"""

import argparse
import json
import signal
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.checks import positive
from tests.support.kills import compare, kill_often, make_photos, random_moments
from tests.support.slow_index import PLACES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=positive, default=30)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    forced: list[str | float] = [f"{place}:{number}" for number in (1, 2) for place in PLACES]
    moments = random_moments(given.seed, max(0, given.kills - len(forced)), 0.6)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = make_photos(folder / "photos")
        library = folder / "library.db"
        kills = kill_often(photos, library, [*forced, *moments][: given.kills])
        is_same = compare(photos, library, folder)
    killed = sum(kill.code == -signal.SIGKILL for kill in kills)
    problems = sum(len(kill.problems) for kill in kills)
    print(json.dumps({"killed": killed, "problems": problems, "is_same": is_same}))
    for kill in kills:
        print(json.dumps(asdict(kill)))


if __name__ == "__main__":
    main()
