"""``aimv2 …`` at a pace at which it can be stopped in the middle."""

import signal
import sys
import time

from mlx_aimv2 import journal
from mlx_aimv2.cli.app import main
from mlx_aimv2.journal import Journal

if __name__ == "__main__":
    # Whoever runs the tests in the background has Ctrl-C ignored, and so would this.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    add, journal._COMMIT_S = Journal.add, 0.02
    added = 0

    def add_slowly(*arguments: object) -> None:
        global added
        add(*arguments)
        added += 1
        time.sleep(0.05 if added < 20 else 60)  # then it waits to be stopped

    Journal.add = add_slowly
    sys.exit(main())
