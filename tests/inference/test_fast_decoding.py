"""Fast decoding: smaller pictures out of the decoder, and the same geometry, errors and limits."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import ExifTags, Image

import mlx_aimv2 as aimv2
from mlx_aimv2.errors import ImageError, UsageError
from mlx_aimv2.images import decode, fit, patches, presets
from mlx_aimv2.images.metadata.exif import read_facts
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.inference.model import Model
from mlx_aimv2.inference.preprocessing import Plan
from mlx_aimv2.inference.records import Sample
from mlx_aimv2.library.indexing.photo_reader import read_photo
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.signature import similarity, stack
from mlx_aimv2.library.thumbnails.store import Thumbnails
from tests.support import pictures
from tests.support.commands import run
from tests.support.tolerances import BATCH_MATES

HUB, ML_AIM = presets.PRESETS["hub"], presets.PRESETS["ml-aim"]
JPEGS = ["jpeg", "jpeg-progressive", "jpeg-grey", "jpeg-cmyk", "mpo"]
ORIENTATIONS = range(1, 9)
MIN_COSINE = 0.995
PATCH, MAX_PATCHES = 14, 120


def fixed(path: Path, side_px: int, preset: presets.Preset = HUB) -> tuple[decode.Picture, ...]:
    """A picture decoded exactly and fast, for that side."""

    def shrink(width_px: int, height_px: int) -> float:
        return fit.shrink(width_px, height_px, side_px, preset)

    return decode.open_picture(path), decode.open_picture(path, shrink=shrink)


def native(path: Path) -> tuple[NDArray[np.int16], NDArray[np.int16], int]:
    """A native picture's pixels, exact and fast, and what the fast one's sides were divided by."""

    def shrink(width_px: int, height_px: int) -> float:
        return patches.shrink(width_px, height_px, PATCH, MAX_PATCHES)

    opened = decode.open_picture(path), decode.open_picture(path, shrink=shrink)
    exact, fast = (patches.fit(each, PATCH, MAX_PATCHES).astype(np.int16) for each in opened)
    return exact, fast, opened[1].reduction


def save(path: Path, picture: Image.Image, orientation: int = 1, **options: object) -> Path:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    picture.save(path, "JPEG", quality=95, exif=exif.tobytes(), **options)
    return path


def ramp(width: int, height: int) -> Image.Image:
    """Brighter to the right (red) and to the bottom (green): half a pixel's shift is seen."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width)
    pixels[..., 1] = np.linspace(0, 255, height)[:, None]
    return Image.fromarray(pixels)


class TestExact:
    @pytest.mark.parametrize("encoding", pictures.ENCODINGS)
    def test_what_is_small_is_decoded_exactly(self, encoding: str, tmp_path: Path) -> None:
        exact, fast = fixed(pictures.write(tmp_path, encoding, 67, 53), 17)
        assert fast.reduction == 1
        assert fast.image.tobytes() == exact.image.tobytes()

    @pytest.mark.parametrize("encoding", sorted(set(pictures.ENCODINGS) - set(JPEGS)))
    def test_what_is_no_jpeg_is_decoded_exactly(self, encoding: str, tmp_path: Path) -> None:
        exact, fast = fixed(pictures.write(tmp_path, encoding, 211, 157), 7)
        assert (fast.reduction, fast.size) == (1, (211, 157))
        assert fast.image.tobytes() == exact.image.tobytes()

    def test_what_was_given_open_is_not_changed(self, tmp_path: Path) -> None:
        file = pictures.write(tmp_path, "jpeg", 211, 157)
        with Image.open(file) as given_open:
            opened = decode.open_picture(given_open, shrink=lambda _width, _height: 99)
            assert opened.image.size == given_open.size == (211, 157)
        array = np.asarray(pictures.photo(211, 157))
        assert decode.open_picture(array, shrink=lambda _width, _height: 99).reduction == 1

    def test_native_pictures_that_are_not_resized(self, tmp_path: Path) -> None:
        exact, fast, reduction = native(save(tmp_path / "a", pictures.photo(167, 139)))
        assert reduction == 1
        np.testing.assert_array_equal(fast, exact)


class TestReduction:
    @given(st.integers(1, 900), st.integers(1, 900), st.integers(1, 64))
    @settings(deadline=None, max_examples=40)
    def test_twice_the_target_is_left_and_no_more_than_needed(
        self, tmp_path_factory: pytest.TempPathFactory, width: int, height: int, side_px: int
    ) -> None:
        file = save(tmp_path_factory.mktemp("picture") / "a", Image.new("RGB", (width, height)))
        _, fast = fixed(file, side_px)
        times = fit.shrink(width, height, side_px, HUB)
        assert fast.size == (width, height)
        assert fast.reduction == max([1, *(each for each in (2, 4, 8) if 2 * each <= times)])
        assert fast.image.size == (-(-width // fast.reduction), -(-height // fast.reduction))

    def test_by_the_side_that_is_made_smallest(self) -> None:
        assert fit.shrink(4000, 3000, 224, HUB) == pytest.approx(3000 / 224, rel=0.01)
        assert fit.shrink(4000, 3000, 224, ML_AIM) == 3000 / 256
        assert patches.shrink(4000, 3000, 14) == min(4000 / (73 * 14), 3000 / (55 * 14))
        assert patches.shrink(640, 480, 14) == 1


class TestGeometry:
    @pytest.mark.parametrize("size", [(401, 307), (307, 401), (397, 397), (1609, 401)])
    @pytest.mark.parametrize("orientation", ORIENTATIONS)
    def test_no_shift_at_prime_sizes(
        self, orientation: int, size: tuple[int, int], tmp_path: Path
    ) -> None:
        file = save(tmp_path / "a", ramp(*size), orientation, subsampling=0)
        for side_px, preset in ((23, HUB), (37, ML_AIM), (11, HUB)):
            exact, fast = fixed(file, side_px, preset)
            assert fast.reduction > 1
            assert fast.size == exact.size == exact.image.size
            pixels = (fit.fit(each, side_px, preset).astype(int) for each in (exact, fast))
            assert abs(np.subtract(*pixels)).max() <= 2

    @pytest.mark.parametrize("orientation", ORIENTATIONS)
    def test_native_grids_are_those_of_the_whole_picture(
        self, orientation: int, tmp_path: Path
    ) -> None:
        file = save(tmp_path / "a", ramp(1601, 1201), orientation, subsampling=0)
        exact, fast, reduction = native(file)
        assert reduction == 4
        assert fast.shape == exact.shape
        assert abs(exact - fast).max() <= 2

    @pytest.mark.parametrize("size", [(3001, 31), (31, 3001), (9001, 90), (90, 9001), (1, 5000)])
    def test_strips(self, size: tuple[int, int], tmp_path: Path) -> None:
        file = save(tmp_path / "a", ramp(*size), subsampling=0)
        exact, fast = fixed(file, 3)
        assert fast.size == size
        pixels = [fit.fit(each, 3, HUB).astype(int) for each in (exact, fast)]
        # A side of 90 has 12 pixels left, and three quarters of the last are not the picture's.
        assert abs(pixels[0] - pixels[1]).max() <= 5
        exact_pixels, fast_pixels, _ = native(file)
        assert abs(exact_pixels - fast_pixels).max() <= 3

    @pytest.mark.parametrize("encoding", JPEGS)
    def test_every_kind_of_jpeg(self, encoding: str, tmp_path: Path) -> None:
        file = pictures.write(tmp_path, encoding, 401, 307)
        exact, fast = fixed(file, 19)
        assert fast.reduction == 8
        assert fast.image.mode == "RGB"
        pixels = [fit.fit(each, 19, HUB).astype(int) for each in (exact, fast)]
        assert abs(pixels[0] - pixels[1]).mean() < 3
        assert pixels[0].std() > 20


class TestErrors:
    @pytest.mark.parametrize("encoding", ["jpeg", "jpeg-progressive"])
    def test_truncated_is_refused_as_it_is_exactly(self, encoding: str, tmp_path: Path) -> None:
        file = pictures.write(tmp_path, encoding, 401, 307)
        data, whole = file.read_bytes(), fixed(file, 19)[1].image.tobytes()
        for length in range(1, len(data), len(data) // 43):
            file.write_bytes(data[:length])
            with pytest.raises(ImageError) as exact:
                decode.open_picture(file)
            with pytest.raises(ImageError) as fast:
                decode.open_picture(file, shrink=lambda _width, _height: 16)
            assert _without_bytes(str(fast.value)) == _without_bytes(str(exact.value))
            assert fast.value.hint == exact.value.hint
        file.write_bytes(data)
        assert fixed(file, 19)[1].image.tobytes() == whole

    def test_the_limit_is_on_the_whole_picture(self, tmp_path: Path) -> None:
        file = pictures.write(tmp_path, "jpeg", 401, 307)
        with pytest.raises(ImageError, match="401×307 pixels, over the limit"):
            decode.open_picture(file, max_pixels=401 * 307 - 1, shrink=lambda _width, _height: 99)


def _without_bytes(message: str) -> str:
    """A message without how many bytes were left over: that is the decoder's own matter."""
    return "".join(letter for letter in message if not letter.isdigit())


@pytest.fixture(scope="module")
def demo() -> Model:
    return aimv2.load("demo")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Photographs that a demo checkpoint's 112 px are a tenth of, upright and not."""
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"{number}.jpg" for number in range(5)]
    for number, path in enumerate(paths):
        small = pictures.photo(149 + 20 * number, 131, seed=number)
        large = small.resize((1201 + 101 * number, 1009), Image.Resampling.BICUBIC)
        save(path, large, orientation=1 + number)
    return paths


class TestUse:
    def test_embeddings_hardly_change(self, demo: Model, photos: list[Path]) -> None:
        exact, fast = (np.array(demo.embed_images(photos, decode=how)) for how in ("exact", "fast"))
        cosines = (exact * fast).sum(axis=1)
        assert cosines.min() >= MIN_COSINE
        assert (cosines < 1 - 1e-6).any()  # it was another decoding
        streamed = [np.array(item.embedding) for item in demo.stream(photos, decode="fast")]
        np.testing.assert_allclose(streamed, fast, rtol=0, atol=BATCH_MATES)

    def test_classify_passes_it_on(self, demo: Model, photos: list[Path]) -> None:
        labels = demo.label_embeddings(["sun", "boat"])
        expected = demo.scores(demo.embed_images(photos, decode="fast"), labels)
        found = demo.classify(photos, ["sun", "boat"], decode="fast")
        np.testing.assert_allclose(np.array(found), np.array(expected), rtol=0, atol=1e-4)

    def test_outputs_say_so_only_if_it_is_fast(self, demo: Model) -> None:
        exact = demo.metadata(ImageOptions())
        fast = demo.metadata(ImageOptions(decode="fast"))
        assert "decode" not in exact["preprocessing"]
        assert fast == exact | {"preprocessing": exact["preprocessing"] | {"decode": "fast"}}

    def test_another_word_is_refused(self, demo: Model) -> None:
        with pytest.raises(UsageError, match="decode is 'slow'"):
            demo.stream(["never-opened.jpg"], decode="slow")

    def test_the_commands_pass_it_on(
        self, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        arguments = ("embed", str(photos[0]), "-m", "demo", "--decode", "fast", "-o", "a.jsonl")
        assert run(*arguments).code == 0
        first, *_ = map(json.loads, (tmp_path / "a.jsonl").read_text().splitlines())
        assert first["metadata"]["preprocessing"]["decode"] == "fast"
        seen: list[ImageOptions] = []

        def samples(self: Model, plan: Plan, images: object) -> object:
            seen.append(plan.options)
            return iter(())

        monkeypatch.setattr(Model, "samples", samples)
        run("classify", str(photos[0]), "-m", "demo", "-l", "a,b", "--decode", "fast")
        assert seen == [ImageOptions(decode="fast")]
        outcome = run("embed", "--text", "x", "-m", "demo", "--decode", "fast", "-o", "b.jsonl")
        assert outcome.code == 2
        assert "texts take no --decode" in outcome.err


class TestLibrary:
    def test_exact_and_fast_vectors_are_sets_of_their_own(
        self, demo: Model, photos: list[Path], tmp_path: Path
    ) -> None:
        library = Library(tmp_path / "library.db")
        folder = photos[0].parent
        assert library.index([folder], model="demo").embedded == len(photos)
        before = library.vectors()
        assert before is not None
        assert "decode" not in before.settings["preprocessing"]
        assert library.index([folder], decode="fast").embedded == len(photos)
        assert library.index([folder]).embedded == 0  # as the library's
        assert library.index([folder], decode="exact").embedded == 0  # they are still there
        library.index([folder], decode="fast")
        with library.store as store:
            fast = store.serving()
            assert fast is not None
            assert fast.id != before.id
            assert fast.settings["preprocessing"]["decode"] == "fast"
            vectors = np.array(demo.embed_images(photos, decode="fast"))
            for path, vector in zip(photos, vectors, strict=True):
                file = store.file_at(os.fsencode(path))
                assert file is not None
                facts = read_facts(path)
                assert file.facts is not None
                assert (file.facts.width_px, file.facts.height_px) == decode.open_rgb(path).size
                assert (file.facts.width_px, file.facts.height_px) == (
                    facts.width_px,
                    facts.height_px,
                )
                row = store.row_of(fast.id, file.id)
                found = store.segments(fast).take(np.array([row]))[0].astype(np.float32)
                np.testing.assert_allclose(found, vector, atol=1e-3)

    def test_the_command(self, photos: list[Path], tmp_path: Path) -> None:
        file = tmp_path / "library.db"
        arguments = ("index", str(photos[0].parent), "-m", "demo", "--library", str(file))
        assert run(*arguments, "--decode", "fast").code == 0
        vectors = Library(file).vectors()
        assert vectors is not None
        assert vectors.settings["preprocessing"]["decode"] == "fast"

    def test_a_picture_to_search_by_is_decoded_as_the_vectors_were(
        self, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        library = Library(tmp_path / "library.db")
        library.index([photos[0].parent], model="demo", decode="fast")
        seen: list[object] = []
        embed_images = Model.embed_images

        def spy(self: Model, images: object, **options: object) -> object:
            seen.append(options["decode"])
            return embed_images(self, images, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(Model, "embed_images", spy)
        other = save(tmp_path / "other.jpg", Image.open(photos[1]).rotate(1))
        assert library.search(like=[other]).hits
        assert seen == ["fast"]

    def test_signatures_of_both_are_those_of_one_picture(
        self, demo: Model, photos: list[Path], tmp_path: Path
    ) -> None:
        signatures, thumbnails = [], Thumbnails(tmp_path / "library.db")
        for how in ("exact", "fast"):
            sample = Sample(0, photos[0])
            read_photo(demo.plan(ImageOptions(decode=how)), thumbnails, sample)
            signatures.append(stack([sample.facts.signature]))
        assert similarity(*signatures)[0] > 0.5
