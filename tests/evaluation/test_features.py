"""Vectors kept on disk: made once, made anew where a picture has changed, tried again if broken."""

import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

import mlx_aimv2 as aimv2
from mlx_aimv2.errors import Aimv2Error, OutputError
from mlx_aimv2.evaluation.data_sets.part import Part, read_classes
from mlx_aimv2.evaluation.features import Features, open_cache, read_features
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.inference.model import Model
from tests.support.data_sets import write_classes
from tests.support.makers import random_vision, vision_config, write_checkpoint
from tests.support.pictures import photo
from tests.support.tars import small_picture, write_tar
from tests.support.users import as_ordinary_user


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("checkpoint")
    write_checkpoint(folder, random_vision(), vision_config())
    return aimv2.load(str(folder))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_classes(tmp_path / "data", {"test": {"a": 5, "b": 6}})


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pictures that were embedded."""
    seen: list[str] = []
    samples = Model.samples

    def noted(self, plan, images, *more):
        images = list(images)
        named = [each for each in images if not isinstance(each, bytes)]
        seen.extend(Path(getattr(each, "name", each)).name for each in named)
        return samples(self, plan, images, *more)

    monkeypatch.setattr(Model, "samples", noted)
    return seen


def read(part: Part, model: Model, cache: Path, **options: object) -> Features:
    images = ImageOptions(**{"pooling": "mean", **options})
    return read_features(part, model, images, cache, lambda done, total: None)


def test_vectors_are_the_models_and_are_made_once(
    data: Path, model: Model, tmp_path: Path, made: list[str]
) -> None:
    part = read_classes(data, "test")
    first = read(part, model, tmp_path / "cache")
    assert len(made) == 11
    made.clear()
    again = read(part, model, tmp_path / "cache")
    assert not made
    np.testing.assert_array_equal(first.vectors, again.vectors)
    expected = np.array(model.embed_images(part.pictures, pooling="mean"))
    np.testing.assert_allclose(again.units, expected, atol=1e-6)
    lengths = np.linalg.norm(again.vectors, axis=1)
    assert np.ptp(lengths) > 1e-3  # kept as they come from the checkpoint


def test_what_makes_other_vectors_is_kept_apart(
    data: Path, model: Model, tmp_path: Path, made: list[str]
) -> None:
    part = read_classes(data, "test")
    for options in ({}, {"preset": "ml-aim"}, {"as_stored": True}, {"decode": "fast"}):
        made.clear()
        read(part, model, tmp_path / "cache", **options)
        assert len(made) == 11, options


def test_a_changed_picture_alone_is_made_anew(
    data: Path, model: Model, tmp_path: Path, made: list[str]
) -> None:
    part = read_classes(data, "test")
    before = read(part, model, tmp_path / "cache")
    photo(50, 60, 9).save(part.pictures[3])
    os.utime(part.pictures[3], ns=(1, 1))
    made.clear()
    after = read(part, model, tmp_path / "cache")
    assert made == ["3.png"]
    same = (before.vectors == after.vectors).all(axis=1)
    assert same.tolist() == [place != 3 for place in range(11)]


def test_broken_pictures_are_named_left_out_and_tried_again(
    data: Path, model: Model, tmp_path: Path, made: list[str]
) -> None:
    part = read_classes(data, "test")
    content = Path(part.pictures[7]).read_bytes()
    Path(part.pictures[7]).write_bytes(b"no picture")
    features = read(part, model, tmp_path / "cache")
    assert [str(error).partition(" ")[0] for error in features.errors] == [part.pictures[7]]
    assert features.places.tolist() == [place for place in range(11) if place != 7]
    made.clear()
    Path(part.pictures[7]).write_bytes(content)
    assert len(read(part, model, tmp_path / "cache").places) == 11
    assert made == ["2.png"]  # the eighth is the third of its class


def test_no_picture_that_can_be_read(data: Path, model: Model, tmp_path: Path) -> None:
    part = read_classes(data, "test")
    for picture in part.pictures:
        Path(picture).write_bytes(b"no picture")
    with pytest.raises(Aimv2Error, match="none of the 11 pictures in test could be read"):
        read(part, model, tmp_path / "cache")


def test_a_stopped_run_keeps_what_is_done(
    data: Path, model: Model, tmp_path: Path, made: list[str]
) -> None:
    part = read_classes(data, "test")

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_features(part, model, ImageOptions(pooling="mean"), tmp_path / "cache", stop)
    made.clear()
    read(part, model, tmp_path / "cache")
    assert len(made) == 7


def test_a_damaged_cache_is_told(data: Path, model: Model, tmp_path: Path) -> None:
    part = read_classes(data, "test")
    read(part, model, tmp_path / "cache")
    (file,) = (tmp_path / "cache").glob("*.db")
    file.write_bytes(b"not a database" * 999)
    with pytest.raises(OutputError, match="cannot be used") as raised:
        read(part, model, tmp_path / "cache")
    assert "remove that file" in raised.value.hint


@as_ordinary_user
def test_a_folder_that_takes_no_cache(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="cannot be made"), open_cache(tmp_path / "c", {}):
            pass
    finally:
        tmp_path.chmod(0o700)


def test_the_database_s_errors_are_the_caches_only(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="another"), open_cache(tmp_path, {}):
        raise OSError("another")
    with pytest.raises(OutputError), open_cache(tmp_path, {}):
        raise sqlite3.OperationalError("disk I/O error")


@pytest.mark.usefixtures("at_home")
def test_pictures_in_shards(model: Model, tmp_path: Path, made: list[str]) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "nshards.txt").write_text("1")
    pictures = [small_picture(number) for number in range(3)]

    def write(contents: list[bytes]) -> Part:
        members = [
            (f"{number}.{suffix}", content)
            for number, picture in enumerate(contents)
            for suffix, content in (("png", picture), ("cls", b"1"))
        ]
        write_tar(tmp_path / "test" / "0.tar", members)
        return read_classes(tmp_path, "test")

    part = write([pictures[0], b"no picture", pictures[2]])
    features = read(part, model, tmp_path / "cache")
    assert features.places.tolist() == [0, 2]
    assert str(features.errors[0]).startswith(f"{tmp_path}/test/0.tar/1 ")
    expected = np.array(model.embed_images(pictures[::2], pooling="mean"))
    np.testing.assert_allclose(features.units, expected, atol=1e-6)
    made.clear()
    read(part, model, tmp_path / "cache")
    assert made == ["1"]
    made.clear()
    part = write([*pictures[:2], pictures[0]])
    os.utime(tmp_path / "test" / "0.tar", ns=(1, 1))
    read(part, model, tmp_path / "cache")
    assert made == ["0", "1", "2"]  # the shard has changed
