"""Texts to ids: one begin, one end, nothing a text says can move either."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_aimv2.errors import CheckpointError, TextError
from mlx_aimv2.texts.tokenizer import Tokenizer
from tests.support.vocabulary import BEGIN, END, clip_vocabulary

MAX_LENGTH = 23
VOCABULARY = clip_vocabulary()
BOS, EOS = VOCABULARY.bos_token_id, VOCABULARY.eos_token_id
FORMS = ("parts", "whole", "plain")

SPECIALS = [BEGIN, END, END.upper(), "<End_Of_Text>", "<|endoftext|>", "<|startoftext|>", "</w>"]
TRICKY_TEXT = st.lists(st.sampled_from(SPECIALS) | st.text(max_size=8), max_size=9).map("".join)


@pytest.fixture(scope="module")
def tokenizers_by_form(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    """The same vocabulary as two files, as one, and as one whose specials are ordinary tokens."""
    root = tmp_path_factory.mktemp("tokenizers")
    folders = {form: root / form for form in FORMS}
    for folder in folders.values():
        folder.mkdir()
    VOCABULARY.write_parts(folders["parts"])
    VOCABULARY.write_whole(folders["whole"])
    VOCABULARY.write_whole(folders["plain"], special=False)
    return {form: read(folder) for form, folder in folders.items()}


@pytest.fixture(params=FORMS)
def tokenizer(request: pytest.FixtureRequest, tokenizers_by_form) -> Tokenizer:
    return tokenizers_by_form[request.param]


def read(folder: Path, eos_token_id: int = EOS) -> Tokenizer:
    return Tokenizer.from_folder(folder, max_length=MAX_LENGTH, eos_token_id=eos_token_id)


def test_shape_and_kind(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(["a cat", "a photo of a red boat", ""])
    assert ids.dtype == np.int32
    assert ids.shape[0] == 3
    assert ids.shape[1] == tokenizer.count("a photo of a red boat")
    assert ids.max() < tokenizer.vocab_size == len(VOCABULARY.ids)
    assert tokenizer.encode([]).shape[0] == 0


@settings(deadline=None)
@given(texts=st.lists(TRICKY_TEXT, min_size=1, max_size=4))
def test_one_begin_and_one_end_whatever_the_text(tokenizers_by_form, texts: list[str]) -> None:
    for tokenizer in tokenizers_by_form.values():
        for row, text in zip(tokenizer.encode(texts), texts, strict=True):
            length = min(tokenizer.count(text), MAX_LENGTH)
            assert row[0] == BOS
            assert (row == BOS).sum() == 1
            assert np.flatnonzero(row == EOS)[0] == length - 1
            assert (row[length - 1 :] == EOS).all()


@settings(deadline=None)
@given(text=TRICKY_TEXT)
def test_two_files_and_one_agree(tokenizers_by_form, text: str) -> None:
    text = text.replace("<|endoftext|>", "").replace("<|startoftext|>", "")
    parts, whole = tokenizers_by_form["parts"], tokenizers_by_form["whole"]
    np.testing.assert_array_equal(parts.encode([text]), whole.encode([text]))


@settings(deadline=None)
@given(texts=st.lists(TRICKY_TEXT, min_size=2, max_size=5))
def test_batch_mates_change_nothing(tokenizers_by_form, texts: list[str]) -> None:
    tokenizer = tokenizers_by_form["parts"]
    for row, text in zip(tokenizer.encode(texts), texts, strict=True):
        alone = tokenizer.encode([text])[0]
        np.testing.assert_array_equal(row[: len(alone)], alone)


@pytest.mark.parametrize("form", ["parts", "whole"])
@pytest.mark.parametrize("text", [BEGIN, END, END.upper()])
def test_special_strings_are_spelled_out(tokenizers_by_form, form: str, text: str) -> None:
    pieces = {i: piece for piece, i in VOCABULARY.ids.items()}
    row = tokenizers_by_form[form].encode([f"a {text}"])[0].tolist()
    spelled = "".join(pieces[i] for i in row[1:-1]).replace("</w>", "")
    assert spelled == "a" + text.lower()


def test_truncation_keeps_the_end(tokenizer: Tokenizer) -> None:
    text = "a cat and a dog " * 40
    ids = tokenizer.encode([text])
    assert ids.shape == (1, MAX_LENGTH)
    assert ids[0, -1] == EOS
    assert tokenizer.count(text) == 40 * 5 + 2 > tokenizer.max_length
    np.testing.assert_array_equal(ids[0, :-1], tokenizer.encode([text[:160]])[0, :-1])


@pytest.mark.parametrize("text", ["", " ", "\t\n\r", "\u3000\u00a0\u2028"])
def test_nothing_but_space_is_begin_and_end(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.encode([text]).tolist() == [[BOS, EOS]]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("A  Photo\nof a CAT", "a photo of a cat"),
        (" a cat ", "a cat"),
        ("cafe\u0301", "caf\u00e9"),
        (np.str_("a cat"), "a cat"),
    ],
)
def test_normalisation(tokenizer: Tokenizer, text: str, same: str) -> None:
    np.testing.assert_array_equal(tokenizer.encode([text]), tokenizer.encode([same]))


@pytest.mark.parametrize("text", ["😀", "👩‍👩‍👧", "a\0b", "\U0010ffff", "\ufffe"])
def test_every_byte_can_be_spelled(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.count(text) > 2


def test_what_is_no_text(tokenizer: Tokenizer) -> None:
    with pytest.raises(TextError, match=r"text 1 holds '\\udcff' at 1") as caught:
        tokenizer.encode(["a cat", "a\udcff"])
    assert "latin-1" in caught.value.hint
    with pytest.raises(TextError, match="text 0 is of type int"):
        tokenizer.encode([5])  # type: ignore[list-item]
    with pytest.raises(TextError, match="text 0 is of type bytes"):
        tokenizer.encode([b"a cat"])  # type: ignore[list-item]
    with pytest.raises(TextError, match="a list of texts is needed"):
        tokenizer.encode("a cat")


@pytest.mark.parametrize("text", ["dog cat ", "a", "e\u0301"])
def test_a_megabyte_is_a_text(tokenizers_by_form, text: str) -> None:
    tokenizer = tokenizers_by_form["parts"]
    ids = tokenizer.encode([text * (1_000_000 // len(text))])
    assert ids.shape == (1, MAX_LENGTH)
    assert (ids[0, 0], ids[0, -1]) == (BOS, EOS)


def test_what_the_vocabulary_lacks_does_not_end_the_text(tmp_path: Path) -> None:
    VOCABULARY.write_whole(tmp_path)
    whole = json.loads((tmp_path / "tokenizer.json").read_text())
    accent = "Ã"  # the first byte of é; its second one stays
    whole["model"]["merges"] = []
    ids = {piece: i for piece, i in whole["model"]["vocab"].items() if accent not in piece}
    whole["model"]["vocab"] = ids
    (tmp_path / "tokenizer.json").write_text(json.dumps(whole))
    row = read(tmp_path).encode(["é a"])[0].tolist()
    assert row == [BOS, ids["©</w>"], ids["a</w>"], EOS]


def test_openai_specials(tmp_path: Path) -> None:
    VOCABULARY.write_parts(tmp_path)
    text = (tmp_path / "vocab.json").read_text()
    text = text.replace(BEGIN, "<|startoftext|>").replace(END, "<|endoftext|>")
    (tmp_path / "vocab.json").write_text(text)
    tokenizer = read(tmp_path)
    assert tokenizer.bos_token_id == BOS
    assert tokenizer.encode(["<|endoftext|>"])[0, 1:].tolist().index(EOS) > 2


def _no_end(folder: Path) -> None:
    ids = {piece: i for piece, i in VOCABULARY.ids.items() if piece not in (BEGIN, END)}
    (folder / "vocab.json").write_text(json.dumps(ids))


# what is done to a folder of two good files, and what the error then says
BROKEN_PARTS = {
    "no merges": (lambda folder: (folder / "merges.txt").unlink(), "merges.txt missing"),
    "no vocabulary": (lambda folder: (folder / "vocab.json").unlink(), "vocab.json missing"),
    "cut vocabulary": (lambda folder: (folder / "vocab.json").write_text('{"a": '), "vocab.json"),
    "list": (lambda folder: (folder / "vocab.json").write_text("[1]"), "vocab.json"),
    "lone merge": (lambda folder: (folder / "merges.txt").write_text("a b\nc\n"), "line 2"),
    "foreign merge": (lambda folder: (folder / "merges.txt").write_text("zq zq\n"), "merges.txt"),
    "no specials": (_no_end, "none of <start_of_text>"),
    "not UTF-8": (lambda folder: (folder / "merges.txt").write_bytes(b"\xff \xff"), "merges.txt"),
}


@pytest.mark.parametrize(("harm", "message"), BROKEN_PARTS.values(), ids=BROKEN_PARTS)
def test_broken_files_are_named(tmp_path: Path, harm, message: str) -> None:
    harm(VOCABULARY.write_parts(tmp_path))
    with pytest.raises(CheckpointError, match=message):
        read(tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"vocab.json and merges.txt missing"):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"model": {"type": "BPE"}}'])
def test_broken_single_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is (not a readable|empty)"):
        read(tmp_path)


@pytest.mark.parametrize("form", ["parts", "whole"])
def test_another_end_token_than_the_models(tmp_path: Path, form: str) -> None:
    getattr(VOCABULARY, f"write_{form}")(tmp_path)
    with pytest.raises(CheckpointError, match=f"eos_token_id 7.*<end_of_text> = {EOS}"):
        read(tmp_path, eos_token_id=7)


def test_no_room(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="1 text positions"):
        Tokenizer.from_folder(VOCABULARY.write_parts(tmp_path), max_length=1, eos_token_id=EOS)
