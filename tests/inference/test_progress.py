"""How far a piece of work is, told to a function or shown as a bar."""

from pathlib import Path

import numpy as np
import pytest

import mlx_aimv2 as aimv2
from tests.support.albums import make_album


@pytest.fixture(scope="module")
def model() -> aimv2.Model:
    return aimv2.load("demo")


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return make_album(tmp_path / "album", 3)


def test_a_function_is_told_of_each_image(model: aimv2.Model, paths: list[Path]) -> None:
    told: list[tuple[int, int | None]] = []

    def tell(done: int, total: int | None) -> None:
        told.append((done, total))

    model.embed_images(paths, progress=tell)
    assert told == [(1, 3), (2, 3), (3, 3)]
    told.clear()
    list(model.stream(iter(paths), progress=tell))
    assert told == [(1, None), (2, None), (3, None)]
    told.clear()
    model.classify(paths[0], ["dog"], progress=tell)
    assert [done for done, _ in told] == [1]
    told.clear()
    with aimv2.Library(paths[0].parent.parent / "library.db") as library:
        library.index(paths[0].parent, model="demo", progress=tell)
        assert told == [(1, 3), (2, 3), (3, 3)]
        told.clear()
        library.index(progress=tell)
        assert told == []


def test_a_bar_goes_to_stderr(
    model: aimv2.Model, paths: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    model.embed_images(paths, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "3/3" in err
    with aimv2.Library(paths[0].parent.parent / "library.db") as library:
        library.index(paths[0].parent, model="demo", progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "3/3" in err
    model.embed_images(paths)
    assert capsys.readouterr() == ("", "")


def test_several_images_are_preprocessed_together(model: aimv2.Model, paths: list[Path]) -> None:
    together = model.preprocess(paths)
    assert together.shape == (3, 112, 112, 3)
    for path, pixels in zip(paths, together, strict=True):
        np.testing.assert_array_equal(pixels, model.preprocess(path))
    assert model.preprocess([]).shape == (0, 112, 112, 3)


def test_pictures_are_found_by_name(model: aimv2.Model, paths: list[Path]) -> None:
    found = aimv2.find_images([paths[0].parent])
    assert [item.path for item in found] == [str(path) for path in paths]
    by_name = model.embed_images(aimv2.find_images(paths[0].parent))
    np.testing.assert_array_equal(by_name, model.embed_images(paths))
