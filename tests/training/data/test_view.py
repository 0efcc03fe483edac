"""What of a picture is seen: upright, in sRGB, as large as asked for."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from mlx_aimv2.errors import ImageError
from mlx_aimv2.images import fit
from mlx_aimv2.images.decode import open_rgb
from mlx_aimv2.images.patches import crops_strip, grid_within
from mlx_aimv2.images.presets import PRESETS
from mlx_aimv2.training.data import view as view_module
from mlx_aimv2.training.data.crop import TRIES, random_crop
from mlx_aimv2.training.data.view import DRAWS, View

PRESET = PRESETS["hub"]
VIEW = View(PRESET, 28)


def picture(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(7)
    few = Image.fromarray(rng.integers(0, 256, (7, 5, 3), np.uint8))
    return few.resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def draws(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(DRAWS)


def test_pictures_are_upright_and_in_srgb_before_they_are_cropped() -> None:
    upright = picture(83, 61)
    lying = encoded(upright.transpose(Image.Transpose.ROTATE_90), exif=_turned())
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for source in (lying, encoded(upright, icc_profile=profile), np.asarray(upright)):
        for seed in range(5):
            expected = VIEW.pixels(upright, draws(seed))
            np.testing.assert_array_equal(VIEW.pixels(source, draws(seed)), expected)


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def test_pixels_are_those_of_the_crop_alone() -> None:
    image = picture(83, 61)
    for seed in range(7):
        some = draws(seed)
        box = random_crop(83, 61, some[1:].reshape(TRIES, 4), VIEW.scale, VIEW.ratio)
        resized = np.asarray(image.crop(box).resize((28, 28), Image.Resampling.BICUBIC))
        seen = resized[:, ::-1] if some[0] < 0.5 else resized
        expected = (seen / 255 - np.array(PRESET.mean)) / np.array(PRESET.std)
        np.testing.assert_allclose(VIEW.pixels(image, some), expected, atol=1e-6)


def test_without_augmentation_the_middle_is_seen_as_at_inference() -> None:
    image = picture(83, 61)
    plain = View(PRESET, 28, augments=False)
    expected = fit.fit(image, 28, PRESET)
    for seed in range(3):
        seen = plain.pixels(image, draws(seed)) * np.array(PRESET.std) + np.array(PRESET.mean)
        np.testing.assert_array_equal(np.rint(seen * 255), expected)


@pytest.mark.parametrize("turned", [False, True])
def test_fast_decoding_shows_nearly_the_same(turned: bool) -> None:
    image = picture(601, 403)
    source = encoded(image, "JPEG", quality=95, **({"exif": _turned()} if turned else {}))
    exact, fast = (View(PRESET, 28, decode=decode) for decode in ("exact", "fast"))
    for view, other in ((exact.pixels, fast.pixels),):
        for seed in range(5):
            difference = view(source, draws(seed)) - other(source, draws(seed))
            assert 0 < np.abs(difference).max() < 0.15  # of values that spread over 4
    native = [
        View(PRESET, None, decode=decode).patches(source, draws(1), 16)
        for decode in ("exact", "fast")
    ]
    assert native[0][1] == native[1][1]
    assert 0 < np.abs(native[0][0] - native[1][0]).max() < 0.15


def test_the_decoder_is_told_how_much_of_a_file_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than half a pixel of the crop may be lost, whichever way the file lies."""
    asked = []
    whole = view_module.open_picture

    def noted(source: Any, *, shrink: Any) -> Any:
        asked.append(shrink and shrink(603, 401))
        return whole(source, shrink=shrink)

    monkeypatch.setattr(view_module, "open_picture", noted)
    image = picture(603, 401)
    for seed in range(7):
        View(PRESET, 28, decode="fast").pixels(image, draws(seed))
        box = random_crop(603, 401, draws(seed)[1:].reshape(TRIES, 4), VIEW.scale, VIEW.ratio)
        assert asked[-1] <= min(box[2] - box[0], box[3] - box[1]) / 28
        assert asked[-1] > 5
    VIEW.pixels(image, draws(0))
    assert asked[-1] is None


@pytest.mark.parametrize("size", [(83, 61), (61, 83), (997, 31), (20, 700), (14, 14), (1, 1)])
@pytest.mark.parametrize("area", [4, 22, 181, 512])
def test_native_pictures_fill_the_area_in_their_shape(size: tuple[int, int], area: int) -> None:
    image = picture(*size)
    patches, (rows, columns) = View(PRESET, None).patches(image, draws(1), area)
    assert patches.shape == (rows * columns, 588)
    assert area / 2 <= rows * columns <= area
    assert (rows, columns) == grid_within(*size, area)
    aspect = min(max(size[0] / size[1], 1 / area), area)
    shorter, longer = sorted((rows, columns))
    assert shorter - 1 < longer / max(aspect, 1 / aspect) < shorter + 1
    assert (columns > rows) <= (size[0] > size[1])


def test_native_pictures_are_flipped_and_never_cropped() -> None:
    image = picture(56, 42)
    flipped = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    low, high = np.zeros(DRAWS), np.ones(DRAWS) * 0.9
    view = View(PRESET, None)
    exact, grid = view.patches(image, high, 12)
    assert grid == (3, 4)
    pixels = exact.reshape(3, 4, 14, 14, 3).swapaxes(1, 2).reshape(42, 56, 3)
    expected = (np.asarray(image) / 255 - np.array(PRESET.mean)) / np.array(PRESET.std)
    np.testing.assert_allclose(pixels, expected, atol=1e-6)
    np.testing.assert_array_equal(view.patches(flipped, low, 12)[0], exact)
    assert not crops_strip(56, 42, 14)


def test_a_picture_that_is_broken_or_of_one_patch_is_an_image_error(tmp_path: Path) -> None:
    broken = encoded(picture(83, 61))[:-40]
    for view, source, area in (
        (VIEW, broken, None),
        (VIEW, tmp_path / "none.png", None),
        (View(PRESET, None), encoded(picture(83, 61)), 1),
    ):
        with pytest.raises(ImageError):
            view.see(source, draws(1), np.random.default_rng(1), area, view.room(1, area))
    assert open_rgb(encoded(picture(83, 61))).size == (83, 61)
