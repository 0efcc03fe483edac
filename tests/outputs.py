"""A table to a file in one step, as a journal does it in several."""

import tempfile
from pathlib import Path

from mlx_aimv2 import export
from mlx_aimv2.table import Table


def write(table: Table, target: Path, *, overwrite: bool = False) -> None:
    export.check_target(target, overwrite=overwrite)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        export.stage(table, target, Path(folder))
        export.place(target, Path(folder))
