"""Native resolution: every size has a grid in range, near its shape, and patches lose nothing."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from mlx_aimv2.errors import UsageError
from mlx_aimv2.images import patches
from tests.support import pictures

PATCH = 14
SIDES = st.integers(1, 20_000) | st.floats(0, math.log(20_000)).map(lambda log: int(math.exp(log)))
LIMITS = st.integers(patches.MIN_PATCHES, patches.MAX_PATCHES)
ROOMY = st.integers(120, patches.MAX_PATCHES)  # below, no grid of 112 need be near a square


def is_near(rows: int, columns: int, aspect: float) -> bool:
    """Whether both are within one of some exact grid with that aspect, columns to rows."""
    fewest = (columns - 1) / (rows + 1)
    most = (columns + 1) / (rows - 1) if rows > 1 else math.inf
    return fewest <= aspect <= most


@given(SIDES, SIDES, LIMITS, st.sampled_from([7, 14, 16]))
@example(10_000, 1, 4096, 14)
@example(1, 10_000, 112, 14)
@example(3, 3, 113, 14)
def test_count_is_in_range(width: int, height: int, limit: int, patch: int) -> None:
    size, (rows, columns) = patches.grid_of(width, height, patch, limit)
    assert patches.MIN_PATCHES <= rows * columns <= limit
    if size is None:
        assert (rows, columns) == (height // patch, width // patch)
    else:
        assert size == (columns * patch, rows * patch)
        assert not patches.MIN_PATCHES <= (height // patch) * (width // patch) <= limit


@given(SIDES, SIDES, ROOMY)
@example(1400, 1400, 120)
@example(784, 14, 223)
def test_aspect_ratio_is_kept(width: int, height: int, limit: int) -> None:
    size, (rows, columns) = patches.grid_of(width, height, PATCH, limit)
    if size is None:
        return
    cropped = patches.crops_strip(width, height, PATCH, limit)
    assert cropped == (max(width / height, height / width) > limit)
    assert is_near(rows, columns, min(max(width / height, 1 / limit), limit))


@given(SIDES, SIDES)
def test_turned_pictures_have_turned_grids(width: int, height: int) -> None:
    size, (rows, columns) = patches.grid_of(width, height, PATCH)
    assert patches.grid_of(height, width, PATCH) == (size and size[::-1], (columns, rows))


@given(st.integers(2000, 6000), st.integers(2000, 6000))
def test_large_pictures_use_what_is_allowed(width: int, height: int) -> None:
    _, (rows, columns) = patches.grid_of(width, height, PATCH)
    assert rows * columns > 0.9 * patches.MAX_PATCHES


def test_published_sizes() -> None:
    assert patches.grid_of(640, 480, PATCH) == (None, (34, 45))  # 1530
    assert patches.grid_of(8 * 14, 14 * 14, PATCH) == (None, (14, 8))  # 112, the fewest
    assert patches.grid_of(64 * 14 + 13, 64 * 14 + 13, PATCH) == (None, (64, 64))
    assert patches.grid_of(65 * 14, 64 * 14, PATCH)[0] is not None
    assert patches.grid_of(4000, 3000, PATCH) == ((73 * 14, 55 * 14), (55, 73))
    assert patches.grid_of(3, 3, PATCH) == ((11 * 14, 11 * 14), (11, 11))
    assert patches.grid_of(1, 10_000, PATCH) == ((14, 4096 * 14), (4096, 1))


@pytest.mark.parametrize("limit", [0, -1, 111, 4097])
def test_a_limit_out_of_range(limit: int) -> None:
    with pytest.raises(UsageError, match="112 to 4096"):
        patches.grid_of(640, 480, PATCH, limit)


def test_in_range_pixels_are_untouched() -> None:
    photo = pictures.photo(197, 239)  # 14 x 17 patches, and some pixels over
    pixels = patches.fit(photo, PATCH)
    np.testing.assert_array_equal(pixels, np.asarray(photo)[:238, :196])
    assert pixels.flags.writeable


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (3, 3), (13, 400), (1300, 1100), (97, 61)])
def test_others_are_resized_to_whole_patches(size: tuple[int, int]) -> None:
    pixels = patches.fit(Image.new("RGB", size, "teal"), PATCH, 512)
    expected, (rows, columns) = patches.grid_of(*size, PATCH, 512)
    assert pixels.shape == (rows * PATCH, columns * PATCH, 3) == (*reversed(expected or ()), 3)
    assert pixels.dtype == np.uint8
    assert (pixels == (0, 128, 128)).all()


def test_resized_whole_but_for_strips() -> None:
    photo = pictures.photo(901, 677)
    expected = photo.resize((25 * PATCH, 19 * PATCH), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(patches.fit(photo, PATCH, 512), np.asarray(expected))
    strip = Image.new("RGB", (1, 4000), "red")
    strip.paste("blue", (0, 1000, 1, 3000))  # the middle half
    assert patches.crops_strip(1, 4000, PATCH, 2000)
    assert not patches.crops_strip(1, 4000, PATCH)
    assert (patches.fit(strip, PATCH, 2000)[99:-99] == (0, 0, 255)).all()


def test_patchify_cuts_row_by_row() -> None:
    rows, columns, patch = 3, 5, 7
    pixels = np.asarray(pictures.photo(columns * patch, rows * patch))
    cut = patches.patchify(pixels, patch)
    assert cut.shape == (rows * columns, patch * patch * 3)
    for row in range(rows):
        for column in range(columns):
            ys, xs = (
                slice(row * patch, (row + 1) * patch),
                slice(column * patch, (column + 1) * patch),
            )
            expected = pixels[ys, xs].ravel()
            np.testing.assert_array_equal(cut[row * columns + column], expected)


@given(st.integers(1, 10_000))
def test_a_bucket_is_at_most_a_sixteenth_longer(tokens: int) -> None:
    length = patches.bucket(tokens)
    assert tokens <= length <= max(tokens + 7, tokens * 17 / 16)
    assert length % 8 == 0
    assert patches.bucket(length) == length


def test_buckets_are_few() -> None:
    lengths = {patches.bucket(tokens) for tokens in range(1, 4097)}
    assert max(lengths) == 4096
    assert len(lengths) == 16 + 5 * 16  # steps of 8 up to 128, then 16 to each octave


def test_padding() -> None:
    grids = ((3, 5), (4, 4), (1, 13))
    rng = np.random.default_rng(0)
    images = [rng.integers(1, 256, (7 * rows, 7 * columns, 3), np.uint8) for rows, columns in grids]
    batch = patches.pad_batch(images, 7, 17)
    assert batch.shape == (3, 17, 147) and batch.dtype == np.uint8
    for row, image in zip(batch, images, strict=True):
        cut = patches.patchify(image, 7)
        np.testing.assert_array_equal(row[: len(cut)], cut)
        assert not row[len(cut) :].any()
    with pytest.raises(ValueError, match="broadcast"):
        patches.pad_batch(images, 7, 15)
