"""A contact sheet shows what it was given, escaped, whole, and one photo at a time."""

import base64
import io
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import unquote_to_bytes

import mlx.core as mx
import numpy as np
import pytest
from PIL import Image

from mlx_aimv2.errors import ImageError, OutputError
from mlx_aimv2.files.lock import take_lock
from mlx_aimv2.inference.locating.locator import Located
from mlx_aimv2.library import contact_sheet
from mlx_aimv2.library.contact_sheet import SheetGroup, SheetRow, check_sheet, write_sheet
from mlx_aimv2.library.thumbnails.thumbnail import SIDE_PX, thumbnail
from tests.support.counted import allocated
from tests.support.names import takes_any_bytes
from tests.support.pages import Page
from tests.support.pictures import photo
from tests.support.sheet_rows import sheet_row

HOSTILE = [
    "<img src=x onerror=document.title='pwned'>.jpg",
    '"\'><b onclick="x">&amp;.jpg',
    "line\nbreak\ttab\x1b[31m.jpg",
    "photo\u202egpj.exe",
    "\u2028\u2066 ünïcödé 写真 😀.jpg",
    "100% #1?&=.jpg",
]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def save(path: Path, width: int = 31, height: int = 23, **options: object) -> Path:
    photo(width, height).save(path, "JPEG", **options)
    return path


def read(target: Path) -> Page:
    return Page(target.read_text(encoding="utf-8"))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def images_of(page: Page) -> list[Image.Image]:
    head = "data:image/jpeg;base64,"
    sources = [image["src"] or "" for image in page.all("img")]
    assert all(source.startswith(head) for source in sources)
    return [Image.open(io.BytesIO(base64.b64decode(source[len(head) :]))) for source in sources]


def test_what_is_known_of_a_photo_is_shown(tmp_path: Path, photos: Path) -> None:
    path = save(photos / "IMG_1.jpg", 640, 480)
    row = sheet_row(
        path,
        taken_at="2024-05-01T12:34:56",
        size=(640, 480),
        size_bytes=2_345_678,
        score=0.31234,
        note="A\n caption",
    )
    count = write_sheet(tmp_path / "out.html", "red bicycle", [row])
    page = read(tmp_path / "out.html")
    assert count == 1
    shown = ("red bicycle", "IMG_1.jpg", str(photos), "0.312", "2024-05-01 12:34")
    for text in (*shown, "2.35 MB", "640 × 480", "A caption", "1 photo"):
        assert text in page.text
    assert [image.size for image in images_of(page)] == [(320, 240)]
    assert page.all("img")[0]["alt"] == "IMG_1.jpg"
    assert page.all("html")[0]["lang"] == "en"


def test_what_is_not_known_is_left_out(tmp_path: Path, photos: Path) -> None:
    path = save(photos / "a.jpg")
    write_sheet(tmp_path / "out.html", "t", [sheet_row(path, is_readable=False)])
    body = read(tmp_path / "out.html")
    assert "None" not in body.text
    assert "×" not in body.text
    assert "h2" not in {tag for tag, _ in body.elements}


@pytest.mark.parametrize("taken_at", ["yesterday", "2024-05-01", "2024-05-01T12:34<b>", "T"])
def test_dates_of_another_form_are_shown_as_they_are(
    taken_at: str, tmp_path: Path, photos: Path
) -> None:
    row = sheet_row(save(photos / "a.jpg"), taken_at=taken_at)
    write_sheet(tmp_path / "out.html", "t", [row])
    assert taken_at in read(tmp_path / "out.html").text


def test_groups_with_the_best_marked(tmp_path: Path, photos: Path) -> None:
    rows = [sheet_row(save(photos / f"{name}.jpg"), is_best=name == "b") for name in "abc"]
    groups = [
        SheetGroup("Exact <copies>", rows[:2]),
        SheetGroup("none", []),
        SheetGroup("Near", rows[2:]),
    ]
    assert write_sheet(tmp_path / "out.html", "t", groups=groups) == 3
    page = read(tmp_path / "out.html")
    assert [attributes["class"] for attributes in page.all("li") if attributes] == [
        "card", "card best", "card"
    ]  # fmt: skip
    assert len(page.all("h2")) == 2
    assert page.text.count("suggested best") == 1
    order = ("Exact <copies>", "a.jpg", "suggested best", "b.jpg", "Near", "c.jpg", "3 photos")
    assert re.search(".*".join(map(re.escape, order)), page.text.split("</style>")[-1], re.DOTALL)


def test_nothing_to_show(tmp_path: Path) -> None:
    assert write_sheet(tmp_path / "out.html", "t") == 0
    assert "No photos" in read(tmp_path / "out.html").text


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(name: str, tmp_path: Path, photos: Path) -> None:
    path = save(photos / name)
    for text, shown in ((name, path), ("a", save(photos / "a.jpg"))):
        rows = [sheet_row(shown, taken_at=text, note=text)]
        groups = [SheetGroup(text, [sheet_row(shown)])]
        target = tmp_path / ("plain.html" if text == "a" else "out.html")
        write_sheet(target, text, rows, groups=groups)
    page = read(tmp_path / "out.html")
    tags = [(tag, sorted(attributes)) for tag, attributes in page.elements]
    assert tags == [
        (tag, sorted(attributes)) for tag, attributes in read(tmp_path / "plain.html").elements
    ]
    assert not set("\x1b\t\u202e\u2028\u2066") & set(page.text)
    if name.isprintable() and "\u202e" not in name:
        assert page.text.count(name) == 7  # two titles, date, note, heading, two names
    for link in page.all("a"):
        address = link["href"] or ""
        assert address.isascii()
        assert unquote_to_bytes(address.removeprefix("file://")) == os.fsencode(path)


def test_turned_and_control_characters_are_seen(tmp_path: Path, photos: Path) -> None:
    rows = [sheet_row(save(photos / name)) for name in ("photo\u202egpj.exe", "a\nb")]
    write_sheet(tmp_path / "out.html", "t", rows)
    text = read(tmp_path / "out.html").text
    assert r"photo\u202egpj.exe" in text
    assert r"a\nb" in text


def test_names_that_are_not_utf8(tmp_path: Path, photos: Path) -> None:
    if not takes_any_bytes(photos):
        pytest.skip("needs a file system that takes any bytes")
    path = os.fsencode(photos) + b"/caf\xe9.jpg"
    save(Path(os.fsdecode(path)))
    write_sheet(tmp_path / "out.html", os.fsdecode(b"\xe9"), [sheet_row(path)])
    page = read(tmp_path / "out.html")
    assert (page.all("a")[0]["href"] or "").endswith("/photos/caf%E9.jpg")
    assert r"caf\udce9.jpg" in page.text
    assert len(images_of(page)) == 1


def test_the_page_forbids_scripts_and_addresses(tmp_path: Path, photos: Path) -> None:
    write_sheet(tmp_path / "out.html", "t", [sheet_row(save(photos / "a.jpg"))])
    page = read(tmp_path / "out.html")
    charset, policy, *_ = page.all("meta")
    assert charset == {"charset": "utf-8"}
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert (policy["content"] or "").startswith("default-src 'none'; img-src data:; ")
    source = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "<script" not in source
    assert not re.search(r"https?:|url\(|@import", source)


def test_photos_that_cannot_be_read_say_why(tmp_path: Path, photos: Path) -> None:
    whole = save(photos / "a.jpg").read_bytes()
    (photos / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "text.jpg").write_text("no picture")
    names = ("cut.jpg", "text.jpg", "gone.jpg", "a.jpg")
    rows = [sheet_row(photos / name) for name in names]
    assert write_sheet(tmp_path / "out.html", "t", rows) == 4
    page = read(tmp_path / "out.html")
    assert len(page.all("img")) == 1
    assert page.text.count("no thumbnail") == 3
    for reason in ("is truncated", "is not a picture in a known format", "does not exist"):
        assert reason in page.text


def test_thumbnails_are_upright_and_small(photos: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "<script>secret</script>"
    path = save(photos / "a.jpg", 800, 200, exif=exif, comment=b"secret")
    data = thumbnail(path)
    assert Image.open(io.BytesIO(data)).size == (80, SIDE_PX)
    assert b"secret" not in data
    assert Image.open(io.BytesIO(thumbnail(save(photos / "b.jpg", 31, 23)))).size == (31, 23)
    assert Image.open(io.BytesIO(thumbnail(save(photos / "c.jpg", 3000, 1)))).size == (320, 1)
    with pytest.raises(ImageError):
        thumbnail(photos / "gone.jpg")


def test_thumbnails_look_like_their_photos(photos: Path) -> None:
    path = photos / "a.jpg"
    photo(97, 53).resize((997, 499)).save(path, quality=95)
    small = np.asarray(Image.open(io.BytesIO(thumbnail(path))), np.float32)
    with Image.open(path) as image:
        expected = np.asarray(image.resize((320, 160), Image.Resampling.BOX), np.float32)
    assert np.abs(small - expected).mean() < 6


def test_targets_that_are_refused(tmp_path: Path) -> None:
    target = tmp_path / "out.html"
    target.write_text("mine")
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path, "is a folder"),
        (tmp_path / "pipe", "is not a file"),
        (tmp_path / "no" / "out.html", "there is no folder"),
        (target / "out.html", "there is no folder"),
    ):
        for refuse in (check_sheet, partial(write_sheet, title="t")):
            with pytest.raises(OutputError, match=message) as caught:
                refuse(path)
            assert caught.value.hint
    assert target.read_text() == "mine"


def test_overwriting_replaces_the_file(tmp_path: Path) -> None:
    target = tmp_path / "out.html"
    target.write_text("mine")
    write_sheet(target, "new")
    assert "new" in read(target).text
    assert names_in(tmp_path) == ["out.html"]
    assert stat.S_IMODE(target.stat().st_mode) & 0o600 == 0o600


def test_a_failure_leaves_what_was_there(tmp_path: Path, photos: Path) -> None:
    target = tmp_path / "out.html"
    target.write_text("mine")

    def rows(error: BaseException) -> Iterator[SheetRow]:
        yield sheet_row(save(photos / "a.jpg"))
        raise error

    with pytest.raises(KeyboardInterrupt):
        write_sheet(target, "t", rows(KeyboardInterrupt()))
    with pytest.raises(OutputError, match="cannot be written: No space left") as caught:
        write_sheet(target, "t", rows(OSError(28, "No space left")))
    assert "make room" in caught.value.hint
    assert target.read_text() == "mine"
    assert names_in(tmp_path) == ["out.html", "photos"]


def test_what_a_killed_run_left_is_no_hindrance(tmp_path: Path) -> None:
    left = tmp_path / ".out.html.partial"
    left.mkdir()
    (left / "page.html").write_text("half")
    write_sheet(tmp_path / "out.html", "t")
    assert names_in(tmp_path) == ["out.html"]


def test_two_at_once_on_the_same_sheet(tmp_path: Path) -> None:
    target = tmp_path / "out.html"
    with (
        take_lock(tmp_path / ".out.html.partial", str(target)),
        pytest.raises(OutputError, match=f"process {os.getpid()} is writing"),
    ):
        write_sheet(target, "t")
    assert not target.exists()


def test_photos_are_read_as_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []

    def note_it(path: str, **_: object) -> bytes:
        events.append(f"read {path}")
        return b"x" * 20_000

    def rows() -> Iterator[SheetRow]:
        for number in range(1500):
            events.append(f"asked {number}")
            yield sheet_row(f"/{number}")

    monkeypatch.setattr(contact_sheet, "thumbnail", note_it)
    with allocated() as most_bytes:
        assert write_sheet(tmp_path / "out.html", "t", rows()) == 1500
        peak_bytes = most_bytes()
    assert events[:4] == ["asked 0", "read /0", "asked 1", "read /1"]
    assert (tmp_path / "out.html").stat().st_size > 40_000_000
    assert peak_bytes < 10_000_000


def test_what_was_found_is_drawn_on_the_thumbnail(photos: Path, tmp_path: Path) -> None:
    path = save(photos / "photo.jpg", 200, 100)
    heat = np.zeros((10, 20), np.float32)
    heat[2:5, 12:16] = 1
    found = Located("dog", 0.9, (120, 20, 160, 50), (140, 35), (200, 100), mx.array(heat))
    row = sheet_row(path)
    write_sheet(tmp_path / "plain.html", "Photos", [row])
    write_sheet(tmp_path / "drawn.html", "Photos", [replace(row, found=found)])
    (plain,), (drawn,) = (
        [np.asarray(image, int) for image in images_of(read(tmp_path / f"{name}.html"))]
        for name in ("plain", "drawn")
    )
    changed = np.abs(plain - drawn).sum(axis=2)
    assert changed[20:50, 120:160].mean() > 60
    assert changed[:, :100].mean() < 3
