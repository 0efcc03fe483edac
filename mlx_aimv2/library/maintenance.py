"""Care of a library: forget what is gone, give disk back, hand vectors to other programs."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2 import install
from mlx_aimv2.errors import OutputError, UsageError
from mlx_aimv2.files.atomic_folder import staged
from mlx_aimv2.files.path_text import escape
from mlx_aimv2.files.paths import is_gone, no_folder, printable, unwritable
from mlx_aimv2.outputs import output_file
from mlx_aimv2.outputs.embeddings import Entry, Floats, Table

from .database.folders import under
from .database.photos import FileRow
from .database.segments import Segments
from .database.store import Store
from .database.vectors import VectorSet
from .duplicates.groups import DuplicateInput
from .indexing.scan import is_empty
from .shots import shots_of

_BLOCK_ROWS = 1 << 15


@dataclass(frozen=True)
class Pruned:
    """What was forgotten. Units: bytes of disk given back.

    ``empty`` are folders that held photos and hold nothing now, or are links that lead nowhere:
    what is known of those photos stays.
    """

    files: int
    folders: int
    sets: int
    size_bytes: int
    empty: tuple[str, ...] = ()


def prune(store: Store, *, dry_run: bool = False) -> Pruned:
    """Forget files that are gone, sets that no longer serve, and the rows of both.

    A folder that is not there is forgotten if no readable photo of it is known any more: all were
    moved or are gone. Otherwise it may be a drive that is not connected, as may be a folder that
    is empty now and a link that leads nowhere: of the photos that were in it nothing is forgotten.
    """
    missing = store.files("missing_since IS NOT NULL AND NOT is_excluded")
    lost = [file for file in missing if _is_lost(file)]
    folders = [path for path, _ in store.roots() if is_gone(path)]
    folders = [path for path in folders if not _holds_photos(store, path)]
    for path in folders:  # what could not be read there cannot be recognised elsewhere
        lost += store.files(*under(path))
    emptied = _emptied(lost)
    gone = {file.id for file in lost} - emptied.keys()
    empty = tuple(map(os.fsdecode, sorted(set(emptied.values()))))
    former = [each for each in store.sets() if each.is_former]
    before = sum(store.segments(each).size_bytes for each in store.sets())
    if dry_run:
        return Pruned(len(gone), len(folders), len(former), 0, empty)
    with store.transaction():
        store.remove_files(gone)
        for path in folders:
            store.remove_root(path)
        for each in former:
            store.remove_set(each.id)
    for each in store.sets():
        _compact(store, each)
    store.remove_strays()
    after = sum(store.segments(each).size_bytes for each in store.sets())
    return Pruned(len(gone), len(folders), len(former), before - after, empty)


def forget(store: Store, folder: bytes) -> Pruned:
    """Forget a folder or file that was indexed, with all photos known there and their vectors.

    Errors: UsageError where nothing is known there.
    """
    files = {file.id for file in store.files(*under(folder))}
    inside = folder.rstrip(b"/") + b"/"
    folders = [path for path, _ in store.roots() if (path + b"/").startswith(inside)]
    if not files and not folders:
        raise UsageError(
            f"the library has no photo in {printable(folder)}",
            hint="aimv2 library status lists the folders",
        )
    before = sum(store.segments(each).size_bytes for each in store.sets())
    with store.transaction():
        store.remove_files(files)
        for path in folders:
            store.remove_root(path)
    for each in store.sets():
        _compact(store, each)
    store.remove_strays()
    after = sum(store.segments(each).size_bytes for each in store.sets())
    return Pruned(len(files), len(folders), 0, before - after)


def export_vectors(store: Store, vectors: VectorSet, target: Path, *, overwrite: bool) -> int:
    """Write vectors and what is known of their photos; returns how many.

    A name with an extension is a file as ``aimv2 embed`` writes it, with ``photos`` in its
    metadata. A folder gets clip-retrieval's ``img_emb/img_emb_0.npy`` and
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
    made_by = {**vectors.settings, "photos": [_facts(files[id]) for id in known[:, 1].tolist()]}
    segments = store.segments(vectors)

    def entries() -> Iterator[Entry]:
        for start in range(0, len(known), _BLOCK_ROWS):
            block = known[start : start + _BLOCK_ROWS]
            taken = segments.take(block[:, 0]).astype(np.float32)
            for values, id in zip(taken, block[:, 1].tolist(), strict=True):
                path = files[id].path.decode("utf-8", "surrogateescape")
                yield Entry(path, values.shape, partial(_same, values))

    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
            output_file.stage(Table(made_by, entries), target, Path(folder) / "output")
            output_file.place(target, Path(folder) / "output")
    except OSError as error:
        raise unwritable(target, error) from error
    return len(known)


def duplicate_input(store: Store, vectors: VectorSet, *, shots: bool = False) -> DuplicateInput:
    """What is known of all files that are there, for finding duplicates.

    With ``shots`` files of one shot are compared as any others.
    """
    files = list(store.files("missing_since IS NULL AND error IS NULL"))
    row_of = dict(store.rows_and_files(vectors.id)[:, ::-1].tolist())
    return DuplicateInput(
        ids=[file.id for file in files],
        paths=[file.path for file in files],
        hashes=[file.hash for file in files],
        signatures=[file.signature for file in files],
        formats=[file.facts.format if file.facts else None for file in files],
        width_px=np.array([file.facts.width_px if file.facts else 0 for file in files], np.int64),
        height_px=np.array([file.facts.height_px if file.facts else 0 for file in files], np.int64),
        size_bytes=np.array([file.stamp.size_bytes for file in files], np.int64),
        rows=np.array([row_of.get(file.id, -1) for file in files], np.int64),
        take=store.segments(vectors).take,
        shots=None if shots else _shot_numbers(store, files),
    )


def _shot_numbers(store: Store, files: list[FileRow]) -> NDArray[np.int64]:
    shots = shots_of(store)  # a shot's number is the id of its first file
    return np.array([shots.get(file.id, (-1,))[0] for file in files], np.int64)


def _compact(store: Store, vectors: VectorSet) -> None:
    """Write the rows that are used to another folder, and let the set be there from then on."""
    used = np.unique(store.rows_and_files(vectors.id, "TRUE", including_missing=True)[:, 0])
    if len(used) == vectors.row_count:
        return
    number = 1 + int(vectors.folder.partition(".")[2] or 0)
    folder = f"{vectors.folder.partition('.')[0]}.{number}"
    source = store.segments(vectors)
    moved = Segments(store.folder / folder, vectors.width, 0)
    moved.remove()  # left by a run that was killed
    moved.cut()
    for start in range(0, len(used), _BLOCK_ROWS):
        moved.append(source.take(used[start : start + _BLOCK_ROWS]))
    with store.transaction():
        store.replace_rows(vectors, folder, moved.row_count, used)


def _is_lost(file: FileRow) -> bool:
    """Whether a missing file has not come back since; Photos keeps copies that it does not show."""
    return file.uuid is not None or is_gone(file.path)


def _emptied(lost: Iterable[FileRow]) -> dict[int, bytes]:
    """The folder, empty now or a link that leads nowhere, in which a file was: by the file's id."""

    @cache
    def around(folder: bytes) -> bytes:
        return around(os.path.dirname(folder)) if is_gone(folder) else folder  # noqa: PTH120  (bytes)

    @cache
    def empty(folder: bytes) -> bool:
        return is_empty(folder) or not os.path.exists(folder)  # noqa: PTH110  (bytes)

    there = {file.id: around(os.path.dirname(file.path)) for file in lost if file.uuid is None}  # noqa: PTH120
    return {id: folder for id, folder in there.items() if empty(folder)}


def _holds_photos(store: Store, root: bytes) -> bool:
    inside, values = under(root)
    there = store.files(f"{inside} AND missing_since IS NULL AND error IS NULL", values)
    return next(there, None) is not None


def _export_folder(
    store: Store, vectors: VectorSet, known: NDArray[np.int64], target: Path, *, overwrite: bool
) -> int:
    if find_spec("pyarrow") is None:
        raise OutputError(
            "clip-retrieval's folders need pyarrow, which is not installed",
            hint=install.extra("parquet"),
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
        rows = [_facts(files[id]) for id in known[:, 1].tolist()]
        columns = {"image_path": [row.pop("path") for row in rows]}
        columns |= {name: [row[name] for row in rows] for name in rows[0]}
        with (folder / "metadata" / "metadata_0.parquet").open("wb") as file:
            pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return len(known)


def _is_export(folder: Path) -> bool:
    """Whether a folder holds what ``_export_folder`` writes and nothing else."""
    if not folder.is_dir() or folder.is_symlink():
        return False
    names = {str(each.relative_to(folder)) for each in folder.rglob("*") if not each.is_dir()}
    return names == {"img_emb/img_emb_0.npy", "metadata/metadata_0.parquet"}


def _facts(file: FileRow) -> dict[str, object]:
    facts = asdict(file.facts) if file.facts else {}
    path = escape(file.path.decode("utf-8", "surrogateescape"))
    return {"path": path, "size_bytes": file.stamp.size_bytes, "uuid": file.uuid, **facts}


def _same(values: Floats) -> Floats:
    return values


def describe_set(vectors: VectorSet) -> str:
    """A set in words: checkpoint, width, preprocessing."""
    settings = vectors.settings
    preset = settings["preprocessing"]["preset"]
    return f"{settings['checkpoint']}, {vectors.width} wide, preset {preset}"
