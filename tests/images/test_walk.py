"""The walk finds every picture once, survives every kind of entry, and holds little."""

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlx_aimv2.images import decode, walk
from mlx_aimv2.images.formats import header
from mlx_aimv2.images.walk import Walk, find_images
from tests.support.counted import allocated
from tests.support.users import as_ordinary_user


def grow(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names_of(found: Walk, root: Path) -> list[str]:
    return [os.path.relpath(item.path, root) for item in found]


def test_folders_by_extension_sorted(tmp_path: Path) -> None:
    grow(
        tmp_path,
        *("b.JPG", "a.heic", "c/d.Png", "c/e/f.webp", "c.avif", "movie.mov", "notes.txt", "noname"),
        *("jpg", ".hidden.jpg", ".cache/g.jpg", "._b.jpg", "c/._d.png", "c/Thumbs.db"),
        *("b.JPG.xmp", "c/d.XMP"),
    )
    found = find_images([tmp_path])
    assert names_of(found, tmp_path) == ["a.heic", "b.JPG", "c.avif", "c/d.Png", "c/e/f.webp"]
    assert found.skipped == {
        walk.HIDDEN: 2, walk.APPLE_DOUBLE: 2, walk.OTHER_KIND: 5, walk.SIDECAR: 2,
    }  # fmt: skip


@pytest.mark.parametrize("extension", sorted(header.EXTENSIONS))
def test_every_known_extension(extension: str, tmp_path: Path) -> None:
    grow(tmp_path, f"a{extension}", f"b{extension.upper()}", f"c{extension}x")
    assert len(list(find_images([tmp_path]))) == 2


def test_named_files_are_always_found(tmp_path: Path) -> None:
    grow(tmp_path, "scan.dat", ".hidden", "._x.jpg", "a.jpg")
    named = [tmp_path / name for name in ("scan.dat", ".hidden", "._x.jpg", "a.jpg", "a.jpg")]
    found = find_images(named)
    assert [item.path for item in found] == [str(path) for path in named]
    assert not found.skipped


def test_named_folders_are_always_walked(tmp_path: Path) -> None:
    grow(tmp_path, ".secret/a.jpg", "My.photoslibrary/originals/b.heic", "c.jpg/d.jpg")
    found = find_images([tmp_path])
    assert names_of(found, tmp_path) == ["c.jpg/d.jpg"]
    assert found.skipped == {walk.HIDDEN: 1, walk.PHOTO_LIBRARY: 1}
    named = find_images([tmp_path / ".secret", tmp_path / "My.photoslibrary"])
    assert names_of(named, tmp_path) == [".secret/a.jpg", "My.photoslibrary/originals/b.heic"]


def test_kinds_of_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grow(tmp_path, "a/b.jpg")
    monkeypatch.chdir(tmp_path)
    for name, expected in (
        ("a", "a/b.jpg"),
        ("a/", "a/b.jpg"),
        (b"a", "a/b.jpg"),
        (Path("a"), "a/b.jpg"),
        (".", "./a/b.jpg"),
        ("a/b.jpg", "a/b.jpg"),
        (b"a/b.jpg", "a/b.jpg"),
    ):
        assert [item.path for item in find_images([name])] == [expected]
    assert [item.path for item in find_images(["/dev/null"])] == ["/dev/null"]


def test_missing_is_an_error_and_the_walk_goes_on(tmp_path: Path) -> None:
    grow(tmp_path, "a.jpg")
    paths = [tmp_path / "no", "", "a\0b", "\ud800", tmp_path / "a.jpg/b", tmp_path / "a.jpg"]
    *bad, good = find_images(paths)
    assert good == walk.Found(str(tmp_path / "a.jpg"))
    assert str(bad[0].error) == f"{tmp_path / 'no'} does not exist"
    for item in bad:
        assert item.error or "is no file name" in str(error_of(item.path))


def error_of(path: str) -> Exception:
    with pytest.raises(decode.ImageError) as caught:
        decode.open_rgb(path)
    return caught.value


def test_links(tmp_path: Path) -> None:
    grow(tmp_path, "real/a.jpg", "real/sub/b.jpg")
    (tmp_path / "real/c.jpg").symlink_to("a.jpg")
    (tmp_path / "real/dangling.jpg").symlink_to("gone.jpg")
    (tmp_path / "real/dangling").symlink_to("gone")
    (tmp_path / "real/self.jpg").symlink_to("self.jpg")
    (tmp_path / "real/sub/loop").symlink_to("..")
    (tmp_path / "real/sub/tree").symlink_to(tmp_path)
    (tmp_path / "zlink").symlink_to("real/sub")
    found = find_images([tmp_path])
    assert names_of(found, tmp_path) == [
        *("real/a.jpg", "real/c.jpg", "real/dangling.jpg", "real/self.jpg", "real/sub/b.jpg"),
    ]
    assert found.skipped == {walk.SEEN_FOLDER: 3, walk.OTHER_KIND: 1}
    assert "gone.jpg, which does not exist" in str(error_of(str(tmp_path / "real/dangling.jpg")))
    assert "leads back to itself" in str(error_of(str(tmp_path / "real/self.jpg")))
    named = find_images([tmp_path / "real/dangling", tmp_path / "zlink"])
    assert next(named).error is not None
    assert next(named).path == str(tmp_path / "zlink/b.jpg")


def test_a_folder_is_walked_once(tmp_path: Path) -> None:
    grow(tmp_path, "a/b/c.jpg")
    found = find_images([tmp_path, tmp_path / "a", tmp_path / "a/b/c.jpg"])
    assert names_of(found, tmp_path) == ["a/b/c.jpg"] * 2  # once walked, once named
    assert found.skipped == {walk.SEEN_FOLDER: 1}


def test_pipes_and_sockets_never_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    found = find_images([tmp_path, tmp_path / "pipe"])
    assert names_of(found, tmp_path) == ["pipe.jpg", "pipe"]
    assert "is a named pipe" in str(error_of(str(tmp_path / "pipe.jpg")))


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path)
    try:
        Path(os.fsdecode(root + b"/caf\xe9")).mkdir()
    except OSError:
        pytest.skip("needs a file system that takes any bytes")
    for name in (b"/caf\xe9/\xff.jpg", b"/nfd-e\xcc\x81.jpg", b"/nfc-\xc3\xa9.jpg"):
        os.close(os.open(root + name, os.O_CREAT | os.O_WRONLY))
    paths = [os.fsencode(item.path) for item in find_images([root])]
    assert paths == [
        root + name for name in (b"/caf\xe9/\xff.jpg", b"/nfc-\xc3\xa9.jpg", b"/nfd-e\xcc\x81.jpg")
    ]


def test_unreadable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grow(tmp_path, "a/x.jpg", "b/y.jpg", "c/z.jpg")
    scandir = os.scandir

    def refuse(folder: bytes) -> object:
        if folder.endswith(b"/b"):
            raise PermissionError(1, "Operation not permitted", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    items = list(find_images([tmp_path]))
    assert [os.path.relpath(item.path, tmp_path) for item in items] == ["a/x.jpg", "b", "c/z.jpg"]
    assert items[1].error is not None
    assert "Full Disk Access" in items[1].error.hint


@as_ordinary_user
def test_really_unreadable_folder(tmp_path: Path) -> None:
    grow(tmp_path, "a/x.jpg", "b/y.jpg")
    (tmp_path / "a").chmod(0)
    try:
        locked, found = find_images([tmp_path])
        assert "permission denied" in str(locked.error)
        assert found.path.endswith("b/y.jpg")
        assert next(find_images([tmp_path / "a" / "x.jpg"])).error is not None
    finally:
        (tmp_path / "a").chmod(0o700)


def test_deep_trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    depth = 400
    grow(tmp_path, "d/" * depth + "a.jpg")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + depth // 2)
    try:
        (found,) = find_images(["d"])
    finally:
        sys.setrecursionlimit(limit)
    assert found == walk.Found("d/" * depth + "a.jpg")


def test_paths_are_taken_as_they_are_needed(tmp_path: Path) -> None:
    grow(tmp_path, "a.jpg")

    def endless() -> Iterator[Path]:
        while True:
            yield tmp_path

    found = find_images(endless())
    assert next(found).path == str(tmp_path / "a.jpg")
    assert not found.skipped


def test_memory_is_one_listing(tmp_path: Path) -> None:
    folders, files = 20, 50
    for number in range(folders):
        grow(tmp_path, *(f"{number:03}/{name:0100}.jpg" for name in range(files)))
    with allocated() as most_bytes:
        assert sum(1 for _ in find_images([tmp_path])) == folders * files
        peak_bytes = most_bytes()
    assert peak_bytes < 5 * files * 200  # all names together are four times as much


def test_the_walk_does_not_import_mlx() -> None:
    script = "import sys, mlx_aimv2.images.walk; assert 'mlx.core' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
