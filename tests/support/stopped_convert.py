"""``aimv2 …`` that stops for good once it is to write more than so many bytes, and says so.

python -m tests.support.stopped_convert SIZE_BYTES ARGUMENTS…
"""

import signal
import sys
import time

from mlx_aimv2.checkpoints import safetensors_file
from mlx_aimv2.cli.app import main

if __name__ == "__main__":
    # Whoever runs the tests in the background has Ctrl-C ignored, and so would this.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    to_bits, left_bytes = safetensors_file.to_bits, int(sys.argv[1])

    def to_bits_until(array: object) -> object:
        global left_bytes
        if left_bytes <= 0:
            print("stopped", flush=True)
            while True:
                time.sleep(600)
        made = to_bits(array)
        left_bytes -= made.nbytes
        return made

    safetensors_file.to_bits = to_bits_until
    sys.exit(main(sys.argv[2:]))
