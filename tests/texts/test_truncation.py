"""Texts that are longer than a text tower reads: cut where the tokens end, and told once."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import tokenizers

import mlx_aimv2 as aimv2
from mlx_aimv2.errors import Aimv2Warning, UsageError
from mlx_aimv2.inference.model import Model
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.text_cache import TextCache
from tests.support.albums import make_album
from tests.support.commands import run

LONG = " ".join(["a red boat beside a small house"] * 20)
OTHER_END = LONG.replace("house", "horse")[: len(LONG) - 6] + "dog"


@pytest.fixture(scope="module")
def demo() -> Model:
    return aimv2.load("demo")


def pieces_of(text: str) -> tokenizers.Tokenizer:
    """The demo's tokens of a text, by the tokenizers library alone."""
    folder = Path(aimv2.__file__).parent / "demo"
    return tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")).encode(
        text, add_special_tokens=False
    )


@pytest.mark.parametrize(
    "text", [LONG, "A  wide\n\tboat " * 40, "x" * 500, "ÄÖÜß é " * 60, "船と家" * 60, "😀" * 99]
)
def test_what_is_kept_is_all_that_counts(demo: Model, text: str) -> None:
    (row,), (cut,) = demo.tokenizer.encode_and_cut([text])
    assert cut is not None
    assert text[: cut.kept] + text[cut.kept :] == text
    offsets = pieces_of(text).offsets
    assert len(offsets) > 75
    assert cut.kept == offsets[75][0]
    whole = demo.tokenizer.count(text[: cut.kept])
    assert whole <= 77
    np.testing.assert_array_equal(
        demo.tokenizer.encode([text[: cut.kept]])[0][: whole - 2], row[: whole - 2]
    )


def test_a_text_that_just_fits_is_not_cut(demo: Model) -> None:
    words = ["a"] * 75
    assert demo.tokenizer.encode_and_cut([" ".join(words)])[1] == (None,)
    (cut,) = demo.tokenizer.encode_and_cut([" ".join([*words, "boat"])])[1]
    assert str(cut).endswith('left out: "boat"')


def test_each_call_warns_once_of_all_its_texts(demo: Model) -> None:
    calls = [
        lambda: demo.embed_texts(LONG),
        lambda: demo.embed_texts(["short", LONG, *[OTHER_END] * 200]),
        lambda: demo.tokenize([LONG]),
        lambda: demo(texts=[LONG]),
        lambda: demo.label_embeddings([LONG, "dog"], templates="ensemble"),
        lambda: demo.classify(np.zeros((9, 9, 3), np.uint8), [LONG, "dog"]),
    ]
    for call in calls:
        with pytest.warns(Aimv2Warning, match="cut after") as caught:
            call()
        assert len(caught) == 1
    with pytest.warns(Aimv2Warning, match=r"^201 texts are too long.*the first was cut after"):
        calls[1]()


def test_nothing_is_said_of_texts_that_fit(demo: Model) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        demo.embed_texts(["a dog", "", "a red boat " * 20])


def test_a_template_that_cuts_off_every_label_is_refused(demo: Model) -> None:
    with pytest.raises(UsageError, match="every label would be cut off"):
        demo.label_embeddings(["dog", "cat"], templates=[LONG + " {}"])


def test_a_search_tells_it_with_and_without_the_cache(tmp_path: Path) -> None:
    make_album(tmp_path / "album", 2)
    library = Library(tmp_path / "library.db", cache=TextCache(tmp_path / "texts.db"))
    with library:
        library.index(tmp_path / "album", model="demo")
        for _ in range(2):
            with pytest.warns(Aimv2Warning, match="2 texts are too long") as caught:
                library.search([LONG, "+", OTHER_END, "+", "boat"])
            assert len(caught) == 1


def test_a_vocabulary_tells_it_once(tmp_path: Path) -> None:
    make_album(tmp_path / "album", 2)
    lines = [f"Tag{number} = {LONG} {number}" for number in range(600)]
    (tmp_path / "tags.txt").write_text("\n".join(lines))
    with Library(tmp_path / "library.db", cache=TextCache(tmp_path / "texts.db")) as library:
        library.index(tmp_path / "album", model="demo")
        with pytest.warns(Aimv2Warning, match="600 texts are too long") as caught:
            library.tag(vocabulary=tmp_path / "tags.txt")
        assert len(caught) == 1


def test_the_command_says_it_once_and_in_its_lines(tmp_path: Path) -> None:
    texts = [f"{LONG} {number}" for number in range(700)]
    (tmp_path / "texts.txt").write_text("short\n" + "\n".join(texts))
    outcome = run("embed", "--texts-from", str(tmp_path / "texts.txt"), "-m", "demo", "-o", "-")
    assert outcome.code == 0
    assert outcome.err.count("note: ") == 1
    assert "note: 700 texts are too long and were cut; the first was cut after" in outcome.err
    assert ["note" in record for record in outcome.records[1:]] == [False] + [True] * 700


def test_classify_says_it_once(tmp_path: Path) -> None:
    (picture,) = make_album(tmp_path, 1)
    outcome = run("classify", str(picture), "-m", "demo", "-l", f"{LONG},dog", "--json")
    assert outcome.code == 0
    assert outcome.err.count("cut after") == 1
