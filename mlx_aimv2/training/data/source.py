"""Where pairs come from, told by the name of a source."""

import bisect
import os
import re
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.paths import printable, unreadable

from ..drawings.pairs import SIDE_PX, Drawings
from .options import PairOptions
from .pair import Pair, Pairs
from .table import Columns, Rows, Table, read_csv, read_json_lines, read_parquet
from .webdataset import Shards, find_shards

_HINT = (
    "name shards as 'shard-{000..099}.tar', a folder of shards, a folder with metadata.jsonl, "
    "a .csv with the columns filepath and title, or drawings:1000"
)
_DRAWINGS = re.compile(r"drawings:(?P<count>[1-9]\d{0,8})(:(?P<side>[1-9]\d{0,3}))?")
_METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
_TRAIN = "train"
# Source: open_clip's defaults; the imagefolder of Hugging Face's datasets.
_OPEN_CLIP = Columns("filepath", "title")
_IMAGEFOLDER = Columns("file_name", "text")


def open_pairs(source: str, options: PairOptions | None = None) -> Pairs:
    """The pairs of a source, or of several joined by ``::``, one after another.

    WebDataset shards by a brace pattern or their folder; a folder with a metadata file (Hugging
    Face's imagefolder); a CSV as open_clip takes; ``drawings:COUNT`` or ``drawings:COUNT:SIDE``.
    Errors: UsageError for what is none of these or holds no pairs; ImageError for what is not
    there or cannot be read.
    """
    parts = [source] if os.path.lexists(source) else source.split("::")
    opened = [_open(part, options or PairOptions()) for part in parts]
    return opened[0] if len(opened) == 1 else Joined(opened)


class Joined:
    """The pairs of several sources, one source after another."""

    def __init__(self, sources: Sequence[Pairs]) -> None:
        self._sources = sources
        self._ends = list(accumulate(map(len, sources)))
        self.notes = tuple(note for each in sources for note in each.notes)

    def __len__(self) -> int:
        return self._ends[-1]

    def read(self, number: int) -> Pair:
        """A pair by its number."""
        source = bisect.bisect_right(self._ends, number)
        return self._sources[source].read(number - (self._ends[source - 1] if source else 0))


def _open(source: str, options: PairOptions) -> Pairs:
    pairs: Pairs
    name = source.lower()
    drawings = _DRAWINGS.fullmatch(source)
    if drawings and not os.path.lexists(source):
        pairs = Drawings(int(drawings["count"]), int(drawings["side"] or SIDE_PX))
    elif Path(source).is_dir():
        pairs = _open_folder(Path(source), options)
    elif name.endswith(".tar"):
        pairs = Shards(find_shards(source), options.caption_key)
    elif name.endswith((".csv", ".tsv")):
        columns = _columns(_OPEN_CLIP, options)
        rows = read_csv(Path(source), options.separator)
        pairs = Table(Path(source), rows, columns, lambda file: file)
    else:
        try:
            os.stat(source)  # noqa: PTH116  (its error says what is wrong)
        except OSError as error:
            raise unreadable(source, error) from error
        raise UsageError(f"{printable(source)} is no source of pairs", hint=_HINT)
    if not len(pairs):
        raise UsageError(f"{printable(source)} holds no pairs", hint=_HINT)
    return pairs


def _open_folder(folder: Path, options: PairOptions) -> Pairs:
    """The pairs of a folder, or of the folder ``train`` in it: never those to measure with."""
    tried = [folder, folder / _TRAIN]
    for each in filter(Path.is_dir, tried):
        try:
            names = os.listdir(each)  # noqa: PTH208  (names, not paths)
        except OSError as error:
            raise unreadable(each, error) from error
        tables = [name for name in _METADATA if name in names]
        shards = sorted(name for name in names if name.endswith(".tar") and name[0] != ".")
        if len(tables) + bool(shards) > 1:
            several = [*tables, *shards[:1]]
            raise UsageError(
                f"{printable(each)} has {' and '.join(several)}: one of them has to be meant",
                hint="name shards by a pattern, or take the others away",
            )
        if tables:
            return _open_imagefolder(each / tables[0], options)
        if shards:
            return Shards([str(each / name) for name in shards], options.caption_key)
    raise UsageError(f"{printable(folder)} has no {_METADATA[0]} and no shards", hint=_HINT)


def _open_imagefolder(path: Path, options: PairOptions) -> Table:
    folder = path.parent
    columns = _columns(_IMAGEFOLDER, options)
    rows: Rows
    if path.suffix == ".jsonl":
        rows = read_json_lines(path)
    elif path.suffix == ".csv":
        rows = read_csv(path, "," if options.separator == "\t" else options.separator)
    else:
        rows = read_parquet(path, columns)
    has_splits = (folder / _TRAIN).is_dir()
    return Table(
        path,
        rows,
        columns,
        lambda file: str(folder / file),
        lambda file: not has_splits or Path(file).parts[:1] == (_TRAIN,),
    )


def _columns(of_layout: Columns, options: PairOptions) -> Columns:
    return Columns(options.image_key or of_layout.image, options.caption_key or of_layout.caption)
