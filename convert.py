"""``python convert.py …`` is ``aimv2 convert …``."""

import sys

try:
    from mlx_aimv2.cli.app import main
except ModuleNotFoundError as error:
    sys.exit(f"error: {error}\nhint: pip install -e . in this folder, or use: aimv2 convert")

if __name__ == "__main__":
    sys.exit(main(["convert", *sys.argv[1:]]))
