"""The library's file: its versions, its neighbours, and what killed runs leave."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mlx_aimv2.errors import LockedError, OutputError
from mlx_aimv2.files.stamp import Stamp
from mlx_aimv2.library.database import schema, segments
from mlx_aimv2.library.database.captions import Caption
from mlx_aimv2.library.database.folders import Root
from mlx_aimv2.library.database.segments import Segments
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.editing.known_tags import count_by_origin
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.maintenance import prune
from mlx_aimv2.library.search.query import Term
from mlx_aimv2.library.search.searcher import Answer, search
from mlx_aimv2.library.tag_names import tag_key
from tests.support.queries import constant
from tests.support.synthetic import add_photo, add_set, facts, fill, make_library, segments_of, unit

WIDTH = 5
NAMES = [f"/p/{number:02}.jpg" for number in range(11)]
ROWS = unit(np.random.default_rng(3).standard_normal((11, WIDTH)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "library.db"


@pytest.fixture
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "ROWS_PER_SEGMENT", 4)


def find(store: Store) -> Answer:
    vectors = store.serving()
    assert vectors is not None
    term = Term(1.0, "x", None)
    return search(store, vectors, [term], constant(ROWS[3]), count=99, min_score=0)


def found(store: Store) -> list[tuple[bytes, float]]:
    return [(hit.file.path, hit.score) for hit in find(store).hits]


def disk_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*.f16"))


# Versions


def tables(path: Path) -> list[tuple[str, ...]]:
    with sqlite3.connect(path) as database:
        return database.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()


@pytest.mark.parametrize("version", range(len(schema.MIGRATIONS) + 1))
def test_every_version_becomes_the_newest(path: Path, tmp_path: Path, version: int) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    database.create_function("tag_key", 1, tag_key, deterministic=True)
    for migration in schema.MIGRATIONS[:version]:
        database.executescript(migration)
    database.execute(f"PRAGMA user_version = {version}")
    database.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    database.close()
    with Store(path, can_write=True) as store:
        add_photo(store, "/p/a.jpg")
        assert store.check() == []
    with Store(tmp_path / "new.db", can_write=True):
        pass
    assert tables(path) == tables(tmp_path / "new.db")


def test_a_step_is_taken_once_and_keeps_what_is_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_library(path, NAMES, ROWS)
    before = Library(path).counts()
    step = "ALTER TABLE files ADD COLUMN place TEXT;"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
    with pytest.raises(OutputError, match="older version"):
        Store(path)
    for _ in range(2):
        with Store(path, can_write=True) as store:
            assert store.counts() == before
    assert Library(path).counts() == before
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT place FROM files").fetchall() == [(None,)] * 11


def test_a_step_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_library(path, NAMES, ROWS)
    before = tables(path)
    step = "CREATE TABLE more (a); CREATE TABLE files (b);"
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
        with pytest.raises(OutputError, match="already exists"):
            Store(path, can_write=True)
    assert tables(path) == before
    with Store(path, can_write=True) as store:
        assert len(found(store)) == 11


def test_a_newer_library_is_refused(path: Path) -> None:
    make_library(path, NAMES, ROWS)
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    database.close()
    for can_write in (False, True):
        with pytest.raises(OutputError, match="newer version") as raised:
            Store(path, can_write=can_write)
        assert "install" in raised.value.hint


@pytest.mark.parametrize("can_write", [False, True])
def test_a_database_of_another_program_is_refused(path: Path, can_write: bool) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE files (id)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(OutputError, match="another program"):
        Store(path, can_write=can_write)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("can_write", [False, True])
@pytest.mark.parametrize("data", [b"not a database", b"x" * 5000, b"\0" * 4096])
def test_a_file_of_another_kind_is_refused(path: Path, data: bytes, can_write: bool) -> None:
    path.write_bytes(data)
    with pytest.raises(OutputError, match=r"library\.db") as raised:
        Store(path, can_write=can_write)
    assert raised.value.hint
    assert path.read_bytes() == data
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_library_that_was_killed_at_birth(path: Path) -> None:
    path.touch()
    with pytest.raises(OutputError, match="is empty") as raised:
        Store(path)
    assert raised.value.hint == f"aimv2 index FOLDER --library {path}"
    make_library(path, NAMES, ROWS)
    assert Library(path).counts().files == 11


def test_a_folder_in_its_place(path: Path) -> None:
    path.mkdir()
    for can_write in (False, True):
        with pytest.raises(OutputError) as raised:
            Store(path, can_write=can_write)
        assert raised.value.hint


def test_a_damaged_database_is_told(path: Path) -> None:
    make_library(path, NAMES, ROWS)
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(OutputError, match="malformed") as raised, Store(path) as store:
        find(store)
    assert raised.value.hint


# Vectors on disk


def test_rows_go_on_over_segments(tmp_path: Path, _small_segments: None) -> None:
    kept = Segments(tmp_path / "set", WIDTH, 0)
    kept.cut()
    for part in (ROWS[:3], ROWS[3:9], ROWS[9:9], ROWS[9:]):
        kept.append(part.astype(np.float16))
    assert sorted(file.name for file in kept.folder.iterdir()) == [
        "000001.f16", "000002.f16", "000003.f16"
    ]  # fmt: skip
    again = Segments(tmp_path / "set", WIDTH, 11)
    np.testing.assert_array_equal(again.take(np.arange(11)), ROWS.astype(np.float16))
    some = np.array([10, 0, 4, 4, 3])
    np.testing.assert_array_equal(again.take(some), ROWS.astype(np.float16)[some])
    assert again.size_bytes == disk_bytes(kept.folder) == 11 * WIDTH * 2


@pytest.mark.parametrize("counted", range(12))
@pytest.mark.parametrize("torn", [0, 1, 7])
def test_what_does_not_count_is_cut_off(
    tmp_path: Path, counted: int, torn: int, _small_segments: None
) -> None:
    written = segments_of(tmp_path / "set", ROWS)
    with (written.folder / "000003.f16").open("ab") as file:
        file.write(b"\xff" * torn)
    kept = Segments(written.folder, WIDTH, counted)
    kept.cut()
    assert disk_bytes(kept.folder) == kept.size_bytes
    kept.append(ROWS.astype(np.float16))
    expected = np.concatenate([ROWS[:counted], ROWS]).astype(np.float16)
    np.testing.assert_array_equal(kept.take(np.arange(len(expected))), expected)


def test_a_write_that_was_interrupted_is_done_over(tmp_path: Path, _small_segments: None) -> None:
    """As Ctrl-C does it: the rows lie on disk, but nobody has counted them."""
    kept = segments_of(tmp_path / "set", ROWS[:6])
    Segments(kept.folder, WIDTH, 6).append(ROWS[::-1].astype(np.float16))
    kept.append(ROWS[6:].astype(np.float16))
    np.testing.assert_array_equal(kept.take(np.arange(11)), ROWS.astype(np.float16))
    kept.cut()
    assert disk_bytes(kept.folder) == kept.size_bytes


@pytest.mark.parametrize("harm", ["shorten", "remove"])
def test_vectors_that_are_lost_are_told(path: Path, harm: str, _small_segments: None) -> None:
    make_library(path, NAMES, ROWS)
    file = path.with_name("library.db.vectors") / "set-1" / "000002.f16"
    if harm == "remove":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1])
    with Store(path, can_write=True) as store:
        vectors = store.serving()
        assert vectors is not None
        for work in (lambda: find(store), store.segments(vectors).cut):
            with pytest.raises(OutputError, match=r"000002\.f16") as raised:
                work()
            assert raised.value.hint


# Who may write


def test_one_writes_and_others_read(path: Path) -> None:
    make_library(path, NAMES, ROWS)
    with Store(path, can_write=True) as writer:
        with pytest.raises(LockedError):
            Store(path, can_write=True)
        with Store(path) as reader:
            before = found(reader)
            with writer.transaction():
                writer.set_missing([1, 2], "2026")
                assert found(reader) == before
            assert len(found(reader)) == 9
        with pytest.raises(OutputError), Store(path) as reader:
            reader.set_missing([1], "2026")
    with Store(path, can_write=True):
        pass


def test_nothing_of_a_transaction_that_fails_is_kept(path: Path) -> None:
    make_library(path, NAMES, ROWS)
    with Store(path, can_write=True) as store:
        with pytest.raises(ZeroDivisionError), store.transaction():
            with store.transaction():
                store.set_missing([1], "2026")
            raise ZeroDivisionError
        assert not store.is_writing
        assert store.counts().missing == 0


# Upkeep


@pytest.fixture
def pruned(path: Path, _small_segments: None) -> Iterator[Store]:
    """A library in which two photos share a row, and three are gone."""
    make_library(path, NAMES, ROWS)
    with Store(path, can_write=True) as store:
        with store.transaction():
            store.set_vector(1, add_photo(store, "/p/copy.jpg"), 4)
            store.add_tags("ours", [(1, "gone", None), (3, "there", None)])
            store.set_missing([1, 5, 9], "2026-01-01")
        yield store


def test_prune_gives_disk_back_and_changes_no_result(pruned: Store) -> None:
    before, size_bytes = found(pruned), disk_bytes(pruned.folder)
    guess = prune(pruned, dry_run=True)
    assert (guess.files, guess.sets) == (3, 0)
    assert disk_bytes(pruned.folder) == size_bytes
    report = prune(pruned)
    assert (report.files, report.sets) == (3, 0)
    assert found(pruned) == before
    assert size_bytes - disk_bytes(pruned.folder) == report.size_bytes == 2 * 2 * WIDTH
    assert [each.tag for each in count_by_origin(pruned)] == ["there"]
    assert pruned.check() == []
    again = prune(pruned)
    assert (again.files, again.sets, again.size_bytes) == (0, 0, 0)
    vectors = pruned.serving()
    assert vectors is not None
    fill(pruned, vectors, ROWS[:6], [add_photo(pruned, f"/q/{n}.jpg") for n in range(6)])
    assert len(found(pruned)) == len(before) + 6


def test_who_reads_while_pruning_goes_on(pruned: Store) -> None:
    with Store(pruned.path) as reader:
        before = found(reader)
        vectors = reader.serving()
        assert vectors is not None
        blocks = [np.asarray(block) for _, block in reader.segments(vectors).blocks()]
        copies = [block.copy() for block in blocks]
        prune(pruned)
        for block, copy in zip(blocks, copies, strict=True):
            np.testing.assert_array_equal(block, copy)
        assert found(reader) == before


def test_a_search_that_prune_overtakes_is_done_again(
    pruned: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading where the vectors are and reading them, they have moved."""
    from mlx_aimv2.library import library as module  # noqa: PLC0415

    calls = 0

    def overtaken(*arguments: object, **options: object) -> Answer:
        nonlocal calls
        calls += 1
        if calls == 1:
            prune(pruned)
        return search(*arguments, **options)  # type: ignore[arg-type]

    before = found(pruned)
    embed = constant(ROWS[3])
    monkeypatch.setattr(module, "search", overtaken)
    monkeypatch.setattr(module.SearchModel, "texts", lambda self, texts: embed.texts(texts))
    with Library(pruned.path) as library:
        hits = library.search("x", count=99, min_score=0).hits
    assert [(hit.file.path, hit.score) for hit in hits] == before
    assert calls == 2


def test_a_killed_prune_is_done_again(pruned: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = found(pruned)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "replace_rows", stop)
        with pytest.raises(KeyboardInterrupt):
            prune(pruned)
    assert found(pruned) == before
    prune(pruned)
    assert found(pruned) == before
    assert [each.name for each in pruned.folder.glob("set-*")] == ["set-1.1"]


def test_former_sets_are_forgotten_and_newer_ones_kept(path: Path) -> None:
    make_library(path, NAMES, ROWS)
    with Store(path, can_write=True) as store:
        fill(store, add_set(store, 7, "second"), np.eye(7), [1])
        store.serve(2)
        fill(store, add_set(store, 7, "third"), np.eye(7), [1])
        store.serve(2)  # as every run does
        report = prune(store)
        assert report.sets == 1
        assert report.size_bytes == 11 * WIDTH * 2 + 6 * 7 * 2 * 2
        assert [each.source for each in store.sets()] == ["second", "third"]
        assert len(list(store.folder.glob("set-*"))) == 2


def test_a_newer_set_that_another_took_over_from_is_forgotten(path: Path) -> None:
    make_library(path, NAMES, ROWS)
    with Store(path, can_write=True) as store:
        fill(store, add_set(store, 7, "second"), np.eye(7), [1])
        store.serve(2)
        store.serve(1)
        store.build(2)  # a run of it that is not complete
        assert prune(store, dry_run=True).sets == 0
        store.serve(2)
        store.serve(1)
        assert prune(store).sets == 1
        assert [each.id for each in store.sets()] == [1]


@pytest.mark.parametrize(
    ("serving", "embedded", "left"), [(1, 11, [1]), (1, 3, [1, 2]), (2, 3, [2])]
)
def test_former_sets_of_the_first_version_are_known(
    path: Path, monkeypatch: pytest.MonkeyPatch, serving: int, embedded: int, left: list[int]
) -> None:
    make_library(path, NAMES, ROWS)
    with Store(path, can_write=True) as store:
        ids = range(1, 1 + embedded)
        fill(store, add_set(store, WIDTH, "second"), ROWS[:embedded], ids)
        store.serve(serving)
    with sqlite3.connect(path) as database:
        for view in ("shown_tags", "shown_captions", "picked"):
            database.execute(f"DROP VIEW {view}")
        for what in ("photo", "vector"):
            for change in ("added", "changed", "removed"):
                database.execute(f"DROP TRIGGER {what}_{change}")
        new = "captions caption_words "
        new += (
            "names_of_others verdicts emitted aliases taught vocabularies settings changes edits "
        )
        new += "picks not_duplicates carried sidecars_behind"
        for table in new.split():
            database.execute(f"DROP TABLE {table}")
        database.execute("ALTER TABLE sets DROP COLUMN is_former")
        for column in ("has_tags", "has_caption", "has_carried"):
            database.execute(f"ALTER TABLE sidecars DROP COLUMN {column}")
        for index in ("files_by_shot", "files_of_unread_colours", "files_by_last_hash",
                      "files_by_date"):  # fmt: skip
            database.execute(f"DROP INDEX {index}")
        for column in (
            "shot",
            "sidecar_stamp",
            "colours",
            "ctime_ns",
            "is_excluded",
            "keywords_stamp",
            "last_hash",
        ):
            database.execute(f"ALTER TABLE files DROP COLUMN {column}")
        database.execute("DROP TABLE excluded")
        database.execute("PRAGMA user_version = 1")
    database.close()
    with Store(path, can_write=True) as store:
        prune(store)
        assert [each.id for each in store.sets()] == left


def test_a_folder_is_forgotten_when_nothing_of_it_is_left(path: Path, tmp_path: Path) -> None:
    make_library(path, ["/nowhere/drive/a.jpg", "/nowhere/old/b.jpg"], ROWS[:2])
    with Store(path, can_write=True) as store:
        for root in (b"/nowhere/drive", b"/nowhere/old", bytes(tmp_path)):
            store.add_root(Root(root))
        store.set_missing([2], "2026")
        assert prune(store, dry_run=True).folders == 1
        assert len(store.roots()) == 3
        assert prune(store).folders == 1
        assert [root for root, _ in store.roots()] == [b"/nowhere/drive", bytes(tmp_path)]


def test_strays_are_removed_and_nothing_else(path: Path) -> None:
    make_library(path, NAMES, ROWS)
    with Store(path, can_write=True) as store:
        segments_of(store.folder / "set-2", ROWS)
        segments_of(store.folder / "set-1.3", ROWS)
        (store.folder / "mine.txt").write_text("mine")
        store.remove_strays()
        kept = {each.name for each in store.folder.iterdir()}
        assert kept == {"set-1", "mine.txt", "lock"}
        assert len(found(store)) == 11


def test_vectors_are_counted_again_after_changes_by_oneself_and_by_others(tmp_path: Path) -> None:
    with Store(tmp_path / "library.db", can_write=True) as store:
        vectors = add_set(store, 3)
        files = [add_photo(store, f"/{name}.jpg") for name in "abc"]
        fill(store, vectors, np.eye(3)[:2], files[:2])
        assert store.count_vectors(vectors.id) == 2
        with Store(tmp_path / "library.db") as reader:
            assert reader.count_vectors(vectors.id) == 2
            store.set_vector(vectors.id, files[2], 0)
            assert store.count_vectors(vectors.id) == reader.count_vectors(vectors.id) == 3
            store.set_missing(files[:1], "2024-01-01")
            assert store.count_vectors(vectors.id) == reader.count_vectors(vectors.id) == 2
            store.remove_files(files[1:2])
            assert store.count_vectors(vectors.id) == reader.count_vectors(vectors.id) == 1


# Read only


def test_a_library_that_nobody_can_write_can_be_read() -> None:
    folder = Path(tempfile.mkdtemp())  # where others may look
    path = folder / "library.db"
    Store(path, can_write=True).close()
    path.chmod(0o444)
    folder.chmod(0o555)
    is_root = os.geteuid() == 0
    try:
        if is_root:
            os.seteuid(65534)
        with Store(path) as store:
            assert store.counts().files == 0
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_the_version_of_photos_changes_with_them_and_not_with_edits(tmp_path: Path) -> None:
    with Store(tmp_path / "l.db", can_write=True) as store:
        vectors = add_set(store, 3)
        first = add_photo(store, "/p/a.jpg")
        known = store.photos_version()

        def is_changed() -> bool:
            nonlocal known
            before, known = known, store.photos_version()
            return before != known

        changes = (
            lambda: add_photo(store, "/p/b.jpg"),
            lambda: add_photo(store, "/p/b.jpg", facts=facts(taken_at="2024-05-03T10:00:00")),
            lambda: add_photo(store, "/p/b.jpg", facts=None, hash=None, error="is damaged"),
            lambda: store.set_vector(vectors.id, first, 0),
            lambda: store.set_vector(vectors.id, first, 1),
            lambda: store.set_missing([first], "2024-01-01"),
            lambda: store.move_file(first, b"/q/a.jpg", Stamp(1, 2), None),
            lambda: store.set_facts(first, facts(taken_at="2024-05-04T10:00:00")),
            lambda: store.remove_vectors(first),
            lambda: store.set_vector(vectors.id, first, 1),
            lambda: store.remove_files([first]),
        )
        for change in changes:
            change()
            assert is_changed()
        second = add_photo(store, "/p/c.jpg")
        is_changed()
        with store.edit("add", "Sea added to 1 photo"):
            store.say(store.last_hash(second), "Sea", "added")
            store.add_tags("vocabulary v", [(second, "Sea", 0.9)])
        store.caption(store.last_hash(second), Caption("a boat", "you"))
        assert not is_changed()
