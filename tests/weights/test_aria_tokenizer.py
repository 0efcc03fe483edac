"""Aria's published tokenizer, for whoever has it: `pytest -m weights tests/weights`.

Nobody of this project has seen the file: what is expected here comes from transformers' tests.
"""

from pathlib import Path

import pytest

from mlx_aimv2.checkpoints import hub
from mlx_aimv2.models.aria.published import BY_NAME
from mlx_aimv2.texts.aria_tokenizer import AriaTokenizer
from tests.support.aria_vocabulary import PROMPT, PROMPT_PIECES

pytestmark = pytest.mark.weights

# Source: transformers' slow tests of Aria, in front of which there are 256 tokens of a picture.
QUESTION = (
    "\nUSER: What are the things I should be cautious about when I visit this place?\nASSISTANT:"
)
QUESTION_IDS = [
    109, 3905, 2000, 93415, 4551, 1162, 901, 3894, 970, 2478, 1017, 19312, 2388, 1596, 1809, 970,
    5449, 1235, 3333, 93483, 109, 61081, 11984, 14800, 93415,
]  # fmt: skip
# Source: the stop tokens in vLLM's example of Aria.
TURN_END_IDS = [93532, 93653, 944, 93421, 1019, 93653, 93519]


@pytest.fixture(scope="module")
def folder() -> Path:
    found = hub.cached(BY_NAME["aria"])
    if found is None:
        pytest.skip("needs a published checkpoint")
    return found


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> AriaTokenizer:
    return AriaTokenizer.from_folder(folder, vocab_size=100_352, image_id=9)


def test_no_piece_after_a_line_break_or_a_marker_begins_with_a_space(
    tokenizer: AriaTokenizer,
) -> None:
    expected = [piece.replace("▁", " ") for piece in PROMPT_PIECES]
    expected = ["" if piece in ("<|startoftext|>", "<|img|>") else piece for piece in expected]
    assert [tokenizer.decode([id]) for id in tokenizer.encode(PROMPT)] == expected


def test_a_question(tokenizer: AriaTokenizer) -> None:
    """These ids may come from a tokenizer that puts a space before what follows a line break."""
    spaced = QUESTION.replace("\n", "\n ")
    assert QUESTION_IDS in (tokenizer.encode(QUESTION), tokenizer.encode(spaced))


def test_the_end_of_a_turn_in_pieces_and_spelled_out(tokenizer: AriaTokenizer) -> None:
    assert tokenizer.encode("<|im_end|>") == TURN_END_IDS
    spelled = tokenizer.spell("<|im_end|>")
    assert not {944, 1019} & set(spelled)
    assert tokenizer.decode(spelled) == "<|im_end|>"


@pytest.mark.parametrize(
    "text", [PROMPT, QUESTION, "  two  spaces\t1999\r\n", "éß猫😀 <td>--- ....... aaaaaaaa"]
)
def test_both_files_agree_and_a_text_comes_back(
    folder: Path, tokenizer: AriaTokenizer, tmp_path: Path, text: str
) -> None:
    shown = text.replace("<|startoftext|>", "").replace("<|img|>", "")
    assert tokenizer.decode(tokenizer.encode(text)) == shown
    if not all((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model")):
        return
    (tmp_path / "tokenizer.json").symlink_to(folder / "tokenizer.json")
    assert AriaTokenizer.from_folder(tmp_path).encode(text) == tokenizer.encode(text)
