"""Any picture becomes upright RGB or an ImageError that names it; nothing in between."""

import errno
import json
import math
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageFile, PngImagePlugin

from mlx_aimv2.errors import CheckpointError, ImageError, UsageError
from mlx_aimv2.images import decode, fit, presets
from tests.support import pictures
from tests.support.commands import PATIENCE_S
from tests.support.users import as_ordinary_user

HUB, ML_AIM = presets.PRESETS["hub"], presets.PRESETS["ml-aim"]
EXACT = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}, "TIFF-LZW": {"compression": "tiff_lzw"}}

# How upright pixels are turned to be stored with that orientation. Source: EXIF 2.3, tag 0x0112.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.fixture(autouse=True)
def _every_file_is_closed() -> Iterator[None]:
    before = len(list(Path("/dev/fd").iterdir()))
    yield
    assert len(list(Path("/dev/fd").iterdir())) <= before


def fails(source: object, **options: int) -> str:
    with pytest.raises(ImageError) as caught:
        decode.open_rgb(source, **options)
    assert caught.value.hint
    return str(caught.value)


def quarters(width: int = 46, height: int = 34) -> Image.Image:
    """Four colours, so that lossy formats show how they are turned."""
    picture = Image.new("RGB", (width, height), "red")
    picture.paste("blue", (width // 2, 0, width, height // 2))
    picture.paste("lime", (0, height // 2, width // 2, height))
    return picture


def assert_alike(ours: Image.Image, theirs: Image.Image, tolerance: int = 0) -> None:
    assert ours.mode == "RGB"
    assert ours.size == theirs.size
    inner = (slice(3, 12), slice(3, 12))
    for ys in (1, -1):
        for xs in (1, -1):
            a, b = (np.asarray(i, int)[::ys, ::xs][inner] for i in (ours, theirs))
            assert abs(a - b).max() <= tolerance


class TestFormats:
    @pytest.mark.parametrize("encoding", pictures.ENCODINGS)
    def test_read_by_content_alone(self, encoding: str, tmp_path: Path) -> None:
        file = pictures.write(tmp_path, encoding, 29, 23)
        opened = [decode.open_rgb(source) for source in (file, str(file), file.read_bytes())]
        assert {(picture.mode, picture.size) for picture in opened} == {("RGB", (29, 23))}
        pixels = fit.fit(opened[0], 17, HUB)
        for picture in opened[1:]:
            np.testing.assert_array_equal(fit.fit(picture, 17, HUB), pixels)

    @pytest.mark.parametrize("encoding", pictures.ENCODINGS)
    def test_no_bomb_warning(
        self, encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = pictures.write(tmp_path, encoding, 29, 23)
        expected = np.asarray(decode.open_rgb(file))
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)  # warns above, refuses above 800
        np.testing.assert_array_equal(np.asarray(decode.open_rgb(file)), expected)

    @pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Truncated File Read")
    @pytest.mark.parametrize("encoding", pictures.ENCODINGS)
    def test_truncated_is_refused_or_whole(self, encoding: str, tmp_path: Path) -> None:
        file = pictures.write(tmp_path, encoding, 29, 23)
        data, expected = file.read_bytes(), np.asarray(decode.open_rgb(file))
        refused = 0
        for length in range(1, len(data), max(1, len(data) // 61)):
            file.write_bytes(data[:length])
            try:
                picture = decode.open_rgb(file)
            except ImageError as error:
                refused += 1
                assert str(error).startswith(f"{file} is ")
            else:
                np.testing.assert_array_equal(np.asarray(picture), expected)
        assert refused >= 30
        assert not ImageFile.LOAD_TRUNCATED_IMAGES

    def test_mif1_brand_can_be_heif(self, tmp_path: Path) -> None:
        data = pictures.encoded(pictures.photo(29, 23), "HEIF")
        (tmp_path / "a.heif").write_bytes(data[:8] + b"mif1" + data[12:])
        assert decode.open_rgb(tmp_path / "a.heif").size == (29, 23)

    def test_second_picture_may_be_malformed(self, tmp_path: Path) -> None:
        file = pictures.write(tmp_path, "mpo", 29, 23)
        expected = np.asarray(decode.open_rgb(file))
        file.write_bytes(file.read_bytes()[:-200])
        np.testing.assert_array_equal(np.asarray(decode.open_rgb(file)), expected)

    def test_first_frame(self, tmp_path: Path) -> None:
        frames = [Image.new("RGB", (9, 7), colour) for colour in ("red", "lime", "blue")]
        for name in ("a.gif", "a.webp", "a.png", "a.tiff", "a.avif"):
            lossless = {"lossless": True} if name == "a.webp" else {}
            frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **lossless)
            red, green, blue = np.asarray(decode.open_rgb(tmp_path / name))[3, 4]
            assert red > 230 and green < 20 and blue < 20

    def test_cmyk_is_not_inverted(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(pictures.encoded(quarters().convert("CMYK"), "JPEG"))
        assert_alike(decode.open_rgb(tmp_path / "a"), quarters(), tolerance=12)

    def test_heif_reader_is_imported_for_heif_alone(self, tmp_path: Path) -> None:
        jpeg = pictures.write(tmp_path, "jpeg", 29, 23)
        heif = pictures.write(tmp_path, "heif", 29, 23)
        script = (
            "import sys; from mlx_aimv2.images import decode\n"
            f"decode.open_rgb({str(jpeg)!r}); assert 'pillow_heif' not in sys.modules\n"
            f"decode.open_rgb({str(heif)!r}); assert 'pillow_heif' in sys.modules\n"
            "assert 'mlx.core' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", script], check=True)


class TestOrientation:
    @pytest.mark.parametrize("orientation", STORED)
    @pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "TIFF-LZW", "AVIF", "HEIF"])
    def test_applied_once(self, format: str, orientation: int, tmp_path: Path) -> None:
        turn = STORED[orientation]
        stored = quarters() if turn is None else quarters().transpose(turn)
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        options = {"exif": exif.tobytes(), **EXACT.get(format, {})}
        file = tmp_path / "a"
        file.write_bytes(pictures.encoded(stored, format.removesuffix("-LZW"), **options))
        tolerance = 0 if format in EXACT else 12
        assert_alike(decode.open_rgb(file), quarters(), tolerance)
        if format != "HEIF":  # a PIL image given, decoded or not
            with Image.open(file) as lazy:
                assert_alike(decode.open_rgb(lazy), quarters(), tolerance)
                assert_alike(decode.open_rgb(lazy), quarters(), tolerance)

    def test_xmp_alone(self, tmp_path: Path) -> None:
        xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="3"/></x:xmpmeta>'
        stored = quarters().rotate(180)
        (tmp_path / "a").write_bytes(pictures.encoded(stored, "JPEG", xmp=xmp))
        assert_alike(decode.open_rgb(tmp_path / "a"), quarters(), tolerance=12)

    @pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
    @pytest.mark.parametrize(
        "exif", [b"Exif\0\0", b"Exif\0\0nonsense", b"Exif\0\0II*\0\x08\0\0\0\x09\0"]
    )
    def test_damaged_exif_is_ignored(self, exif: bytes, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(pictures.encoded(quarters(), "PNG"))
        picture = quarters()
        picture.info["exif"] = exif
        assert_alike(decode.open_rgb(picture), quarters())
        (tmp_path / "a").write_bytes(pictures.encoded(quarters(), "JPEG", exif=exif))
        assert_alike(decode.open_rgb(tmp_path / "a"), quarters(), tolerance=12)


class TestValues:
    @pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L"])
    def test_16_bit_is_divided_by_257(self, mode: str) -> None:
        values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
        dtype = ">u2" if mode == "I;16B" else "<u2"
        picture = Image.frombytes(mode, (256, 256), values.astype(dtype).tobytes())
        grey = np.asarray(decode.open_rgb(picture))[:, :, 1].astype(int)
        assert grey.min() == 0 and grey.max() == 255
        assert abs(grey - values / 257).max() <= 0.5

    @pytest.mark.parametrize("dtype", ["<u2", ">u2"])
    def test_16_bit_arrays_of_either_byte_order(self, dtype: str) -> None:
        values = np.arange(65536).reshape(256, 256)
        grey = np.asarray(decode.open_rgb(values.astype(dtype)))[:, :, 1].astype(int)
        assert abs(grey - values / 257).max() <= 0.5

    @pytest.mark.parametrize("name", ["a.png", "a.tiff"])
    def test_16_bit_files(self, name: str, tmp_path: Path) -> None:
        eight = np.asarray(pictures.photo_in("L", 31, 17))
        Image.fromarray(eight.astype(np.uint16) * 257).save(tmp_path / name)
        pixels = np.asarray(decode.open_rgb(tmp_path / name))
        np.testing.assert_array_equal(pixels, np.repeat(eight[:, :, None], 3, axis=2))

    @pytest.mark.parametrize(("low", "high"), [(0, 1), (-3e38, 3e38), (1e6, 1e6 + 8), (-2, -1)])
    def test_floats_by_their_range(self, low: float, high: float, tmp_path: Path) -> None:
        values = np.linspace(low, high, 17 * 19).reshape(17, 19).astype(np.float32)
        Image.fromarray(values).save(tmp_path / "a.tiff")
        grey = np.asarray(decode.open_rgb(tmp_path / "a.tiff"))[:, :, 0].astype(int)
        exact = values.astype(np.float64)
        share = (exact - exact[0, 0]) / (exact[-1, -1] - exact[0, 0])
        assert abs(grey - share * 255).max() <= 0.5001

    def test_integers_by_their_range(self) -> None:
        values = np.array([[-(2**31), 0, 2**31 - 1]], np.int32)
        assert np.asarray(decode.open_rgb(Image.fromarray(values)))[0, :, 0].tolist() == [
            0,
            128,
            255,
        ]

    def test_flat_and_not_finite(self) -> None:
        flat = Image.fromarray(np.full((5, 7), 0.4, np.float32))
        assert np.asarray(decode.open_rgb(flat)).max() == 0
        odd = np.array([[np.nan, -np.inf, 2, 3, np.inf]], np.float32)
        grey = np.asarray(decode.open_rgb(Image.fromarray(odd)))[0, :, 0].tolist()
        assert grey == [0, 0, 0, 255, 255]
        nothing = Image.fromarray(np.full((5, 7), np.nan, np.float32))
        assert "no finite value" in fails(nothing)

    def test_clear_is_white(self) -> None:
        for mode, clear in (("RGBA", (9, 9, 9, 0)), ("LA", (9, 0))):
            assert decode.open_rgb(Image.new(mode, (3, 3), clear)).getpixel((1, 1)) == (255,) * 3
        opaque = pictures.photo(13, 11)
        assert decode.open_rgb(opaque.convert("RGBA")).tobytes() == opaque.tobytes()

    def test_arrays(self) -> None:
        rgb = np.asarray(pictures.photo(13, 11))
        grey = rgb[:, :, 0]
        tripled = np.repeat(grey[:, :, None], 3, axis=2)
        for array, expected in (
            (rgb, rgb),
            (rgb[::-1, ::-1], rgb[::-1, ::-1]),
            (grey, tripled),
            (grey[:, :, None], tripled),
            (grey > 99, np.where(tripled > 99, 255, 0)),
            (grey.astype(np.uint16) * 257, tripled),
            (rgb / 255, rgb),
            ((rgb / 255).astype(np.float16), rgb),
            (np.dstack([rgb, np.full_like(grey, 255)]), rgb),
            (np.dstack([rgb, np.zeros_like(grey)]), np.full_like(rgb, 255)),
        ):
            before = array.copy()
            np.testing.assert_array_equal(np.asarray(decode.open_rgb(array)), expected)
            np.testing.assert_array_equal(array, before)

    @pytest.mark.parametrize(
        "array",
        [
            np.zeros((2, 5, 7), np.uint8),
            np.zeros((1, 5, 7, 3), np.uint8),
            np.zeros(5, np.uint8),
            np.zeros((5, 7, 2), np.uint8),
            np.zeros((0, 7, 3), np.uint8),
            np.zeros((5, 7, 3), np.int64),
            np.full((5, 7, 3), 255.0),
            np.full((5, 7, 3), np.nan),
            np.full((5, 7, 3), -0.1),
            np.full((5, 7), "a"),
        ],
    )
    def test_arrays_that_are_no_pictures(self, array: np.ndarray) -> None:
        assert fails(array).startswith("<array (")

    def test_one_lazy_image_in_many_threads(self, tmp_path: Path) -> None:
        file = pictures.write(tmp_path, "png-palette", 301, 203)
        expected = np.asarray(decode.open_rgb(file))
        with Image.open(file) as lazy, ThreadPoolExecutor(8) as pool:
            for picture in pool.map(decode.open_rgb, [lazy] * 16):
                np.testing.assert_array_equal(np.asarray(picture), expected)


class TestErrors:
    def test_missing_and_links(self, tmp_path: Path) -> None:
        assert fails(tmp_path / "no.jpg") == f"{tmp_path / 'no.jpg'} does not exist"
        (tmp_path / "link.jpg").symlink_to("gone.jpg")
        assert "is a link to gone.jpg, which does not exist" in fails(tmp_path / "link.jpg")
        (tmp_path / "loop.jpg").symlink_to("loop.jpg")
        assert "is a link that leads back to itself" in fails(tmp_path / "loop.jpg")
        (tmp_path / "a.txt").write_text("text")
        assert "a part of its path is a file" in fails(tmp_path / "a.txt" / "b.jpg")
        assert "too long a name" in fails("a" * 999)
        assert "is no file name" in fails("\x89PNG\0")
        assert "is no file name" in fails("\ud800.jpg")
        assert fails("") == " does not exist"

    def test_an_address_is_not_fetched(self) -> None:
        with pytest.raises(ImageError) as caught:
            decode.open_rgb("https://example.org/a.jpg")
        assert "download" in caught.value.hint

    def test_not_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "is a folder" in fails(tmp_path)
        assert "is a device" in fails("/dev/null")
        os.mkfifo(tmp_path / "pipe.jpg")
        waiting = threading.Thread(target=fails, args=(tmp_path / "pipe.jpg",), daemon=True)
        waiting.start()
        waiting.join(PATIENCE_S)
        assert not waiting.is_alive()
        assert "is a named pipe" in fails(tmp_path / "pipe.jpg")
        monkeypatch.chdir(tmp_path)  # names of sockets are short
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket.jpg")
            assert "is a socket" in fails("socket.jpg")

    def test_not_a_picture(self, tmp_path: Path) -> None:
        (tmp_path / "empty.jpg").write_bytes(b"")
        assert "is empty" in fails(tmp_path / "empty.jpg")
        for text in ("hello", "BM, or not to be", "GIF89a", "<svg/>", "RIFF....WEBP", "II*\0"):
            (tmp_path / "text.png").write_text(text)
            assert fails(tmp_path / "text.png").startswith(f"{tmp_path / 'text.png'} is ")
        assert fails(7) == "<int> is not a picture"  # type: ignore[arg-type]

    @pytest.mark.parametrize(("format", "offset"), [("JPEG", 4), ("BMP", 28)])
    def test_a_kind_that_is_not_read_is_not_damaged(
        self, format: str, offset: int, tmp_path: Path
    ) -> None:
        data = bytearray(pictures.encoded(pictures.photo(29, 23), format))
        start = data.index(b"\xff\xc0") if format == "JPEG" else 0
        data[start + offset] = 12  # bits
        (tmp_path / "a").write_bytes(data)
        assert fails(tmp_path / "a").endswith(f"is a {format} of a kind that is not read here")

    def test_permissions(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = pictures.write(tmp_path, "jpeg", 29, 23)
        for number, reason, hint in (
            ("EACCES", "permission denied", "chmod"),
            ("EPERM", "not permitted", "Full Disk Access"),
            ("EMFILE", "too many open files", "ulimit -n"),
            ("EIO", "the disk or the network", "copy"),
        ):
            code = getattr(errno, number)
            with monkeypatch.context() as patch:
                patch.setattr(os, "open", raising(OSError(code, os.strerror(code), str(file))))
                with pytest.raises(ImageError, match=reason) as caught:
                    decode.open_rgb(file)
                assert hint in caught.value.hint

    @as_ordinary_user
    def test_unreadable_file(self, tmp_path: Path) -> None:
        file = pictures.write(tmp_path, "jpeg", 29, 23)
        file.chmod(0)
        assert "permission denied" in fails(file)

    @pytest.mark.parametrize(
        "error",
        [
            struct.error("unpack"),
            SyntaxError("broken PNG"),
            MemoryError(),
            OSError("image file is truncated"),
            ValueError("Decompressed data too large"),
            RuntimeError(),
            RecursionError("deep"),
            Image.DecompressionBombError("bomb"),
            OSError(5, "Input/output error"),
            UserWarning("made an error by a filter"),
        ],
        ids=repr,
    )
    def test_decoders_raise_anything(
        self, error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = pictures.write(tmp_path, "png", 29, 23)
        for method in ("load", "_open"):
            with monkeypatch.context() as patch:
                patch.setattr(PngImagePlugin.PngImageFile, method, raising(error))
                assert fails(file).startswith(str(file))
                with pytest.raises(ImageError) as caught:
                    decode.open_rgb(file)
                assert caught.value.hint

    def test_ctrl_c_is_no_damage(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = pictures.write(tmp_path, "png", 29, 23)
        monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", raising(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            decode.open_rgb(file)

    @pytest.mark.parametrize("encoding", pictures.ENCODINGS)
    def test_limit_before_decoding(
        self, encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = pictures.write(tmp_path, encoding, 29, 23)
        assert decode.open_rgb(file, max_pixels=29 * 23)
        monkeypatch.setattr(decode, "_upright", raising(AssertionError("decoded")))
        assert "29×23 pixels, over the limit of 666" in fails(file, max_pixels=666)

    def test_bombs(self, tmp_path: Path) -> None:
        bomb = tmp_path / "bomb"
        bomb.write_bytes(pictures.png_header(20000, 20000))
        assert "over the limit of 178,956,970" in fails(bomb)
        frame = b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x08\x01\0\0;"
        bomb.write_bytes(b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0\0\0" + frame)
        assert "over the limit of 178,956,970" in fails(bomb)
        bitmap = bytearray(pictures.encoded(pictures.photo(2, 2), "BMP"))
        struct.pack_into("<ii", bitmap, 18, 30000, 30000)
        bomb.write_bytes(bitmap)
        assert "over the limit of 178,956,970" in fails(bomb)
        side = (2**14 - 1).to_bytes(3, "little")
        chunk = b"VP8X" + struct.pack("<I", 10) + bytes(4) + side + side
        bomb.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk)
        assert "pixels" in fails(bomb)
        assert "over the limit" in fails(Image.new("1", (100, 100)), max_pixels=9999)
        assert "over the limit" in fails(np.zeros((100, 100), np.uint8), max_pixels=9999)

    def test_no_pixels(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(pictures.png_header(0, 5))
        assert fails(tmp_path / "a.png")
        assert "has no pixels" in fails(Image.new("RGB", (0, 5)))

    def test_names_are_printable(self, tmp_path: Path) -> None:
        name = os.fsencode(tmp_path) + b"/caf\xe9 \x1b[31m\n\xe2\x80\xaf.jpg"
        message = fails(os.fsdecode(name))
        assert message.startswith(f"{tmp_path}/caf\\udce9 \\x1b[31m\\n\u202f.jpg ")

    def test_a_pil_image_is_named_by_its_file(self, tmp_path: Path) -> None:
        file = pictures.write(tmp_path, "png", 29, 23)
        file.write_bytes(file.read_bytes()[:-300])
        with Image.open(file) as lazy:
            assert f"{file} is truncated" in fails(lazy)


def raising(error: BaseException):
    def function(*_: object, **__: object) -> None:
        raise error

    return function


class TestFit:
    @given(
        st.integers(1, 400), st.integers(1, 400), st.integers(1, 64), st.sampled_from([HUB, ML_AIM])
    )
    @settings(deadline=None, max_examples=60)
    def test_square(self, width: int, height: int, side_px: int, preset: presets.Preset) -> None:
        pixels = fit.fit(Image.new("RGB", (width, height), "teal"), side_px, preset)
        assert pixels.shape == (side_px, side_px, 3)
        assert pixels.dtype == np.uint8
        assert pixels.flags.writeable and pixels.flags.c_contiguous
        assert (pixels == (0, 128, 128)).all()

    def test_centre_and_its_rounding(self) -> None:
        tall = pictures.photo(256, 259)
        # torchvision.transforms.CenterCrop(224) starts at round(35 / 2) = 18, not 17
        expected = np.asarray(tall)[18 : 18 + 224, 16 : 16 + 224]
        np.testing.assert_array_equal(fit.fit(tall, 224, ML_AIM), expected)
        expected = np.asarray(tall)[1 : 1 + 256]
        np.testing.assert_array_equal(fit.fit(tall, 256, HUB), expected)

    def test_ml_aim_resizes_to_more(self) -> None:
        wide = pictures.photo(300, 200)
        short = math.ceil(97 / 0.875)
        resized = wide.resize((int(short * 300 / 200), short), Image.Resampling.BICUBIC)
        left, top = round((resized.width - 97) / 2), round((short - 97) / 2)
        expected = np.asarray(resized)[top : top + 97, left : left + 97]
        np.testing.assert_array_equal(fit.fit(wide, 97, ML_AIM), expected)

    @pytest.mark.parametrize("size", [(1, 10_000), (10_000, 1), (3, 97), (2, 65)])
    def test_strips_are_cropped(self, size: tuple[int, int]) -> None:
        assert fit.crops_strip(*size)
        strip = pictures.photo(*size)
        box = fit.middle_box(*size, fit.MAX_ASPECT)
        middle = strip.crop(box)
        assert max(middle.size) == 32 * min(middle.size)
        pixels = fit.fit(strip, 29, HUB)
        assert abs(pixels.astype(int) - fit.fit(middle, 29, HUB)).max() <= 1

    def test_what_is_no_strip(self) -> None:
        for size in ((1, 32), (32, 1), (7, 224), (640, 480)):
            assert not fit.crops_strip(*size)
            assert fit.middle_box(*size, fit.MAX_ASPECT) == (0, 0, *size)


class TestPreset:
    def test_from_the_table(self, tmp_path: Path) -> None:
        assert presets.read_preset(tmp_path, "hub") == HUB
        assert presets.read_preset(tmp_path, "ml-aim") == ML_AIM
        with pytest.raises(UsageError) as caught:
            presets.read_preset(tmp_path, "imagenet")
        assert "hub, ml-aim" in caught.value.hint

    def test_from_the_checkpoint(self, tmp_path: Path) -> None:
        config = {"image_mean": [0.5, 0.25, 0.125], "crop_size": 224}
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
        preset = presets.read_preset(tmp_path, "hub")
        assert (preset.name, preset.mean, preset.std) == ("hub", (0.5, 0.25, 0.125), HUB.std)
        assert presets.read_preset(tmp_path, "ml-aim") == ML_AIM

    def test_a_crop_of_its_own(self, tmp_path: Path) -> None:
        config = {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(config | {"resample": 3}))
        assert presets.read_preset(tmp_path, "hub").crop_fraction == 0.875

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "{",
            '{"image_mean": 0.5}',
            '{"image_mean": [0.5, 0.5]}',
            '{"image_std": [0.5, 0.5, 0]}',
            '{"image_std": [0.5, 0.5, Infinity]}',
            '{"image_mean": [0.5, 0.5, null]}',
            '{"resample": 2}',
            '{"do_normalize": false}',
            '{"rescale_factor": 0.00784}',
            '{"size": {"shortest_edge": 224}, "crop_size": {"height": 256, "width": 256}}',
            '{"size": {"shortest_edge": 0}, "crop_size": {"height": 224, "width": 224}}',
            '{"size": {"shortest_edge": 256}, "crop_size": {"height": 224}}',
        ],
    )
    def test_nonsense_is_refused(self, text: str, tmp_path: Path) -> None:
        (tmp_path / "preprocessor_config.json").write_text(text)
        with pytest.raises(CheckpointError, match=r"preprocessor_config\.json"):
            presets.read_preset(tmp_path, "hub")


class TestAsStored:
    """As published evaluations read pictures: by Pillow's ``convert("RGB")`` alone."""

    @pytest.mark.parametrize(
        "encoding", [each for each in pictures.ENCODINGS if "heif" not in each]
    )
    @pytest.mark.filterwarnings("ignore:Palette images with Transparency")  # Pillow's own
    def test_as_pillow_alone(self, encoding: str, tmp_path: Path) -> None:
        path = pictures.write(tmp_path, encoding, 29, 23)
        with Image.open(path) as image:
            expected = image.convert("RGB")
        read = decode.open_picture(path, as_stored=True)
        assert read.colour is None
        np.testing.assert_array_equal(np.asarray(read.image), np.asarray(expected))

    def test_nothing_is_turned(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        quarters().save(tmp_path / "turned.png", exif=exif)
        read = decode.open_picture(tmp_path / "turned.png", as_stored=True)
        assert_alike(read.image, quarters())
        assert decode.open_picture(tmp_path / "turned.png").size == quarters().size[::-1]

    def test_a_given_image_is_left_as_it_is(self) -> None:
        image = pictures.photo_in("P", 31, 17)
        image.info["transparency"] = bytes(range(200))
        decode.open_picture(image, as_stored=True)
        assert "transparency" in image.info
