"""``python convert.py …`` is ``aimv2 convert …``."""

import sys

try:
    from mlx_aimv2.cli.app import main  # type: ignore[import-not-found]  # cli/ before installing
except ModuleNotFoundError as error:
    # This folder hides a package that is installed elsewhere, and has no mlx_aimv2/cli itself.
    sys.exit(f"error: {error}\nhint: pip install -e . in this folder, or use: aimv2 convert")

if __name__ == "__main__":
    sys.exit(main(["convert", *sys.argv[1:]]))
