"""``aimv2 …`` at a pace at which it can be stopped in the middle."""

import sys
import time

from mlx_aimv2 import journal
from mlx_aimv2.cli.app import main
from mlx_aimv2.journal import Journal

if __name__ == "__main__":
    add, journal._COMMIT_S = Journal.add, 0.02

    def add_slowly(*arguments: object) -> None:
        add(*arguments)
        time.sleep(0.2)  # long enough for what a busy machine does meanwhile

    Journal.add = add_slowly
    sys.exit(main())
