"""Pictures of the page: of the photos that were indexed and of no other file, in right colours."""

import io
import os
import platform
import subprocess
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from mlx_aimv2.library.database.photos import FileRow
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.thumbnails.store import Thumbnails, thumbnails_path
from mlx_aimv2.library.thumbnails.thumbnail import Recipe
from mlx_aimv2.server import app, pictures
from mlx_aimv2.server.app import make_app
from mlx_aimv2.server.imaging.indexed_file import make_jpeg
from mlx_aimv2.server.imaging.turns import Turns
from mlx_aimv2.server.service import Service
from tests.support.albums import make_album
from tests.support.page import running_page
from tests.support.pictures import encoded, photo
from tests.support.profiles import drawing, wide_copy

pytestmark = pytest.mark.usefixtures("at_home")


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    make_album(folder, 3)
    return folder


@pytest.fixture
def service(tmp_path: Path, album: Path) -> Iterator[Service]:
    with Library(tmp_path / "library.db") as library:
        library.index([album], model="demo")
    with Service(tmp_path / "library.db") as service:
        yield service


@pytest.fixture
def page(service: Service) -> TestClient:
    return TestClient(make_app(service))


def ids_of(service: Service) -> dict[str, int]:
    return {Path(os.fsdecode(path)).name: id for id, path in service.store.paths()}


def index(service: Service, folder: Path) -> dict[str, int]:
    service.index([folder])
    return ids_of(service)


def shown(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    assert image.format == "JPEG"
    return image.convert("RGB")


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, int) - np.asarray(other, int)).mean())


def version_of(service: Service, id: int) -> str:
    hash = service.store.files_of([id])[id].hash
    assert hash is not None
    return hash.hex()[:8]


@pytest.mark.parametrize(("route", "side"), [("thumb", 320), ("view", 1600)])
def test_pictures_are_small_upright_and_in_right_colours(
    page: TestClient, service: Service, album: Path, route: str, side: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "secret"
    original = photo(80, 36).resize((2000, 900), Image.Resampling.BICUBIC)
    (album / "turned.jpg").write_bytes(encoded(original, "JPEG", quality=95, exif=exif))
    phone = photo(80, 36).resize((400, 180), Image.Resampling.BICUBIC)
    (album / "apple.heic").write_bytes(encoded(phone, "HEIF", quality=95))
    wide_copy(album / "wide.png", 1005, "prophoto")
    ids = index(service, album)
    thumbnails_path(service.path).unlink()  # made on demand, not by the index
    small = original.resize((side, round(900 * side / 2000)), Image.Resampling.LANCZOS)
    turned = page.get(f"/{route}/{ids['turned.jpg']}")
    assert turned.status_code == 200
    assert turned.headers["content-type"] == "image/jpeg"
    assert b"secret" not in turned.content
    assert difference(shown(turned.content), small.transpose(Image.Transpose.ROTATE_270)) < 6
    phone.thumbnail((side, side), Image.Resampling.LANCZOS)
    assert difference(shown(page.get(f"/{route}/{ids['apple.heic']}").content), phone) < 6
    wide = shown(page.get(f"/{route}/{ids['wide.png']}").content)
    assert difference(wide, drawing(1005, 256)) < 6


def test_a_thumbnail_is_made_once(
    page: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    open_file = os.open

    def note(path: str | bytes, *arguments: object, **options: object) -> int:
        if os.fsdecode(path).endswith(".jpg"):
            opened.append(path)
        return open_file(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", note)
    id = min(ids_of(service).values())
    first = page.get(f"/thumb/{id}")
    assert not opened  # the index made it
    thumbnails_path(service.path).unlink()
    second = page.get(f"/thumb/{id}")
    assert len(opened) == 1
    assert page.get(f"/thumb/{id}").content == second.content
    for _ in range(2):
        page.get(f"/view/{id}")
    assert len(opened) == 2
    assert difference(shown(first.content), shown(second.content)) < 2


def test_a_picture_is_kept_by_its_version_for_good(page: TestClient, service: Service) -> None:
    id = min(ids_of(service).values())
    for route in ("thumb", "view"):
        named = page.get(f"/{route}/{id}?v={version_of(service, id)}")
        assert named.headers["cache-control"] == "private, max-age=31536000, immutable"
        for other in ("", "?v=00000000"):
            answer = page.get(f"/{route}/{id}{other}")
            assert answer.headers["cache-control"] == "private, no-cache"
            assert answer.headers["etag"] == named.headers["etag"]
        again = page.get(f"/{route}/{id}", headers={"If-None-Match": named.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert page.get(f"/thumb/{id}").headers["etag"] != page.get(f"/view/{id}").headers["etag"]


@pytest.mark.parametrize("route", ["thumb", "view"])
def test_of_a_drive_that_is_away_there_is_the_thumbnail(
    page: TestClient, service: Service, album: Path, route: str
) -> None:
    id = min(ids_of(service).values())
    small = page.get(f"/thumb/{id}").content
    album.rename(album.with_name("away"))
    answer = page.get(f"/{route}/{id}")
    assert (answer.status_code, answer.content) == (200, small)
    thumbnails_path(service.path).unlink()
    answer = page.get(f"/{route}/{id}")
    assert answer.status_code == 404
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "image/png"
    Image.open(io.BytesIO(answer.content)).load()


@pytest.mark.parametrize("swap", ["link", "other", "pipe", "folder"])
def test_what_is_there_now_is_not_shown_in_its_place(
    page: TestClient, service: Service, album: Path, tmp_path: Path, swap: str
) -> None:
    name, id = min(ids_of(service).items())
    path, secret = album / name, tmp_path / "secret.jpg"
    status = path.stat()
    secret.write_bytes(encoded(photo(64, 64, 9), "JPEG"))
    path.unlink()
    match swap:
        case "link":
            # Of the same size and time as the photo was: only that it is a link tells.
            secret.write_bytes(secret.read_bytes().ljust(status.st_size)[: status.st_size])
            os.utime(secret, ns=(status.st_mtime_ns, status.st_mtime_ns))
            path.symlink_to(secret)
        case "other":
            secret.rename(path)
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
    thumbnails_path(service.path).unlink()
    for route in ("thumb", "view"):
        answer = page.get(f"/{route}/{id}")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "image/png"
    kept = Thumbnails(service.path)
    assert not kept.size_bytes
    kept.close()


def test_there_are_pictures_of_known_photos_only(page: TestClient) -> None:
    for route in ("thumb", "view", "original", "where"):
        for id in ("99", "-1", "0", "x", "1.5", str(1 << 64), "../../etc/passwd"):
            answer = page.get(f"/{route}/{id}")
            assert answer.status_code == 404, id
            assert "message" in answer.json()


@pytest.mark.parametrize(
    ("format", "type"), [("JPEG", "jpeg"), ("PNG", "png"), ("WEBP", "webp"), ("GIF", "gif")]
)
def test_an_original_that_browsers_show_is_the_file_itself(
    page: TestClient, service: Service, album: Path, format: str, type: str
) -> None:
    path = album / 'a"ä\r\n<img onerror=x>.dat.jpg'  # a format is known by its content
    path.write_bytes(data := encoded(photo(64, 48), format))
    id = index(service, album)[path.name]
    answer = page.get(f"/original/{id}")
    assert (answer.status_code, answer.content) == (200, data)
    assert answer.headers["content-type"] == f"image/{type}"
    assert answer.headers["content-length"] == str(len(data))
    assert answer.headers["content-disposition"].isascii()
    assert 'filename="a_' in answer.headers["content-disposition"]
    assert "<" not in answer.headers["content-disposition"]
    again = page.get(f"/original/{id}", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("format", ["TIFF", "HEIF", "BMP"])
def test_another_original_is_a_jpeg_as_large_as_it_is(
    page: TestClient, service: Service, album: Path, format: str
) -> None:
    picture = photo(40, 30).resize((400, 300), Image.Resampling.BICUBIC)
    path = album / "a.tiff"
    path.write_bytes(encoded(picture, format))
    id = index(service, album)["a.tiff"]
    answer = page.get(f"/original/{id}")
    assert answer.headers["content-disposition"] == 'inline; filename="a.jpg"'
    assert shown(answer.content).size == (400, 300)
    assert difference(shown(answer.content), picture) < 4


@pytest.mark.parametrize(
    ("asked", "status", "said", "part"),
    [
        ("bytes=0-9", 206, "bytes 0-9/{size}", slice(0, 10)),
        ("bytes=100-", 206, "bytes 100-{last}/{size}", slice(100, None)),
        ("bytes=-7", 206, "bytes {near}-{last}/{size}", slice(-7, None)),
        ("bytes=5-99999999", 206, "bytes 5-{last}/{size}", slice(5, None)),
        ("bytes=99999999-", 416, "bytes */{size}", None),
        ("bytes=-0", 416, "bytes */{size}", None),
        ("bytes=9-5", 200, None, slice(None)),
        ("bytes=-", 200, None, slice(None)),
        ("bytes=0-1,4-5", 200, None, slice(None)),
        ("lines=0-1", 200, None, slice(None)),
    ],
)
def test_ranges_of_an_original(
    page: TestClient, service: Service, album: Path, asked: str, status: int, said: str | None,
    part: slice | None,
) -> None:  # fmt: skip
    name, id = min(ids_of(service).items())
    data = (album / name).read_bytes()
    answer = page.get(f"/original/{id}", headers={"Range": asked})
    assert answer.status_code == status
    size = len(data)
    expected = said and said.format(size=size, last=size - 1, near=size - 7)
    assert answer.headers.get("content-range") == expected
    assert answer.content == (b"" if part is None else data[part])
    other = page.get(f"/original/{id}", headers={"Range": asked, "If-Range": '"other"'})
    assert (other.status_code, other.content) == (200, data)


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ("link", 409, "changed"),
        ("content", 409, "changed"),
        ("touched", 409, "changed"),
        ("gone", 404, "not_found"),
        ("away", 404, "offline"),
    ],
)
def test_what_is_no_more_the_photo_is_no_original(
    page: TestClient, service: Service, album: Path, tmp_path: Path, change: str, status: int,
    error: str,
) -> None:  # fmt: skip
    name, id = min(ids_of(service).items())
    path = album / name
    match change:
        case "link":
            path.rename(tmp_path / "elsewhere.jpg")  # of the same size and time
            path.symlink_to(tmp_path / "elsewhere.jpg")
        case "content":
            path.write_bytes(path.read_bytes() + b"x")
        case "touched":
            os.utime(path, ns=(1, 1))
        case "gone":
            path.unlink()
        case "away":
            album.rename(tmp_path / "unplugged")
    answer = page.get(f"/original/{id}")
    assert answer.status_code == status
    assert answer.json()["error"] == error
    assert answer.json()["hint"]
    assert os.fspath(tmp_path) not in answer.text
    if change == "away":
        assert "album" in answer.json()["message"]


def test_a_file_swapped_after_it_was_opened_is_not_what_is_sent(
    page: TestClient, service: Service, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, id = min(ids_of(service).items())
    data = (album / name).read_bytes()
    status_of = os.fstat

    def swap_then_look(descriptor: int) -> os.stat_result:
        if (album / name).exists() and status_of(descriptor).st_size == len(data):
            (album / name).unlink()
            (album / name).symlink_to("/etc/passwd")
        return status_of(descriptor)

    monkeypatch.setattr(os, "fstat", swap_then_look)
    assert page.get(f"/original/{id}").content == data
    assert (album / name).is_symlink()


def test_where_a_word_is_is_drawn_on_the_view(page: TestClient, service: Service) -> None:
    id = min(ids_of(service).values())
    view = shown(page.get(f"/view/{id}").content)
    answer = page.get(f"/where/{id}", params={"words": "red circle"})
    assert answer.status_code == 200, answer.text
    drawn = shown(answer.content)
    assert drawn.size == view.size
    assert difference(drawn, view) > 3
    assert page.get(f"/where/{id}", params={"words": "  "}).status_code == 422
    assert page.get(f"/where/{id}").json()["hint"]


@pytest.mark.skipif(platform.system() == "Darwin", reason="needs a system without Finder")
def test_there_is_no_finder_here(page: TestClient, service: Service) -> None:
    answer = page.post("/api/reveal", json={"id": min(ids_of(service).values())})
    assert (answer.status_code, answer.json()["error"]) == (501, "not_here")


def test_a_photo_is_shown_in_finder(
    page: TestClient, service: Service, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(subprocess, "run", lambda command, **_: called.append(command))
    name, id = min(ids_of(service).items())
    assert page.post("/api/reveal", json={"id": id}).status_code == 200
    assert called == [["/usr/bin/open", "-R", str(album / name)]]
    (album / name).unlink()
    for body, status in (({"id": id}, 404), ({"id": 99}, 404), ({"id": "1"}, 422), ({}, 422)):
        assert page.post("/api/reveal", json=body).status_code == status
    assert len(called) == 1


def test_nothing_is_made_for_browsers_that_have_left(
    service: Service, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_album(album, 9)
    ids = list(index(service, album).values())
    thumbnails_path(service.path).unlink()
    made: list[int] = []
    go_on, turns = threading.Event(), Turns(together=2)

    def make(service: Service, file: FileRow, recipe: Recipe) -> bytes:
        made.append(file.id)
        go_on.wait()
        return make_jpeg(service, file, recipe)

    monkeypatch.setattr(pictures, "make_jpeg", make)
    monkeypatch.setattr(app, "Turns", lambda: turns)
    with running_page(service.path) as running:
        cookie = running.cookie()

        def ask(path: str) -> HTTPConnection:
            connection = HTTPConnection(running.address.removeprefix("http://"))
            connection.request("GET", path, headers={"Cookie": cookie})
            return connection

        asking = [ask(f"/thumb/{id}") for id in ids]
        while turns._waiting < len(ids) or len(made) < 2:
            time.sleep(0.01)
        stays = [ask for ask, id in zip(asking, ids, strict=True) if id in made] + asking[-1:]
        for connection in asking:
            if connection not in stays:
                connection.close()
        for _ in range(3):  # by then the server has heard of it
            told = ask("/api/timeline")
            assert told.getresponse().read()
            told.close()
        go_on.set()
        for connection in stays:
            assert connection.getresponse().status == 200
            connection.close()
        while turns._waiting:
            time.sleep(0.01)
    assert len(set(made)) == len(made) == len(set(stays))
