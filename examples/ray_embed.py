"""Embed a folder of pictures on a Ray cluster, into a folder of Parquet files.

    pip install '.[ray]'
    python examples/ray_embed.py photos --out embeddings --actors 2

Ray spreads the paths over actors on all machines of its cluster, or over processes on this one.
Every machine must see the pictures under the same paths. A row has ``path``, ``embedding`` (null
for a picture that could not be read) and ``error`` (null for one that could). Rows are in no
order, and names that are not UTF-8 are escaped as in the files of ``aimv2 embed``. Exit codes are
those of ``aimv2 embed`` too: 3 where some pictures failed, 1 where all did.
"""

import argparse
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from ray.data import ActorPoolStrategy

from mlx_aimv2.checkpoints.hub import resolve
from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.files.path_text import escape, unescape
from mlx_aimv2.images.walk import find_images

if TYPE_CHECKING:
    from mlx_aimv2 import Model

SCHEMA = pa.schema({"path": pa.string(), "embedding": pa.list_(pa.float32()), "error": pa.string()})


class Embed:
    """An actor: one process with one model, for as long as there are paths."""

    def __init__(self, source: str) -> None:
        # Here and not above: each actor is a process of its own, in which this import comes before
        # mlx.core's, for the fast BLAS on Linux, and nothing of MLX is forked.
        import mlx_aimv2 as aimv2  # noqa: PLC0415

        self._model: Model = aimv2.load(source)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Paths to rows. Nothing is raised for a picture that cannot be read."""
        import numpy as np  # noqa: PLC0415

        paths = batch["path"].to_pylist()
        items = list(self._model.stream(map(unescape, paths)))
        vectors = [None if item.error else np.array(item.embedding) for item in items]
        errors = [None if item.error is None else str(item.error) for item in items]
        return pa.table([paths, vectors, errors], schema=SCHEMA)


def embed(paths: list[str], out: str, *, model: str, actors: int, batch_size: int) -> None:
    """Embed files into a folder of Parquet files, which must not be there yet."""
    rows = ray.data.from_arrow(pa.table({"path": paths}))
    # Small enough that every actor gets some, and that what a lost one did is soon done again.
    blocks = max(actors, min(len(paths) // batch_size, 16 * actors))
    rows.repartition(blocks).map_batches(
        Embed,
        fn_constructor_args=[model],
        compute=ActorPoolStrategy(size=actors),
        batch_size=batch_size,
        batch_format="pyarrow",
        # Asked for in full, no core might be left for Ray's own tasks. Ray spreads actors itself.
        num_cpus=0.1,
    ).write_parquet(out)


def positive(text: str) -> int:
    """A number from 1, as an argument."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def main() -> None:
    """Find the pictures, start Ray or join its cluster, embed, and leave."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="+", help="pictures, and folders of them")
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument("--model", default="lit", help="as for aimv2 embed")
    parser.add_argument("--actors", type=positive, default=1, help="models at work: one a machine")
    parser.add_argument(
        "--batch-size", type=positive, default=256, help="paths given to one at a time"
    )
    arguments = parser.parse_args()
    out = Path(arguments.out).absolute()
    if out.exists():
        parser.error(f"{arguments.out} exists already")
    walked = find_images(map(os.path.abspath, arguments.paths))  # which loads no MLX
    found = [escape(one.path) for one in walked]
    if not found:
        parser.error("there are no pictures")
    try:
        resolve(arguments.model)  # a wrong name is told here, and not by each actor
    except Aimv2Error as error:
        parser.error(f"{error}: {error.hint}")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no network beyond the cluster
    ray.init(include_dashboard=False, log_to_driver=False, logging_level="error")
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    unfinished = out.with_name(f"{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was ended
    try:
        embed(
            found,
            str(unfinished),
            model=arguments.model,
            actors=arguments.actors,
            batch_size=arguments.batch_size,
        )
    finally:
        ray.shutdown()
    unfinished.rename(out)
    embedded = pq.read_table(out, columns=["error"])["error"].null_count
    print(f"embedded {embedded} of {len(found)} pictures → {arguments.out}")
    sys.exit(0 if embedded == len(found) else 3 if embedded else 1)


if __name__ == "__main__":
    main()
