"""Photos and sidecars that a test has on its disk, and what it knows of them.

A photo's content is known here by its hash, as it is to the library.
"""

import os
import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from mlx_aimv2.library.database import edits
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.tagging import calibration
from tests.support import tiffs, xmp_editor
from tests.support.owners_word import Owner
from tests.support.pictures import encoded

_NOON = "2024:05:31 12:00:00"


class Ground:
    """A folder of photos with their sidecars, a library that is watched, and another one on it.

    Beside them is what the owner said, and what others wrote, by plain rules of its own.
    """

    def __init__(self, scratch: Path, patch: pytest.MonkeyPatch) -> None:
        self.scratch, self.folder = scratch, scratch / "photos"
        self.folder.mkdir(exist_ok=True)
        self.library, self.other = Library(scratch / "library.db"), Library(scratch / "other.db")
        self.owner = Owner()
        self.contents: dict[str, str] = {}  # of photos, by name
        self.indexed: dict[str, str] = {}  # as the library knows them
        self.bytes: dict[str, bytes] = {}  # of photos, by name
        self.inside: dict[str, dict[str, set[xmp_editor.Entry]]] = {}  # others' keywords in photos
        self.foreign: dict[str, set[xmp_editor.Entry]] = {}  # and in sidecars
        # What others wrote, as XML, and as bytes where this program had no part in them.
        self.base: dict[str, tuple[str, bytes | None]] = {}
        self.old: dict[str, tuple[bytes, set[xmp_editor.Entry]]] = {}  # backups of sidecars
        self.stale: set[str] = set()  # sidecars of which only the next writing can be judged
        self.left: set[str] = set()  # sidecars whose photos were moved away
        self.gone: dict[str, dict[str, bool]] = {}  # ours that others took out of sidecars
        self.added: set[tuple[str, str]] = set()  # by others, and not yet looked at
        self.rejected_elsewhere: set[tuple[str, str]] = set()
        self.others_have_tagged = False
        self.has_old_names = False  # of keywords that were read under a name that was undone
        self.count = 0
        self.dice: random.Random | None = None  # which tags fit; None: all
        self.now_s = 2_000_000_000  # later than any file of this test
        patch.setattr(calibration, "choose", self._choose)
        patch.setattr(edits, "datetime", SimpleNamespace(now=self._now))

    def close(self) -> None:
        self.library.close()
        self.other.close()

    def new_photo(self, *, has_raw: bool = False) -> str:
        stem = self._next()
        self._save(f"{stem}.jpg", encoded(noise(self.count), "JPEG", exif=_dated()))
        if has_raw:
            self.add_raw(f"{stem}.jpg")
        return f"{stem}.jpg"

    def add_raw(self, name: str) -> None:
        """The RAW of a shot comes to its picture."""
        self._next()
        preview = encoded(noise(self.count).resize((64, 64)), "JPEG")
        inner = {int(ExifTags.Base.DateTimeOriginal): tiffs.text(_NOON)}
        self._save(name.replace(".jpg", ".dng"), tiffs.dng(preview, inner=inner, size=(64, 64)))

    def names(self) -> list[str]:
        return sorted(self.contents)

    def known(self) -> set[str]:
        """The photos that the library knows as they are and where they are."""
        return {name for name in self.contents if self.indexed.get(name) == self.contents[name]}

    def mates(self, name: str) -> list[str]:
        """All files of a photo's shot, the picture first."""
        stem = name.partition(".")[0]
        return [each for each in (f"{stem}.jpg", f"{stem}.dng") if each in self.contents]

    def photo_of(self, side: str) -> str | None:
        """The photo that a sidecar is of; a short name beside a RAW is the RAW's."""
        stem = side.removesuffix(".xmp")
        names = (stem, f"{stem}.dng", f"{stem}.jpg")
        return next((name for name in names if name in self.contents), None)

    def sidecars(self) -> list[str]:
        """The sidecars beside their photos."""
        return sorted(path.name for path in self.folder.glob("*.xmp") if self.photo_of(path.name))

    def data(self, side: str) -> bytes:
        return (self.folder / side).read_bytes()

    def inside_of(self, name: str) -> set[xmp_editor.Entry]:
        """The keywords in a picture, whose ever they are."""
        with Image.open(self.folder / name) as image:
            return xmp_editor.entries(image.info.get("xmp", xmp_editor.NEW))

    def write(self, side: str, data: bytes) -> None:
        """Another program writes a sidecar anew."""
        (self.folder / side).write_bytes(data)
        self.foreign[side] = xmp_editor.entries(data)
        self._written(side)

    def _now(self, zone: object = None) -> datetime:
        """Each thing happens at a time of its own."""
        self.now_s += 2
        return datetime.fromtimestamp(self.now_s, UTC)

    def _choose(self, sure: Any, *options: Any) -> Any:
        """Tags at random, as good as any: which are given is not what is tested."""
        dice = self.dice
        chosen = [[dice is None or dice.random() < 0.5 for _ in row] for row in sure]
        return np.array(chosen, bool).reshape(sure.shape)

    def _next(self) -> str:
        self.count += 1
        return str(self.count)

    def _save(self, name: str, data: bytes) -> None:
        (self.folder / name).write_bytes(data)
        self.bytes[name] = data
        self.contents[name] = blake2b(data, digest_size=16).hexdigest()

    def _carry(
        self, name: str, new: str, how: Callable[[Path, Path], object], with_sidecars: bool
    ) -> None:
        sides = [side for side in self.sidecars() if self.photo_of(side) == name]
        how(self.folder / name, self.folder / new)
        self.left.update(() if with_sidecars else sides)
        self.contents[new], self.bytes[new] = self.contents[name], self.bytes[name]
        if name in self.inside:
            self.inside[new] = {tag: set(each) for tag, each in self.inside[name].items()}
        self.added |= {(new, tag) for each, tag in self.added if each == name}
        for was in sides if with_sidecars else ():
            now = new.partition(".")[0] + was[was.index(".") :]
            how(self.folder / was, self.folder / now)
            if was in self.gone:
                self.gone[now] = dict.fromkeys(self.gone[was], False)
            self.foreign[now] = set(self.foreign.get(was, set()))
            if was in self.base:  # undone by its own notes, as the same XML
                self.base[now] = self.base[was][0], None
            self.stale.add(now)

    def _shot(self, name: str) -> list[str]:
        """The contents of all files of a shot, as the library knows it."""
        stem = name.partition(".")[0]
        return [
            self.indexed[each] for each in sorted(self.indexed) if each.partition(".")[0] == stem
        ]

    def id_of(self, library: Library) -> str:
        return library.store.setting("library_id") or ""

    def _numbers(self) -> set[int]:
        is_there = self.library.path.exists()
        return {each.number for each in self.library.tag_history()} if is_there else set()

    def _made(self, edit: Callable[[], object], said: Callable[[], object]) -> None:
        """Make an edit, and in the model what it says."""
        before = self._numbers()
        edit()
        self._attribute(before, said)

    def _attribute(self, before: set[int], said: Callable[[], object]) -> None:
        """What was said is undone with the edit that is new."""
        new = sorted(self._numbers() - before)
        changes = self.owner.change(lambda: (said(), None)[1])
        if new and changes:
            self.owner.edits[new[-1]] = changes

    def _doubt_what_is_gone(self) -> None:
        """Before the index has looked, something else may have taken it out, or said more."""
        for gone in self.gone.values():
            gone.update(dict.fromkeys(gone, False))

    def _doubt_sidecars(self, contents: Iterable[str]) -> None:
        """Sidecars of these contents, copies' too, follow with the next edit or run."""
        some = set(contents)
        known = [*self.indexed.items(), *self.contents.items()]
        stems = {name.partition(".")[0] for name, content in known if content in some}
        self.stale |= {side for side in self.sidecars() if side.partition(".")[0] in stems}

    def shown(self, names: Iterable[str]) -> dict[str, dict[str, list[str]]]:
        """The tags and origins of these photos, which the library knows."""
        if not self.library.path.exists():
            return {}
        with Store(self.library.path) as store:
            files = {name: store.file_at(os.fsencode(self.folder / name)) for name in names}
            ids = {name: file.id for name, file in files.items() if file is not None}
            assert len(ids) == len(files)
            shown = store.origins_of(list(ids.values()))
        return {name: shown[id] for name, id in ids.items()}

    def _written(self, side: str) -> None:
        """Another program wrote a sidecar."""
        os.utime(self.folder / side, (when := self._now().timestamp(), when))
        data = self.data(side)
        is_alone = not any(b"mlx-aimv2/ns" in each for each in (data, data.replace(b"\0", b"")))
        self.base[side] = xmp_editor.others_part(data), data if is_alone else None
        self.stale.add(side)


def noise(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return Image.fromarray(pixels)


def _dated() -> bytes:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[int(ExifTags.Base.DateTimeOriginal)] = _NOON
    return exif.tobytes()


def picture(image: Image.Image, packet: bytes | None) -> bytes:
    return encoded(image, "JPEG", exif=_dated(), **({"xmp": packet} if packet else {}))
