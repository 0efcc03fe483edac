"""Photos are described: each once, the owner's words stand, sidecars come back to the byte."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlx_aimv2.errors import Aimv2Error, LockedError
from mlx_aimv2.files.stamp import read_stamp
from mlx_aimv2.images.metadata.exif import PhotoFacts
from mlx_aimv2.library.database.access import Access
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.editing.captions import Described
from mlx_aimv2.library.indexing.photo_reader import hash_file
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.sidecars.xmp import replace_caption
from mlx_aimv2.library.tagging.tag_sidecars import write_sidecar
from tests.support.albums import noise, save
from tests.support.exiftool_runs import exiftool
from tests.support.sidecar_samples import LIGHTROOM

NAMES = ["0.png", "1.png", "2.png", "3.png"]


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("described")
    (folder / "album").mkdir()
    for number, name in enumerate(NAMES):
        noise(folder / "album" / name, number)
    with Library(folder / "library.db") as opened:
        opened.index(folder / "album", model="demo")
    return folder


@pytest.fixture
def album(indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The album; its library, as indexed, is in the current folder."""
    shutil.copy(indexed / "library.db", tmp_path)
    shutil.copytree(indexed / "library.db.vectors", tmp_path / "library.db.vectors")
    monkeypatch.chdir(tmp_path)
    yield indexed / "album"
    for path in (indexed / "album").glob("*.xmp"):
        path.unlink()


class Model:
    """Says of each picture that it is named so, and keeps count."""

    def __init__(self, words: str = "a picture named {}") -> None:
        self.asked: list[str] = []
        self.words = words

    def __call__(self, path: str) -> str:
        self.asked.append(Path(path).name)
        return self.words.format(Path(path).stem)


def described(album: Path, model: Model, **options) -> list[Described]:
    paths = [album / name for name in NAMES]
    options = {"prompt": "Describe.", "model": "aria"} | options
    return list(Library("library.db").describe(paths, model, **options))


def texts(album: Path) -> dict[str, str]:
    found = Library("library.db").captions([album / name for name in NAMES])
    return {Path(path).stem: caption.text for path, caption in found.items()}


def test_each_is_described_once(album: Path) -> None:
    first, second = Model(), Model()
    assert all(each.is_new and not each.error for each in described(album, first))
    assert first.asked == NAMES
    done = described(album, second)
    assert second.asked == []
    assert [each.caption.text for each in done if each.caption] == list(texts(album).values())
    assert texts(album)["2"] == "a picture named 2"


def test_again_is_for_another_prompt_or_model(album: Path) -> None:
    described(album, Model())
    Library("library.db").edit_caption(album / "1.png", "my own words")
    same, other = Model(), Model("{} in German")
    described(album, same, again=True)
    assert same.asked == []
    described(album, other, again=True, prompt="Auf Deutsch.")
    assert other.asked == ["0.png", "2.png", "3.png"]
    assert texts(album)["1"] == "my own words"
    assert texts(album)["0"] == "0 in German"


def test_a_persons_words_stand_and_are_taken_back(album: Path) -> None:
    edited = Library("library.db").edit_caption(album / "1.png", "Luna\nat the lake")
    assert (edited.count, edited.changed) == (1, 1)
    model = Model()
    described(album, model)
    assert model.asked == ["0.png", "2.png", "3.png"]
    assert texts(album)["1"] == "Luna at the lake"
    Library("library.db").edit_caption(album / "2.png", "")
    assert "2" not in texts(album)
    described(album, model)
    assert model.asked == ["0.png", "2.png", "3.png"]
    Library("library.db").edit_caption(album / "2.png", None)
    assert texts(album)["2"] == "a picture named 2"
    with pytest.raises(Aimv2Error, match="does not know"):
        Library("library.db").edit_caption(album / "none.png", "x")


def test_a_run_is_one_edit_that_is_undone(album: Path) -> None:
    described(album, Model())
    Library("library.db").edit_caption(album / "0.png", "mine")
    history = Library("library.db").tag_history()
    assert [(each.kind, each.changes) for each in history] == [("caption", 1), ("describe", 4)]
    assert Library("library.db").undo_captions().changed == 4
    assert texts(album) == {"0": "mine"}
    described(album, Model(), sidecars=True)
    assert len(list(album.glob("*.xmp"))) == 4
    Library("library.db").undo_captions("all")
    assert texts(album) == {"0": "mine"}
    assert [path.name for path in album.glob("*.xmp")] == ["0.png.xmp"]


def test_sidecars_are_read_by_exiftool_and_undone_to_the_byte(album: Path) -> None:
    (album / "1.png.xmp").write_bytes(LIGHTROOM)
    model = Model('<b>{}</b> & "more" ]]>')
    done = described(album, model, sidecars=True)
    assert [len(each.sidecars) for each in done] == [1] * 4
    paths = sorted(album.glob("*.xmp"))
    found = json.loads(exiftool("-json", "-XMP-dc:Description", "-q", *paths))
    assert [each["Description"] for each in found] == [f'<b>{n}</b> & "more" ]]>' for n in range(4)]
    assert [each.sidecars for each in described(album, model, sidecars=True)] == [()] * 4
    Library("library.db").edit_caption(album / "1.png", "mine")
    assert b">mine<" in (album / "1.png.xmp").read_bytes()
    for number in [each.number for each in Library("library.db").tag_history()]:
        Library("library.db").undo_tags(number)
    assert (album / "1.png.xmp").read_bytes() == LIGHTROOM
    assert [path.name for path in album.glob("*.xmp")] == ["1.png.xmp"]


def test_tags_and_captions_in_one_sidecar_go_each_alone(album: Path) -> None:
    described(album, Model(), sidecars=True)
    Library("library.db").edit_tags("add", "Luna", album / "0.png")
    assert b"Luna" not in (album / "0.png.xmp").read_bytes()  # no run wrote tags into sidecars
    with Store(Path("library.db"), can_write=True) as store:
        file = store.file_at(str(album / "0.png").encode())
        assert file
        write_sidecar(store, file, str(album / "0.png.xmp").encode(), ["Luna"])
    data = (album / "0.png.xmp").read_bytes()
    assert b"Luna" in data
    assert b"picture named 0" in data
    Library("library.db").undo_tags("all")
    data = (album / "0.png.xmp").read_bytes()
    assert b"Luna" not in data
    assert b"picture named 0" in data
    Library("library.db").undo_captions("all")
    assert not list(album.glob("*.xmp"))


def test_what_other_programs_say_stands(album: Path) -> None:
    theirs = replace_caption(None, "written in Lightroom") or b""
    (album / "3.png.xmp").write_bytes(theirs)
    model = Model()
    described(album, model, sidecars=True)
    assert model.asked == NAMES[:3]
    assert (album / "3.png.xmp").read_bytes() == theirs
    assert texts(album)["3"] == "written in Lightroom"
    changed = (album / "0.png.xmp").read_bytes().replace(b"a picture named 0", b"Luna", 1)
    (album / "0.png.xmp").write_bytes(changed)
    described(album, model, sidecars=True)
    assert texts(album)["0"] == "Luna"
    assert b">Luna<" in (album / "0.png.xmp").read_bytes()
    (album / "3.png.xmp").unlink()
    described(album, model)
    assert model.asked == NAMES


@pytest.mark.parametrize("words", ["", " \x00\n", "\u202e\ufeff"])
def test_a_model_that_says_nothing_is_told(album: Path, words: str) -> None:
    done = described(album, Model(words))
    assert all("said nothing" in str(each.error) for each in done)
    assert texts(album) == {}


def test_a_photo_that_changed_is_named(album: Path, tmp_path: Path) -> None:
    before = (album / "0.png").read_bytes()
    try:
        noise(album / "0.png", 99)
        first, second, *_ = described(album, Model())
        assert "has changed" in str(first.error)
        assert second.error is None
    finally:
        (album / "0.png").write_bytes(before)


def test_while_another_process_writes_captions_wait(album: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:

        def refuse(*_: object, **__: object) -> Iterator[None]:
            raise LockedError("process 1 is writing the library")

        patch.setattr(Access, "_writing", refuse)
        done = described(album, Model(), sidecars=True)
        assert all(each.is_waiting and each.is_new for each in done)
        assert texts(album) == {}
    Library("library.db").edit_caption(album / "0.png", "mine")
    assert texts(album) == {"0": "mine"} | {n: f"a picture named {n}" for n in "123"}
    kinds = [each.kind for each in Library("library.db").tag_history()]
    assert kinds == ["caption", "describe"]


def test_a_raw_has_the_caption_of_its_jpeg(tmp_path: Path) -> None:
    facts = PhotoFacts("JPEG", 64, 64, 1, "2024-05-31T12:00:00", None, None)
    raw, jpeg = tmp_path / "IMG_1.CR2", save(tmp_path / "IMG_1.jpg", 1)
    raw.write_bytes(b"what the camera saw")
    with Store(tmp_path / "library.db", can_write=True) as store:
        for path in map(os.fsencode, (raw, jpeg)):
            store.add_file(path, read_stamp(path), hash=hash_file(path), facts=facts)
    model = Model()
    with Library(tmp_path / "library.db") as opened:
        done = list(opened.describe([raw, jpeg], model, sidecars=True))
        assert [(each.path, each.is_new) for each in done] == [
            (str(jpeg), True),
            (str(jpeg), False),
        ]
        assert model.asked == ["IMG_1.jpg"]
        captions = opened.captions(raw)
        assert {caption.text for caption in captions.values()} == {"a picture named IMG_1"}
        assert captions.keys() == {str(raw), str(jpeg)}
        assert len(list(tmp_path.glob("*.xmp"))) == 2
        assert opened.undo_captions().changed == 1
        assert not list(tmp_path.glob("*.xmp"))
