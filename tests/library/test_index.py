"""Indexing: what is new is read, what is known is not, and nothing is lost."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from mlx_aimv2.errors import LockedError, OutputError, UsageError
from mlx_aimv2.files import paths
from mlx_aimv2.inference import model as models
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.indexing.report import Progress
from mlx_aimv2.library.library import Library
from tests.support.albums import make_album, rows_of, save


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library.db")


pytestmark = pytest.mark.usefixtures("at_home")


def test_every_picture_gets_its_vector(library: Library, tmp_path: Path) -> None:
    paths = make_album(tmp_path / "album", 7)
    report = library.index([tmp_path / "album"], model="demo")
    assert (report.found, report.embedded, report.failed) == (7, 7, 0)
    expected = np.array(models.load("demo").embed_images(paths))
    with library.store as store:
        vectors = store.serving()
        assert vectors is not None
        for path, embedding in zip(paths, expected, strict=True):
            file = store.file_at(os.fsencode(path))
            row = store.row_of(vectors.id, file.id)
            stored = store.segments(vectors).take(np.array([row]))[0].astype(np.float32)
            assert stored @ embedding > 0.9999
            assert file.facts.width_px == 64
            assert file.facts.format == "JPEG"


def test_unchanged_files_are_not_read_again(
    library: Library, tmp_path: Path, loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    open_regular = paths._open_regular

    def note(path: str | bytes, flags: int) -> int:
        opened.append(Path(os.fsdecode(path)).name)
        return open_regular(path, flags)

    monkeypatch.setattr(paths, "_open_regular", note)
    names = {path.name for path in make_album(tmp_path / "album", 5)}
    library.index([tmp_path / "album"], model="demo")
    assert names <= set(opened)
    before = rows_of(library.path)
    loads.clear()
    opened.clear()
    report = library.index()
    assert (report.unchanged, report.embedded, report.recognised) == (5, 0, 0)
    assert (loads, opened) == ([], [])
    assert rows_of(library.path) == before


def test_a_renamed_folder_is_recognised(library: Library, tmp_path: Path, loads: list[str]) -> None:
    make_album(tmp_path / "photos" / "old", 5)
    library.index([tmp_path / "photos"], model="demo")
    before = rows_of(library.path)
    with Store(library.path, can_write=True) as store, store.transaction():
        store.add_tags("user", [(1, "kept", None)])
    (tmp_path / "photos" / "old").rename(tmp_path / "photos" / "new")
    report = library.index()
    assert (report.embedded, report.recognised, report.missing) == (0, 5, 0)
    assert rows_of(library.path) == before
    with library.store as store:
        assert store.tags_of(1) == {"kept": "user"}


def test_copies_share_a_vector(library: Library, tmp_path: Path) -> None:
    (path,) = make_album(tmp_path / "album", 1)
    shutil.copy(path, tmp_path / "album" / "copy.jpg")
    library.index([tmp_path / "album"], model="demo")
    first, second = rows_of(library.path)
    assert first[2] == second[2]
    assert first[-2] == second[-2] == 0


def test_a_changed_file_is_read_again(library: Library, tmp_path: Path) -> None:
    first, _ = make_album(tmp_path / "album", 2)
    library.index([tmp_path / "album"], model="demo")
    (_, *before), _ = rows_of(library.path)
    save(first, 500)
    os.utime(first, ns=(1, 1))
    report = library.index()
    assert (report.unchanged, report.embedded) == (1, 1)
    (_, *after), _ = rows_of(library.path)
    assert before[0] == after[0]
    assert before[1] != after[1]
    assert before[-1] != after[-1]


def test_what_vanishes_is_marked_and_comes_back(library: Library, tmp_path: Path) -> None:
    first, _ = make_album(tmp_path / "album", 2)
    library.index([tmp_path / "album"], model="demo")
    first.rename(tmp_path / "elsewhere.jpg")
    assert library.index().missing == 1
    with Library(library.path) as opened:
        assert opened.counts().missing == 1
        assert len(opened.search("a dog", min_score=0).hits) == 1
    (tmp_path / "elsewhere.jpg").rename(first)
    report = library.index()
    assert (report.embedded, report.missing) == (0, 0)
    assert Library(library.path).counts().missing == 0


def test_a_drive_that_is_not_there_loses_nothing(library: Library, tmp_path: Path) -> None:
    make_album(tmp_path / "drive" / "photos", 3)
    library.index([tmp_path / "drive"], model="demo")
    (tmp_path / "drive").rename(tmp_path / "unplugged")
    report = library.index()
    assert report.missing == 0
    assert len(report.errors) == 1
    assert Library(library.path).counts().missing == 0


def test_what_cannot_be_read_is_listed_and_tried_again(library: Library, tmp_path: Path) -> None:
    make_album(tmp_path / "album", 2)
    broken = tmp_path / "album" / "broken.jpg"
    broken.write_bytes(b"no picture")
    report = library.index([tmp_path / "album"], model="demo")
    assert (report.embedded, report.failed) == (2, 1)
    with Library(library.path) as opened:
        (file,) = opened.errors()
        assert "broken.jpg" in file.error
        assert file.error_hint
    save(broken, 9)
    os.utime(broken, ns=(2, 2))
    assert library.index().failed == 0
    assert Library(library.path).errors() == []


def test_names_that_are_not_utf8(library: Library, tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/album/caf\xe9 '\"; DROP TABLE files; --\n<script>.jpg"
    (path,) = make_album(tmp_path / "album", 1)
    path.rename(os.fsdecode(name))
    library.index([tmp_path / "album"], model="demo")
    with Library(library.path) as opened:
        (hit,) = opened.search("anything", min_score=0).hits
        assert hit.file.path == name


def test_another_checkpoint_serves_when_it_is_complete(library: Library, tmp_path: Path) -> None:
    other = shutil.copytree(Path(models.__file__).parents[1] / "demo", tmp_path / "other")
    weights = other / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-2:] = b"\0\0"
    weights.write_bytes(data)
    make_album(tmp_path / "one", 2)
    make_album(tmp_path / "two", 2, first=10)
    library.index([tmp_path / "one", tmp_path / "two"], model="demo")
    report = library.index([tmp_path / "one"], model=str(other))
    assert (report.embedded, report.left, report.is_serving) == (2, 2, False)
    assert Library(library.path).vectors().source == "demo"
    report = library.index(model=str(other))
    assert (report.embedded, report.left, report.is_serving) == (2, 0, True)
    assert Library(library.path).vectors().source == str(other)


def test_one_writer_at_a_time(library: Library, tmp_path: Path) -> None:
    make_album(tmp_path / "album", 1)
    library.index([tmp_path / "album"], model="demo")
    with Store(library.path, can_write=True):
        with pytest.raises(LockedError, match=str(os.getpid())):
            library.index()
        assert len(Library(library.path).search("a dog", min_score=0).hits) == 1


def test_an_interrupted_run_keeps_what_is_done(library: Library, tmp_path: Path) -> None:
    make_album(tmp_path / "album", 40)
    done = 0

    def interrupt(_error: object) -> None:
        nonlocal done
        done += 1
        if done == 33:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        library.index([tmp_path / "album"], model="demo", progress=Progress(done=interrupt))
    assert Library(library.path).counts().files >= 32
    report = library.index([tmp_path / "album"])
    assert report.embedded + report.unchanged == 40
    assert report.unchanged >= 32
    calm = Library(tmp_path / "calm.db")
    calm.index([tmp_path / "album"], model="demo")
    assert rows_of(library.path) == rows_of(calm.path)


def test_a_run_that_is_stopped_at_once_knows_its_folders(library: Library, tmp_path: Path) -> None:
    make_album(tmp_path / "album", 2)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        library.index(
            [tmp_path / "album", tmp_path / "nowhere"],
            model="demo",
            progress=Progress(counted=interrupt),
        )
    report = library.index(model="demo")
    assert (report.embedded, report.errors) == (2, [])


def test_estimate_writes_nothing(library: Library, tmp_path: Path) -> None:
    make_album(tmp_path / "album", 30)
    guess = library.estimate([tmp_path / "album"], model="demo")
    assert (guess.count, guess.sampled) == (30, 20)
    assert guess.seconds > 0
    assert guess.size_bytes >= 30 * 2 * 192
    assert not library.path.exists()


def test_nothing_to_index(library: Library, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to index"):
        library.index(model="demo")
    with pytest.raises(OutputError, match="no library"):
        Library(tmp_path / "absent.db").counts()


def test_a_file_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "notes.db"
    other.write_text("not a database at all, but long enough to look at: " * 10)
    before = other.read_bytes()
    make_album(tmp_path / "album", 1)
    with pytest.raises(OutputError, match=r"notes\.db"):
        Library(other).index([tmp_path / "album"], model="demo")
    assert other.read_bytes() == before


def renamed(names: dict[Path, Path]) -> None:
    """Rename all at once, as someone does who exchanges names by way of others."""
    for path in names:
        path.rename(path.with_suffix(".aside"))
    for path, target in names.items():
        path.with_suffix(".aside").rename(target)


def tagged(library: Library, paths: list[Path]) -> dict[bytes, int]:
    """Give each file a tag; the ids by content."""
    with Store(library.path, can_write=True) as store, store.transaction():
        ids = {file.path: file.id for file in store.files()}
        store.add_tags("user", [(id, f"tag {id}", None) for id in ids.values()])
    return {path.read_bytes(): ids[os.fsencode(path)] for path in paths}


def assert_tags_went_along(library: Library, ids: dict[bytes, int]) -> None:
    with Store(library.path) as store:
        there = list(store.files("missing_since IS NULL"))
        assert there
        for file in there:
            id = ids.get(Path(os.fsdecode(file.path)).read_bytes())
            if id is not None:
                assert (file.id, store.tags_of(file.id)) == (id, {f"tag {id}": "user"})


@pytest.mark.parametrize("size", [2, 3, 5])
def test_exchanged_names_keep_their_photos(
    library: Library, tmp_path: Path, loads: list[str], size: int
) -> None:
    album = make_album(tmp_path / "album", 7)
    library.index([tmp_path / "album"], model="demo")
    ids = tagged(library, album)
    before = sorted(row[2:] for row in rows_of(library.path))
    loads.clear()
    renamed(dict(zip(album[:size], [*album[1:size], album[0]], strict=True)))
    report = library.index()
    assert (report.recognised, report.unchanged) == (size, 7 - size)
    assert (report.embedded, report.missing, loads) == (0, 0, [])
    assert_tags_went_along(library, ids)
    assert sorted(row[2:] for row in rows_of(library.path)) == before


def test_exchanged_folders_keep_their_photos(library: Library, tmp_path: Path) -> None:
    one, two = tmp_path / "album" / "one", tmp_path / "album" / "two"
    album = make_album(one, 3) + make_album(two, 3, first=5)
    for number, path in enumerate((*two.iterdir(),)):
        path.rename(two / f"{number:03}.jpg")
    album = sorted((tmp_path / "album").rglob("*.jpg"))
    library.index([one, two], model="demo")
    ids = tagged(library, album)
    one.rename(tmp_path / "aside")
    two.rename(one)
    (tmp_path / "aside").rename(two)
    report = library.index()
    assert (report.recognised, report.embedded, report.missing) == (6, 0, 0)
    assert_tags_went_along(library, ids)


def test_shifted_names_keep_their_photos(library: Library, tmp_path: Path) -> None:
    album = make_album(tmp_path / "album", 4)
    library.index([tmp_path / "album"], model="demo")
    ids = tagged(library, album)
    renamed({album[1]: album[2], album[2]: album[3], album[3]: tmp_path / "album" / "004.jpg"})
    save(album[1], 9)
    report = library.index()
    assert (report.recognised, report.embedded, report.missing) == (3, 1, 0)
    assert_tags_went_along(library, ids)
    renamed({album[2]: album[1], album[3]: album[2], tmp_path / "album" / "004.jpg": album[3]})
    report = library.index()
    assert (report.recognised, report.embedded) == (3, 0)
    assert_tags_went_along(library, ids)


def test_a_photo_whose_name_was_taken_comes_back(library: Library, tmp_path: Path) -> None:
    first, second = make_album(tmp_path / "album", 2)
    library.index([tmp_path / "album"], model="demo")
    ids = tagged(library, [first, second])
    data = first.read_bytes()
    second.rename(first)
    assert library.index().recognised == 1
    assert_tags_went_along(library, ids)
    with Library(library.path) as opened:
        assert (opened.counts().files, opened.counts().missing) == (2, 1)
    second.write_bytes(data)
    assert library.index().recognised == 1
    assert Library(library.path).counts().missing == 0
    assert_tags_went_along(library, ids)


def test_an_edited_photo_keeps_its_tags(library: Library, tmp_path: Path) -> None:
    first, second = make_album(tmp_path / "album", 2)
    library.index([tmp_path / "album"], model="demo")
    ids = tagged(library, [first, second])
    before = first.read_bytes()
    first.rename(tmp_path / "album" / "first-original.jpg")
    shutil.copy(second, first)
    library.index()
    with Store(library.path) as store:
        file = store.file_at(os.fsencode(first))
        assert file.id == ids[before]
        assert store.tags_of(file.id) == {f"tag {file.id}": "user"}


def test_a_picture_of_photos_keeps_its_tags_when_its_original_comes(
    library: Library, tmp_path: Path
) -> None:
    uuid = "A0000000-1D2C-4B3A-8F00-0123456789AB"
    bundle = tmp_path / "My.photoslibrary"
    copy = save(bundle / "resources" / "derivatives" / "A" / f"{uuid}_1_105_c.jpeg", 1)
    (bundle / "originals" / "A").mkdir(parents=True)
    library.index([bundle], model="demo")
    (id,) = tagged(library, [copy]).values()
    original = save(bundle / "originals" / "A" / f"{uuid}.jpeg", 1, quality=95)
    report = library.index()
    assert (report.embedded, report.missing) == (1, 0)
    (row,) = rows_of(library.path)
    assert row[1] == original.name.encode()
    with Store(library.path) as store:
        assert store.tags_of(id) == {f"tag {id}": "user"}
    original.unlink()
    report = library.index()
    assert (report.embedded + report.recognised, report.missing) == (1, 0)
    with Store(library.path) as store:
        assert [file.path for file in store.files()] == [os.fsencode(copy)]
        assert store.tags_of(id) == {f"tag {id}": "user"}
