"""``aimv2 …`` that pauses after each tensor it writes, so that it can be stopped in between."""

import signal
import sys
import time

from mlx_aimv2 import weights
from mlx_aimv2.cli.app import main

if __name__ == "__main__":
    # Whoever runs the tests in the background has Ctrl-C ignored, and so would this.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    to_bits = weights.to_bits

    def to_bits_slowly(array: object) -> object:
        time.sleep(0.2)  # long enough for a busy machine to look
        return to_bits(array)

    weights.to_bits = to_bits_slowly
    sys.exit(main())
