"""Which fused attention kernels MLX's macOS wheel holds, at this package's head width.

`python -m benchmarks.metal_kernels WHEEL` reads a wheel of mlx-metal, a folder where it is
installed, or a .metallib, on any machine: `pip download mlx-metal --no-deps --only-binary=:all:
--platform macosx_14_0_arm64` gets a wheel. docs/metal.md says what the list proves.
"""

import argparse
import json
import re
import struct
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

HEAD_WIDTH = 128  # of every published architecture
DTYPES = ("float32", "float16", "bfloat16")
_LIBRARY = ".metallib"
_MAGIC = b"MTLB"

# What this package asks for, and the function that serves it. A run without a mask and a causal one
# take the function whose mask has the queries' type, and switch the mask off by a constant.
_FULL = r"steel_attention_{dtype}_bq\d+_bk\d+_bd{width}_bv{width}_wm\d+_wn\d+_mask{mask}"
_FEW = r"sdpa_vector(_2pass_1)?_{few}_{width}_{width}"
MASKS = {
    "no mask": (_FULL, "{dtype}"),
    "causal": (_FULL, "{dtype}"),
    "boolean mask": (_FULL, "bool_"),
    "additive mask": (_FULL, "{dtype}"),
    "few queries": (_FEW, ""),
}
# MLX spells the types of its kernels for few queries as Metal does.
_FEW_NAMES = {"float32": "float", "float16": "float16_t", "bfloat16": "bfloat16_t"}


@dataclass(frozen=True)
class Row:
    """The kernels for one precision and one kind of mask."""

    dtype: str
    mask: str
    kernels: list[str]


def functions(library: bytes) -> list[str]:
    """The names in a metallib's list of functions, in its order.

    Format: "MTLB"; at byte 24 the offset and size of the list; in it a count, then entries of a
    size and tags (four letters, a length of two bytes, content), of which NAME is one.
    Errors: ValueError for anything else.
    """
    try:
        if library[:4] != _MAGIC:
            raise ValueError("it does not start as a Metal library does")
        offset, size = struct.unpack_from("<2Q", library, 24)
        (count,) = struct.unpack_from("<I", library, offset)
        entries = list(_entries(library, offset + 4, offset + 4 + size))
        if len(entries) != count:
            raise ValueError(f"its list says {count} functions and has {len(entries)}")
        return [_name(entry) for entry in entries]
    except struct.error as error:
        raise ValueError(f"it is cut short: {error}") from error


def _entries(library: bytes, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        (size,) = struct.unpack_from("<I", library, start)
        if size < 4 or start + size > len(library):
            raise ValueError(f"an entry at {start} has the size {size}")
        yield library[start + 4 : start + size]
        start += size


def _name(entry: bytes) -> str:
    at = 0
    while entry[at : at + 4] not in (b"ENDT", b""):
        (length,) = struct.unpack_from("<H", entry, at + 4)
        if entry[at : at + 4] == b"NAME":
            return entry[at + 6 : at + 6 + length].rstrip(b"\0").decode()
        at += 6 + length
    raise ValueError("a function has no name")


def read_library(path: Path) -> tuple[str, bytes]:
    """The metallib of a wheel, of a folder, or itself, and what it is called.

    Errors: ValueError where there is none; OSError.
    """
    if path.is_dir():
        found = sorted(path.rglob(f"*{_LIBRARY}"))
        if not found:
            raise ValueError(f"no {_LIBRARY} in it; MLX for Linux has none, a wheel is given whole")
        return found[0].name, found[0].read_bytes()
    if not zipfile.is_zipfile(path):
        return path.name, path.read_bytes()
    with zipfile.ZipFile(path) as wheel:
        names = [name for name in wheel.namelist() if name.endswith(_LIBRARY)]
        if not names:
            raise ValueError(f"no {_LIBRARY} in it: is this a wheel of mlx-metal?")
        return f"{path.name}: {names[0]}", wheel.read(names[0])


def table(names: Sequence[str], head_width: int = HEAD_WIDTH) -> list[Row]:
    """The kernels among these functions for every precision and kind of mask."""
    rows = []
    for dtype in DTYPES:
        for mask, (pattern, kind) in MASKS.items():
            of_mask = kind.format(dtype=dtype)
            few = _FEW_NAMES[dtype]
            text = pattern.format(dtype=dtype, width=head_width, mask=of_mask, few=few)
            rows.append(Row(dtype, mask, [name for name in names if re.fullmatch(text, name)]))
    return rows


def markdown(rows: Sequence[Row]) -> Iterator[str]:
    """One line a precision and mask."""
    yield "| precision | mask | kernels |\n|---|---|---|"
    for row in rows:
        kernels = ", ".join(f"`{name}`" for name in row.kernels) or "**none**"
        yield f"| {row.dtype} | {row.mask} | {kernels} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 where a precision and mask have no kernel, or nothing can be read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, help="a wheel, a folder, or a .metallib")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    asked = parser.parse_args(arguments)
    try:
        name, library = read_library(asked.path)
        names = functions(library)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        print(f"error: {asked.path}: {error}", file=sys.stderr)
        return 1
    rows = table(names)
    if asked.json:
        listed = [asdict(row) for row in rows]
        print(json.dumps({"library": name, "functions": len(names), "attention": listed}, indent=1))
    else:
        print(f"{name}, {len(names):,} functions; head width {HEAD_WIDTH}:\n")
        print("\n".join(markdown(rows)))
    return 0 if all(row.kernels for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
