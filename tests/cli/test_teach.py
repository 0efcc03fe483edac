"""``aimv2 teach``: answers as they are typed, questions, and how far a tag is."""

from pathlib import Path

import pytest

from mlx_aimv2.library.library import Library
from tests.support.albums import make_album
from tests.support.commands import run


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teach")
    make_album(folder / "album", 24)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setenv("HOME", str(folder))
        outcome = run("index", f"{folder}/album", "--model=demo", f"--library={folder}/library.db")
    assert outcome.code == 0
    return folder


@pytest.fixture
def folder(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(indexed / "cache"))
    monkeypatch.setenv("HOME", str(indexed))
    monkeypatch.chdir(indexed / "album")
    return indexed


def test_several_photos_follow_one_option(folder: Path) -> None:
    outcome = run(
        "teach", "Luna", "--yes", "000.jpg", "001.jpg", "--no", "002.jpg", "--library=../library.db"
    )
    assert outcome.code == 0, outcome.err
    assert "2 photos with it, 1 without" in outcome.err
    with Library(folder / "library.db") as library:
        verdicts = library.store.verdicts_on("Luna")
    assert sorted(verdicts.values()) == ["added", "added", "rejected"]


def test_questions_as_paths_json_and_a_sheet(folder: Path) -> None:
    listed = run("teach", "boat", "--ask", "5", "--library=../library.db")
    paths = listed.out.split()
    assert len(paths) == 5
    records = run("teach", "boat", "--ask=5", "--json", "--library=../library.db").records
    assert [each["path"] for each in records] == paths
    sheet = run("teach", "boat", "--ask=5", "--html=../s.html", "--library=../library.db")
    assert sheet.code == 0, sheet.err
    page = (folder / "s.html").read_text()
    command = f"aimv2 teach boat --library {folder}/library.db"
    assert page.count("<code>") == 10  # one to paste for each answer
    assert all(f"<code>{command} --yes {path}</code>" in page for path in paths)
    assert all(f"<code>{command} --no {path}</code>" in page for path in paths)


def test_how_far_a_tag_is(folder: Path) -> None:
    run("teach", "Rex", "--no-words", "--yes", "003.jpg", "004.jpg", "--library=../library.db")
    [record] = run("teach", "Rex", "--status", "--json", "--library=../library.db").records
    assert (record["tag"], record["yes"], record["words"]) == ("Rex", 2, None)
    assert "photos alone" in run("teach", "Rex", "--status", "--library=../library.db").out


def test_what_is_not_known_is_told_and_the_rest_is_done(folder: Path) -> None:
    outcome = run(
        "teach", "Bo", "--yes", "none.jpg", "--no", "007.jpg", "no.jpg", "--library=../library.db"
    )
    assert outcome.code == 3
    assert outcome.err.count("skipped: the library does not know") == 2
    [record] = run("teach", "Bo", "--status", "--json", "--library=../library.db").records
    assert (record["yes"], record["no"]) == (0, 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["Luna", "--yes", "unknown.jpg"], "does not know"),
        (["Luna", "--yes", "unknown.jpg", "--no", "other.jpg"], "does not know"),
        (["Luna", "--yes", "000.jpg", "--no", "000.jpg"], "not to"),
        (["Luna", "--words=dog", "--no-words"], "cannot be combined"),
        (["Luna", "--html=x.html"], "--ask"),
        (["Nobody", "--status"], "was not taught"),
        (["", "--yes", "000.jpg"], "empty name"),
        (["Luna", "--yes", "--no", "000.jpg"], "--yes is followed by nothing"),
    ],
)
def test_what_cannot_be_taught(folder: Path, words: list[str], said: str) -> None:
    outcome = run("teach", *words, "--library=../library.db")
    assert outcome.code == 2
    assert said in outcome.err


def test_a_few_photos_and_a_name_say_what_counts(folder: Path) -> None:
    outcome = run("teach", "boat", "--yes", "005.jpg", "--library=../library.db")
    name_counts = "the name counts as words too"
    with Library(folder / "library.db") as library:
        assert (name_counts in outcome.err) is library.taught("boat").follows_words
    assert name_counts not in run("teach", "boat", "--no-words", "--library=../library.db").err


def test_what_is_said_of_a_taught_tag_by_other_commands_can_be_learnt(folder: Path) -> None:
    run("teach", "Balou", "--no-words", "--yes", "006.jpg", "--library=../library.db")
    outcome = run("tag", "reject", "Balou", "007.jpg", "--library=../library.db")
    assert "aimv2 teach Balou learns from this" in outcome.err
    outcome = run("teach", "Balou", "--library=../library.db")
    assert "1 photo with it, 1 without" in outcome.err
    outcome = run("tag", "add", "Other", "007.jpg", "--library=../library.db")
    assert "teach" not in outcome.err
