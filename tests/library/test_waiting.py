"""Edits that wait beside a library: none is lost, none is made twice, whatever is killed when."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlx_aimv2.errors import Aimv2Warning, LockedError, OutputError
from mlx_aimv2.files.stamp import Stamp
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.editing.request import Request
from mlx_aimv2.library.editing.waiting import (
    keep_waiting,
    make_waiting,
    waiting_edits,
    waiting_path,
)
from mlx_aimv2.library.library import Library
from tests.support.albums import noise
from tests.support.commands import PATIENCE_S
from tests.support.stand_in_checkpoint import use_stand_ins

ROOT = Path(__file__).parents[2]
HASH = b"a" * 16
PHOTO = "/p/a.jpg"


@pytest.fixture
def library(tmp_path: Path) -> Library:
    path = tmp_path / "library.db"
    with Store(path, can_write=True) as store:
        store.add_file(PHOTO.encode(), Stamp(1, 2, 3), hash=HASH)
    return Library(path)


def word(tag: str) -> Request:
    return Request("add", f"{tag} added", verdicts=((HASH, tag, "added"),))


def words(library: Library) -> list[str]:
    with Store(library.path) as store:
        return sorted(store.verdicts_of(HASH))


def made(library: Library) -> list[str]:
    return [edit.said for edit in reversed(library.tag_history())]


def test_a_request_is_the_same_after_its_line() -> None:
    request = Request(
        "teach",
        "Luna ✓\nover two lines",
        verdicts=((HASH, "Luna", "rejected"),),
        removed=((HASH, "Dog"),),
        renamed=(("a", "b"),),
        taught=(("Luna", None), ("Sea", "the sea")),
        undoes=3,
    )
    assert Request.from_line(request.to_line()) == request
    assert request.to_line().count(b"\n") == 1


def test_edits_wait_for_who_writes_and_are_made_in_their_order(library: Library) -> None:
    with Store(library.path, can_write=True):  # as another process that indexes
        assert library.edit_tags("add", "Luna", PHOTO).is_waiting
        assert library.edit_tags("add", "Dog", PHOTO).is_waiting
        assert library.edit_tags("reject", "Luna", PHOTO).is_waiting
        assert library.waiting_edits() == 3
        assert words(library) == []
        with pytest.raises(LockedError):
            library.undo_tags("all")
    assert not library.edit_tags("add", "Sea", PHOTO).is_waiting
    with Store(library.path) as store:
        assert store.verdicts_of(HASH) == {"dog": "added", "luna": "rejected", "sea": "added"}
    assert library.waiting_edits() == 0
    assert not waiting_path(library.path).exists()
    kinds = [edit.kind for edit in library.tag_history()]
    assert kinds == ["add", "reject", "add", "add"]


def test_names_and_undoing_wait_too(library: Library) -> None:
    for tag in ("Dog", "Cat"):
        library.edit_tags("add", tag, PHOTO)
    number = library.tag_history()[1].number
    with Store(library.path, can_write=True):
        assert library.rename_tag("Cat", "Kitten").is_waiting
        assert library.undo_tags(number).is_waiting
        assert library.undo_tags(number).is_waiting  # twice, before the first one counts
    with library._writing():
        pass
    assert words(library) == ["kitten"]


def test_an_undoing_that_a_renaming_before_it_forbids_is_told(library: Library) -> None:
    library.edit_tags("add", "Cat", PHOTO)
    number = library.tag_history()[0].number
    with Store(library.path, can_write=True):
        assert library.rename_tag("Cat", "Kitten").is_waiting
        assert library.undo_tags(number).is_waiting
    with (
        pytest.warns(Aimv2Warning, match=r"not undone: a tag of edit 1 has another.*tag undo 2"),
        library._writing(),
    ):
        pass
    assert words(library) == ["kitten"]


def test_what_is_kept_while_this_process_writes_is_made_at_its_end(library: Library) -> None:
    with library._writing():
        keep_waiting(library.path, word("Luna"))
    assert words(library) == ["luna"]
    with pytest.raises(KeyboardInterrupt), library._writing() as store:
        store.begin()
        keep_waiting(library.path, word("Dog"))
        raise KeyboardInterrupt
    assert words(library) == ["dog", "luna"]
    assert not waiting_path(library.path).exists()


def test_an_edit_is_made_if_the_other_process_ends_while_it_is_kept(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Store(library.path, can_write=True)

    def then_end(path: Path, request: Request) -> None:
        keep_waiting(path, request)
        other.close()

    monkeypatch.setattr("mlx_aimv2.library.editing.editable.keep_waiting", then_end)
    assert not library.edit_tags("add", "Luna", PHOTO).is_waiting
    assert words(library) == ["luna"]


def test_a_line_that_a_kill_cut_off_harms_no_other(library: Library) -> None:
    cut, path = word("Cut").to_line(), waiting_path(library.path)
    expected = []
    for count in range(1, len(cut) - 1, 7):
        keep_waiting(library.path, word(f"before {count}"))
        with path.open("ab") as file:
            file.write(cut[:count])
        keep_waiting(library.path, word(f"after {count}"))
        expected += [f"before {count} added", f"after {count} added"]
    assert len(waiting_edits(library.path)) == len(expected)
    with path.open("ab") as file:
        file.write(cut[:9])
    with library._writing():
        pass
    assert made(library) == expected


def test_a_kill_between_making_and_forgetting_makes_nothing_twice(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tag in ("Luna", "Dog"):
        keep_waiting(library.path, word(tag))
    no = Request("reject", "no Luna", verdicts=((HASH, "Luna", "rejected"),))
    keep_waiting(library.path, no)
    with monkeypatch.context() as patch, Store(library.path, can_write=True) as store:
        patch.setattr(Path, "unlink", lambda path: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            make_waiting(store)
    assert len(waiting_edits(library.path)) == 3
    with library._writing():
        pass
    assert made(library) == ["Luna added", "Dog added", "no Luna"]
    with Store(library.path) as store:
        assert store.verdicts_of(HASH)["luna"] == "rejected"


def test_a_kill_between_two_edits_goes_on_with_the_second(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tag in ("Luna", "Dog", "Sea"):
        keep_waiting(library.path, word(tag))
    say, calls = Store.say_of_all, 0

    def killed(self: Store, *arguments: object, **options: object) -> None:
        nonlocal calls
        calls += 1
        say(self, *arguments, **options)  # type: ignore[arg-type]
        if calls == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Store, "say_of_all", killed)
        with Store(library.path, can_write=True) as store, pytest.raises(KeyboardInterrupt):
            make_waiting(store)
    assert words(library) == ["luna"]
    with library._writing():
        pass
    assert made(library) == ["Luna added", "Dog added", "Sea added"]


@pytest.mark.parametrize(
    "moment",
    ["said 1", "said 2", "made 2", "made 3", "forgetting 1", "forgotten 1"],
)
def test_a_killed_process_leaves_each_edit_to_be_made_once(library: Library, moment: str) -> None:
    library.edit_tags("add", "Old", PHOTO)
    number = library.tag_history()[0].number
    no = Request("reject", "no Luna", verdicts=((HASH, "Luna", "rejected"),))
    taught = Request("teach", "Luna taught", taught=(("Luna", "a brown dog"),))
    for edit in (word("Luna"), taught, Request("undo", "Old", undoes=number), no):
        keep_waiting(library.path, edit)
    command = [sys.executable, "-m", "tests.support.waiting_run", str(library.path)]
    killed = subprocess.run([*command, *moment.split()], cwd=ROOT, check=False, timeout=PATIENCE_S)
    assert killed.returncode == -signal.SIGKILL
    with library._writing():
        pass
    assert not waiting_path(library.path).exists()
    undone = "undone: Old added to 1 photo"
    assert made(library) == [undone[8:], "Luna added", "Luna taught", undone, "no Luna"]
    with Store(library.path) as store:
        assert store.verdicts_of(HASH) == {"luna": "rejected"}
        assert [each.words for each in store.taught_tags()] == ["a brown dog"]


def test_many_who_edit_at_once_lose_nothing(library: Library) -> None:
    tags = [f"tag {number}" for number in range(60)]
    with Store(library.path, can_write=True), ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda tag: keep_waiting(library.path, word(tag)), tags))
    with library._writing():
        pass
    assert words(library) == sorted(tags)
    assert len(made(library)) == len(tags)


def test_a_full_disk_keeps_nothing_and_says_so(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_waiting(library.path, word("Luna"))
    before = waiting_path(library.path).read_bytes()
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[: len(data) // 2]))
    with pytest.raises(OutputError, match="written"):
        keep_waiting(library.path, word("Dog"))
    assert waiting_path(library.path).read_bytes() == before


def test_an_edit_of_a_newer_version_waits_for_that(library: Library) -> None:
    keep_waiting(library.path, word("Luna"))
    with waiting_path(library.path).open("ab") as file:
        file.write(b'{"kind": "paint", "colour": "red"}\n')
    with pytest.raises(OutputError, match="newer version"):
        library.edit_tags("add", "Dog", PHOTO)
    with pytest.raises(OutputError, match="newer version"), library._writing():
        pass
    assert words(library) == ["luna"]
    assert waiting_path(library.path).exists()


@pytest.mark.parametrize("line", ['{"kind": "add"}', '{"kind": "add", "said": "", "picks": 5}'])
def test_what_is_no_edit_is_an_error_and_what_waits_goes_on_waiting(
    library: Library, line: str
) -> None:
    keep_waiting(library.path, word("Luna"))
    with waiting_path(library.path).open("a") as file:
        file.write(f"{line}\n")
    for edit in (library.waiting_edits, lambda: library.edit_tags("add", "Dog", PHOTO)):
        with pytest.raises(OutputError, match="waits beside the library is damaged"):
            edit()
    assert waiting_path(library.path).exists()


def test_edits_that_cannot_be_read_are_an_error_that_names_them(library: Library) -> None:
    waiting_path(library.path).mkdir()
    for edit in (library.waiting_edits, lambda: library.edit_tags("add", "Luna", PHOTO)):
        with pytest.raises(OutputError, match=r"library\.db\.edits cannot be read"):
            edit()


def test_words_that_wait_for_an_index_that_is_killed_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_stand_ins(monkeypatch)
    (tmp_path / "photos").mkdir()
    photo, new = (noise(tmp_path / "photos" / f"{seed}.png", seed) for seed in range(2))
    new.rename(tmp_path / "new.png")
    with Library(tmp_path / "library.db") as library:
        library.index(tmp_path / "photos", model="first")
        (tmp_path / "new.png").rename(new)
        script = [sys.executable, "-m", "tests.support.killed_index", library.path]
        with subprocess.Popen(
            script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            assert process.stdout.readline() == "has the lock\n"
            for action, tag in (("add", "Luna"), ("add", "Dog"), ("reject", "Luna")):
                assert library.edit_tags(action, tag, photo).is_waiting  # type: ignore[arg-type]
            process.stdin.write("\n")
            process.stdin.close()
            assert process.wait(PATIENCE_S) == -signal.SIGKILL
        assert library.waiting_edits() == 3
        library.index()
        with Store(library.path) as store:
            files = [store.file_at(os.fsencode(each)) for each in (photo, new)]
            ids = [file.id for file in files if file is not None]
            assert store.origins_of(ids) == {ids[0]: {"Dog": ["you"]}, ids[1]: {}}
        assert [edit.kind for edit in library.tag_history()] == ["reject", "add", "add"]
