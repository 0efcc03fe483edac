"""`aimv2 tag add` and its like: what a person says of tags, what is told of it, and undoing."""

import shutil
from pathlib import Path

import pytest

from mlx_aimv2.cli import tag_edits
from mlx_aimv2.files.paths import absolute
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from mlx_aimv2.training.drawings.nouns import NOUNS
from tests.support.albums import make_album
from tests.support.commands import on, run

COUNT = 12


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("indexed")
    make_album(folder / "album", COUNT, side_px=112)
    (folder / "tags.txt").write_text("".join(f"Things|{noun}\n" for noun in NOUNS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        library = f"--library={folder}/library.db"
        assert run("index", f"{folder}/album", "--model=demo", library).code == 0
        assert run("tag", f"--vocabulary={folder}/tags.txt", library).code == 0
    return folder


@pytest.fixture
def photos(indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The photos of a tagged library that lies in the current folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(indexed / "cache"))
    shutil.copy(indexed / "library.db", tmp_path)
    shutil.copytree(indexed / "library.db.vectors", tmp_path / "library.db.vectors")
    monkeypatch.chdir(tmp_path)
    return [str(path) for path in sorted((indexed / "album").glob("*.jpg"))]


def shown(photo: str) -> dict[str, list[str]]:
    """The tags of a photo with their origins."""
    with Store(Path("library.db")) as store:
        file = store.file_at(photo.encode())
        assert file is not None
        return store.origins_of([file.id])[file.id]


def given_to(photos: list[str]) -> tuple[str, str]:
    """A photo that has a tag of the program, and the tag."""
    return next((photo, tag) for photo in photos for tag in shown(photo))


def test_add_says_what_was_new(photos: list[str]) -> None:
    outcome = on("tag add", "Luna", *photos[:2])
    assert (outcome.code, outcome.out) == (0, "")
    assert "note: Luna is a new tag\n" in outcome.err
    assert "Luna added to 2 photos\n" in outcome.err
    outcome = on("tag add", "luna", *photos[1:3])
    assert "new tag" not in outcome.err
    assert "Luna added to 1 photo; nothing new for 1\n" in outcome.err
    assert "Luna: nothing new for 1 photo\n" in on("tag add", "Luna", photos[0]).err
    assert [shown(photo).get("Luna") for photo in photos[:4]] == [["you"]] * 3 + [None]


def test_a_rejected_tag_is_never_given_again(photos: list[str], indexed: Path) -> None:
    photo, tag = given_to(photos)
    assert f"{tag} rejected for 1 photo\n" in on("tag reject", tag, photo).err
    assert tag not in shown(photo)
    outcome = on("tag", f"--vocabulary={indexed}/tags.txt", "--write=json")
    (record,) = (each for each in outcome.records if each["path"] == photo)
    assert tag not in record["tags"]
    assert on("tag undo", "--all").code == 0
    assert on("tag", f"--vocabulary={indexed}/tags.txt").code == 0
    assert tag not in shown(photo)


def test_what_is_confirmed_stays_and_what_is_removed_may_return(
    photos: list[str], indexed: Path
) -> None:
    photo, tag = given_to(photos)
    assert f"{tag} removed from 1 photo\n" in on("tag remove", tag, photo).err
    assert tag not in shown(photo)
    assert on("tag", f"--vocabulary={indexed}/tags.txt").code == 0
    assert shown(photo)[tag] == ["vocabulary tags"]
    assert f"{tag} confirmed for 1 photo\n" in on("tag confirm", tag, photo).err
    assert on("tag undo", "--all").code == 0
    assert shown(photo) == {tag: ["you"]}


def test_a_keyword_of_another_program_stays(photos: list[str]) -> None:
    with Store(Path("library.db"), can_write=True) as store:
        file = store.file_at(photos[0].encode())
        assert file is not None
        store.add_tags("file", [(file.id, "Holiday", None)])
    outcome = on("tag remove", "Holiday", photos[0])
    assert outcome.code == 0
    assert "Holiday stays on 1 photo as a keyword of another program" in outcome.err
    assert "Holiday" in shown(photos[0])
    assert on("tag reject", "Holiday", photos[0]).code == 0
    assert "Holiday" not in shown(photos[0])


@pytest.mark.parametrize("separator", ["\n", "\0", "\r\n"])
def test_photos_come_from_a_list(photos: list[str], separator: str) -> None:
    listed = "".join(f"{photo}{separator}" for photo in photos[:3]).encode()
    arguments = ("tag", "add", "Luna", "--from", "-", "--library", "library.db")
    assert "Luna added to 3 photos\n" in run(*arguments, stdin=listed).err
    Path("list.txt").write_bytes(listed)
    assert "nothing new for 3 photos" in on("tag add", "Luna", "--from", "list.txt").err


def test_photos_come_from_a_search(photos: list[str]) -> None:
    query = next(tag for photo in photos for tag in shown(photo)).split("|")[1]
    found = on("search", query, "-f").out.splitlines()
    assert found
    outcome = on("tag add", "Found", "--from-search", query)
    assert f"{len(found)} photo" in outcome.err
    assert [photo for photo in photos if "Found" in shown(photo)] == sorted(found)
    on("tag add", "Best", "--from-search", query, "-n1")
    assert [photo for photo in photos if "Best" in shown(photo)] == found[:1]


def test_what_is_not_known_is_named_and_the_others_are_done(photos: list[str]) -> None:
    outcome = on("tag add", "Luna", "missing.jpg", photos[0])
    assert outcome.code == 3
    assert "skipped: the library does not know missing.jpg\n" in outcome.err
    assert "Luna added to 1 photo\n" in outcome.err
    assert "Luna" in shown(photos[0])


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["add", "Luna"], "name the photos in one way"),
        (["reject", "Big Dog"], "hint: aimv2 tag reject 'Big Dog' FILE\n"),
        (["add", "Luna", "a.jpg", "--from=-"], "name the photos in one way"),
        (["add", "Luna", "a.jpg", "-n3"], "--count is for --from-search"),
        (["add", "Luna", "--from=nothing.txt"], "nothing.txt cannot be read: No such file"),
        (["add", "Luna", "--from=-"], "the list names no photos"),
        (["add", "Luna", "missing.jpg"], "the library does not know missing.jpg"),
        (["add", " ", "missing.jpg"], "has an empty name"),
        (["reject", "Nothing", "missing.jpg"], "no vocabulary has the tag Nothing"),
        (["rename", "Nothing", "Something"], "no vocabulary has the tag Nothing"),
        (["merge", "Nothing"], "merge needs --into"),
        (["undo", "99"], "there is no edit 99"),
        (["undo", "1", "--all"], "--all takes no number"),
        (["undo", "last"], "not a whole number"),
    ],
)
def test_wrong_use(photos: list[str], words: list[str], text: str) -> None:
    outcome = on("tag", *words)
    assert outcome.code == 2
    assert text in outcome.err
    assert "hint: " in outcome.err
    assert "Traceback" not in outcome.err


def test_a_search_that_finds_nothing_changes_nothing(photos: list[str]) -> None:
    outcome = on("tag add", "Luna", "--from-search", "zebra - zebra")
    assert outcome.code == 1
    assert "no photo fits zebra - zebra" in outcome.err
    assert [each["kind"] for each in on("tag history", "--json").records] == ["tag"]


def test_tags_are_listed_by_origin(photos: list[str]) -> None:
    photo, tag = given_to(photos)
    on("tag confirm", tag, photo)
    on("tag reject", tag, next(each for each in photos if tag not in shown(each)))
    (record,) = (each for each in on("tag list", "--json").records if each["tag"] == tag)
    count = sum(tag in shown(photo) for photo in photos)
    assert record["photos"] == count
    assert record["origins"] == {"you": 1, "vocabulary tags": count}
    assert record["rejected"] == 1
    line = next(line for line in on("tag list").out.splitlines() if line.startswith(f"{tag}  "))
    told = line.removeprefix(tag).split(maxsplit=1)
    assert told == [str(count), f"you 1, vocabulary tags {count}, rejected 1"]


def test_renamed_and_merged_tags_keep_their_names(photos: list[str], indexed: Path) -> None:
    photo, tag = given_to(photos)
    name = tag.split("|")[1]
    count = sum(tag in shown(photo) for photo in photos)
    noun = "photo" if count == 1 else "photos"
    outcome = on("tag rename", tag, f"Animals|{name}")
    assert f"{tag} is Animals|{name} now, on {count} {noun}\n" in outcome.err
    assert on("tag", f"--vocabulary={indexed}/tags.txt").code == 0
    assert tag not in shown(photo)
    assert f"Animals|{name}" in shown(photo)
    on("tag add", "Luna", photo)
    outcome = on("tag merge", "Luna", f"Animals|{name}", "--into", "Animals|Luna")
    assert f"Luna, Animals|{name} are Animals|Luna now, on {count} {noun}\n" in outcome.err
    assert {*shown(photo)} & {"Luna", f"Animals|{name}", "Animals|Luna"} == {"Animals|Luna"}


def test_a_name_means_the_tag_that_the_photos_have(photos: list[str]) -> None:
    photo, tag = given_to(photos)
    name = tag.rpartition("|")[2]
    other = next(each for each in photos if tag not in shown(each))
    on("tag add", f"Drawn|{name}", other)
    for words in (("add", name, photo), ("reject", name, photo, other)):
        outcome = on("tag", *words)
        assert outcome.code == 2
        assert f"{name} may mean Drawn|{name}, {tag}\n" in outcome.err
    assert f"{tag} rejected for 1 photo\n" in on("tag reject", name, photo).err
    assert f"Drawn|{name} removed from 1 photo\n" in on("tag remove", name, other).err


def test_what_was_rejected_is_no_change_of_the_next_run(photos: list[str]) -> None:
    photo, tag = given_to(photos)
    on("tag reject", tag, photo)
    outcome = on("tag --dry-run")
    assert outcome.out == ""
    assert ", 0 would change\n" in outcome.err


def test_a_run_for_the_library_alone_says_which_sidecars_are_behind(
    photos: list[str], tmp_path: Path
) -> None:
    for photo in photos:
        shutil.copy(photo, tmp_path)
    on("index", "--model=demo", ".")
    assert "sidecars of" not in on("tag", "--write=sidecar", f"--in={tmp_path}").err
    tagged = {photo.name for photo in tmp_path.glob("*.jpg") if shown(str(photo))}
    assert {path.name for path in tmp_path.glob("*.xmp")} == {f"{name}.xmp" for name in tagged}
    Path("mine.txt").write_text("Boat\nOwl\n")
    said = on("tag", "--vocabulary=mine.txt", "--replace", "--yes").err
    note = f"note: sidecars of {len(tagged)} photos have the tags of before: aimv2 tag --write"
    assert note in said
    assert "sidecars of" not in on("tag").err
    on("tag", "--write=sidecar", f"--in={tmp_path}")
    left = {photo.name for photo in tmp_path.glob("*.jpg") if shown(str(photo))}
    assert {path.name for path in tmp_path.glob("*.xmp")} == {f"{name}.xmp" for name in left}


def test_edits_are_undone_by_number_and_runs_without_one(photos: list[str]) -> None:
    before = [shown(photo) for photo in photos]
    on("tag add", "Luna", photos[0])
    run_, added = (each["number"] for each in reversed(on("tag history", "--json").records))
    outcome = on("tag undo")
    assert f"undone: edit {run_} (tag: tags of tags: " in outcome.err
    assert [shown(photo) for photo in photos] == [{"Luna": ["you"]}] + [{}] * (COUNT - 1)
    assert "there is no run to undo" in on("tag undo").err
    assert "(add: Luna added to 1 photo), on 1 photo\n" in on("tag undo", str(added)).err
    assert not any(shown(photo) for photo in photos)
    history = on("tag history").out.splitlines()
    assert [line.split()[-1] for line in history[3:]] == ["undone", "undone"]
    assert "undone: Luna added to 1 photo" in history[1]
    again = on("tag undo", history[1].split()[0])
    assert "(undo: undone: Luna added to 1 photo), on 1 photo\n" in again.err
    assert shown(photos[0]) == {"Luna": ["you"]}
    assert any(before)


def test_what_was_changed_since_is_not_set_back(photos: list[str]) -> None:
    on("tag add", "Luna", photos[0])
    on("tag reject", "Luna", photos[0])
    added = on("tag history", "--json").records[1]["number"]
    outcome = on("tag undo", str(added))
    assert "later edits changed it since, so nothing changes\n" in outcome.err
    assert "Luna" not in shown(photos[0])


def test_replacing_other_vocabularies_says_how_many_tags_go(photos: list[str]) -> None:
    Path("mine.txt").write_text("Boat\nOwl\n")
    before = [{tag for tag, origins in shown(photo).items()} for photo in photos]
    tags, tagged = sum(map(len, before)), sum(map(bool, before))
    what = f"{tags} tags of other vocabularies"
    replacing = ("--vocabulary=mine.txt", "--replace")
    dry = on("tag", *replacing, "--dry-run")
    assert f"{what} would go from {tagged} photos\n" in dry.err
    assert dry.out.count(", -") + dry.out.count("  -") == tags
    changed = len(dry.out.splitlines())
    assert changed >= tagged and f", {changed} would change\n" in dry.err
    refused = on("tag", *replacing)
    assert refused.code == 2
    assert f"{what} on {tagged} photos would go\nhint: --yes" in refused.err
    assert [set(shown(photo)) for photo in photos] == before
    assert f"{what} taken from {tagged} photos\n" in on("tag", *replacing, "--yes").err
    assert on("tag history", "--json").records[0]["said"].endswith(f", {tags} removed")
    origins = {origin for photo in photos for each in shown(photo).values() for origin in each}
    assert origins <= {"vocabulary mine"}
    on("tag undo")
    assert [set(shown(photo)) for photo in photos] == before


def test_edits_wait_while_the_library_is_written(photos: list[str]) -> None:
    writer = Library("library.db")
    with writer._writing():  # as an index does
        said = on("tag add", "Luna", photos[0]).err
        assert "note: Luna is a new tag\n" in said
        assert f"Luna added to 1 photo is {tag_edits.KEPT}\n" in said
        assert "1 more edit will count once the index" in on("tag list").err
        assert "Luna" not in shown(photos[0])
    assert shown(photos[0])["Luna"] == ["you"]
    assert "more edit" not in on("tag list").err


def test_tag_without_a_command_still_tags(photos: list[str]) -> None:
    on("tag undo")
    assert on("tag").code == 0
    assert any(shown(photo) for photo in photos)


def test_names_of_commands_may_be_values(photos: list[str]) -> None:
    Path("list").write_text("Boat\n")
    assert on("tag", "--vocabulary", "list", "--dry-run").code == 0
    assert "Boat" not in {each["tag"] for each in on("tag list", "--json").records}
    outcome = on("tag", "--library=library.db", "add", "list", photos[0])
    assert "list added to 1 photo\n" in outcome.err


def test_paths_may_be_relative(photos: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    library = absolute("library.db")
    monkeypatch.chdir(Path(photos[0]).parent)
    outcome = run("tag", "add", "Luna", Path(photos[0]).name, "--library", library)
    assert "Luna added to 1 photo\n" in outcome.err
