"""A photo's facts from its header alone, whatever its EXIF data hold."""

import os
import struct
import tempfile
import zlib
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageFile, PngImagePlugin

from mlx_aimv2.errors import ImageError
from mlx_aimv2.images.decode import open_rgb
from mlx_aimv2.images.metadata.date_parsing import read_date
from mlx_aimv2.images.metadata.exif import PhotoFacts, read_facts
from mlx_aimv2.images.metadata.xmp_values import read_taken_at
from tests.support import tiffs
from tests.support.pictures import ENCODINGS, encoded, photo, png_header, write
from tests.support.tiffs import Directory, Value

WITH_EXIF = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF")
ZERO = "0000:00:00 00:00:00"
DATES = (
    (ExifTags.IFD.Exif, ExifTags.Base.DateTimeOriginal),
    (ExifTags.IFD.Exif, ExifTags.Base.DateTimeDigitized),
    (None, ExifTags.Base.DateTime),
)

Tags = dict[int, Any]


def exif_of(main: Tags, exif: Tags | None = None, gps: Tags | None = None) -> Image.Exif:
    made = Image.Exif()
    made.update(main)
    made.get_ifd(ExifTags.IFD.Exif).update(exif or {})
    made.get_ifd(ExifTags.IFD.GPSInfo).update(gps or {})
    return made


def facts_of(folder: Path, exif: Image.Exif | bytes, format: str = "JPEG") -> PhotoFacts:
    data = exif if isinstance(exif, bytes) else exif.tobytes()
    file = folder / "picture"
    file.write_bytes(encoded(photo(46, 34), format, exif=data))
    return read_facts(file)


def position(latitude: Any, north: Any, longitude: Any, east: Any) -> Tags:
    tags = ExifTags.GPS
    values = (latitude, north, longitude, east)
    names = (tags.GPSLatitude, tags.GPSLatitudeRef, tags.GPSLongitude, tags.GPSLongitudeRef)
    return {tag: value for tag, value in zip(names, values, strict=True) if value is not None}


def fails(path: Path | bytes) -> str:
    with pytest.raises(ImageError) as caught:
        read_facts(path)
    assert caught.value.hint
    return str(caught.value)


class TestFiles:
    @pytest.mark.parametrize("encoding", ENCODINGS)
    def test_format_and_size(self, encoding: str, tmp_path: Path) -> None:
        facts = read_facts(write(tmp_path, encoding, 29, 23))
        format = {"MPO": "JPEG"}.get(ENCODINGS[encoding][0], ENCODINGS[encoding][0])
        assert facts == PhotoFacts(format, 29, 23, None, None, None, None)

    @pytest.mark.parametrize("name", [b"caf\xe9.jpg", b"nfd-e\xcc\x81.jpg", b"a\nb.jpg"])
    def test_any_name(self, name: bytes, tmp_path: Path) -> None:
        path = os.fsencode(tmp_path) + b"/" + name
        try:
            os.close(os.open(path, os.O_CREAT))
        except OSError:
            pytest.skip("needs a file system that takes any bytes")
        assert "is empty" in fails(path)
        Path(os.fsdecode(path)).write_bytes(encoded(photo(29, 23), "JPEG"))
        assert read_facts(path) == read_facts(os.fsdecode(path))
        assert read_facts(path).width_px == 29

    def test_what_is_no_picture(self, tmp_path: Path) -> None:
        (tmp_path / "text.jpg").write_text("not a picture\n")
        (tmp_path / "start.jpg").write_bytes(encoded(photo(46, 34), "JPEG")[:30])
        (tmp_path / "flat.png").write_bytes(png_header(0, 7))
        assert "known format" in fails(tmp_path / "text.jpg")
        assert "start.jpg is " in fails(tmp_path / "start.jpg")
        assert "flat.png is damaged" in fails(tmp_path / "flat.png")
        assert "a folder" in fails(tmp_path)
        assert "does not exist" in fails(tmp_path / "gone.jpg")

    @pytest.mark.parametrize("format", WITH_EXIF)
    def test_truncated_anywhere(self, format: str, tmp_path: Path) -> None:
        gps = position((1.0, 2.0, 3.0), "N", (4.0, 5.0, 6.0), "E")
        exif = exif_of({ExifTags.Base.Orientation: 6}, {}, gps).tobytes()
        data = encoded(photo(46, 34), format, exif=exif)
        file = tmp_path / "cut"
        for length in range(1, len(data), max(1, len(data) // 97)):
            file.write_bytes(data[:length])
            try:
                facts = read_facts(file)
            except ImageError as error:
                assert str(file) in str(error)
            else:
                assert {facts.width_px, facts.height_px} == {34, 46}

    def test_no_pixel_is_decoded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        files = [write(tmp_path, encoding, 29, 23) for encoding in ENCODINGS]

        def refuse(self: Image.Image) -> None:
            raise AssertionError("decoded")

        monkeypatch.setattr(ImageFile.ImageFile, "load", refuse)
        assert {read_facts(file).width_px for file in files} == {29}

    def test_the_file_is_left_alone(self, tmp_path: Path) -> None:
        file = write(tmp_path, "jpeg", 29, 23)
        before = file.read_bytes(), file.stat().st_mtime_ns
        read_facts(file)
        assert (file.read_bytes(), file.stat().st_mtime_ns) == before


def orientation_chunk(kind: str, orientation: int) -> bytes:
    """A PNG chunk that says how a picture is turned: EXIF, EXIF in text as ImageMagick, or XMP."""
    exif = exif_of({ExifTags.Base.Orientation: orientation}).tobytes()
    hexadecimal = f"\nexif\n{len(exif):8}\n{exif.hex()}\n".encode()
    xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="{orientation}"/></x:xmpmeta>'
    content = {
        "eXIf": exif.removeprefix(b"Exif\0\0"),
        "zTXt": b"Raw profile type exif\0\0" + zlib.compress(hexadecimal),
        "iTXt": b"XML:com.adobe.xmp\0\0\0\0\0" + xmp.encode(),
    }[kind]
    name = kind.encode()
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


class TestOrientation:
    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("format", WITH_EXIF)
    def test_size_is_as_displayed(self, format: str, orientation: int, tmp_path: Path) -> None:
        facts = facts_of(tmp_path, exif_of({ExifTags.Base.Orientation: orientation}), format)
        assert facts.format == format
        if (format, orientation) != ("AVIF", 1):  # which is stored as nothing at all
            assert facts.orientation == orientation
        assert (facts.width_px, facts.height_px) == open_rgb(tmp_path / "picture").size
        assert (facts.width_px > facts.height_px) == (orientation < 5)

    @pytest.mark.parametrize("kind", ["eXIf", "zTXt", "iTXt"])
    @pytest.mark.parametrize("is_behind", [False, True])
    @pytest.mark.parametrize("frames", [1, 2])
    def test_png_wherever_it_stands(
        self,
        kind: str,
        is_behind: bool,
        frames: int,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        more = {"save_all": True, "append_images": [photo(46, 34, 1)]} if frames > 1 else {}
        data = encoded(photo(46, 34), "PNG", **more)
        at = len(data) - 12 if is_behind else 33
        file = tmp_path / "a.png"
        file.write_bytes(data[:at] + orientation_chunk(kind, 6) + data[at:])
        size = open_rgb(file).size
        assert size == ((46, 34) if is_behind and frames > 1 else (34, 46))  # Pillow's truth
        monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("decoded"))
        facts = read_facts(file)
        assert (facts.width_px, facts.height_px) == size

    @pytest.mark.parametrize("value", [0, 9, 65535])
    def test_out_of_range(self, value: int, tmp_path: Path) -> None:
        facts = facts_of(tmp_path, exif_of({ExifTags.Base.Orientation: value}))
        assert (facts.orientation, facts.width_px) == (None, 46)


class TestDates:
    @pytest.mark.parametrize("format", WITH_EXIF)
    @pytest.mark.parametrize("first", range(3))
    def test_the_most_trustworthy(self, first: int, format: str, tmp_path: Path) -> None:
        directories: dict[int | None, Tags] = {None: {}, ExifTags.IFD.Exif: {}}
        for number, (directory, tag) in enumerate(DATES):
            date = f"202{number}:05:01 12:34:56" if number >= first else ZERO
            directories[directory][tag] = date
        exif = exif_of(directories[None], directories[ExifTags.IFD.Exif])
        assert facts_of(tmp_path, exif, format).taken_at == f"202{first}-05-01T12:34:56"

    def test_fractions_and_offsets_are_ignored(self, tmp_path: Path) -> None:
        tags = ExifTags.Base
        exif = {
            tags.DateTimeOriginal: "2024:02:29 23:59:59",
            tags.SubsecTimeOriginal: "999",
            tags.OffsetTimeOriginal: "+09:00",
        }
        assert facts_of(tmp_path, exif_of({}, exif)).taken_at == "2024-02-29T23:59:59"

    @pytest.mark.parametrize("format", WITH_EXIF)
    @pytest.mark.parametrize(
        "day", ["2024:05:31", "2024-05-31", "2024/05/31", "2024.05.31", "2024: 5:31", "20240531"]
    )
    def test_a_day_alone_is_its_midnight(self, day: str, format: str, tmp_path: Path) -> None:
        for blank in ("", "   :  :  ", " \0"):
            exif = exif_of({}, {ExifTags.Base.DateTimeOriginal: day + blank})
            assert facts_of(tmp_path, exif, format).taken_at == "2024-05-31T00:00:00"

    @pytest.mark.parametrize("day", ["2024:05:31", "2024-05-31", "2024/5/31", "20240531"])
    @pytest.mark.parametrize("between", [" ", "T", "  "])
    @pytest.mark.parametrize("time", ["14:30:00", "14:30", "14.30.00", "143000", "2:30 PM"])
    @pytest.mark.parametrize(
        "end", ["", "Z", "+02:00", "-0700", " +02", " UTC", " PST", "\0x", " \0\0"]
    )
    def test_a_time_is_what_the_clock_showed(
        self, day: str, between: str, time: str, end: str
    ) -> None:
        assert read_date(f"{day}{between}{time}{end}") == "2024-05-31T14:30:00"

    @pytest.mark.parametrize(
        ("text", "second"),
        [
            *(("14:30:07.25", "07"), ("14:30:07,123456Z", "07"), ("143007.5", "07")),
            *(("14:30:60", "59"), ("14:30:  ", "00"), ("02:30:07 pm", "07")),
        ],
    )
    def test_seconds(self, text: str, second: str, tmp_path: Path) -> None:
        exif = exif_of({ExifTags.Base.DateTime: f"2024:05:31 {text}"})
        assert facts_of(tmp_path, exif).taken_at == f"2024-05-31T14:30:{second}"

    def test_hour_24_is_in_the_day_that_it_is_written_in(self) -> None:
        assert read_date("2024:05:31 24:30:07") == "2024-05-31T00:30:07"

    @pytest.mark.parametrize("year", ["1503", "1970", "1980", "2099"])
    def test_no_year_is_too_odd(self, year: str, tmp_path: Path) -> None:
        exif = exif_of({ExifTags.Base.DateTime: f"{year}:01:01 00:00:00"})
        assert facts_of(tmp_path, exif).taken_at == f"{year}-01-01T00:00:00"

    @given(st.datetimes(datetime(1000, 1, 1), datetime(2999, 12, 31)))
    def test_what_the_standard_library_writes(self, date: datetime) -> None:
        whole = date.replace(microsecond=0).isoformat()
        for text in (date.isoformat(), f"{date.isoformat()}+00:00", f"{date:%Y:%m:%d %H:%M:%S}"):
            assert read_date(text) == whole

    @given(st.text("0123456789:-/. TZ+AP\0\u0661", max_size=24))
    def test_any_text_is_a_date_or_none(self, text: str) -> None:
        date = read_date(text)
        assert date is None or datetime.fromisoformat(date).isoformat() == date

    def test_a_text_without_an_end_is_none(self) -> None:
        assert read_date(f"2024:05:31 12:00:00{' ' * 10**6}x") is None  # in minutes, were it tried

    @pytest.mark.parametrize(
        "value",
        [
            *(ZERO, "    :  :     :  :  ", "2023:02:29 12:00:00", "2024:05:01 25:00:00", "", "\0"),
            *("2024", "2024-05", "yesterday", "2024:05:01 12:00:00 and more", "\xff" * 19, 7),
            *("05/06/2020", "01.05.2024 12:00", "24:05:01 12:00:00", "1717156800", "2024:13:01"),
            *("2024:05-01", "2024:05:01 3", "2024-05-01T10-07:00", "2024:05:01 12:60:00"),
        ],
    )
    def test_malformed(self, value: Any, tmp_path: Path) -> None:
        exif = exif_of({ExifTags.Base.DateTime: value}, {ExifTags.Base.DateTimeOriginal: value})
        assert facts_of(tmp_path, exif).taken_at is None

    @pytest.mark.parametrize(
        "text", ["2012:10:23 \u4e0b\u5348 03:15", "\u0662\u0660\u0661\u0665:05:01"]
    )
    def test_other_scripts(self, text: str) -> None:
        assert read_date(text) is None

    def test_padding(self, tmp_path: Path) -> None:
        exif = exif_of({ExifTags.Base.DateTime: "2024:05:01 12:00:00 \0\0"})
        assert facts_of(tmp_path, exif).taken_at == "2024-05-01T12:00:00"


def xmp_of(properties: str) -> bytes:
    """A packet with these attributes, or with these elements."""
    inside = f"><rdf:Description rdf:about=''>{properties}</rdf:Description>"
    if not properties.startswith("<"):
        inside = f"><rdf:Description rdf:about='' {properties}/>"
    return (
        "<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>"
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF "
        "xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' "
        "xmlns:exif='http://ns.adobe.com/exif/1.0/' xmlns:xmp='http://ns.adobe.com/xap/1.0/' "
        f"xmlns:photoshop='http://ns.adobe.com/photoshop/1.0/'{inside}</rdf:RDF></x:xmpmeta>"
        f"{' ' * 40}<?xpacket end='w'?>"
    ).encode()


def with_xmp(file: Path, packet: bytes, format: str, exif: Image.Exif | None = None) -> Path:
    options: dict[str, Any] = {"xmp": packet}
    if format == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", packet.decode(errors="replace"), zip=True)
        options = {"pnginfo": text}
    elif format == "TIFF":
        exif, options = exif or Image.Exif(), {}
        exif[700] = packet
    if exif:
        options["exif"] = exif.tobytes()
    file.write_bytes(encoded(photo(46, 34), format, **options))
    return file


class TestDatesInXmp:
    @pytest.mark.parametrize("format", WITH_EXIF)
    @pytest.mark.parametrize(
        "properties",
        [
            "exif:DateTimeOriginal='2024-05-31T14:05:06+02:00'",
            "photoshop:DateCreated='2024-05-31T14:05:06'",
            "xmp:CreateDate='2024-05-31T14:05:06.25Z' xmp:ModifyDate='2025-01-01T00:00:00'",
            "<exif:DateTimeOriginal>2024-05-31T14:05:06</exif:DateTimeOriginal>",
            "<photoshop:DateCreated>\n 2024-05-31T14:05:06 </photoshop:DateCreated>",
            "<xmp:CreateDate>2025</xmp:CreateDate><exif:DateTimeDigitized>2024-05-31T14:05:06"
            "</exif:DateTimeDigitized>",
        ],
    )
    def test_where_exif_has_none(self, format: str, properties: str, tmp_path: Path) -> None:
        file = with_xmp(tmp_path / "picture", xmp_of(properties), format)
        assert read_facts(file).taken_at == "2024-05-31T14:05:06"

    @pytest.mark.parametrize("format", WITH_EXIF)
    def test_exif_comes_first(self, format: str, tmp_path: Path) -> None:
        packet = xmp_of("exif:DateTimeOriginal='2024-05-31T14:05:06'")
        for said, date in (
            ("2023:04:05 06:07:08", "2023-04-05T06:07:08"),
            (ZERO, "2024-05-31T14:05:06"),
        ):
            exif = exif_of({ExifTags.Base.DateTime: said})
            file = with_xmp(tmp_path / "picture", packet, format, exif)
            assert read_facts(file).taken_at == date

    def test_the_time_of_the_shot_comes_before_that_of_the_file(self, tmp_path: Path) -> None:
        packet = xmp_of(
            "xmp:CreateDate='2025-01-01T00:00:00' photoshop:DateCreated='2024-05-31' "
            "exif:DateTimeOriginal='unknown'"
        )
        file = with_xmp(tmp_path / "picture", packet, "JPEG")
        assert read_facts(file).taken_at == "2024-05-31T00:00:00"

    @pytest.mark.parametrize("format", WITH_EXIF)
    @pytest.mark.parametrize(
        "packet",
        [
            *(b"", b"\0", b"<", b"no XML", b"\xff\xfe", xmp_of("exif:DateTimeOriginal='soon'")),
            xmp_of("exif:DateTimeOriginal='2024-05-31'")[:-99],
            b"<!DOCTYPE x [<!ENTITY a '2024-05-31'><!ENTITY b '&a;&a;'>]><x>&b;</x>",
            b"<!DOCTYPE x SYSTEM 'file:///etc/passwd'>" + xmp_of("xmp:CreateDate='2024-05-31'"),
            b"<a>" * 9000,
        ],
    )
    def test_damaged(self, format: str, packet: bytes, tmp_path: Path) -> None:
        facts = read_facts(with_xmp(tmp_path / "picture", packet, format))
        assert (facts.width_px, facts.taken_at) == (46, None)

    def test_in_utf_16_and_padded_with_zeros(self) -> None:
        packet = xmp_of("xmp:CreateDate='2024-05-31T14:05:06'")
        for data in (packet + bytes(9), packet.decode().encode("utf-16"), b"\n" + packet):
            assert read_taken_at(data) == "2024-05-31T14:05:06"

    def test_in_a_raw(self, tmp_path: Path) -> None:
        pytest.importorskip("rawpy", reason="needs rawpy")
        packet = xmp_of("exif:DateTimeOriginal='2024-05-31T14:05:06'")
        file = tmp_path / "a.DNG"
        file.write_bytes(tiffs.dng(encoded(photo(46, 34), "JPEG"), packet=packet))
        assert read_facts(file).taken_at == "2024-05-31T14:05:06"


class TestPlaces:
    @pytest.mark.parametrize("format", WITH_EXIF)
    @pytest.mark.parametrize(("north", "sign_north"), [("N", 1), ("S", -1)])
    @pytest.mark.parametrize(("east", "sign_east"), [("E", 1), ("W", -1)])
    def test_halves(
        self, north: str, sign_north: int, east: str, sign_east: int, format: str, tmp_path: Path
    ) -> None:
        gps = position((46.0, 57.0, 9.0), north, (7.0, 26.0, 51.0), east)
        facts = facts_of(tmp_path, exif_of({}, {}, gps), format)
        assert facts.latitude == pytest.approx(sign_north * 46.9525, abs=1e-9)
        assert facts.longitude == pytest.approx(sign_east * 7.4475, abs=1e-9)

    @pytest.mark.parametrize(
        "gps",
        [
            position((91.0, 0.0, 0.0), "N", (7.0, 0.0, 0.0), "E"),
            position((90.0, 0.0, 1.0), "N", (7.0, 0.0, 0.0), "E"),
            position((46.0, 0.0, 0.0), "N", (180.0, 0.0, 1.0), "E"),
            position((46.0, 61.0, 0.0), "N", (7.0, 0.0, 0.0), "E"),
            position((46.0, 0.0, 61.0), "N", (7.0, 0.0, 0.0), "E"),
            position((46.0, 0.0), "N", (7.0, 0.0, 0.0), "E"),
            position((46.0, 0.0, 0.0), None, (7.0, 0.0, 0.0), "E"),
            position((46.0, 0.0, 0.0), "E", (7.0, 0.0, 0.0), "N"),
            position((46.0, 0.0, 0.0), "N", None, "E"),
            position((46.0, 0.0, 0.0), "", (7.0, 0.0, 0.0), ""),
        ],
    )
    def test_malformed(self, gps: Tags, tmp_path: Path) -> None:
        facts = facts_of(tmp_path, exif_of({}, {}, gps))
        assert (facts.latitude, facts.longitude) == (None, None)

    @pytest.mark.parametrize("fix", [(0, 0), (46, 0)])
    def test_without_a_fix_denominators_are_zero(
        self, fix: tuple[int, int], tmp_path: Path
    ) -> None:
        right, wrong = tiffs.rationals((46, 1), (57, 1), (9, 1)), tiffs.rationals(fix, fix, fix)
        halves = {1: tiffs.text("N"), 3: tiffs.text("E")}
        assert facts_of(tmp_path, tiffs.exif({}, {}, halves | {2: right, 4: right})).latitude
        for gps in (halves | {2: right, 4: wrong}, halves | {2: wrong, 4: right}):
            facts = facts_of(tmp_path, tiffs.exif({}, {}, gps))
            assert (facts.latitude, facts.longitude) == (None, None)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
class TestHostile:
    """Whatever stands in the EXIF data: no error, and no value that is out of range."""

    numbers = st.lists(st.integers(0, 70), max_size=6).map(lambda values: values + [1] * 6)
    data = st.one_of(
        st.binary(max_size=40),
        numbers.map(lambda values: struct.pack(f"<{len(values)}I", *values)),
        st.sampled_from((b"N", b"W\0", b"2024:05:01 12:00:00\0")),
    )
    value = st.builds(Value, st.integers(0, 14), st.sampled_from((0, 1, 2, 3, 20, 2**31)), data)
    main = st.dictionaries(st.sampled_from((274, 306, 34665, 34853, 700)), value)
    inner = st.dictionaries(st.sampled_from((36867, 36868, 37500, 40965)), value)
    gps = st.dictionaries(st.sampled_from((1, 2, 3, 4)), value)

    @given(main, inner, gps)
    @settings(max_examples=100, deadline=None)
    def test_values(self, main: Directory, inner: Directory, gps: Directory) -> None:
        check_in_range(tiffs.exif(main, inner, gps))

    @given(st.data())
    @settings(max_examples=100, deadline=None)
    def test_bytes(self, data: st.DataObject) -> None:
        gps = position((46.0, 57.0, 9.0), "N", (7.0, 26.0, 51.0), "E")
        date = {ExifTags.Base.DateTimeOriginal: "2024:05:01 12:00:00"}
        block = bytearray(exif_of({274: 6}, date, gps).tobytes())
        for place in data.draw(st.lists(st.integers(6, len(block) - 1), max_size=5)):
            block[place] = data.draw(st.integers(0, 255))
        check_in_range(bytes(block[: data.draw(st.integers(6, len(block)))]))


def check_in_range(exif: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        facts = facts_of(Path(folder), exif)
    assert {facts.width_px, facts.height_px} == {46, 34}
    assert facts.orientation in {None, *range(1, 9)}
    assert facts.taken_at is None or len(facts.taken_at) == len("2024-05-01T12:00:00")
    assert (facts.latitude is None) == (facts.longitude is None)
    if facts.latitude is not None and facts.longitude is not None:
        assert abs(facts.latitude) <= 90
        assert abs(facts.longitude) <= 180
