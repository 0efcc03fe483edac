"""``aimv2 ARGUMENTS… -o OUT`` without root's powers.

Root's Python may be where others cannot read it, so whatever has to be imported is imported by a
first run as root, to another place; then the process becomes nobody's, for good.
"""

import io
import os
import sys
import tempfile
from contextlib import redirect_stderr

from mlx_aimv2.cli.app import main

NOBODY = 65534

if __name__ == "__main__":
    arguments = sys.argv[1:]
    if os.geteuid() == 0:
        with tempfile.TemporaryDirectory() as folder, redirect_stderr(io.StringIO()):
            for extension in (".npz", ".jsonl"):
                main([*arguments[:-1], f"{folder}/first{extension}"])
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    sys.exit(main(arguments))
