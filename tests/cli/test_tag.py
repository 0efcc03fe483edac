"""`aimv2 tag` and `aimv2 tag undo`: what is in the library, in sidecars, and what is left alone."""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlx_aimv2.cli import output
from mlx_aimv2.cli import tag as tag_command
from mlx_aimv2.library.database.photos import FileRow
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.sidecars.notes import Owner
from mlx_aimv2.library.sidecars.xmp import merge
from mlx_aimv2.library.tagging import calibration, tagger
from mlx_aimv2.library.text_cache import TextCache
from mlx_aimv2.training.drawings.album import write_album
from mlx_aimv2.training.drawings.nouns import NOUNS
from tests.support import sidecar_samples
from tests.support.albums import make_album
from tests.support.commands import run
from tests.support.exiftool_runs import exiftool, read_back
from tests.support.sidecar_keywords import read_keywords

COUNT = 24


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("indexed")
    make_album(folder / "album", COUNT, side_px=112)
    (folder / "tags.txt").write_text("".join(f"Things|{noun}\n" for noun in NOUNS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setenv("HOME", str(folder))
        outcome = run("index", f"{folder}/album", "--model=demo", f"--library={folder}/library.db")
    assert outcome.code == 0
    return folder


@pytest.fixture
def folder(indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the indexed album at its old place's paths, and the working folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(indexed / "cache"))
    monkeypatch.setenv("HOME", str(indexed))
    for name in ("library.db", "library.db.vectors"):
        source = indexed / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name)
        else:
            shutil.copy(source, tmp_path / name)
    for sidecar in (indexed / "album").glob("*.xmp"):
        sidecar.unlink()
    monkeypatch.chdir(tmp_path)
    return indexed


def tag(folder: Path, *options: str) -> tuple[int, str, str]:
    vocabulary = [] if "undo" in options else [f"--vocabulary={folder}/tags.txt"]
    outcome = run("tag", *options, *vocabulary, "--library=library.db")
    return outcome.code, outcome.out, outcome.err


def photos(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and mtime of every photo."""
    found = sorted((folder / "album").glob("*.jpg"))
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def sidecars(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "album").glob("*.xmp"))}


def tags_in_library() -> dict[str, set[str]]:
    with Store(Path("library.db")) as store:
        files = {file.id: os.fsdecode(file.path) for file in store.files()}
        found: dict[str, set[str]] = {Path(path).name: set() for path in files.values()}
        for id, name, score in store.tags("vocabulary tags"):
            assert score is not None
            assert 0 <= score <= 1
            found[Path(files[id]).name].add(name)
        return found


def test_a_dry_run_shows_and_changes_nothing(folder: Path) -> None:
    code, out, err = tag(folder, "--dry-run")
    assert code == 0
    assert "+Things|" in out
    assert "would change" in err
    assert not any(tags_in_library().values())


def test_a_dry_run_tells_of_sidecars(folder: Path) -> None:
    changed = next(name for name, tags in _tagged_once(folder).items() if tags)
    (folder / "album" / f"{changed}.xmp").write_bytes(sidecar_samples.LIGHTROOM)
    before = sidecars(folder)
    _, out, err = tag(folder, "--dry-run", "--write=sidecar")
    assert sidecars(folder) == before
    count = out.count("  new sidecar\n")
    assert f"{changed}.xmp  changed sidecar\n" in out
    assert f", {count + 1} sidecars would be written ({count} new)" in err
    tag(folder, "--write=sidecar")
    assert len(sidecars(folder)) == count + 1


def test_tags_are_those_of_the_sidecars(folder: Path) -> None:
    before = photos(folder)
    code, _, err = tag(folder, "--write=sidecar")
    assert code == 0
    known = tags_in_library()
    tagged = {name for name, tags in known.items() if tags}
    assert f"{len(tagged)} sidecars written" in err
    assert len(tagged) > COUNT // 2
    assert set(sidecars(folder)) == {f"{name}.xmp" for name in tagged}
    for name in tagged:
        keywords = read_keywords(sidecars(folder)[f"{name}.xmp"])
        assert set(keywords.hierarchical) == known[name]
        assert {text.replace("/", "|") for text in keywords.tags_list} == known[name]
        assert set(keywords.flat) == {text.partition("|")[2] for text in known[name]}
    assert photos(folder) == before


def test_exiftool_reads_the_same_in_all_fields(folder: Path) -> None:
    tag(folder, "--write=sidecar")
    paths = sorted((folder / "album").glob("*.xmp"))
    known = tags_in_library()
    for path, found in zip(paths, read_back(paths), strict=True):
        tags = known[path.name.removesuffix(".xmp")]
        assert set(found["HierarchicalSubject"]) == tags
        assert set(found["TagsList"]) == {text.replace("|", "/") for text in tags}
        assert set(found["Subject"]) == {text.partition("|")[2] for text in tags}


def test_undo_leaves_everything_as_it_was(folder: Path) -> None:
    name = next(name for name, tags in _tagged_once(folder).items() if tags)
    tag(folder, "undo", "--all")
    for sample, data in (("full", sidecar_samples.LIGHTROOM), ("other", sidecar_samples.DIGIKAM)):
        target = folder / "album" / f"{name}.xmp"
        target.write_bytes(data)
        before, others = photos(folder), sidecars(folder)
        assert tag(folder, "--write=sidecar")[0] == 0, sample
        assert sidecars(folder) != others
        assert tag(folder, "--write=sidecar", "--limit=1")[0] == 0
        code, _, err = tag(folder, "undo", "--all")
        assert code == 0, err
        assert sidecars(folder) == others
        assert photos(folder) == before
        assert not any(tags_in_library().values())


@pytest.fixture
def moved(folder: Path) -> Iterator[Path]:
    """Where the album may be moved to; it is back at its place afterwards."""
    yield folder / "moved"
    if (folder / "moved").exists():
        for sidecar in (folder / "moved").glob("*.xmp"):
            sidecar.unlink()
        (folder / "moved").rename(folder / "album")


def index(place: Path) -> None:
    assert run("index", str(place), "--library=library.db").code == 0


@pytest.mark.parametrize("between", [[], ["--limit=1"], ["--write=sidecar", "--limit=1"]])
def test_undo_after_a_move(folder: Path, moved: Path, between: list[str]) -> None:
    name = next(name for name, tags in _tagged_once(folder).items() if tags)
    (folder / "album" / f"{name}.xmp").write_bytes(sidecar_samples.LIGHTROOM)
    before = sidecars(folder)
    tag(folder, "--write=sidecar")
    count = len(sidecars(folder))
    (folder / "album").rename(moved)
    index(moved)
    if between:
        (folder / "tags.txt").rename(folder / "all.txt")
        (folder / "tags.txt").write_text("Other|Ball: ball\nOther|Boat: boat\n")
        try:
            tag(folder, *between)
        finally:
            (folder / "all.txt").rename(folder / "tags.txt")
        if "--write=sidecar" in between:
            assert not any(b"Things|" in path.read_bytes() for path in moved.glob("*.xmp"))
    code, _, err = tag(folder, "undo", "--all")
    assert code == 0
    assert f"from {count} sidecars" in err
    assert {path.name: path.read_bytes() for path in moved.glob("*.xmp")} == before


@pytest.mark.parametrize("is_moved", [False, True])
@pytest.mark.parametrize("names", ["full", "short"])
def test_a_sidecar_that_says_it_is_a_raws_is_left_alone(
    folder: Path, moved: Path, names: str, is_moved: bool
) -> None:
    name = next(name for name, tags in _tagged_once(folder).items() if tags)
    tag(folder, "undo", "--all")
    raws = folder / "album" / f"{Path(name).stem}.xmp"
    data = sidecar_samples.LIGHTROOM.replace(
        b'xmp:Rating="4"',
        b"xmlns:photoshop='http://ns.adobe.com/photoshop/1.0/' photoshop:SidecarForExtension='NEF'",
    )
    raws.write_bytes(data)
    code, _, err = tag(folder, "--write=sidecar", f"--sidecar-names={names}")
    assert (code, raws.read_bytes()) == (0, data), err
    assert f"{name}.xmp" in sidecars(folder)
    place = folder / "album"
    if is_moved:
        place = place.rename(moved)
        index(place)
    assert tag(folder, "undo", "--all")[0] == 0
    assert {path.name: path.read_bytes() for path in place.glob("*.xmp")} == {raws.name: data}


def test_photos_and_sidecars_that_change_names(folder: Path, tmp_path: Path) -> None:
    tag(folder, "--write=sidecar")
    moved, kept = tmp_path / "moved", tmp_path / "kept"  # the names it gives are not for others
    shutil.copytree(folder / "album", moved)
    (folder / "album").rename(kept)
    try:
        names = sorted(path.name.removesuffix(".xmp") for path in moved.glob("*.xmp"))
        for name, target in zip([*names, "aside"], ["aside", *names], strict=True):
            for ending in ("", ".xmp"):
                (moved / f"{name}{ending}").rename(moved / f"{target}{ending}")
        (moved / names[-1]).rename(moved / "last.jpg")
        (moved / f"{names[-1]}.xmp").rename(moved / "last.jpg.xmp")
        index(moved)
        code, _, err = tag(folder, "undo", "--all")
        assert (code, list(moved.glob("*.xmp"))) == (0, [])
        assert f"from {len(names)} sidecars" in err
    finally:
        kept.rename(folder / "album")


def test_undo_forgets_no_sidecar_that_may_be_elsewhere(folder: Path, moved: Path) -> None:
    tag(folder, "--write=sidecar")
    (folder / "album").rename(moved)
    code, _, err = tag(folder, "undo", "--all")
    assert code == 1
    assert "000.jpg.xmp is not there, nor its photo" in err
    assert "from 0 sidecars" in err
    index(moved)
    assert tag(folder, "undo", "--all")[0] == 0
    assert not list(moved.glob("*.xmp"))


def test_what_is_removed_is_not_taken_back(folder: Path) -> None:
    tag(folder, "--write=sidecar")
    for sidecar in (folder / "album").glob("*.xmp"):
        sidecar.unlink()
    code, _, err = tag(folder, "undo", "--all")
    assert code == 0
    assert ": removed since" in err
    assert "from 0 sidecars" in err


def test_copies_are_cleaned_by_their_notes(folder: Path, tmp_path: Path) -> None:
    tag(folder, "--write=sidecar")
    shutil.copytree(folder / "album", tmp_path / "copy")
    name = next(iter(sidecars(folder)))
    foreign = sidecar_samples.LIGHTROOM
    with Store(Path("library.db")) as store:
        owner = Owner(store.setting("library_id"))
    (tmp_path / "copy" / name).write_bytes(merge(foreign, [("Things", "x")], owner=owner))
    index(tmp_path / "copy")
    code, _, err = tag(folder, "undo", "--all")
    assert code == 0
    assert "known by its own notes only" in err
    left = {path.name: path.read_bytes() for path in (tmp_path / "copy").glob("*.xmp")}
    assert left == {name: foreign}
    assert sidecars(folder) == {}


def test_sidecars_lose_what_the_library_has_dropped(folder: Path) -> None:
    tag(folder, "--write=sidecar", "--min-confidence=0.05")
    tag(folder, "--min-confidence=0.99")
    code, _, err = tag(folder, "--write=sidecar", "--min-confidence=0.99")
    assert code == 0
    assert " 0 sidecars written" not in err
    known = tags_in_library()
    for name, data in sidecars(folder).items():
        assert set(read_keywords(data).hierarchical) == known[name.removesuffix(".xmp")]
    assert " 0 sidecars written" in tag(folder, "--write=sidecar", "--min-confidence=0.99")[2]


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_name_without_room_for_a_sidecar(folder: Path, dry: list[str]) -> None:
    name = next(name for name, tags in _tagged_once(folder).items() if tags)
    long = folder / "album" / ("n" * 248 + ".jpg")
    (folder / "album" / name).rename(long)
    try:
        index(folder / "album")
        code, _, err = tag(folder, "--write=sidecar", *dry)
    finally:
        long.rename(folder / "album" / name)
    assert code == 3
    assert "skipped: " in err
    assert "too long" in err
    assert " 0 sidecars" not in err


def test_one_bad_sidecar_is_the_same_again(folder: Path) -> None:
    name = next(name for name, tags in _tagged_once(folder).items() if tags)
    (folder / "album" / f"{name}.xmp").write_bytes(b"<x")
    assert tag(folder, "--write=sidecar")[0] == 3
    code, _, err = tag(folder, "--write=sidecar")
    assert code == 3
    assert " 0 sidecars written" in err
    assert tag(folder, "--write=sidecar", f"--in={folder}/album/{name}")[0] == 1


def test_another_programs_sidecar_keeps_its_fields(folder: Path) -> None:
    name = next(name for name, tags in _tagged_once(folder).items() if tags)
    target = folder / "album" / f"{name}.xmp"
    target.write_bytes(sidecar_samples.LIGHTROOM)
    assert tag(folder, "--write=sidecar")[0] == 0
    data = target.read_bytes()
    assert b'crs:Exposure2012="+0.35"' in data
    assert b"255, 255" in data
    keywords = read_keywords(data)
    assert {"holiday", "Paris"} <= set(keywords.flat)
    assert "Places|France|Paris" in keywords.hierarchical


def test_what_another_program_changed_since_stays(folder: Path) -> None:
    tag(folder, "--write=sidecar")
    target = next(iter((folder / "album").glob("*.xmp")))
    target.write_bytes(merge(target.read_bytes(), []).replace(b"</rdf:RDF>", b"</rdf:RDF><!--x-->"))
    code, _, err = tag(folder, "undo", "--all")
    assert code == 0
    assert "changed since by another program" in err
    assert b"<!--x-->" in target.read_bytes()
    assert read_keywords(target.read_bytes()).flat == ()


def test_writing_again_writes_nothing(folder: Path) -> None:
    tag(folder, "--write=sidecar")
    first = sidecars(folder)
    stamps = {path: path.stat().st_mtime_ns for path in (folder / "album").glob("*.xmp")}
    _, _, err = tag(folder, "--write=sidecar")
    assert "0 sidecars written" in err
    assert sidecars(folder) == first
    assert {path: path.stat().st_mtime_ns for path in (folder / "album").glob("*.xmp")} == stamps


def test_json_and_exiftool_go_to_stdout(folder: Path) -> None:
    outcome = run("tag", "--write=json", f"--vocabulary={folder}/tags.txt", "--library=library.db")
    assert len(outcome.records) == COUNT
    assert all(set(record["added"]) == set(record["tags"]) for record in outcome.records)
    for record in outcome.records:
        assert record["origins"] == {tag: ["vocabulary tags"] for tag in record["tags"]}
    code, out, _ = tag(folder, "--write=exiftool")
    assert code == 0
    assert out.count("-execute\n") == sum(bool(tags) for tags in tags_in_library().values())


def test_exiftool_takes_the_argument_file(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "album", tmp_path / "copy")
    _, out, _ = tag(folder, "--write=exiftool")
    arguments = tmp_path / "keywords.args"
    arguments.write_text(out.replace(f"{folder}/album", f"{tmp_path}/copy"))
    exiftool("-q", "-@", arguments)
    name, tags = next((name, tags) for name, tags in tags_in_library().items() if tags)
    (found,) = read_back([tmp_path / "copy" / name])
    assert set(found["HierarchicalSubject"]) == tags


def test_a_sidecar_that_cannot_be_written_harms_no_other(folder: Path) -> None:
    name = next(name for name, tags in _tagged_once(folder).items() if tags)
    bad = folder / "album" / f"{name}.xmp"
    bad.write_bytes(b'<!DOCTYPE x [<!ENTITY a "b">]><x/>')
    code, _, err = tag(folder, "--write=sidecar")
    assert code == 3
    assert bad.name in err
    assert bad.read_bytes().startswith(b"<!DOCTYPE")
    assert len(sidecars(folder)) > 1


def test_tags_of_others_stay(folder: Path) -> None:
    with Store(Path("library.db"), can_write=True) as store, store.transaction():
        store.add_tags("user", [(1, "kept", None)])
    tag(folder)
    tag(folder, "undo", "--all")
    with Store(Path("library.db")) as store:
        assert store.tags_of(1) == {"kept": "user"}


def test_found_by_their_tags(folder: Path) -> None:
    tag(folder)
    name, tags = next((name, tags) for name, tags in tags_in_library().items() if tags)
    (text, *_) = tags
    outcome = run("search", "x", f"--tag={text}", "-t0", "-f", "--library=library.db", "-n99")
    assert name in outcome.out
    everything = {name for name, given in tags_in_library().items() if text in given}
    assert {Path(line).name for line in outcome.out.splitlines()} == everything


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["undo", "--dry-run"], "No such option: --dry-run"),
        (["--min-confidence=1.5"], "min-confidence"),
        (["--limit=-1"], "limit"),
        (["--vocabulary=missing.txt"], "missing.txt"),
        (["redo"], "aimv2 tag does not know 'redo'"),
        (["--sidecar-names=short"], "--sidecar-names is for sidecars only"),
        (["--sidecar-names=full", "--write=json"], "--sidecar-names is for sidecars only"),
        (["--min-confidence=0", "undo"], "No such option: --min-confidence"),
        (["--in=~/nofolder"], "the library has no photos in ~/nofolder"),
        (["--in=*.jpg", "--in=missing"], "the library has no photos in missing"),
        (["--in=*.nef"], "no photo in the library fits *.nef"),
    ],
)
def test_wrong_use(folder: Path, options: list[str], text: str) -> None:
    outcome = run("tag", *options, "--library=library.db")
    assert outcome.code == 2
    assert text in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("options", [[], ["undo"], ["--dry-run"]])
def test_no_library(options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run("tag", *options, "--library=missing.db")
    assert outcome.code == 1
    assert "there is no library" in outcome.err
    assert "aimv2 index" in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_help_shows_what_is_so() -> None:
    shown = run("tag", "--help").out
    assert tag_command.MIN_CONFIDENCE == calibration.MIN_CONFIDENCE
    assert f"at first {calibration.MIN_CONFIDENCE}]" in " ".join(shown.split())
    assert "aimv2 tag [OPTIONS] [COMMAND [ARGS]...]\n" in shown
    assert "[[" not in shown


def test_of_several_patterns_one_has_to_fit(folder: Path) -> None:
    code, _, err = tag(folder, "--dry-run", "--in=*.jpg", "--in=*.png")
    assert code == 0
    assert f"{COUNT} photos: " in err


def test_one_is_no_plural(folder: Path) -> None:
    name = next(name for name, tags in _tagged_once(folder).items() if tags)
    _, _, err = tag(folder, f"--in={folder}/album/{name}", "--limit=1", "--write=sidecar")
    assert "1 photo: 1 tag on 1 of them, " in err
    assert ", 1 sidecar written\n" in err


@pytest.mark.parametrize("write", ["sidecar", "exiftool"])
def test_nothing_is_written_in_apples_photos(folder: Path, write: str) -> None:
    name = next(name for name, tags in _tagged_once(folder).items() if tags)
    tag(folder, "undo", "--all")
    _move(name, uuid="0A1B2C3D-0000-4000-8000-000000000001")
    code, out, err = tag(folder, f"--write={write}")
    assert code == 0
    assert tags_in_library()[name]
    assert name not in out
    assert f"{name}.xmp" not in sidecars(folder)
    assert err.count("note: 1 photo of Apple's Photos: ") == 1
    assert "docs/photo-library.md" in err
    outcome = run("tag", "--write=json", f"--vocabulary={folder}/tags.txt", "--library=library.db")
    assert any(record["path"].endswith(name) and record["tags"] for record in outcome.records)
    assert "Apple's" not in outcome.err


def test_the_argument_file_has_its_head_once(folder: Path) -> None:
    name = next(name for name, tags in _tagged_once(folder).items() if tags)
    _move(name, to=b"/first\n@.jpg")
    code, out, err = tag(folder, "--write=exiftool")
    assert code == 3
    assert "cannot be written in an argument file" in err
    assert out.startswith("# Keywords for photos")
    assert out.count("# Keywords for photos") == 1
    assert out.count("-execute\n") > 1


def test_embedding_texts_shows_on_a_terminal(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(output, "_REDRAW_S", 0)
    monkeypatch.setenv("TERM", "xterm")
    (tmp_path / "few.txt").write_text("".join(f"{noun}\n" for noun in NOUNS[:30]))
    outcome = run("tag", "--vocabulary=few.txt", "--library=library.db", terminal="stderr")
    assert outcome.code == 0
    assert "texts embedded 256/" in outcome.err
    assert "tagged 1\r" in outcome.err


def test_a_stop_keeps_the_texts_that_are_embedded(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "few.txt").write_text("".join(f"{noun}\n" for noun in NOUNS[:30]))

    def stop(done: int, total: int) -> None:
        assert total > 256
        if done:
            raise KeyboardInterrupt

    cache = TextCache(tmp_path / "texts.db")
    with Library("library.db", cache=cache) as library, pytest.raises(KeyboardInterrupt):
        library.tag(vocabulary=b"few.txt", texts_told=stop)
    with sqlite3.connect(cache.path) as database:
        assert database.execute("SELECT count(*) FROM texts_1").fetchone() == (256,)


def _move(name: str, *, to: bytes | None = None, uuid: str | None = None) -> None:
    """In the library only: another path for a photo, or a name in Apple's Photos."""
    with Store(Path("library.db"), can_write=True) as store:
        file = next(file for file in store.files() if _name(file) == name)
        store.move_file(file.id, to or file.path, file.stamp, uuid)


def _name(file: FileRow) -> str:
    return Path(os.fsdecode(file.path)).name


def _tagged_once(folder: Path) -> dict[str, set[str]]:
    tag(folder)
    return tags_in_library()


def test_the_demo_finds_what_was_drawn_without_a_vocabulary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_album(Path("album"), 40)
    assert run("index", "album", "--model=demo", "--library=library.db").code == 0
    outcome = run("tag", "--write=json", "--library=library.db")
    assert outcome.code == 0
    given = {
        Path(record["path"]).name: {tag.split("|")[-1].casefold() for tag in record["tags"]}
        for record in outcome.records
    }
    true = {
        one["file"]: {thing["noun"] for thing in one["objects"]}
        for one in json.loads(Path("album/captions.json").read_text())
    }
    found = sum(len(true[name] & tags) for name, tags in given.items())
    assert found > 0.6 * sum(map(len, true.values()))
    assert sum(len((tags & {*NOUNS}) - true[name]) for name, tags in given.items()) < 0.3 * found


def test_exiftool_takes_out_what_it_gave_and_is_given_no_more(folder: Path) -> None:
    _, first, _ = tag(folder, "--write=exiftool")
    code, second, _ = tag(folder, "--write=exiftool", "--min-confidence=1")
    given, taken, added = (
        text.count(f"HierarchicalSubject{sign}=")
        for text, sign in ((first, "+"), (second, "-"), (second, "+"))
    )
    assert code == 0
    assert added < given == taken  # what stays is taken out and added again


def test_with_nothing_to_write_exiftool_gets_no_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tagger, "assign", lambda *_, **__: iter(()))
    code, out, err = tag(folder, "--write=exiftool")
    assert (code, out) == (0, "")
    assert "nothing for ExifTool to write" in err


def test_the_style_of_sidecars_is_remembered(folder: Path) -> None:
    tag(folder, "--write=sidecar", "--sidecar-names=short")
    short = set(sidecars(folder))
    assert short and not any(".jpg." in name for name in short)
    for name in short:
        (folder / "album" / name).unlink()
    tag(folder, "--write=sidecar")
    assert set(sidecars(folder)) == short
