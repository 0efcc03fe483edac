"""A file's colours become sRGB's; what has no profile, or sRGB's, keeps every byte."""

import io
import itertools
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

import mlx_aimv2 as aimv2
from mlx_aimv2.errors import Aimv2Warning
from mlx_aimv2.images import decode, fit, patches, presets
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.library.signature import make_signature, similarity, stack
from mlx_aimv2.library.thumbnails.thumbnail import thumbnail
from tests.support import pictures
from tests.support.commands import run
from tests.support.pictures import chunk
from tests.support.profiles import (
    ADOBE,
    BT2020,
    P3,
    PROPHOTO,
    SRGB,
    WIDE,
    Space,
    cmyk_icc,
    drawing,
    gamma,
    icc,
    lab_to_srgb,
    to_srgb,
    wide_copy,
    wide_picture,
)

HUB = presets.PRESETS["hub"]
NEAR = 1.5  # levels of 255: the colour engine rounds, and so does its result
LEAST_COSINE = {"p3": 0.999, "adobe": 0.999, "prophoto": 0.995}
FORMATS = {
    "PNG": {},
    "TIFF": {},
    "JPEG": {"quality": 100, "subsampling": 0},
    "WEBP": {"quality": 100},
}
SRGB_PROFILES = {
    "made": icc(SRGB),
    "version 4": icc(SRGB, major=4),
    "little cms": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
}
# Primaries and transfer by their numbers in ITU-T H.273. Of video's curves see decision 4.
CODES = {
    "p3": (12, 13, P3),
    "bt2020": (9, 14, BT2020),
    "gamma": (1, 4, Space(SRGB.points, *gamma(2.2))),
}


@pytest.fixture(scope="module")
def model() -> aimv2.Model:
    return aimv2.load("demo")


def write(
    path: Path, picture: Image.Image, format: str, profile: object, **options: object
) -> Path:
    given = {**FORMATS.get(format, {}), "icc_profile": profile, **options}
    if format == "HEIF":
        heif = pillow_heif.from_pillow(picture)
        heif.info.update(icc_profile=profile, icc_profile_type="prof")
        heif.save(path, quality=-1, chroma=444)
    else:
        picture.save(path, format, **given)
    return path


def decoded(path: Path) -> np.ndarray:
    """The pixels as they are stored, read by others."""
    is_heif = path.read_bytes()[4:11] == b"ftyphei"
    return np.asarray(pillow_heif.open_heif(path) if is_heif else Image.open(path))


def difference(one: object, other: object) -> np.ndarray:
    return abs(np.asarray(one, float) - np.asarray(other, float))


class TestPixels:
    @pytest.mark.parametrize("name", WIDE)
    @pytest.mark.parametrize("format", [*FORMATS, "AVIF", "HEIF"])
    def test_as_computed_from_the_standards(self, format: str, name: str, tmp_path: Path) -> None:
        space = WIDE[name]
        path = write(tmp_path / "a", wide_picture(drawing(5), space), format, icc(space))
        assert difference(decode.open_rgb(path), to_srgb(decoded(path), space)).max() <= NEAR

    @pytest.mark.parametrize("mode", ["RGBA", "P"])
    def test_alpha_and_palettes(self, mode: str) -> None:
        original = drawing(5)
        wide = wide_picture(original, P3)
        if mode == "P":
            wide = wide.quantize(256, dither=Image.Dither.NONE)
        else:
            wide.putalpha(255)
            wide.paste((0, 0, 0, 0), (0, 0, 9, 9))
            original.paste("white", (0, 0, 9, 9))
        wide.info["icc_profile"] = icc(P3)
        assert difference(decode.open_rgb(wide), original).mean() < 2

    def test_after_the_resize_as_before_it(self) -> None:
        wide = wide_picture(pictures.photo(301, 203), P3)
        resized = fit.fit(wide, 64, HUB)
        native = patches.fit(wide, 14)  # a native picture that is not resized
        wide.info["icc_profile"] = icc(P3)
        picture = decode.open_picture(wide)
        assert difference(fit.fit(picture, 64, HUB), to_srgb(resized, P3)).max() <= NEAR
        assert difference(patches.fit(picture, 14), to_srgb(native, P3)).max() <= NEAR

    def test_fast_decoding_too(self, tmp_path: Path) -> None:
        wide = wide_picture(pictures.photo(901, 703), P3)
        paths = (
            write(tmp_path / "a", wide, "JPEG", icc(P3)),
            write(tmp_path / "b", wide, "JPEG", b""),
        )
        found, unread = (decode.open_picture(path, shrink=lambda _w, _h: 12) for path in paths)
        assert found.reduction == 4
        expected = to_srgb(fit.fit(unread, 64, HUB), P3)
        assert difference(fit.fit(found, 64, HUB), expected).max() <= NEAR

    def test_grey_by_its_curve(self, tmp_path: Path) -> None:
        ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None].repeat(7, 0))
        space = Space(SRGB.points, *gamma(1.8))
        path = write(tmp_path / "a", ramp, "PNG", icc(space, kind=b"GRAY"))
        expected = SRGB.to_signal(space.to_light(np.arange(256) / 255)) * 255
        found = np.asarray(decode.open_rgb(path))
        assert difference(found[3, :, 1], expected).max() <= 2
        assert (found[..., 0] == found[..., 2]).all()

    def test_a_pil_image_gives_the_same_as_its_file(self, tmp_path: Path) -> None:
        for format in [*FORMATS, "AVIF"]:
            path = write(tmp_path / format, wide_picture(drawing(5), P3), format, icc(P3))
            with Image.open(path) as given:
                for _ in range(2):
                    assert decode.open_rgb(given).tobytes() == decode.open_rgb(path).tobytes()
                assert given.info["icc_profile"] == icc(P3)

    def test_from_many_threads(self, tmp_path: Path) -> None:
        paths = [
            write(tmp_path / name, wide_picture(drawing(5), space), "PNG", icc(space))
            for name, space in WIDE.items()
        ]
        expected = [decode.open_rgb(path).tobytes() for path in paths]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda path: decode.open_rgb(path).tobytes(), paths * 20))
        assert found == expected * 20

    def test_a_profile_is_opened_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write(tmp_path / "a", drawing(5), "PNG", icc(ADOBE, major=4))
        decode.open_rgb(path)
        monkeypatch.delattr(ImageCms, "ImageCmsProfile")
        decode.open_rgb(path)


class TestLeftAlone:
    @pytest.mark.parametrize("name", SRGB_PROFILES)
    @pytest.mark.parametrize("format", FORMATS)
    def test_an_srgb_profile_changes_no_byte(self, format: str, name: str, tmp_path: Path) -> None:
        original = pictures.photo(97, 61)
        with_profile = write(tmp_path / "a", original, format, SRGB_PROFILES[name])
        without = write(tmp_path / "b", original, format, None)
        assert decode.open_rgb(with_profile).tobytes() == decode.open_rgb(without).tobytes()
        assert decode.open_picture(with_profile).note is None

    @pytest.mark.parametrize("encoding", sorted(set(pictures.ENCODINGS) - {"tiff-lab"}))
    def test_without_a_profile_pillow_alone_makes_the_pixels(
        self, encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(ImageCms, "ImageCmsTransform")
        picture = decode.open_picture(pictures.write(tmp_path, encoding, 29, 23))
        assert (picture.colour, picture.note) == (None, None)

    @pytest.mark.parametrize(
        "profile",
        [
            b"x",
            b"\0" * 3000,
            icc(P3)[:200],
            icc(P3)[:-900],
            icc(P3)[:128] + b"\xff" * 3000,
            icc(P3).replace(b"RGB ", b"CMYK"),
            icc(P3).replace(b"mntr", b"link"),
            icc(Space(P3.points, lambda signal: signal * 0, lambda light: light)),
            icc(Space(P3.points, lambda signal: signal * 0 + 1, lambda light: light)),
            icc(P3) + b"\0" * 9_000_000,
        ],
        ids=lambda profile: f"{len(profile)} bytes",
    )
    @pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
    def test_what_is_damaged_or_absurd_is_told_and_not_used(
        self, format: str, profile: bytes, tmp_path: Path
    ) -> None:
        original = drawing(5)
        path = write(tmp_path / "a", original, format, profile)
        expected = decode.open_rgb(write(tmp_path / "b", original, format, None))
        assert decode.open_rgb(path).tobytes() == expected.tobytes()
        assert "colour profile" in str(decode.open_picture(path).note)

    def test_told_by_an_index(self, tmp_path: Path) -> None:
        for name in ("a", "b", "c"):
            write(tmp_path / f"{name}.png", drawing(5), "PNG", b"nonsense" if name > "a" else None)
        outcome = run(
            "index", str(tmp_path), "--model", "demo", "--library", str(tmp_path / "l.db")
        )
        assert outcome.code == 0
        told = f"{tmp_path / 'b.png'} and 1 other: the colour profile is damaged, and is not used"
        assert told in outcome.err

    def test_a_profile_that_is_told_through_the_model(
        self, model: aimv2.Model, tmp_path: Path
    ) -> None:
        path = write(tmp_path / "a.png", drawing(5), "PNG", b"nonsense")
        (item,) = model.stream([path])
        assert "colour profile is damaged" in str(item.note)
        with pytest.warns(Aimv2Warning, match="colour profile is damaged"):
            model.embed_images(path)


def png_with(picture: Image.Image, *chunks: bytes, **options: object) -> bytes:
    data = pictures.encoded(picture, "PNG", **options)
    return data[:33] + b"".join(chunks) + data[33:]


class TestByNumbers:
    """Colours that a container tells by numbers: nclx, cICP, cHRM with gAMA."""

    @pytest.mark.parametrize("name", CODES)
    def test_heif(self, name: str, tmp_path: Path) -> None:
        primaries, transfer, space = CODES[name]
        options = {"color_primaries": primaries, "transfer_characteristics": transfer}
        path = tmp_path / "a.heic"
        pillow_heif.from_pillow(wide_picture(drawing(5), space)).save(path, **options)
        assert difference(decode.open_rgb(path), to_srgb(decoded(path), space)).max() <= NEAR

    @pytest.mark.parametrize("name", CODES)
    def test_avif(self, name: str, tmp_path: Path) -> None:
        primaries, transfer, space = CODES[name]
        path = tmp_path / "a.avif"
        data = pictures.encoded(wide_picture(drawing(5), space), "AVIF")
        before = b"colrnclx" + struct.pack(">HH", 1, 13)
        assert data.count(before) == 1
        path.write_bytes(data.replace(before, before[:8] + struct.pack(">HH", primaries, transfer)))
        expected = to_srgb(decoded(path), space)
        for source in (path, path.read_bytes(), io.BytesIO(path.read_bytes())):
            assert difference(decode.open_rgb(source), expected).max() <= NEAR
        with Image.open(path) as given:
            for _ in range(2):
                assert difference(decode.open_rgb(given), expected).max() <= NEAR

    @pytest.mark.parametrize("name", CODES)
    def test_png(self, name: str) -> None:
        primaries, transfer, space = CODES[name]
        wide = wide_picture(drawing(5), space)
        cicp = chunk(b"cICP", bytes([primaries, transfer, 0, 1]))
        for data in (png_with(wide, cicp), png_with(wide, cicp, icc_profile=icc(PROPHOTO))):
            assert difference(decode.open_rgb(data), to_srgb(wide, space)).max() <= NEAR

    def test_png_measured(self) -> None:
        red, green, blue, white = ADOBE.points
        points = [round(value * 100_000) for point in (white, red, green, blue) for value in point]
        chrm = chunk(b"cHRM", struct.pack(">8I", *points))
        gama = chunk(b"gAMA", struct.pack(">I", 45470))
        wide = wide_picture(drawing(5), ADOBE)
        found = decode.open_rgb(png_with(wide, gama, chrm))
        assert difference(found, to_srgb(wide, ADOBE)).max() <= NEAR
        for chunks in ((gama,), (chrm,), (gama, chrm, chunk(b"sRGB", b"\0"))):
            assert decode.open_rgb(png_with(wide, *chunks)).tobytes() == wide.tobytes()

    def test_numbers_of_srgb_change_no_byte(self) -> None:
        original = drawing(5)
        points = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
        chrm = chunk(b"cHRM", struct.pack(">8I", *points))
        gama = chunk(b"gAMA", struct.pack(">I", 45455))
        cicp, unknown = (chunk(b"cICP", bytes([code, code, 0, 1])) for code in (1, 2))
        for chunks in ((chrm, gama), (cicp,), (unknown,)):
            assert decode.open_rgb(png_with(original, *chunks)).tobytes() == original.tobytes()

    def test_light_beyond_white(self) -> None:
        """PQ and HLG: a white page (203 nits, BT.2408) is white, and grey stays grey."""
        for transfer, white in ((16, 148), (18, 191)):
            ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
            cicp = chunk(b"cICP", bytes([9, transfer, 0, 1]))
            found = np.asarray(decode.open_rgb(png_with(Image.fromarray(ramp), cicp)), int)[0]
            assert (found[white:] >= 253).all() and (found[: white - 8] < 253).all()
            assert (np.diff(found[:, 1]) >= 0).all()
            assert abs(found[:, 0] - found[:, 2]).max() <= 1

    def test_damaged_containers_are_pictures_without(self) -> None:
        data = pictures.encoded(drawing(5), "AVIF")
        expected = decode.open_rgb(data).tobytes()
        at = data.index(b"iprp")
        for place in range(at, at + 60, 3):
            bent = data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]
            try:
                decode.open_rgb(bent)
            except aimv2.Aimv2Error:
                continue
        assert decode.open_rgb(data).tobytes() == expected


class TestInks:
    """CMYK: by its profile, before the resize; without one as the reference has it."""

    PAPER, CYAN, MAGENTA = (95.0, 0.0, -2.0), (60.0, -30.0, -40.0), (50.0, 60.0, -5.0)

    def profile(self) -> bytes:
        named = {(0, 0, 0, 0): self.PAPER, (1, 0, 0, 0): self.CYAN, (0, 1, 0, 0): self.MAGENTA}
        every = itertools.product((0, 1), repeat=4)
        return cmyk_icc({key: named.get(key, (0.0, 0.0, 0.0)) for key in every})

    @pytest.mark.parametrize("format", ["JPEG", "TIFF"])
    def test_as_its_profile_says(self, format: str, tmp_path: Path) -> None:
        inks = Image.new("CMYK", (48, 16))
        inks.paste((255, 0, 0, 0), (16, 0, 32, 16))
        inks.paste((0, 255, 0, 0), (32, 0, 48, 16))
        path = write(tmp_path / "a", inks, format, self.profile())
        picture = decode.open_picture(path)
        assert (picture.image.mode, picture.colour, picture.note) == ("RGB", None, None)
        # Paper is white; what is relative to it is a little lighter.
        assert np.asarray(picture.image)[8, 8].min() >= 253
        for x, lab in ((24, self.CYAN), (40, self.MAGENTA)):
            found = np.asarray(picture.image, float)[8, x]
            assert abs(found - lab_to_srgb(lab)).max() <= 12

    def test_without_a_profile(self, tmp_path: Path) -> None:
        inks = pictures.photo_in("CMYK", 31, 23)
        path = write(tmp_path / "a", inks, "TIFF", None)
        assert decode.open_rgb(path).tobytes() == inks.convert("RGB").tobytes()


class TestVectors:
    """What a user sees: the same vectors, and duplicates."""

    COUNT = 24

    @pytest.mark.parametrize("name", WIDE)
    def test_cosines(self, name: str, model: aimv2.Model, tmp_path: Path) -> None:
        originals = [drawing(1000 + number, 256) for number in range(self.COUNT)]
        paths = [wide_copy(tmp_path / f"{number}.png", 1000 + number, name) for number in range(24)]
        expected = np.array(model.embed_images(originals))
        for how in ("exact", "fast"):
            found = np.array(model.embed_images(paths, decode=how))
            assert (found * expected).sum(axis=1).min() >= LEAST_COSINE[name]

    def test_metadata_say_so(self, model: aimv2.Model) -> None:
        made_by = model.metadata(ImageOptions())
        assert made_by["preprocessing"]["colours"] == "srgb"  # type: ignore[index]

    def test_duplicates_and_likeness(self, tmp_path: Path) -> None:
        album = tmp_path / "album"
        album.mkdir()
        for number in range(self.COUNT):
            drawing(1000 + number, 256).save(album / f"{number}.png")
            for name in WIDE:
                wide_copy(album / f"{number}-{name}.png", 1000 + number, name)

        def number_of(path: bytes) -> str:
            return Path(os.fsdecode(path)).stem.partition("-")[0]

        with aimv2.Library(tmp_path / "library.db") as library:
            library.index(album, model="demo")
            files = {file.id: number_of(file.path) for file in library.store.files()}
            groups = [[files[id] for id in group.files] for group in library.duplicates()]
            every = sorted([str(number)] * (1 + len(WIDE)) for number in range(self.COUNT))
            assert sorted(groups) == every
            elsewhere = wide_copy(tmp_path / "a.png", 1003, "prophoto")
            hits = library.search(like=str(elsewhere), count=4).hits
            assert {number_of(hit.file.path) for hit in hits} == {"3"}

    def test_classify(self, tmp_path: Path) -> None:
        for name in WIDE:
            wide_copy(tmp_path / f"{name}.png", 1003, name)
        drawing(1003, 256).save(tmp_path / "srgb.png")
        labels = "a boat,an owl,a cat,a house,a tree"
        outcome = run("classify", str(tmp_path), "-m", "demo", "-l", labels, "--json")
        scores = [record["scores"] for record in outcome.records]
        assert len(scores) == 4
        for each in scores[1:]:
            assert each == pytest.approx(scores[0], abs=0.05)


def test_signatures_and_thumbnails_are_in_srgb(tmp_path: Path) -> None:
    original = drawing(1005, 256)
    path = wide_copy(tmp_path / "a.png", 1005, "prophoto")
    unread = make_signature(wide_picture(original, PROPHOTO))
    signatures = [make_signature(decode.open_picture(path)), unread]
    likeness = similarity(stack([make_signature(original)] * 2), stack(signatures))
    assert likeness[0] > 0.5 > likeness[1]
    small = Image.open(io.BytesIO(thumbnail(path, 64)))
    assert "icc_profile" not in small.info
    assert difference(small, original.resize((64, 64), Image.Resampling.LANCZOS)).mean() < 6
