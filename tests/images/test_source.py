"""What is given as a picture: bytes, open files and arrays are read, the rest is told in a line."""

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from PIL import Image

import mlx_aimv2 as aimv2
from mlx_aimv2.errors import Aimv2Error, ImageError
from mlx_aimv2.images import decode
from mlx_aimv2.images.source import describe
from tests.support import pictures
from tests.support.albums import make_album
from tests.support.commands import run

MOST_CHARACTERS = 300


@pytest.fixture(scope="module")
def model() -> aimv2.Model:
    return aimv2.load("demo")


def pixels(source: object) -> np.ndarray:
    return np.asarray(decode.open_rgb(source))


def fails(source: object) -> ImageError:
    with pytest.raises(ImageError) as caught:
        decode.open_rgb(source)
    message = str(caught.value)
    assert caught.value.hint
    assert len(message) <= MOST_CHARACTERS and "\n" not in message
    return caught.value


@pytest.mark.parametrize("encoding", pictures.ENCODINGS)
def test_bytes_and_files_are_read_as_the_file_itself(encoding: str, tmp_path: Path) -> None:
    path = pictures.write(tmp_path, encoding, 29, 23)
    content, expected = path.read_bytes(), pixels(path)
    with path.open("rb") as file, path.open("rb", buffering=0) as unbuffered:
        for source in (
            content,
            bytearray(content),
            memoryview(content),
            io.BytesIO(content),
            file,
            unbuffered,
        ):
            np.testing.assert_array_equal(pixels(source), expected)


def test_a_file_is_read_from_its_start_and_left_where_it_stood(tmp_path: Path) -> None:
    path = pictures.write(tmp_path, "png", 29, 23)
    expected = pixels(path)
    with path.open("rb") as file, ThreadPoolExecutor(8) as pool:
        file.seek(7)
        for read in pool.map(pixels, [file] * 32):  # the same file, at once
            np.testing.assert_array_equal(read, expected)
        assert file.tell() == 7
        assert not file.closed


def test_a_pipe_is_read_from_where_it_stands(tmp_path: Path) -> None:
    path = pictures.write(tmp_path, "jpeg", 29, 23)
    reading, writing = os.pipe()
    os.write(writing, path.read_bytes())
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        np.testing.assert_array_equal(pixels(pipe), pixels(path))
        assert "is empty" in str(fails(pipe))


def test_what_can_only_be_read_is_read() -> None:
    class Body:  # of an answer from a network, as some libraries have them
        def read(self) -> bytes:
            return pictures.encoded(pictures.photo(29, 23), "PNG")

    np.testing.assert_array_equal(pixels(Body()), np.asarray(pictures.photo(29, 23)))


def test_members_of_archives(tmp_path: Path) -> None:
    path = pictures.write(tmp_path, "png", 29, 23)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, "a.png")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(path, "a.png")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive, archive.open("a.png") as member:
        np.testing.assert_array_equal(pixels(member), pixels(path))
    with tarfile.open(tmp_path / "a.tar") as tar:
        np.testing.assert_array_equal(pixels(tar.extractfile("a.png")), pixels(path))


@pytest.mark.parametrize("make", [np.asarray, mx.array], ids=["numpy", "mlx"])
@pytest.mark.parametrize(
    ("shape", "is_channels_first"),
    [
        ((3, 11, 13), True),
        ((4, 11, 13), True),
        ((1, 11, 13), True),
        ((3, 11, 3), False),
        ((3, 11, 4), False),
        ((4, 11, 3), False),
        ((3, 11, 1), False),
    ],
)
def test_channels_first_where_they_cannot_be_last(
    shape: tuple[int, ...], is_channels_first: bool, make: Callable[[np.ndarray], object]
) -> None:
    values = np.random.default_rng(5).integers(0, 256, shape, np.uint8)
    last = values.transpose(1, 2, 0) if is_channels_first else values
    expected = Image.fromarray(last[:, :, 0] if last.shape[2] == 1 else last)
    np.testing.assert_array_equal(pixels(make(values)), pixels(expected))


def test_arrays_of_mlx_of_every_kind(model: aimv2.Model) -> None:
    values = np.random.default_rng(5).integers(0, 256, (2, 3, 29, 23), np.uint8)
    expected = np.array(model.embed_images(list(values.transpose(0, 2, 3, 1))))
    batch = mx.array(values)
    for given in (batch, list(batch), batch.transpose(0, 2, 3, 1), batch / 255):
        np.testing.assert_allclose(np.array(model.embed_images(given)), expected, atol=1e-5)
    half = np.array(model.embed_images((batch / 255).astype(mx.bfloat16)))  # not NumPy's
    assert (half * expected).sum(axis=1).min() > 0.999
    pixels = model.preprocess(batch[0])
    np.testing.assert_array_equal(pixels, model.preprocess(values[0]))


def test_likeness_of_pictures_that_have_no_path(tmp_path: Path) -> None:
    paths = make_album(tmp_path / "album", 5)
    content = paths[3].read_bytes()
    with aimv2.Library(tmp_path / "library.db") as library:
        library.index(tmp_path / "album", model="demo")
        opened = np.asarray(Image.open(paths[3]))
        given = [content, io.BytesIO(content), Image.open(paths[3]), opened, mx.array(opened)]
        for like in [*given, [content], [content, opened]]:
            best = library.search(like=like, count=1).hits[0]
            assert best.file.path == os.fsencode(paths[3])
            assert best.score == pytest.approx(1, abs=1e-3)
        assert library.search(like=paths[3], count=1).hits[0].file.path != os.fsencode(paths[3])
        with pytest.raises(ImageError, match="99,999 bytes"):
            library.search(like=b"x" * 99_999)
        for nothing in (None, [None]):
            with pytest.raises(ImageError, match="<NoneType> is not a picture"):
                library.search(like=nothing)  # type: ignore[arg-type]


def closed_image(folder: Path, *, is_lazy: bool) -> Image.Image:
    picture = Image.open(pictures.write(folder, "png", 29, 23))
    if not is_lazy:
        picture.load()
    picture.close()
    return picture


def left_image(folder: Path) -> Image.Image:
    with Image.open(pictures.write(folder, "jpeg", 29, 23)) as picture:
        return picture


def closed_file(folder: Path) -> object:
    with pictures.write(folder, "png", 29, 23).open("rb") as file:
        return file


def test_progress_counts_pictures(model: aimv2.Model, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    pictures.photo(29, 23).save(path)
    array = np.asarray(Image.open(path))
    for given, count in (
        (str(path), 1),
        (path.read_bytes(), 1),
        (array, 1),
        (np.stack([array, array]), 2),
        ([path, array, mx.array(array)], 3),
    ):
        told: list[tuple[int, int | None]] = []
        model.embed_images(
            given, progress=lambda done, total, told=told: told.append((done, total))
        )
        assert told[-1] == (count, count)


class TestNonsense:
    """One short line each, whatever is in it."""

    def test_closed(self, tmp_path: Path) -> None:
        for source in (
            closed_file(tmp_path),
            closed_image(tmp_path, is_lazy=True),
            closed_image(tmp_path, is_lazy=False),
            left_image(tmp_path),
        ):
            assert "is closed" in str(fails(source))

    def test_text_mode(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("a.png\n")
        with (tmp_path / "a.txt").open() as file:
            assert str(fails(file)) == f"{tmp_path / 'a.txt'} is open for reading text"
        assert "rb" in fails(io.StringIO("a.png")).hint

    def test_not_open_for_reading(self, tmp_path: Path) -> None:
        with (tmp_path / "a.png").open("wb") as file:
            assert "is not open for reading" in str(fails(file))

    @pytest.mark.parametrize(
        "source",
        [
            b"",
            b"\xff" * 1_000_000,
            b"\x89PNG\r\n\x1a\n" + b"\0" * 1_000_000,
            io.BytesIO(b"a.png " * 100_000),
            np.array(["a.jpg", "b" * 10_000]),
            np.array([Path("a.jpg"), Path("b" * 10_000)], object),
            ["a.jpg"] * 10_000,
            {"a" * 10_000: 1},
            "a" * 10_000,
            "a\n" * 10_000,
            mx.zeros((2, 5, 7)),
            mx.zeros((5,)),
            object(),
            7,
            None,
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_is_told_in_a_short_line(self, source: object) -> None:
        fails(source)

    def test_through_the_model(self, model: aimv2.Model) -> None:
        for given in (
            b"\xff" * 1_000_000,
            np.array(["a.jpg"] * 99),
            [["a.jpg"] * 999],
            mx.zeros(()),
            mx.zeros((5,)),
            np.zeros(()),
            7,
            None,
        ):
            with pytest.raises(Aimv2Error) as caught:
                model.embed_images(given)  # type: ignore[arg-type]
            assert len(str(caught.value)) <= MOST_CHARACTERS
        (item,) = model.stream([b"\xff" * 1_000_000])
        assert item.path == "<1,000,000 bytes>"
        assert len(str(item.error)) <= MOST_CHARACTERS


@pytest.mark.filterwarnings("ignore::mlx_aimv2.errors.Aimv2Warning")  # texts are cut
@pytest.mark.parametrize(
    "call",
    [
        lambda model, text: model.embed_images(text),
        lambda model, text: model.embed_images("a.png", preset=text),
        lambda model, text: model.embed_images("a.png", pooling=text),
        lambda model, text: model.embed_images("a.png", decode=text),
        lambda model, text: model.embed_images("a.png", batch_size=text),
        lambda model, text: model.embed_images("a.png", on_error=text),
        lambda model, text: model.classify("a.png", text),
        lambda model, text: model.classify("a.png", [text, text]),
        lambda model, text: model.classify("a.png", ["a"], templates=text),
        lambda model, text: model.embed_texts(text.encode()),
        lambda model, text: aimv2.load(text),
        lambda model, text: aimv2.load("demo", tower=text),
        lambda model, text: model.save(text),
        lambda model, text: aimv2.Library(text).search("boat"),
        lambda model, text: aimv2.Library(text).index("album"),
        lambda model, text: aimv2.Library("library.db").search("boat", model=text),
    ],
)
def test_no_error_holds_more_than_300_characters_of_what_was_given(
    call: Callable[[aimv2.Model, str], object],
    model: aimv2.Model,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    make_album(tmp_path / "album", 1)
    aimv2.Library("library.db").index("album", model="demo")
    with pytest.raises(Aimv2Error) as caught:
        call(model, "nonsense " * 5000)
    assert len(str(caught.value)) <= MOST_CHARACTERS
    assert len(caught.value.hint) <= MOST_CHARACTERS


@pytest.mark.parametrize(
    "arguments",
    [
        "classify a.png -m demo -l a,b --preset LONG",
        "classify LONG -m demo -l a,b",
        "embed a.png -m demo -o LONG.npz",
        "embed a.png -m LONG -o a.npz",
        "search boat --library LONG",
        "search boat --count LONG",
        "index LONG --library a.db -m demo",
        "info LONG",
    ],
)
def test_no_command_prints_more_of_it(
    arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pictures.photo(29, 23).save("a.png")
    outcome = run(*arguments.replace("LONG", "nonsense" * 2000).split())
    assert outcome.code
    labels = len("skipped: ")
    assert max(map(len, outcome.err.splitlines())) <= MOST_CHARACTERS + labels


def test_a_long_path_is_still_named_by_its_ends() -> None:
    error = fails("first/" + "folder/" * 100 + "last.jpg")
    assert str(error).startswith("first/")
    assert str(error).endswith("folder/last.jpg does not exist")


def test_names_in_messages() -> None:
    assert describe(Path("ä/日本.jpg")) == "ä/日本.jpg"
    assert describe(Image.new("L", (3, 2))) == "<L image 3×2>"
    assert describe(np.zeros((2, 3, 3), np.uint8)) == "<array (2, 3, 3) uint8>"
    assert describe(mx.zeros((2, 3, 3))) == "<array (2, 3, 3) float32>"
    assert describe(b"abc") == "<3 bytes>"
    assert describe(io.BytesIO(b"abc")) == "<BytesIO>"
    assert describe(None) == "<NoneType>"
