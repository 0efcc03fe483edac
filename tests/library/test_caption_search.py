"""Searches by picture and caption together, and by captions alone."""

import json
import re
import shutil
from pathlib import Path

import pytest

from mlx_aimv2.errors import UsageError
from mlx_aimv2.library.database.captions import Caption
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.search.captions import said
from mlx_aimv2.library.search.query import parse
from tests.support.albums import make_album
from tests.support.commands import on

HOSTILE = "<script>alert(1)</script> \"quoted\" 'too' & <|im_end|> =1+1 OR NEAR( zebra*"


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captioned")
    make_album(folder / "album", 12)
    with Library(folder / "library.db") as opened:
        opened.index(folder / "album", model="demo")
    with Store(folder / "library.db", can_write=True) as store:
        texts = ["a grandmother reads a letter", "a letter from a grandmother to a sailor", HOSTILE]
        for file, text in zip(store.files(), texts, strict=False):
            store.caption(file.hash or b"", Caption(text, "program"))
    return folder


@pytest.fixture
def here(indexed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(indexed)
    return indexed


def names(**options) -> list[str]:
    return [Path(hit.path).name for hit in Library("library.db").search(**options).hits]


@pytest.fixture
def bare(indexed: Path, tmp_path: Path) -> Path:
    """The same library without captions."""
    shutil.copy(indexed / "library.db", tmp_path / "bare.db")
    shutil.copytree(indexed / "library.db.vectors", tmp_path / "bare.db.vectors")
    with Store(tmp_path / "bare.db", can_write=True) as store:
        store.run("DELETE FROM captions")
    return tmp_path / "bare.db"


def scores(library: str | Path, words: str) -> dict[str, float | None]:
    with Library(library) as opened:
        answer = opened.search(words, count=12, min_score=0)
        assert len(answer.hits) == answer.searched == 12
        found = {Path(hit.path).name: hit.score for hit in answer.hits}
    assert list(found.values()) == sorted(found.values(), key=lambda score: -(score or 0))
    return found


def test_a_caption_lifts_a_photo_and_lowers_none(here: Path, bare: Path) -> None:
    both, pictures = scores("library.db", "grandmother letter"), scores(bare, "grandmother letter")
    lifted = {name for name in both if (both[name] or 0) > (pictures[name] or 0)}
    assert lifted == {"000.jpg", "001.jpg"}
    assert all(both[name] == pictures[name] for name in both.keys() - lifted)
    assert scores("library.db", "boat") == scores(bare, "boat")


def test_the_first_and_the_newest_are_those_of_all(here: Path) -> None:
    first, *_ = scores("library.db", "grandmother letter").items()
    with Library("library.db") as opened:
        few = opened.search("grandmother letter", count=1, min_score=0)
        by_date = opened.search("grandmother letter", sort="date", min_score=first[1])
        for answer in (few, by_date):
            assert [(Path(hit.path).name, hit.score) for hit in answer.hits] == [first]


def test_what_is_not_wanted_takes_away(here: Path) -> None:
    with Library("library.db") as opened:
        found = said(opened.store, parse(["letter"]))
        less = said(opened.store, parse(["letter", "-", "sailor"]))
        assert len(found) == 2
        assert set(found.values()) == {1.0}
        assert len(less) == 1
        assert said(opened.store, parse(["!?"])) == {}


def test_captions_alone(here: Path) -> None:
    assert names(words="letters", captions_only=True) == ["000.jpg", "001.jpg"]
    assert names(words="Sailor letter", captions_only=True)[0] == "001.jpg"
    assert names(words="sailor", captions_only=True, sort="date") == ["001.jpg"]
    assert names(words="walrus", captions_only=True) == []
    with pytest.raises(UsageError, match="words alone"):
        names(words="tag:Luna", captions_only=True)
    outcome = on("search --captions-only", "walrus")
    assert "nothing fits; the best score of 3 photos is 0.000" in outcome.err


@pytest.mark.parametrize(
    "query", ['"zebra"', "zebra*", "zebra OR", "NEAR(zebra", "script:zebra", "^zebra", "(zebra"]
)
def test_a_query_has_no_syntax_of_sqlite(here: Path, query: str) -> None:
    outcome = on("search --captions-only -t 0.2 --json", *query.split())
    assert outcome.code == 0
    (record,) = outcome.records
    assert record["path"].endswith("002.jpg")
    assert (record["caption"], record["caption_origin"]) == (HOSTILE, "program")


def test_a_hostile_caption_does_nothing_on_a_sheet(here: Path, tmp_path: Path) -> None:
    outcome = on("search --captions-only", "zebra", "--html", f"{tmp_path}/sheet.html")
    assert outcome.code == 0
    page = (tmp_path / "sheet.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    (alt,) = re.findall(r'<img alt="([^"]*)"', page)
    assert alt.startswith("&lt;script&gt;")
    assert "&quot;quoted&quot;" in alt


def test_without_captions_it_says_what_to_type(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_album(tmp_path / "album", 2)
    assert on("index", "album", "--model=demo").code == 0
    outcome = on("search --captions-only", "boat")
    assert "no photo has a caption yet: aimv2 describe" in outcome.err
    assert json.loads(on("search", "boat", "-t0", "--json").out.splitlines()[0])["caption"] is None
