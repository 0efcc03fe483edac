"""Files that changed, their size and date not: seen where the disk tells, or on demand."""

import os
from pathlib import Path

import pytest

from mlx_aimv2.files import local_disks
from mlx_aimv2.inference import model as models
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.indexing import scan
from mlx_aimv2.library.library import Library
from tests.support.albums import make_album, rows_of, save
from tests.support.commands import run
from tests.support.refusing_disk import refused

pytestmark = pytest.mark.usefixtures("at_home")


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which files were read whole, without being embedded."""
    from mlx_aimv2.library.indexing import moves  # noqa: PLC0415

    seen: list[str] = []
    hash_file = moves.hash_file

    def note(path: bytes) -> bytes:
        seen.append(Path(os.fsdecode(path)).name)
        return hash_file(path)

    monkeypatch.setattr(moves, "hash_file", note)
    return seen


@pytest.fixture(params=["local", "other"])
def is_local(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """A disk that tells when anything of a file has changed, and one that does not."""
    device = Path().stat().st_dev
    local = frozenset({device} if request.param == "local" else ())
    monkeypatch.setattr(scan, "local_devices", lambda: local)
    return bool(local)


def album_in(library: Library) -> list[Path]:
    album = make_album(Path("album"), 3)
    for path in album:  # of one size, so that one may take another's place
        path.write_bytes(path.read_bytes().ljust(20_000, b"\0"))
    library.index(["album"], model="demo")
    with Store(library.path, can_write=True) as store, store.transaction():
        store.add_tags("user", [(file.id, "kept", None) for file in store.files()])
    return album


def replace(path: Path) -> None:
    """Another picture, of the same size and date."""
    before = path.stat()
    save(Path("other.jpg"), 77)
    path.write_bytes(Path("other.jpg").read_bytes().ljust(before.st_size, b"\0"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def vector_is_of(library: Library, path: Path) -> bool:
    """Whether the library's vector of a file is that of what the file shows."""
    expected = models.load("demo").embed_images([path])[0]
    with Library(library.path) as opened:
        vectors = opened.vectors()
        file = opened.store.file_at(os.fsencode(path.absolute()))
        row = opened.store.row_of(vectors.id, file.id)
        (stored,) = opened.store.segments(vectors).take(scan_rows(row))
        assert opened.store.tags_of(file.id) == {"kept": "user"}
    return float(stored.astype("f4") @ expected) > 0.999


def scan_rows(row: int) -> object:
    import numpy as np  # noqa: PLC0415

    return np.array([row])


def test_a_replaced_file_is_seen_where_the_disk_tells(is_local: bool) -> None:
    library = Library("library.db")
    album = album_in(library)
    replace(album[1])
    report = library.index()
    assert (report.embedded, report.unchanged) == ((1, 2) if is_local else (0, 3))
    assert vector_is_of(library, album[1]) is is_local
    assert library.index().unchanged == 3


def test_reread_reads_all(is_local: bool, hashed: list[str]) -> None:
    library = Library("library.db")
    album = album_in(library)
    replace(album[1])
    hashed.clear()
    report = library.index(reread=True)
    assert sorted(set(hashed)) == ["000.jpg", "001.jpg", "002.jpg"]
    assert (report.found, report.embedded, report.unchanged) == (3, 1, 2)
    assert vector_is_of(library, album[1])
    before = rows_of(library.path)
    report = library.index(reread=True)
    assert (report.embedded, report.unchanged) == (0, 3)
    assert rows_of(library.path) == before
    outcome = run("index", "--reread", "--library", "library.db")
    assert outcome.err == "3 photos: 0 read, 3 unchanged\n"


def test_permissions_alone_embed_nothing(
    is_local: bool, loads: list[str], hashed: list[str]
) -> None:
    library = Library("library.db")
    album = album_in(library)
    before = rows_of(library.path)
    for path in album:
        path.chmod(0o600)
    os.link(album[0], "link.jpg")  # changes ctime too
    loads.clear()
    hashed.clear()
    for _ in range(2):
        report = library.index()
        assert (report.unchanged, report.embedded, report.recognised) == (3, 0, 0)
    assert len(hashed) == (3 if is_local else 0)  # once
    assert loads == []
    assert rows_of(library.path) == before


def test_an_older_library_learns_silently(is_local: bool, hashed: list[str]) -> None:
    library = Library("library.db")
    album = album_in(library)
    with Store(library.path, can_write=True) as store, store.transaction():
        store.run("UPDATE files SET ctime_ns = NULL")
    hashed.clear()
    assert library.index().unchanged == 3
    assert hashed == []
    replace(album[2])
    assert library.index().embedded == is_local


@pytest.mark.parametrize("reread", [False, True])
@pytest.mark.parametrize("is_touched", [False, True])
def test_what_cannot_be_read_again_stays(
    is_local: bool, reread: bool, is_touched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library("library.db")
    album = make_album(Path("album"), 3)
    library.index(["album"], model="demo")
    before = rows_of(library.path)
    if is_touched:
        album[1].chmod(0o600)
    is_read = reread or (is_touched and is_local)
    monkeypatch.setattr("mlx_aimv2.inference.model.load", None)  # nothing is to be embedded
    with refused(5, ("open",), lambda path: path.endswith("album/001.jpg")):
        for _ in range(2):
            report = library.index(reread=reread)
            assert (report.found, report.failed, report.missing) == (3, 0, 0)
            assert report.unchanged == 3 - is_read
            assert (report.away, len(report.errors)) == (is_read, is_read)
    assert rows_of(library.path) == before
    report = library.index(reread=reread)
    assert (report.embedded, report.recognised, report.unchanged) == (0, 0, 3)
    assert rows_of(library.path) == before


def test_reread_reads_the_facts_again() -> None:
    library = Library("library.db")
    album_in(library)
    before = rows_of(library.path)
    with Store(library.path, can_write=True) as store, store.transaction():
        store.run("UPDATE files SET width_px = 1, taken_at = '1999-01-01T00:00:00'")
    assert library.index().unchanged == 3
    assert rows_of(library.path) != before
    assert library.index(reread=True).unchanged == 3
    assert rows_of(library.path) == before


LINUX = r"""
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
28 27 0:25 / /mnt/nas rw - nfs4 server:/photos rw
29 27 8:17 / /media/a\040card rw master:3 - vfat /dev/sdb1 rw
30 27 0:31 / /mnt/m rw - fuse Folding rw
31 25 0:27 / /dev/shm rw,relatime - tmpfs tmpfs rw
"""
MAC = """\
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
devfs on /dev (devfs, local, nobrowse)
/dev/disk4s1 on /Volumes/NO NAME (msdos, local, nodev, nosuid)
//me@nas._smb._tcp.local/photos on /Volumes/photos (smbfs, nodev, nosuid, mounted by me)
"""


def test_local_disks_are_known() -> None:
    assert local_disks._linux(LINUX) == {os.makedev(254, 0), os.makedev(0, 27)}
    assert local_disks._mac(MAC) == {Path("/").stat().st_dev}
    assert isinstance(local_disks.local_devices(), frozenset)
