"""A photo is read from one opened file: pixels, hash, facts and signature."""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlx_aimv2 as aimv2
from mlx_aimv2.errors import ImageError
from mlx_aimv2.images.decode import open_picture
from mlx_aimv2.images.metadata.exif import read_facts
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.inference.preprocessing import Plan
from mlx_aimv2.inference.records import Sample
from mlx_aimv2.library.indexing.photo_reader import read_photo
from mlx_aimv2.library.signature import make_signature
from mlx_aimv2.library.thumbnails.store import Thumbnails
from tests.support import pictures


@pytest.fixture(scope="module")
def plan() -> Plan:
    return aimv2.load("demo", tower="image").plan(ImageOptions())


@pytest.mark.parametrize("encoding", ["jpeg", "png", "tiff", "webp", "heif"])
def test_a_photo_is_opened_once(
    plan: Plan, encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = pictures.write(tmp_path, encoding, 127, 89)
    alone, sample = Sample(0, str(photo)), Sample(0, str(photo))
    plan.read(alone)
    facts, signature = read_facts(photo), make_signature(open_picture(photo))
    opened: list[str] = []
    open_file = os.open

    def note(path: Any, *arguments: Any, **options: Any) -> int:
        opened.append(os.fsdecode(path))
        return open_file(path, *arguments, **options)

    monkeypatch.setattr(os, "open", note)
    read_photo(plan, Thumbnails(tmp_path / "library.db"), sample)
    assert opened == [str(photo)]
    assert alone.pixels is not None
    np.testing.assert_array_equal(sample.pixels, alone.pixels)
    assert sample.facts.hash == hashlib.blake2b(photo.read_bytes(), digest_size=16).digest()
    assert (sample.facts.facts, sample.facts.signature) == (facts, signature)


def test_what_cannot_be_read_has_neither_pixels_nor_facts(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    sample = Sample(0, str(tmp_path / "a.jpg"))
    with pytest.raises(ImageError, match=r"a\.jpg"):
        read_photo(plan, Thumbnails(tmp_path / "library.db"), sample)
    assert sample.pixels is sample.facts is None
