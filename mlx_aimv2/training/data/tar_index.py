"""Where the pictures, captions and classes are in a tar shard: listed once, kept in a cache."""

import hashlib
import os
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import ImageError
from mlx_aimv2.files.paths import printable, unreadable
from mlx_aimv2.files.stamp import Stamp, read_stamp

IMAGE, TEXT, JSON, CLASS = range(4)
# Source: open_clip's and img2dataset's names, and CLIP_benchmark's for the number of a class; the
# suffix is all after a name's first dot.
_COLUMNS = {
    "jpg": IMAGE, "jpeg": IMAGE, "png": IMAGE, "webp": IMAGE, "txt": TEXT, "json": JSON,
    "cls": CLASS,
}  # fmt: skip
_NOT_THERE = -1
_VERSION = "2"  # of the file in the cache: another layout needs another
_BLOCK_BYTES = 512
_MOST_BYTES = 1 << 62  # that an array can hold; a damaged size may be more


@dataclass(frozen=True)
class Index:
    """The samples of a shard: names, and where each one's picture, text, JSON, class is.

    ``places`` has the first byte of each and its size, or -1 where there is none; ``names`` are all
    keys, one after another, which end at ``ends``. ``fault`` says where the shard is damaged.
    Shapes: places (n, 4, 2) int64, names (bytes,) uint8, ends (n,) int64.
    """

    places: NDArray[np.int64]
    names: NDArray[np.uint8]
    ends: NDArray[np.int64]
    fault: str

    def name(self, sample: int) -> str:
        """The key of a sample, by its place in the shard."""
        start = int(self.ends[sample - 1]) if sample else 0
        return os.fsdecode(self.names[start : int(self.ends[sample])].tobytes())


def read_index(path: str, folder: Path) -> Index:
    """The index of a shard, from ``folder`` or, if it is not there or the shard was changed, anew.

    Errors: ImageError for a file that cannot be read or is no tar archive.
    """
    try:
        stamp = read_stamp(os.fsencode(path))
    except OSError as error:
        raise unreadable(path, error) from error
    if not os.path.isfile(path):  # noqa: PTH113  (a name that is not UTF-8)
        raise ImageError(f"{printable(path)} is no file", hint="shards are read at random: a file")
    kept = folder / f"{hashlib.sha256(os.fsencode(Path(path).resolve())).hexdigest()[:40]}.shard"
    index = _load(kept, stamp)
    if index is None:
        index = _list(path, stamp.size_bytes)
        with suppress(OSError):  # without a cache it is listed again the next time
            _save(index, kept, stamp)
    return index


def _list(path: str, size_bytes: int) -> Index:
    places: list[list[tuple[int, int]]] = []
    names, ends = bytearray(), []
    current = None
    end, fault = 0, ""
    try:
        with tarfile.open(path, "r:") as archive:
            for member, (key, column) in _members(archive, size_bytes):
                is_possible = 0 <= member.size < _MOST_BYTES
                place = member.offset_data, member.size if is_possible else _MOST_BYTES
                if key != current or places[-1][column][0] != _NOT_THERE:
                    current = key
                    places.append([(_NOT_THERE, 0)] * 4)
                    names += os.fsencode(key)
                    ends.append(len(names))
                places[-1][column] = place
            end = archive.offset
    except OSError as error:
        raise unreadable(path, error) from error
    except (tarfile.TarError, ValueError, OverflowError, MemoryError) as error:  # of damaged sizes
        if not places:
            raise _no_archive(path, error) from error
        fault = f"is cut off or damaged, and not read to its end: {error}"
    return Index(
        np.array(places, np.int64).reshape(-1, 4, 2),
        np.frombuffer(bytes(names), np.uint8),
        np.array(ends, np.int64),
        fault or _fault(path, end, size_bytes),
    )


def _members(
    archive: tarfile.TarFile, size_bytes: int
) -> Iterator[tuple[tarfile.TarInfo, tuple[str, int]]]:
    """The members that count, each with its sample's key and what it is to the sample.

    Errors: TarError behind a member that is not whole.
    """
    for member in archive:
        archive.members = []  # type: ignore[attr-defined]  # it would keep all
        folder, slash, name = member.name.rpartition("/")
        stem, _, suffix = name.partition(".")
        column = _COLUMNS.get(suffix.lower())
        is_meta = not stem or (stem.startswith("__") and stem.endswith("__"))
        if column is not None and not is_meta and member.isreg() and not member.issparse():
            yield member, (f"{folder}{slash}{stem}", column)
        if member.isreg() and not 0 <= member.size <= size_bytes - member.offset_data:
            raise tarfile.ReadError("unexpected end of data")


def _fault(path: str, end: int, size_bytes: int) -> str:
    """What is wrong behind the last member: tarfile takes a damaged header for the end."""
    with open(path, "rb") as file:  # noqa: PTH123  (a name that is not UTF-8)
        file.seek(end)
        block = file.read(_BLOCK_BYTES)
    if len(block) < _BLOCK_BYTES:
        return f"is cut off, or was not closed: it ends after {size_bytes:,} bytes"
    return f"is damaged at byte {end:,}: what follows is not read" if block.strip(b"\0") else ""


def _no_archive(path: str, error: Exception) -> ImageError:
    with open(path, "rb") as file:  # noqa: PTH123
        start = file.read(_BLOCK_BYTES)
    if start[:2] in (b"\x1f\x8b", b"BZ") or start[:4] == b"\x28\xb5\x2f\xfd":
        return ImageError(f"{printable(path)} is compressed", hint="unpack it to a .tar first")
    return ImageError(f"{printable(path)} is no tar archive: {error}", hint="fetch it again")


def _load(kept: Path, stamp: Stamp) -> Index | None:
    from safetensors import safe_open  # noqa: PLC0415

    try:
        with safe_open(kept, "numpy") as file:
            known = file.metadata()
            if known["stamp"] != _stamped(stamp):
                return None
            places, names, ends = (file.get_tensor(name) for name in ("places", "names", "ends"))
            return Index(places, names, ends, known["fault"])
    except Exception:  # not there, of another version, or damaged: listed anew
        return None


def _save(index: Index, kept: Path, stamp: Stamp) -> None:
    from safetensors.numpy import save  # noqa: PLC0415

    arrays: dict[str, NDArray[Any]] = {
        "places": index.places,
        "names": index.names,
        "ends": index.ends,
    }
    content = save(arrays, {"stamp": _stamped(stamp), "fault": index.fault})
    kept.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=kept.parent, delete=False) as file:
        partial = Path(file.name)  # another process may read the file, or write the same
        try:
            file.write(content)
            file.flush()
            partial.replace(kept)
        finally:
            partial.unlink(missing_ok=True)


def _stamped(stamp: Stamp) -> str:
    return f"{_VERSION} {stamp.size_bytes} {stamp.mtime_ns}"
