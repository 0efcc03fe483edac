"""Files of a checkpoint that are not what their names say: what they are, and what to do."""

import json
import re
import zipfile
from pathlib import Path

from mlx_aimv2.errors import CheckpointError

START_BYTES = 512
_AGAIN = "fetch the checkpoint again"
_POINTER = (
    "a Git LFS pointer, not the file itself",
    "fetch the file it stands for, in its folder: git lfs install && git lfs pull",
)
_PAGE = (
    "a web page, not the file itself",
    "the download got a page instead, of an error or a login: fetch the file again",
)
_NOT_IN_TEXT = re.compile(rb"[^\t\n\r -~]")
_SAFETENSORS_ONLY = "only safetensors are read: take the checkpoint's model.safetensors"
_PICKLED = (
    "pickled weights of PyTorch",
    "unpickling can run code, so they are not read: take a model.safetensors, or convert them",
)
Kinds = tuple[tuple[bytes, str, str], ...]
# First bytes, white space aside, in any case: what a file is, and what to do about it.
_OF_ANY_NAME: Kinds = (
    (rb"version https://git-lfs\.github\.com/spec/", *_POINTER),
    (rb"<(!doctype html|html|head)", *_PAGE),
)
_KINDS: Kinds = (
    *_OF_ANY_NAME,
    (rb"<!--", *_PAGE),
    (rb"<\?xml|<error", "an answer in XML, not the file itself", _PAGE[1]),
    (rb"\x80[\x02-\x05]", *_PICKLED),
    (rb"GGUF", "a GGUF file, for llama.cpp", _SAFETENSORS_ONLY),
    (rb"\x93NUMPY", "an array of NumPy", _SAFETENSORS_ONLY),
    (rb"\x89HDF", "an HDF5 file", _SAFETENSORS_ONLY),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd", "a compressed file", "unpack it first"),
    (rb".{257}ustar", "a tar archive", "unpack it first"),
)


def unfit(path: Path, wanted: str, error: Exception) -> CheckpointError:
    """The error for a file that could not be read as what is wanted, like "readable JSON"."""
    if kind := _kind(path):
        return CheckpointError(f"{path} is {kind[0]}", hint=kind[1])
    reason = str(error).partition("\n")[0][:200]
    return CheckpointError(f"{path} is not {wanted}: {reason}", hint=_AGAIN)


def stand_in(start: bytes) -> tuple[str, str] | None:
    """What stands in the place of a file of any kind, and what to do; from its first bytes."""
    return _first(_OF_ANY_NAME, start)


def _first(kinds: Kinds, start: bytes) -> tuple[str, str] | None:
    start = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    matching = (
        (what, hint)
        for sign, what, hint in kinds
        if re.match(sign, start, re.DOTALL | re.IGNORECASE)
    )
    return next(matching, None)


def _kind(path: Path) -> tuple[str, str] | None:
    try:
        with path.open("rb") as file:
            start = file.read(START_BYTES)
    except OSError:
        return None
    kind = None
    if not start.strip(b"\0"):
        kind = "nothing but NULs, of a download that was cut off" if start else "empty", _AGAIN
    elif start.startswith(b"PK"):
        kind = _archive(path)
    else:
        kind = _first(_KINDS, start)
    if kind is None and path.suffix == ".safetensors":
        is_text = not _NOT_IN_TEXT.search(start)
        kind = ("a text file, not the file itself", _PAGE[1]) if is_text else _cut_off(path)
    return kind


def _archive(path: Path) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        names = []
    if any(name.endswith("data.pkl") for name in names):
        return _PICKLED
    if names and all(name.endswith(".npy") for name in names):
        return "an archive of NumPy arrays (.npz)", _SAFETENSORS_ONLY
    return "a zip archive", "unpack it first"


def _cut_off(path: Path) -> tuple[str, str] | None:
    """Whether a safetensors file ends before what its header promises."""
    try:
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = file.read(min(length, size_bytes))
        if size_bytes < 8 + length and header[:1] == b"{":
            return f"cut off in its header, after {size_bytes:,} bytes", _AGAIN
        ends = (each.get("data_offsets", (0, 0))[1] for each in json.loads(header).values())
        end = 8 + length + max(ends)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    if size_bytes < end:
        return f"cut off: {size_bytes:,} of {end:,} bytes are there", _AGAIN
    return None
