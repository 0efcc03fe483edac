"""Spellings of a path: some disks tell neither capitals nor normal forms apart, as most of a Mac's.

One file is one file there by whichever spelling it is reached; its own is the one that its folder
lists. Elsewhere ``a.jpg`` and ``A.jpg`` are two files, and so they are here.
"""

import os
import unicodedata

from .paths import FilePath


def fold(path: bytes) -> bytes:
    """What all spellings of a path have in common."""
    plain = unicodedata.normalize("NFD", os.fsdecode(path)).casefold()
    return os.fsencode(unicodedata.normalize("NFD", plain))


def spelled(path: bytes) -> bytes:
    """An absolute path as the folders on it list their names; where they cannot say, as given."""
    place = b"/"
    for name in filter(None, path.split(b"/")):
        given = os.path.join(place, name)  # noqa: PTH118  (bytes)
        place = _listed(place, name, given) if has_other_spellings(given) else given
    return place


def is_same_file(one: FilePath, other: FilePath) -> bool:
    """Whether two paths lead to one file by links or spellings, where inodes tell nothing too."""
    try:
        if not os.path.samefile(one, other):  # noqa: PTH121  (bytes)
            return False
    except (OSError, ValueError):
        return False
    real, other_real = map(os.path.realpath, map(os.fsencode, (one, other)))
    return fold(real) == fold(other_real)


def has_other_spellings(path: bytes) -> bool:
    """Whether a path's last name can be spelled otherwise, or another link has such a name."""
    folder, name = os.path.split(path)
    text = os.fsdecode(name)
    others = {text.swapcase(), *(unicodedata.normalize(form, text) for form in ("NFC", "NFD"))}
    try:
        status = os.lstat(path)
        return any(
            os.path.samestat(os.lstat(other), status)
            for other in (os.path.join(folder, os.fsencode(other)) for other in others - {text})  # noqa: PTH118
            if os.path.lexists(other)
        )
    except (OSError, ValueError):
        return False


def _listed(folder: bytes, name: bytes, path: bytes) -> bytes:
    try:
        names = os.listdir(folder)  # noqa: PTH208  (bytes)
    except OSError:
        return path
    alike = [name] if name in names else [each for each in names if fold(each) == fold(name)]
    return os.path.join(folder, *alike[:1]) if alike else path  # noqa: PTH118  (bytes)
