"""Sidecars as files: names, whole or not at all, put back as they were."""

import errno
import os
import stat
from pathlib import Path

import pytest

from mlx_aimv2.errors import OutputError
from mlx_aimv2.images.metadata.xmp_packet import MAX_BYTES
from mlx_aimv2.library.sidecars.sidecar import (
    Style,
    Undone,
    existing_or_new,
    own_sidecars,
    read_sidecar,
    restore,
    sidecar_path,
    write_sidecar,
)
from mlx_aimv2.library.sidecars.xmp import merge
from tests.support.sidecar_samples import DIGIKAM
from tests.support.users import as_ordinary_user

DOG = ("Animals", "Dog")
AFTER = merge(DIGIKAM, [DOG])


@pytest.mark.parametrize(
    ("photo", "full", "short"),
    [
        ("a/IMG_1.jpg", "a/IMG_1.jpg.xmp", "a/IMG_1.xmp"),
        ("a.b.JPG", "a.b.JPG.xmp", "a.b.xmp"),
        ("none", "none.xmp", "none.xmp"),
        (b"\xff.jpg", "\udcff.jpg.xmp", "\udcff.xmp"),
        ("line\nend.jpg", "line\nend.jpg.xmp", "line\nend.xmp"),
    ],
)
def test_names(photo: str | bytes, full: str, short: str) -> None:
    assert sidecar_path(photo) == Path(full)
    assert sidecar_path(photo, "short") == Path(short)


def test_a_sidecar_of_another_style_is_used(tmp_path: Path) -> None:
    photo = tmp_path / "IMG_1.jpg"
    full, short = tmp_path / "IMG_1.jpg.xmp", tmp_path / "IMG_1.xmp"
    assert existing_or_new(photo) == full
    assert existing_or_new(photo, "short") == short
    short.touch()
    assert existing_or_new(photo) == short
    full.symlink_to("elsewhere.xmp")
    assert existing_or_new(photo) == full
    assert existing_or_new(photo, "short") == short
    (tmp_path / "IMG_2.XMP").touch()
    assert existing_or_new(tmp_path / "IMG_2.jpg").samefile(tmp_path / "IMG_2.XMP")


@pytest.mark.parametrize("style", ["full", "short"])
def test_a_short_name_of_two_pictures_is_left_alone(tmp_path: Path, style: Style) -> None:
    photo, other = tmp_path / "a.jpg", tmp_path / "a.PNG"
    for path in (photo, other, tmp_path / "a.xmp", tmp_path / "ab.jpg"):
        path.touch()
    assert existing_or_new(photo, style) == tmp_path / "a.jpg.xmp"
    assert existing_or_new(other, style) == tmp_path / "a.PNG.xmp"
    other.unlink()
    assert existing_or_new(photo, style) == tmp_path / "a.xmp"


def test_a_short_name_beside_a_raw_is_the_raws(tmp_path: Path) -> None:
    photo, negative = tmp_path / "a.jpg", tmp_path / "a.NEF"
    photo.touch()
    negative.touch()
    assert existing_or_new(negative, "short") == tmp_path / "a.xmp"
    assert existing_or_new(photo, "short") == tmp_path / "a.jpg.xmp"


NAMESPACE = b'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
AS_ATTRIBUTE = DIGIKAM.replace(
    b"digiKam:PickLabel", NAMESPACE + b' photoshop:SidecarForExtension="%s" digiKam:PickLabel'
)
AS_ELEMENT = DIGIKAM.replace(
    b"<digiKam:TagsList>",
    b"<photoshop:SidecarForExtension %s>%%s</photoshop:SidecarForExtension><digiKam:TagsList>"
    % NAMESPACE,
)


@pytest.mark.parametrize("form", [AS_ATTRIBUTE, AS_ELEMENT])
@pytest.mark.parametrize("style", ["full", "short"])
@pytest.mark.parametrize("extension", [b"NEF", b"nef", b"CR3", b".Nef", b"heic"])
def test_a_short_sidecar_says_whose_it_is(
    tmp_path: Path, form: bytes, style: Style, extension: bytes
) -> None:
    photo, short = tmp_path / "IMG_1.jpg", tmp_path / "IMG_1.xmp"
    short.write_bytes(form % extension)
    assert existing_or_new(photo, style) == tmp_path / "IMG_1.jpg.xmp"
    assert own_sidecars(photo, style) == []
    for own in (b"JPG", b"jpg"):
        short.write_bytes(form % own)
        for rival in ("IMG_1.MOV", "IMG_1.NEF", "IMG_1.png"):  # it does not say theirs
            (tmp_path / rival).touch()
            assert existing_or_new(photo, style) == short
            assert existing_or_new(tmp_path / rival, style) == tmp_path / f"{rival}.xmp"
            (tmp_path / rival).unlink()


@pytest.mark.parametrize("video", ["IMG_1.MOV", "IMG_1.mov", "IMG_1.mp4"])
def test_a_short_name_beside_a_video_is_left_alone(tmp_path: Path, video: str) -> None:
    photo = tmp_path / "IMG_1.HEIC"
    (tmp_path / video).touch()
    assert existing_or_new(photo, "short") == tmp_path / "IMG_1.HEIC.xmp"
    (tmp_path / "IMG_1.xmp").write_bytes(DIGIKAM)
    assert existing_or_new(photo) == tmp_path / "IMG_1.HEIC.xmp"


def test_a_damaged_short_sidecar_is_the_only_pictures(tmp_path: Path) -> None:
    short = tmp_path / "IMG_1.xmp"
    short.write_bytes(AFTER[:-9])
    assert existing_or_new(tmp_path / "IMG_1.jpg") == short  # writing it says what is wrong


def test_reading(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    assert read_sidecar(path) is None
    path.write_bytes(DIGIKAM)
    assert read_sidecar(path) == DIGIKAM
    with path.open("ab") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(OutputError, match="larger than 16 MB"):
        read_sidecar(path)
    (tmp_path / "folder.xmp").mkdir()
    with pytest.raises(OutputError, match="is no file"):
        read_sidecar(tmp_path / "folder.xmp")


def test_writing_keeps_permissions(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg.xmp"
    mask = os.umask(0o027)
    try:
        write_sidecar(path, b"one")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o604)
    write_sidecar(path, b"two")
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert os.listdir(tmp_path) == ["a.jpg.xmp"]  # noqa: PTH208


def test_names_as_long_as_a_disk_takes(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 251 + ".xmp")
    write_sidecar(path, b"one")
    assert path.read_bytes() == b"one"


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link, target = tmp_path / "a.xmp", tmp_path / "real/b.xmp"
    link.symlink_to("real/b.xmp")
    write_sidecar(link, AFTER)
    assert link.is_symlink()
    assert target.read_bytes() == AFTER
    assert restore(link, None, AFTER) is Undone.RESTORED
    assert link.is_symlink()
    assert not target.exists()


def test_a_photo_is_never_written(tmp_path: Path) -> None:
    photo, link = tmp_path / "a.jpg", tmp_path / "a.jpg.xmp"
    photo.write_bytes(b"pixels")
    link.symlink_to("a.jpg")
    for path in (photo, link):
        with pytest.raises(OutputError, match="does not end in"):
            write_sidecar(path, AFTER)
        with pytest.raises(OutputError, match="does not end in"):
            restore(path, None, b"pixels")
    assert photo.read_bytes() == b"pixels"


def test_a_link_to_itself(tmp_path: Path) -> None:
    link = tmp_path / "a.xmp"
    link.symlink_to("a.xmp")
    with pytest.raises(OutputError, match="link to itself"):
        write_sidecar(link, AFTER)


@pytest.mark.parametrize(
    ("number", "hint"),
    [(errno.ENOSPC, "make room"), (errno.EROFS, "read-only"), (errno.EIO, "disk is still there")],
)
def test_a_disk_that_refuses_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, hint: str
) -> None:
    path = tmp_path / "a\n.xmp"
    path.write_bytes(DIGIKAM)

    def refuse(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OutputError, match=os.strerror(number)) as caught:
        write_sidecar(path, AFTER)
    assert hint in caught.value.hint
    assert "a\\n.xmp" in str(caught.value)
    assert path.read_bytes() == DIGIKAM
    assert list(tmp_path.iterdir()) == [path]


@as_ordinary_user
def test_read_only(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    path.write_bytes(DIGIKAM)
    path.chmod(0o444)
    with pytest.raises(OutputError, match="Permission denied") as caught:
        write_sidecar(path, AFTER)
    assert "chmod u+w" in caught.value.hint


def test_a_read_only_sidecar_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.xmp"
    path.write_bytes(DIGIKAM)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="Permission denied"):
        write_sidecar(path, AFTER)
    assert path.read_bytes() == DIGIKAM


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No such file") as caught:
        write_sidecar(tmp_path / "gone/a.xmp", AFTER)
    assert "aimv2 index" in caught.value.hint


@pytest.mark.parametrize("before", [None, DIGIKAM, b"", b"no XML"])
def test_undo_byte_for_byte(tmp_path: Path, before: bytes | None) -> None:
    path = tmp_path / "a.xmp"
    write_sidecar(path, AFTER)
    assert restore(path, before, AFTER) is Undone.RESTORED
    assert (path.read_bytes() if path.exists() else None) == before


def test_undo_after_another_program(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    changed = AFTER.replace(b'"0"', b'"3"')
    path.write_bytes(changed)
    assert restore(path, DIGIKAM, AFTER) is Undone.CLEANED
    assert path.read_bytes() == DIGIKAM.replace(b'"0"', b'"3"')
    once = path.stat()
    assert restore(path, DIGIKAM, AFTER) is Undone.CLEANED
    assert path.stat() == once  # there was nothing more to take out
    path.unlink()
    assert restore(path, DIGIKAM, AFTER) is Undone.GONE
    assert not path.exists()


def test_undo_of_what_is_broken_now(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    path.write_bytes(AFTER[:-9])
    with pytest.raises(OutputError, match=r"a\.xmp is not well-formed"):
        restore(path, DIGIKAM, AFTER)
    assert path.read_bytes() == AFTER[:-9]


def test_two_photos_with_one_sidecar_are_undone_last_first(tmp_path: Path) -> None:
    path = tmp_path / "a.xmp"
    later = merge(AFTER, [("snow",)])
    path.write_bytes(later)
    assert restore(path, AFTER, later) is Undone.RESTORED
    assert restore(path, DIGIKAM, AFTER) is Undone.RESTORED
    path.write_bytes(later)
    assert restore(path, DIGIKAM, AFTER) is Undone.RESTORED
    assert path.read_bytes() == DIGIKAM
