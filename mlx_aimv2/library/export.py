"""Vectors of a library, and what is known of their photos, for other programs."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2 import install_hints
from mlx_aimv2.errors import OutputError
from mlx_aimv2.files.atomic_folder import staged
from mlx_aimv2.files.path_text import escape
from mlx_aimv2.files.paths import no_folder, printable, unwritable
from mlx_aimv2.images.metadata.exif import PhotoFacts
from mlx_aimv2.outputs import output_file
from mlx_aimv2.outputs.embeddings import Entry, Table
from mlx_aimv2.outputs.formats.parquet import columns_of

from .database.photos import FileRow
from .database.store import Store
from .database.vectors import VectorSet

_BLOCK_ROWS = 1 << 15


def export_vectors(store: Store, vectors: VectorSet, target: Path, *, overwrite: bool) -> int:
    """Write vectors and what is known of their photos; returns how many.

    A name with an extension is a file as ``aimv2 embed`` writes it. Dates, places, tags, captions
    and the like are columns of ``.parquet`` and fields of ``.jsonl``; elsewhere they are ``photos``
    in the metadata. A folder gets clip-retrieval's ``img_emb/img_emb_0.npy`` and
    ``metadata/metadata_0.parquet``.
    Errors: UsageError for an unknown extension, OutputError for a target that exists or cannot
    be written, or where there is nothing to write.
    """
    known = store.rows_and_files(vectors.id)
    if not len(known):
        raise OutputError("there are no vectors to export", hint="aimv2 index FOLDER")
    if not target.suffix:
        return _export_folder(store, vectors, known, target, overwrite=overwrite)
    output_file.check_target(target, overwrite=overwrite)
    files = store.files_of(known[:, 1].tolist())
    facts = _facts(store, files, known)
    segments = store.segments(vectors)

    def entries() -> Iterator[Entry]:
        for start in range(0, len(known), _BLOCK_ROWS):
            block = known[start : start + _BLOCK_ROWS]
            taken = segments.take(block[:, 0]).astype(np.float32)
            for values, id in zip(taken, block[:, 1].tolist(), strict=True):
                yield Entry(files[id].path_str, values.shape, values.view)

    if output_file.format_of(target).has_columns:
        table = Table(vectors.settings, entries, facts)
    else:
        names = (escape(files[id].path_str) for id in known[:, 1].tolist())
        photos = [{"path": name, **each} for name, each in zip(names, facts, strict=True)]
        table = Table({**vectors.settings, "photos": photos}, entries)
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
            output_file.stage(table, target, Path(folder) / "output")
            output_file.place(target, Path(folder) / "output")
    except OSError as error:
        raise unwritable(target, error) from error
    return len(known)


def _export_folder(
    store: Store, vectors: VectorSet, known: NDArray[np.int64], target: Path, *, overwrite: bool
) -> int:
    if find_spec("pyarrow") is None:
        raise OutputError(
            "clip-retrieval's folders need pyarrow, which is not installed",
            hint=install_hints.extra("parquet"),
        )
    import pyarrow  # noqa: PLC0415  (an extra)
    import pyarrow.parquet  # noqa: PLC0415

    if target.exists():
        if not overwrite:
            raise OutputError(
                f"{printable(target)} exists already",
                hint="choose another name, or replace it with --force",
            )
        if not _is_export(target):
            raise OutputError(
                f"{printable(target)} holds other files than an export",
                hint="choose another name: it is not replaced",
            )
    if not target.parent.is_dir():
        raise no_folder(target.parent)
    files = store.files_of(known[:, 1].tolist())
    segments = store.segments(vectors)
    with staged(target, replaces=target.exists()) as folder:
        for name in ("img_emb", "metadata"):
            (folder / name).mkdir()
        shape = (len(known), vectors.width)
        matrix = np.lib.format.open_memmap(
            folder / "img_emb" / "img_emb_0.npy", "w+", np.float16, shape
        )
        for start in range(0, len(known), _BLOCK_ROWS):
            matrix[start : start + _BLOCK_ROWS] = segments.take(
                known[start : start + _BLOCK_ROWS, 0]
            )
        matrix.flush()
        paths = [escape(files[id].path_str) for id in known[:, 1].tolist()]
        columns = {"image_path": paths, **columns_of(_facts(store, files, known))}
        with (folder / "metadata" / "metadata_0.parquet").open("wb") as file:
            pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return len(known)


def _is_export(folder: Path) -> bool:
    """Whether a folder holds what ``_export_folder`` writes and nothing else."""
    if not folder.is_dir() or folder.is_symlink():
        return False
    names = {str(each.relative_to(folder)) for each in folder.rglob("*") if not each.is_dir()}
    return names == {"img_emb/img_emb_0.npy", "metadata/metadata_0.parquet"}


def _facts(
    store: Store, files: Mapping[int, FileRow], known: NDArray[np.int64]
) -> list[dict[str, Any]]:
    """What is known of the photos in these rows: origins are the names of who gave each tag."""
    ids = known[:, 1].tolist()
    origins, captions = store.origins_of(ids), store.captions_of(ids)
    return [
        {
            "size_bytes": files[id].stamp.size_bytes,
            "uuid": files[id].uuid,
            **{each.name: getattr(files[id].facts, each.name, None) for each in fields(PhotoFacts)},
            "tags": list(origins[id]),
            "origins": origins[id],
            "caption": captions[id].text if id in captions else None,
            "caption_origin": captions[id].origin if id in captions else None,
        }
        for id in ids
    ]
