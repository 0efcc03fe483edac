"""Keywords inside photos, written by other programs, and what is damaged in them."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, IptcImagePlugin, PngImagePlugin, TiffImagePlugin

from mlx_aimv2.images.metadata.embedded import Embedded, find_embedded, read_iptc_keywords
from mlx_aimv2.images.metadata.exif import header_in
from mlx_aimv2.library.indexing.photo_reader import read_keywords_inside
from tests.support.exiftool_runs import exiftool
from tests.support.keyword_packet import PACKET
from tests.support.pictures import ENCODINGS, encoded, photo, write


def dataset(record: int, number: int, value: bytes) -> bytes:
    return struct.pack(">BBBH", 0x1C, record, number, len(value)) + value


def resources(iptc: bytes) -> bytes:
    """Photoshop's blocks, one of another kind before that of IPTC."""
    found = b""
    for number, name, data in ((0x03E9, b"\x03abc", b"odd"), (0x0404, b"\0\0", iptc)):
        padded = data + b"\0" * (len(data) % 2)
        found += b"8BIM" + struct.pack(">H", number) + name + struct.pack(">I", len(data)) + padded
    return found


def embedded(path: Path) -> Embedded:
    with path.open("rb") as file:
        return header_in(file, path)[1]


def tags(path: Path) -> list[str]:
    return sorted(read_keywords_inside(path).values())


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_a_packet_in_each_format(format: str, tmp_path: Path) -> None:
    file = tmp_path / "picture"
    image = photo(46, 34)
    if format == "PNG":
        texts = PngImagePlugin.PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", PACKET.decode())
        image.save(file, format, pnginfo=texts)
    elif format == "TIFF":
        image.save(file, format, tiffinfo={700: PACKET})
    else:
        file.write_bytes(encoded(image, format, xmp=PACKET))
    assert tags(file) == ["Animals|Dog", "Café"]


@pytest.mark.parametrize("kind", ["block", "numbers", "resources"])
def test_iptc_in_a_tiff(kind: str, tmp_path: Path) -> None:
    data = dataset(2, 25, b"Dog") + dataset(2, 25, b"Sea!")
    data += b"\0" * (-len(data) % 4)
    tiff = TiffImagePlugin.ImageFileDirectory_v2()
    if kind == "resources":
        tiff[34377], tiff.tagtype[34377] = resources(data), 7
    else:
        tiff[33723], tiff.tagtype[33723] = data, 7
    photo(46, 34).save(tmp_path / "a.tif", tiffinfo=tiff)
    if kind == "numbers":  # as Photoshop calls them
        whole = (tmp_path / "a.tif").read_bytes()
        entry = struct.pack("<HHI", 33723, 7, len(data))
        assert whole.count(entry) == 1
        numbers = struct.pack("<HHI", 33723, 4, len(data) // 4)
        (tmp_path / "a.tif").write_bytes(whole.replace(entry, numbers))
    assert embedded(tmp_path / "a.tif").iptc == ("Dog", "Sea!")


def test_iptc_in_a_jpeg_as_pillow_reads_it(tmp_path: Path) -> None:
    data = dataset(1, 90, b"\x1b%G") + dataset(2, 25, "Café".encode()) + dataset(2, 25, b"Dog")
    segment = b"Photoshop 3.0\0" + resources(data)
    plain = encoded(photo(46, 34), "JPEG")
    head = struct.pack(">HH", 0xFFED, len(segment) + 2)
    (tmp_path / "a.jpg").write_bytes(plain[:2] + head + segment + plain[2:])
    with Image.open(tmp_path / "a.jpg") as image:
        oracle = IptcImagePlugin.getiptcinfo(image)
    assert oracle is not None
    found = embedded(tmp_path / "a.jpg").iptc
    assert [text.encode() for text in found] == oracle[2, 25]
    assert tags(tmp_path / "a.jpg") == ["Café", "Dog"]


@pytest.mark.parametrize("kind", ["resources", "alone", "xmp", "behind the pixels"])
def test_profiles_in_the_texts_of_a_png(kind: str, tmp_path: Path) -> None:
    iptc = dataset(2, 25, "Café".encode()) + dataset(2, 25, b"Dog")
    data = {"alone": iptc, "xmp": PACKET}.get(kind, resources(iptc))
    name = "xmp" if kind == "xmp" else "iptc"
    digits = "\n".join(data.hex()[at : at + 72] for at in range(0, 2 * len(data), 72))
    texts = PngImagePlugin.PngInfo()
    title = f"Raw profile type {name}"
    texts.add_text(title, f"\n{name}\n{len(data):8}\n{digits}\n", zip=kind != "alone")
    file = tmp_path / "a.png"
    photo(46, 34).save(file, pnginfo=texts)
    if kind == "behind the pixels":
        whole = file.read_bytes()
        start = whole.index(b"zTXt") - 4
        end = start + 12 + int.from_bytes(whole[start : start + 4], "big")
        file.write_bytes(whole[:start] + whole[end:-12] + whole[start:end] + whole[-12:])
    assert tags(file) == (["Animals|Dog", "Café"] if kind == "xmp" else ["Café", "Dog"])
    texts.add_text(title, f"\n{name}\n2\nxyz", zip=True)
    photo(46, 34).save(file, pnginfo=texts)
    assert tags(file) == []


def test_letters_of_old_programs() -> None:
    texts = ["Café".encode(), "Café".encode("cp1252"), b"\x81\x8d", b" a\0b \n", b" \0"]
    found = read_iptc_keywords(b"".join(dataset(2, 25, text) for text in texts))
    assert found == ["Café", "Café", "\x81\x8d", "a b"]


def test_a_long_length() -> None:
    long = b"\x1c\x02\x19\x80\x04" + struct.pack(">I", 40_000) + b"a" * 40_000
    assert read_iptc_keywords(long + dataset(2, 25, b"Dog")) == ["a" * 40_000, "Dog"]
    assert read_iptc_keywords(dataset(2, 25, b"Dog") + b"\x1c\x02\x19\xff\xff") == ["Dog"]


@given(st.binary(max_size=99), st.booleans())
def test_damaged_data_say_nothing_and_raise_nothing(data: bytes, is_cut: bool) -> None:
    whole = resources(dataset(2, 25, b"Dog") + data)
    cut = whole[: len(data)] if is_cut else b"8BIM" + data
    for each in (cut, data, whole):
        find_embedded({"xmp": data}, {34377: each, 33723: data})
    assert "Dog" in find_embedded({}, {34377: whole}).iptc


def test_a_damaged_packet_is_no_fault_of_the_photo(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    for packet in (PACKET[:-20], b"<x", b"\xff\xfe\0", PACKET.replace(b"rdf:Bag", b"rdf:Sack")):
        file.write_bytes(encoded(photo(46, 34), "JPEG", xmp=packet))
        assert tags(file) == []


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_no_keywords(encoding: str, tmp_path: Path) -> None:
    assert tags(write(tmp_path, encoding, 29, 23)) == []


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
def test_what_exiftool_writes(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    photo(46, 34).save(file)
    words = ["-XMP-dc:Subject=Café", "-XMP-lr:HierarchicalSubject=Places|Sea",
             "-XMP-digiKam:TagsList=Places/Sea", "-XMP-digiKam:TagsList=People/Luna"]  # fmt: skip
    if name in {"a.jpg", "a.tif"}:
        words += ["-IPTC:Keywords=Boat", "-IPTC:Keywords=Sea"]
    exiftool("-q", "-overwrite_original", *words, file)
    boat = ["Boat"] if name in {"a.jpg", "a.tif"} else []
    assert tags(file) == sorted([*boat, "Café", "People|Luna", "Places|Sea"])
