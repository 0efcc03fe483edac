"""``python convert.py …`` is ``aimv2 convert …``."""

import sys

from mlx_aimv2.cli.app import main  # type: ignore[import-not-found]  # cli/ before it is installed

if __name__ == "__main__":
    sys.exit(main(["convert", *sys.argv[1:]]))
