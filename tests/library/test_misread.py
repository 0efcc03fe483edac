"""A library made before colour profiles were read: what they change is embedded again, once."""

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from mlx_aimv2.errors import Aimv2Warning
from mlx_aimv2.images.formats.tiff import Levels
from mlx_aimv2.library.duplicates.groups import files_to_compare, find_groups
from mlx_aimv2.library.library import Library
from tests.support import tiffs
from tests.support.albums import rows_of
from tests.support.commands import run
from tests.support.profiles import drawing, wide_copy

WIDE, PLAIN = 3, 4


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def album(tmp_path: Path) -> Path:
    for number in range(PLAIN):
        (tmp_path / "album" / "plain").mkdir(parents=True, exist_ok=True)
        drawing(1000 + number, 256).save(tmp_path / "album" / "plain" / f"{number}.png")
    for number in range(WIDE):
        (tmp_path / "album" / "wide").mkdir(parents=True, exist_ok=True)
        wide_copy(tmp_path / "album" / "wide" / f"{number}.png", 1000 + number, "prophoto")
    return tmp_path / "album"


def make_older(path: Path, monkeypatch: pytest.MonkeyPatch, album: Path) -> None:
    """A library as it was made when profiles were ignored, and TIFFs read as Pillow has them."""
    with monkeypatch.context() as patch:
        patch.setattr("mlx_aimv2.images.decode.colour_of", lambda _image, _mode: (None, None))
        patch.setattr("mlx_aimv2.images.decode.read_levels", lambda _image, _name: Levels())
        Library(path).index(album, model="demo")
    with sqlite3.connect(path) as database:
        database.execute("UPDATE files SET colours = NULL")
        database.execute(
            "UPDATE sets SET settings = json_remove(settings, '$.preprocessing.colours')"
        )


def test_only_what_differs_is_embedded_again(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "library.db"
    make_older(path, monkeypatch, album)
    with Library(path) as library:
        assert len(find_groups(files_to_compare(library.store, library.store.serving()))) == 0
    outcome = run("index", "--library", str(path), "--json")
    assert outcome.code == 0
    assert outcome.records[0]["embedded"] == outcome.records[0]["recoloured"] == WIDE
    assert outcome.records[0]["unchanged"] == PLAIN
    assert "read again, because their colour profiles were ignored" in outcome.err
    fresh = Library(tmp_path / "fresh.db")
    fresh.index(album, model="demo")
    with Library(path) as library, fresh:
        assert len(library.duplicates()) == WIDE
        serving = library.store.serving()
        assert serving is not None and serving.settings["preprocessing"]["colours"] == "srgb"
    # The file's facts, its signature and the bits of its vector, but not its row.
    found, expected = (
        {(*row[1:6], row[-1]) for row in rows_of(each.path)} for each in (library, fresh)
    )
    assert found == expected
    again = run("index", "--library", str(path), "--json")
    assert (again.records[0]["embedded"], again.records[0]["recoloured"]) == (0, 0)
    assert "colour" not in again.err


def test_tiffs_that_were_read_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    album, path = tmp_path / "album", tmp_path / "library.db"
    album.mkdir()
    colours = np.asarray(drawing(1000), "<u2") * 257
    grey = colours[..., 1]
    (album / "right.tif").write_bytes(tiffs.picture(grey, photometric=1))
    (album / "negative.tif").write_bytes(tiffs.picture(65535 - grey, photometric=0))
    (album / "noise.tif").write_bytes(tiffs.picture(colours, photometric=2, is_planar=True))
    make_older(path, monkeypatch, album)
    outcome = run("index", "--library", str(path), "--json")
    assert (outcome.records[0]["embedded"], outcome.records[0]["unchanged"]) == (1, 1)
    assert "noise.tif is a TIFF of a kind that is not read here" in outcome.err
    assert "or they are TIFFs that were read wrong: 2 photos" in outcome.err
    with Library(path) as library:
        (group,) = library.duplicates()
        assert {Path(each).name for each in group.paths} == {"negative.tif", "right.tif"}
        assert len(library.search("something", min_score=-1.0).hits) == 2


def test_other_folders_are_told_and_left(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "library.db"
    make_older(path, monkeypatch, album)
    outcome = run("index", str(album / "plain"), "--library", str(path))
    assert f"{WIDE} photos in other folders or out of reach" in outcome.err
    with Library(path) as library:
        assert library.store.unembedded(1) == 0  # what is not read again is still found
        serving = library.store.serving()
        assert serving is not None and "colours" not in serving.settings["preprocessing"]
        for compare in (library.duplicates, lambda: library.search(like=album / "plain" / "0.png")):
            with pytest.warns(Aimv2Warning, match=f"{WIDE} photos were read while colour"):
                compare()
    outcome = run("index", "--library", str(path), "--json")
    assert outcome.records[0]["recoloured"] == WIDE


def test_what_is_out_of_reach_is_looked_at_later(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "library.db"
    make_older(path, monkeypatch, album)
    album.rename(tmp_path / "away")
    run("index", "--library", str(path))
    (tmp_path / "away").rename(album)
    outcome = run("index", "--library", str(path), "--json")
    assert (outcome.records[0]["recoloured"], outcome.records[0]["unchanged"]) == (WIDE, PLAIN)


def test_a_copy_does_not_share_a_vector_made_before(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "library.db"
    make_older(path, monkeypatch, album)
    copies = tmp_path / "copies"
    shutil.copytree(album / "wide", copies)
    outcome = run("index", str(copies), "--library", str(path), "--json")
    assert (outcome.records[0]["embedded"], outcome.records[0]["recognised"]) == (WIDE, 0)
