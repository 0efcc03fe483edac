"""Keywords that photos and sidecars have, and what it says if another program changes ours."""

import os
import re
import shutil
from pathlib import Path

import pytest

from mlx_aimv2.cli import output
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.indexing import look, photo_reader
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.sidecars.sidecar import existing_or_new
from mlx_aimv2.library.sidecars.xmp import merge
from mlx_aimv2.library.tagging.tag_sidecars import write_sidecar
from tests.support.albums import make_album, save
from tests.support.commands import Outcome, run
from tests.support.exiftool_runs import exiftool
from tests.support.keyword_packet import PACKET

RUN = "vocabulary everyday"


@pytest.fixture
def album(tmp_path: Path) -> Path:
    make_album(tmp_path / "album", 3)
    save(tmp_path / "album" / "own.jpg", 7, xmp=PACKET)
    return tmp_path / "album"


@pytest.fixture
def library(album: Path, tmp_path: Path) -> Library:
    library = Library(tmp_path / "library.db")
    library.index(album, model="demo")
    return library


_CLOCK = iter(range(2_000_000_000, 3_000_000_000))  # later than any word of the owner


def touch(sidecar: Path, data: bytes) -> None:
    """Write a sidecar as another program does, at a time that none was written at."""
    sidecar.write_bytes(data)
    os.utime(sidecar, (when := next(_CLOCK), when))


def shown(library: Library, photo: Path) -> dict[str, list[str]]:
    with Store(library.path) as store:
        file = store.file_at(os.fsencode(photo))
        assert file is not None
        return store.origins_of([file.id])[file.id]


def verdicts(library: Library, photo: Path) -> dict[str, str]:
    with Store(library.path) as store:
        file = store.file_at(os.fsencode(photo))
        assert file is not None and file.hash is not None
        return dict(store.verdicts_of(file.hash))


def tagged(library: Library, photo: Path, *tags: str) -> Path:
    """Tags of a photo by a run of the program, in its sidecar too; where that is."""
    with library._writing() as store:
        file = store.file_at(os.fsencode(photo))
        assert file is not None
        rows = tuple((tag, 0.9) for tag in tags)
        with store.edit("tag", "a run"), store.transaction():
            store.add_tags(RUN, [(file.id, *row) for row in rows])
        path = os.fsencode(existing_or_new(file.path))
        written = write_sidecar(store, file, path, tags)
        assert written is not None and written.error is None
    return Path(os.fsdecode(written.path))


def without(sidecar: Path, *names: str) -> bytes:
    """A sidecar from whose fields, but not our notes, another program took keywords."""
    data = sidecar.read_bytes()
    for field in (b"dc:subject", b"lr:hierarchicalSubject", b"digiKam:TagsList"):
        start, end = data.index(b"<" + field), data.index(b"</" + field)
        part = data[start:end]
        for name in names:
            part = re.sub(rb"\s*<rdf:li>([^<]*[|/])?" + name.encode() + rb"</rdf:li>", b"", part)
        data = data[:start] + part + data[end:]
    return data


@pytest.mark.filterwarnings("ignore:.*what it says was not read")
def test_photos_and_sidecars_say_their_keywords(library: Library, album: Path) -> None:
    photo = album / "own.jpg"
    assert shown(library, photo) == {"Animals|Dog": ["file"], "Café": ["file"]}
    touch(album / "own.jpg.xmp", PACKET.replace(b"Caf\xc3\xa9", b"Luna"))
    library.index()
    assert shown(library, photo) == {
        "Animals|Dog": ["file", "sidecar"], "Café": ["file"], "Luna": ["sidecar"],
    }  # fmt: skip
    touch(album / "own.jpg.xmp", b"<broken")
    library.index()
    assert shown(library, photo) == {"Animals|Dog": ["file"], "Café": ["file"]}
    save(photo, 7, xmp=PACKET.replace(b"Caf\xc3\xa9", b"Tea"))
    library.index()
    assert shown(library, photo) == {"Animals|Dog": ["file"], "Tea": ["file"]}
    (album / "own.jpg.xmp").unlink()
    shutil.copy(photo, album / "copy.jpg")
    library.index()
    assert shown(library, album / "copy.jpg") == shown(library, photo)
    assert shown(library, photo) == {"Animals|Dog": ["file"], "Tea": ["file"]}


def test_renamed_tags_have_their_lasting_names(library: Library, album: Path) -> None:
    library.rename_tag("Animals", "Beings")
    touch(album / "000.jpg.xmp", PACKET)
    library.index()
    assert shown(library, album / "000.jpg") == {"Beings|Dog": ["sidecar"], "Café": ["sidecar"]}
    assert "Beings|Dog" in shown(library, album / "own.jpg")


def test_only_what_is_new_is_read(
    library: Library, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(album / "000.jpg.xmp", PACKET)
    library.index()
    read: list[str] = []
    open_file, read_sidecar = photo_reader.open_file, look.read_sidecar
    monkeypatch.setattr(
        photo_reader, "open_file", lambda path: read.append(os.fsdecode(path)) or open_file(path)
    )
    monkeypatch.setattr(
        look, "read_sidecar", lambda path: read.append(os.fsdecode(path)) or read_sidecar(path)
    )
    library.index()
    assert read == []
    photo = str(save(album / "new.jpg", 9, xmp=PACKET))
    library.index()
    assert read == [photo]


def test_libraries_of_before_get_theirs_without_pixels(
    library: Library, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(library.path, can_write=True) as store:
        store.run("DELETE FROM tags")
        store.run("UPDATE files SET keywords_stamp = NULL")
    monkeypatch.setattr(photo_reader, "decode_file", None)
    touch(album / "000.jpg.xmp", PACKET)
    assert library.index().embedded == 0
    assert shown(library, album / "own.jpg") == {"Animals|Dog": ["file"], "Café": ["file"]}
    assert shown(library, album / "000.jpg") == {"Animals|Dog": ["sidecar"], "Café": ["sidecar"]}


def test_keywords_of_ours_are_not_taken_for_others(library: Library, album: Path) -> None:
    photo = album / "000.jpg"
    sidecar = tagged(library, photo, "Places|Sea", "Boat")
    library.index()
    ours = {"Places|Sea": [RUN], "Boat": [RUN]}
    assert shown(library, photo) == ours
    # Another program copies them into the photo, and writes the sidecar anew without our notes.
    save(photo, 0, xmp=sidecar.read_bytes())
    touch(sidecar, re.sub(rb"<aimv2:(\w+)>.*?</aimv2:\1>", b"", sidecar.read_bytes(), flags=re.S))
    library.index()
    assert shown(library, photo) == ours


def test_what_another_library_wrote_is_anothers(
    library: Library, album: Path, tmp_path: Path
) -> None:
    tagged(library, album / "000.jpg", "Sea")
    other = Library(tmp_path / "other.db")
    other.index(album, model="demo")
    assert shown(other, album / "000.jpg") == {"Sea": ["sidecar"]}
    touch(album / "000.jpg.xmp", without(album / "000.jpg.xmp", "Sea"))
    other.index()
    assert shown(other, album / "000.jpg") == verdicts(other, album / "000.jpg") == {}


def test_gone_is_rejected_and_there_again_is_no_more(library: Library, album: Path) -> None:
    photo = album / "000.jpg"
    sidecar = tagged(library, photo, "Places|Sea", "Boat", "Tea")
    library.index()
    full = sidecar.read_bytes()
    touch(sidecar, without(sidecar, "Sea", "Tea"))
    library.index()
    assert verdicts(library, photo) == {"places|sea": "rejected", "tea": "rejected"}
    assert shown(library, photo) == {"Boat": [RUN]}
    edit = library.tag_history()[0]
    assert (edit.kind, edit.changes) == ("keywords", 2)
    touch(sidecar, full.replace(b"Boat", b"Boat "))
    library.index()
    assert verdicts(library, photo) == {"places|sea": "confirmed", "tea": "confirmed"}
    touch(sidecar, full.replace(b"Boat", b" Boat"))
    library.index()
    touch(sidecar, without(sidecar, "Sea"))
    library.index()
    assert verdicts(library, photo) == {"places|sea": "rejected", "tea": "confirmed"}
    library.undo_tags(library.tag_history()[0].number)
    assert verdicts(library, photo) == {"places|sea": "confirmed", "tea": "confirmed"}


def test_a_keyword_of_others_that_is_rejected_and_added_again(
    library: Library, album: Path
) -> None:
    photo = album / "000.jpg"
    sidecar = album / "000.jpg.xmp"
    touch(sidecar, PACKET)
    library.index()
    library.edit_tags("reject", "Café", photo)
    touch(sidecar, PACKET + b" ")
    library.index()
    assert verdicts(library, photo) == {"café": "rejected"}
    touch(sidecar, PACKET.replace(b"Caf\xc3\xa9", b"Tea"))
    library.index()
    assert verdicts(library, photo) == {"café": "rejected"}
    touch(sidecar, PACKET)
    library.index()
    assert verdicts(library, photo) == {}
    assert shown(library, photo)["Café"] == ["sidecar"]
    own = album / "own.jpg"
    library.edit_tags("reject", "Café", own)
    for packet, expected in (
        (PACKET + b" ", {"café": "rejected"}),
        (PACKET.replace(b"Caf\xc3\xa9", b"Tea"), {"café": "rejected"}),
        (PACKET, {}),
    ):
        save(own, 7, xmp=packet)
        library.index()
        assert verdicts(library, own) == expected


@pytest.mark.filterwarnings("ignore:.*what it says was not read")
def test_what_is_no_rejection(library: Library, album: Path) -> None:
    photo = album / "000.jpg"
    touch(album / "000.jpg.xmp", PACKET)
    old = merge(PACKET, [("Tea",)])
    sidecar = tagged(library, photo, "Sea", "Boat")
    library.index()
    full = sidecar.read_bytes()
    flat = re.sub(rb"<rdf:li>Sea</rdf:li>", b"", full, count=1)  # two fields have it still
    assert flat != full
    for data in (PACKET, b"<rewritten/>", b"", full, old, flat):
        touch(sidecar, data)
        library.index()
        assert verdicts(library, photo) == {}
    sidecar.unlink()
    library.index()
    touch(sidecar, full)
    library.index()
    assert verdicts(library, photo) == {}
    # What the library gives no more, whoever killed it before the sidecar said so.
    with library._writing() as store, store.edit("remove", "Sea"):
        store.run("DELETE FROM tags WHERE key = 'sea' AND origin = ?", RUN)
    touch(sidecar, without(sidecar, "Sea"))
    library.index()
    assert verdicts(library, photo) == {}
    # A backup that is older than the owner's word.
    library.edit_tags("confirm", "Boat", photo)
    touch(sidecar, without(sidecar, "Boat"))
    os.utime(sidecar, (1_000_000_000, 1_000_000_000))
    library.index()
    assert verdicts(library, photo) == {"boat": "confirmed"}


def test_many_are_asked_about(library: Library, album: Path) -> None:
    photo = album / "000.jpg"
    tags = [f"Word {letter}" for letter in "abcdefghijklmnopqrstu"]
    sidecar = tagged(library, photo, *tags, "Sea")
    library.index()
    touch(sidecar, without(sidecar, *tags))
    asked: list[int] = []
    assert library.index().unsettled == 21
    assert library.index(rejects=lambda count: bool(asked.append(count))).unsettled == 21
    assert (asked, verdicts(library, photo)) == ([21], {})
    assert library.index(rejects=lambda count: True).unsettled == 0
    assert len(verdicts(library, photo)) == 21
    library.undo_tags(library.tag_history()[0].number)
    assert verdicts(library, photo) == {}
    assert library.index(rejects=lambda count: True).unsettled == 0
    assert verdicts(library, photo) == {}


def test_what_exiftool_takes_out_and_adds(library: Library, album: Path) -> None:
    photo = album / "000.jpg"
    sidecar = tagged(library, photo, "Places|Sea", "Boat")
    library.index()
    fields = {"dc:Subject": "Sea", "lr:HierarchicalSubject": "Places|Sea",
              "digiKam:TagsList": "Places/Sea"}  # fmt: skip
    taken = [f"-XMP-{field}-={entry}" for field, entry in fields.items()]
    exiftool("-q", "-overwrite_original", *taken, "-XMP-dc:Subject+=Luna", sidecar)
    os.utime(sidecar, (when := next(_CLOCK), when))
    library.index()
    assert verdicts(library, photo) == {"places|sea": "rejected"}
    assert shown(library, photo) == {"Boat": [RUN], "Luna": ["sidecar"]}


def test_the_command_asks_about_many(
    library: Library, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = [f"Word {letter}" for letter in "abcdefghijklmnopqrstu"]
    sidecar = tagged(library, album / "000.jpg", *tags)
    library.index()
    touch(sidecar, without(sidecar, *tags))

    def index(*options: str) -> Outcome:
        return run("index", "--library", str(library.path), *options)

    left = index("--json")
    assert (left.code, left.records[0]["unsettled"]) == (0, 21)
    assert left.records[0]["keywords_edit"] is None
    assert "took 21 keywords of this one out of sidecars: aimv2 index --yes" in left.err
    assert verdicts(library, album / "000.jpg") == {}
    asked: list[str] = []
    monkeypatch.setattr(output, "is_interactive", lambda: True)
    monkeypatch.setattr(output, "ask", lambda question: bool(asked.append(question)))
    assert index().code == 0
    assert asked == ["Another program took 21 keywords of this one out of sidecars. Reject them?"]
    assert verdicts(library, album / "000.jpg") == {}
    said = index("--yes").err
    assert f"aimv2 tag undo {library.tag_history()[0].number} takes it back" in said
    assert "took" not in said
    assert "takes it back" not in index().err
    assert len(verdicts(library, album / "000.jpg")) == 21


def test_a_rejected_keyword_of_others_stays_rejected_for_a_photo_that_comes_back_or_is_copied(
    library: Library, album: Path, tmp_path: Path
) -> None:
    photo, sidecar = album / "000.jpg", album / "000.jpg.xmp"
    touch(sidecar, PACKET)
    library.index()
    library.edit_tags("reject", "Café", photo)
    for each in (photo, sidecar):
        shutil.copy2(each, album / each.name.replace("000", "copy"))
        shutil.move(each, tmp_path / each.name)
    library.index()
    assert "Café" not in shown(library, album / "copy.jpg")
    library.prune()
    for each in (photo, sidecar):
        shutil.move(tmp_path / each.name, each)
    library.index()
    assert "Café" not in shown(library, photo)
    assert verdicts(library, photo) == {"café": "rejected"}


def test_a_rejected_keyword_is_not_added_again_by_a_sidecar_older_than_the_word(
    library: Library, album: Path
) -> None:
    photo, sidecar = album / "000.jpg", album / "000.jpg.xmp"
    library.edit_tags("add", "Café", photo)
    library.edit_tags("reject", "Café", photo)
    sidecar.write_bytes(PACKET)
    os.utime(sidecar, (1e9, 1e9))
    library.index()
    assert verdicts(library, photo) == {"café": "rejected"}
    assert "Café" not in shown(library, photo)


def test_another_library_adds_again_nothing_that_was_rejected_here(
    library: Library, album: Path, tmp_path: Path
) -> None:
    photo = album / "000.jpg"
    library.edit_tags("add", "Luna", photo)
    library.edit_tags("reject", "Luna", photo)
    other = Library(tmp_path / "other.db")
    other.index(album, model="demo")
    other.edit_tags("add", "Luna", photo)
    other.tag(sidecars="full")
    data = (album / "000.jpg.xmp").read_bytes()
    assert b">Luna<" in data
    touch(album / "000.jpg.xmp", data)
    library.index()
    assert verdicts(library, photo) == {"luna": "rejected"}
    assert "Luna" not in shown(library, photo)


@pytest.mark.parametrize("data", [b"<a/>", b"no XML at all", b"<x:xmpmeta"])
def test_a_sidecar_that_is_no_xmp_is_named_once(album: Path, tmp_path: Path, data: bytes) -> None:
    (album / "000.jpg.xmp").write_bytes(data)
    arguments = ("index", str(album), "--model=demo", f"--library={tmp_path}/library.db")
    first, again = run(*arguments), run(*arguments)
    assert first.code == 0
    assert re.search(r"000\.jpg\.xmp is (no XMP|not well-formed).*was not read", first.err)
    assert first.err.count("000.jpg.xmp") == 1
    assert "000.jpg.xmp" not in again.err
    assert (album / "000.jpg.xmp").read_bytes() == data
