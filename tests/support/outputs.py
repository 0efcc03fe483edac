"""A table to a file in one step, as a journal does it in several."""

import tempfile
from pathlib import Path

from mlx_aimv2.outputs import output_file
from mlx_aimv2.outputs.embeddings import Table


def write(table: Table, target: Path, *, overwrite: bool = False) -> None:
    output_file.check_target(target, overwrite=overwrite)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        output_file.stage(table, target, Path(folder))
        output_file.place(target, Path(folder))
