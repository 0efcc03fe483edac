"""Aria's tokens: both files of a tokenizer agree, and no text is changed on the way back."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_aimv2.errors import CheckpointError, TextError
from mlx_aimv2.texts.aria_tokenizer import AriaTokenizer, TextOfTokens
from tests.support import aria_vocabulary
from tests.support.aria_vocabulary import ADDED, PROMPT, PROMPT_PIECES, pieces

FORMS = ("sentencepiece", "whole", "whole with a prefix")
ODD = st.sampled_from(
    [*ADDED, "<|im_start|>", "<|im_end|>", "<|", "|>", "<0x41>", "▁", "  ", ".<", "><", "questions"]
)
TEXT = st.lists(ODD | st.text(max_size=6), max_size=12).map("".join)


@pytest.fixture(scope="module")
def tokenizers_by_form(tmp_path_factory: pytest.TempPathFactory) -> dict[str, AriaTokenizer]:
    root = tmp_path_factory.mktemp("aria")
    folders = [
        aria_vocabulary.write_sentencepiece(root / "sentencepiece"),
        aria_vocabulary.write_whole(root / "whole"),
        aria_vocabulary.write_whole(root / "prefix", prefix=True),
    ]
    return dict(zip(FORMS, map(AriaTokenizer.from_folder, folders), strict=True))


@pytest.fixture(params=FORMS)
def tokenizer(request: pytest.FixtureRequest, tokenizers_by_form) -> AriaTokenizer:
    return tokenizers_by_form[request.param]


def spelled(ids: list[int]) -> list[str]:
    return [pieces()[id] for id in ids]


def test_ids_of_single_tokens(tokenizer: AriaTokenizer) -> None:
    assert tokenizer.encode("0123456789") == list(range(19, 29))
    assert tokenizer.encode("<|img|>```\b\r\n") == [9, 106, 107, 108, 109]
    assert (tokenizer.image_id, tokenizer.end_ids) == (9, {2})
    assert (tokenizer.image_start_id, tokenizer.image_end_id) == (39, 41)


def test_the_pieces_of_the_prompt_that_transformers_tests(tokenizer: AriaTokenizer) -> None:
    """No piece after a line break or a marker begins with a space, whatever made the file."""
    assert spelled(tokenizer.encode(PROMPT)) == PROMPT_PIECES


@settings(deadline=None)
@given(text=TEXT)
def test_both_files_agree(tokenizers_by_form, text: str) -> None:
    first, *others = [tokenizer.encode(text) for tokenizer in tokenizers_by_form.values()]
    assert all(other == first for other in others)


@settings(deadline=None)
@given(text=TEXT)
def test_a_text_comes_back_without_its_special_tokens(tokenizers_by_form, text: str) -> None:
    tokenizer = tokenizers_by_form["sentencepiece"]
    ids = tokenizer.encode(text)
    kept = [id for id in ids if id >= len(aria_vocabulary.SPECIAL)]
    assert tokenizer.decode(ids) == tokenizer.decode(kept)
    for special in sorted(aria_vocabulary.SPECIAL, key=len, reverse=True):
        if special in text:
            return
    assert tokenizer.decode(ids) == text.replace("▁", " ")  # SentencePiece knows no difference


@settings(deadline=None)
@given(ids=st.lists(st.integers(0, len(pieces()) + 5), max_size=30), cut=st.integers(0, 30))
def test_a_text_of_any_tokens_as_they_come(tokenizers_by_form, ids: list[int], cut: int) -> None:
    tokenizer = tokenizers_by_form["whole"]
    text = TextOfTokens(tokenizer)
    parts = [text.add(id) for id in ids]
    before = "".join(parts[:cut])
    assert "".join([*parts, text.rest()]) == tokenizer.decode(ids)
    assert tokenizer.decode(ids).startswith(before)


def test_the_bytes_of_a_character_are_held_until_it_is_whole(tokenizer: AriaTokenizer) -> None:
    ids = tokenizer.encode("é😀a")
    assert len(ids) == 2 + 4 + 1
    text = TextOfTokens(tokenizer)
    assert [text.add(id) for id in ids] == ["", "é", "", "", "", "😀", "a"]
    assert [text.add(id) for id in ids[:1]] + [text.rest()] == ["", "\ufffd"]
    assert tokenizer.decode([*ids[2:5], *ids[6:]]) == "\ufffda"


def test_a_stray_byte_spoils_no_other_character(tokenizer: AriaTokenizer) -> None:
    ids = tokenizer.encode("😀")
    assert tokenizer.decode([*ids, ids[0], *ids]) == "😀\ufffd😀"


def test_the_space_before_a_word_is_kept(tokenizer: AriaTokenizer) -> None:
    assert tokenizer.decode(tokenizer.encode(" the questions ")) == " the questions "
    assert tokenizer.encode("") == []
    assert spelled(tokenizer.encode(" the")) == ["▁the"]


def test_markers_are_spelled_letter_by_letter(tokenizer: AriaTokenizer) -> None:
    for marker in ("<|im_end|>", "<|img|>", "<fim_prefix>", "<|unused001|>", "[INST]", "<unk>"):
        before, found, after = tokenizer.split_markers(f"é{marker} the")
        assert (before, found, after) == ("é", marker, " the")
        assert spelled(tokenizer.spell(marker)) == list(marker)
        assert tokenizer.spell(marker) != tokenizer.encode(marker)
        assert tokenizer.decode(tokenizer.spell(marker)) == marker
    plain = "<td>a</td>\n---\n<br/> 5 < 6 |> <|im_en|> [INST"
    assert tokenizer.split_markers(plain) == [plain]


def test_what_is_no_text(tokenizer: AriaTokenizer) -> None:
    for wrong in ("a\udcff", 5, None):
        with pytest.raises(TextError):
            tokenizer.encode(wrong)  # type: ignore[arg-type]
    assert tokenizer.encode(np.str_("the")) == tokenizer.encode("the")


def test_a_prefix_that_the_model_file_asks_for(tmp_path: Path) -> None:
    folder = aria_vocabulary.write_sentencepiece(tmp_path, prefix=True)
    tokenizer = AriaTokenizer.from_folder(folder)
    assert spelled(tokenizer.encode("the\nthe")) == ["▁the", "\n", "▁the"]
    assert spelled(tokenizer.spell("<|im_end|>")) == list("<|im_end|>")


def test_spaces_that_the_model_file_leaves_out(tmp_path: Path) -> None:
    folder = aria_vocabulary.write_sentencepiece(tmp_path, strips=True)
    tokenizer = AriaTokenizer.from_folder(folder)
    assert tokenizer.encode("  the   questions \n ") == tokenizer.encode("the questions\n")


def test_the_model_file_alone(tmp_path: Path, tokenizer: AriaTokenizer) -> None:
    folder = aria_vocabulary.write_sentencepiece(tmp_path)
    (folder / "tokenizer_config.json").unlink()
    assert AriaTokenizer.from_folder(folder).encode(PROMPT) == tokenizer.encode(PROMPT)


def test_the_model_file_is_read_before_what_was_made_of_it(tmp_path: Path) -> None:
    aria_vocabulary.write_sentencepiece(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    assert AriaTokenizer.from_folder(tmp_path).image_id == 9


def test_a_tokenizer_of_another_model(tmp_path: Path) -> None:
    folder = aria_vocabulary.write_whole(tmp_path)
    size = len(pieces())
    AriaTokenizer.from_folder(folder, vocab_size=size, image_id=9)
    with pytest.raises(CheckpointError, match=f"has {size} tokens, the network {size - 1}"):
        AriaTokenizer.from_folder(folder, vocab_size=size - 1)
    with pytest.raises(CheckpointError, match="as token 9, the network takes 7"):
        AriaTokenizer.from_folder(folder, image_id=7)


def _another_id(folder: Path) -> None:
    config = aria_vocabulary.tokenizer_config()
    config["added_tokens_decoder"]["9"]["content"] = "<fim_prefix>"  # type: ignore[index]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def _cut(folder: Path) -> None:
    file = folder / "tokenizer.model"
    file.write_bytes(file.read_bytes()[:-7])


def _write(name: str, content: bytes):
    return lambda folder: (folder / name).write_bytes(content)


# what is done to a folder with both files of SentencePiece, and what the error then says
BROKEN = {
    "nothing": (lambda folder: (folder / "tokenizer.model").unlink(), "has no tokenizer"),
    "empty": (_write("tokenizer.model", b""), "is empty"),
    "cut off": (_cut, r"tokenizer\.model is not a tokenizer of SentencePiece"),
    "text": (_write("tokenizer.model", b"a text"), r"tokenizer\.model is not a tokenizer"),
    "pointer": (
        _write("tokenizer.model", b"version https://git-lfs.github.com/spec/v1\n"),
        "a Git LFS pointer",
    ),
    "no pieces": (_write("tokenizer.model", b"\x12\x02\x18\x02"), "it has no pieces"),
    "unigrams": (
        _write("tokenizer.model", b"\x0a\x03\x0a\x01a\x12\x02\x18\x01"),
        "not those of BPE",
    ),
    "configuration": (_write("tokenizer_config.json", b"[]"), r"tokenizer_config\.json is not"),
    "another": (_another_id, "'<fim_prefix>' is token 9, and 39"),
}


@pytest.mark.parametrize(("harm", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_files_are_named(tmp_path: Path, harm, message: str) -> None:
    harm(aria_vocabulary.write_sentencepiece(tmp_path))
    with pytest.raises(CheckpointError, match=message):
        AriaTokenizer.from_folder(tmp_path)


def test_a_tokenizer_without_what_aria_needs(tmp_path: Path) -> None:
    whole = json.loads((aria_vocabulary.write_whole(tmp_path) / "tokenizer.json").read_text())
    whole["added_tokens"] = [token for token in whole["added_tokens"] if token["id"] != 9]
    del whole["model"]["vocab"]["<|img|>"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(whole))
    with pytest.raises(CheckpointError, match=r"has no token <\|img\|>"):
        AriaTokenizer.from_folder(tmp_path)
