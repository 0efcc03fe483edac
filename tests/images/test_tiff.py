"""Every kind of TIFF is the picture it holds, or is refused; never noise, never a negative."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlx_aimv2.errors import ImageError
from mlx_aimv2.images import decode
from tests.support import tiffs

WIDTH, HEIGHT = 53, 37
BLACK_IS_ZERO, WHITE_IS_ZERO, RGB, CMYK, YCBCR = 1, 0, 2, 5, 6
ORDERS = ("<", ">")
TYPES = ("u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8")


def shares() -> np.ndarray:
    """A picture from 0 to 1, both there. Shapes: (H, W, 3)."""
    rng = np.random.default_rng(7)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    waves = [np.sin(rows / 5), np.cos(columns / 7), np.sin((rows + columns) / 9)]
    values = np.stack(waves, axis=-1) + rng.normal(0, 0.05, (HEIGHT, WIDTH, 3))
    return (values - values.min((0, 1))) / np.ptp(values, axis=(0, 1))


def stored(values: np.ndarray, kind: str) -> np.ndarray:
    """Shares of the range of a kind of number, as such numbers."""
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        return values.astype(dtype)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    return np.rint(low + values * (high - low)).astype(dtype)


def outcome(data: bytes) -> np.ndarray | None:
    """The picture, or None where it is refused as a kind that is not read."""
    try:
        return np.asarray(decode.open_rgb(data), float)
    except ImageError as error:
        assert "of a kind that is not read here" in str(error)
        assert error.hint
        return None


def assert_right(data: bytes, expected: np.ndarray) -> bool:
    """Whether it was read; then it is right."""
    found = outcome(data)
    if found is None:
        return False
    expected = expected if expected.ndim == 3 else np.repeat(expected[..., None], 3, axis=2)
    assert abs(found - 255 * expected).max() <= 1
    return True


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("is_compressed", [False, True])
def test_right_or_refused(order: str, kind: str, is_compressed: bool) -> None:
    colours = shares()
    grey = colours[..., 0]
    clear = np.dstack([colours, np.ones_like(grey)])
    pairs = np.dstack([grey, np.ones_like(grey)])
    read = {
        "grey": assert_right(written(grey, BLACK_IS_ZERO, order + kind, is_compressed), grey),
        "white is zero": assert_right(
            written(1 - grey, WHITE_IS_ZERO, order + kind, is_compressed), grey
        ),
    }
    for is_planar in (False, True):
        options = {"is_compressed": is_compressed, "is_planar": is_planar}
        for name, samples, photometric, expected, extra in (
            ("rgb", colours, RGB, colours, None),
            ("rgb, alpha", clear, RGB, colours, 2),
            ("grey, alpha", pairs, BLACK_IS_ZERO, grey, 2),
            ("cmyk", np.dstack([1 - colours, 0 * grey]), CMYK, colours, None),
        ):
            data = tiffs.picture(stored(samples, order + kind), photometric, extra=extra, **options)
            read[f"{name} {is_planar}"] = assert_right(data, expected)
    if kind == "u1":
        assert sum(read.values()) >= len(read) - 1
    if kind == "u2":
        assert read["grey"] and read["rgb False"]
    if order + kind in {"<u2", "<u4", "<i4", "<f4"}:
        assert read["grey"]
    if order + kind in {"<u2", "<f4"}:
        assert read["white is zero"]


def written(samples: np.ndarray, photometric: int, kind: str, is_compressed: bool) -> bytes:
    return tiffs.picture(stored(samples, kind), photometric, is_compressed=is_compressed)


@pytest.mark.parametrize("bits", [1, 2, 4, 12])
@pytest.mark.parametrize("photometric", [BLACK_IS_ZERO, WHITE_IS_ZERO])
def test_few_bits(bits: int, photometric: int) -> None:
    most = (1 << bits) - 1
    grey = np.rint(shares()[..., 0] * most)
    data = tiffs.picture(grey.astype("<u2"), photometric, bits=bits)
    share = grey / most
    assert assert_right(data, share if photometric == BLACK_IS_ZERO else 1 - share) or bits == 12
    if (bits, photometric) == (12, BLACK_IS_ZERO):
        assert outcome(data) is not None


def test_fewer_samples_of_colour() -> None:
    data = tiffs.picture(stored(shares(), "u1"), YCBCR)
    assert outcome(data) is None  # two rows and columns share a colour, unless it is said


def test_given_open() -> None:
    grey = shares()[..., 0]
    data = tiffs.picture(stored(1 - grey, "<u2"), WHITE_IS_ZERO)
    with Image.open(io.BytesIO(data)) as given:
        for _ in range(2):
            found = np.asarray(decode.open_rgb(given), float)[..., 0]
            assert abs(found - 255 * grey).max() <= 1


@pytest.mark.parametrize("compression", [34712, 50002, 50001])
def test_a_compression_that_is_not_known(compression: int) -> None:
    data = tiffs.picture(stored(shares(), "<u1"), RGB)
    before = b"\x03\x01\x03\0\x01\0\0\0\x01\0\0\0"
    assert data.count(before) == 1
    assert outcome(data.replace(before, before[:8] + compression.to_bytes(4, "little"))) is None


def test_a_raw_file_under_another_name(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("RGB", (48, 32), "red").save(file, "JPEG")
    (tmp_path / "a.tif").write_bytes(tiffs.dng(file.getvalue()))
    with pytest.raises(ImageError, match="a camera's RAW file") as caught:
        decode.open_rgb(tmp_path / "a.tif")
    assert ".dng" in caught.value.hint


def test_nan_that_signals() -> None:
    grey = shares()[..., 0].astype("<f4")
    grey.view("<u4")[3, 5] = 0x7F800001
    found = outcome(tiffs.picture(grey, BLACK_IS_ZERO))
    assert found is not None and found[3, 5].max() == 0
