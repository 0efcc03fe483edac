"""``aimv2 …`` that stops for good after 12 embeddings, each kept as it is done, and says so."""

import signal
import sys
import time

from mlx_aimv2.cli.app import main
from mlx_aimv2.outputs import journal
from mlx_aimv2.outputs.journal import Journal

KEPT = 12

if __name__ == "__main__":
    # Whoever runs the tests in the background has Ctrl-C ignored, and so would this.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    add, journal._COMMIT_S = Journal.add, -1.0
    added = 0

    def add_some(*arguments: object) -> None:
        global added
        add(*arguments)
        added += 1
        if added == KEPT:
            print("stopped", flush=True)
            while True:
                time.sleep(600)

    Journal.add = add_some
    sys.exit(main())
