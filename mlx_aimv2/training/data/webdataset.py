"""WebDataset: pairs in tar shards, a picture beside a .txt or .json of the same name."""

import io
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.paths import printable, unreadable

from .pair import Pair, PairError, to_captions
from .tar_index import IMAGE, JSON, TEXT, read_index

JSON_CAPTION = "caption"  # where img2dataset writes it
_BRACES = re.compile(r"\{(?P<first>\d+)\.\.(?P<last>\d+)\}|\{(?P<words>[^{}]*,[^{}]*)\}")


def default_cache() -> Path:
    """Where the lists of shards are kept: ``~/Library/Caches/mlx-aimv2/shards`` on a Mac."""
    from platformdirs import user_cache_path  # noqa: PLC0415

    return user_cache_path("mlx-aimv2") / "shards"


def expand(pattern: str) -> Iterator[str]:
    """The names that a brace pattern stands for, as a shell expands it.

    ``{000..099}`` are numbers with as many digits as written, ``{a,b}`` are words.
    """
    found = _BRACES.search(pattern)
    if found is None:
        yield pattern
        return
    if found["words"] is not None:
        parts: Iterator[str] = iter(found["words"].split(","))
    else:
        digits = len(found["first"]) if found["first"].startswith("0") else 1
        numbers = range(int(found["first"]), int(found["last"]) + 1)
        parts = (f"{number:0{digits}}" for number in numbers)
    for part in parts:
        for rest in expand(pattern[found.end() :]):
            yield f"{pattern[: found.start()]}{part}{rest}"


class Shards:
    """The pairs of tar shards, each read where it is, without unpacking.

    ``caption_key`` is the field of the JSON that has the caption; without one the caption is the
    .txt, or the field "caption" where there is none.
    Errors: ImageError for a shard that cannot be read.
    """

    def __init__(
        self, paths: Sequence[str], caption_key: str | None = None, cache: Path | None = None
    ) -> None:
        folder = cache or default_cache()
        self._paths = list(paths)
        self._caption_key = caption_key
        self._shards = [read_index(path, folder) for path in self._paths]
        self._firsts = np.cumsum([0, *(len(shard.places) for shard in self._shards)])
        self.notes = tuple(
            f"{printable(path)} {shard.fault}"
            for path, shard in zip(self._paths, self._shards, strict=True)
            if shard.fault
        )

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def read(self, number: int) -> Pair:
        """A pair by its number. Errors: PairError."""
        shard = int(np.searchsorted(self._firsts, number, side="right")) - 1
        sample = number - int(self._firsts[shard])
        index, path = self._shards[shard], self._paths[shard]
        key = f"{printable(Path(path).name)}/{printable(index.name(sample))}"
        places = index.places[sample, : JSON + 1].tolist()
        try:
            file = os.open(path, os.O_RDONLY)
            try:
                parts = [
                    None if first < 0 else _read(file, first, size, key) for first, size in places
                ]
            finally:
                os.close(file)
        except OSError as error:
            raise unreadable(path, error) from error
        if (content := parts[IMAGE]) is None:
            raise PairError(f"{key} has no picture")
        image = io.BytesIO(content)
        image.name = key  # what messages call it
        return Pair(key, image, self._captions(parts[TEXT], parts[JSON], key))

    def _captions(self, text: bytes | None, described: bytes | None, key: str) -> tuple[str, ...]:
        try:
            if text is not None and self._caption_key is None:
                return to_captions(text.decode(), key)
            fields = {} if described is None else json.loads(described)
        except UnicodeDecodeError:
            raise PairError(f"{key}: its caption is not UTF-8") from None
        except (ValueError, RecursionError):
            raise PairError(f"{key}: its JSON cannot be read") from None
        if not isinstance(fields, dict):
            raise PairError(f"{key}: its JSON has no fields")
        return to_captions(fields.get(self._caption_key or JSON_CAPTION), key)


def _read(file: int, first: int, size: int, key: str) -> bytes:
    there = os.fstat(file).st_size - first
    if not 0 <= size <= there:
        raise PairError(f"{key} is cut off: {max(there, 0):,} of {size:,} bytes are there")
    return os.pread(file, size, first)


def find_shards(pattern: str) -> list[str]:
    """The shards of a brace pattern. Errors: ImageError for one that is not there."""
    paths = []
    for path in expand(pattern):
        try:
            os.stat(path)  # noqa: PTH116  (its error says which of them)
        except OSError as error:
            raise unreadable(path, error) from error
        paths.append(path)
    if not paths:
        raise UsageError(
            f"{printable(pattern)} stands for no shard", hint="the first number is the lower one"
        )
    return paths
