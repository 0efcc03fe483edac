"""What a checkpoint makes of texts and pictures before its network sees them."""

from collections.abc import Iterator
from typing import Any

from mlx_aimv2.errors import CheckpointError
from mlx_aimv2.images.decode import read_preset
from mlx_aimv2.texts.tokenizer import Tokenizer

from .check import Check, few, judged, skipped
from .expected import TEXTS
from .record import Opened

_PRESET = "hub"  # the one that reads the checkpoint's own file
_HINT = "copy the file from the checkpoint this one was made from"
_ALONE = "can be read; held against no other"


def examine_inputs(opened: Opened, other: Opened | None) -> Iterator[Check]:
    """Tokenizer and preprocessing, held against those of another copy where there is one."""
    if opened.config.text_config is not None:
        yield _tokenizer(opened, other)
    yield _preprocessing(opened, other)


def _tokenizer(opened: Opened, other: Opened | None) -> Check:
    try:
        tokenizer = _tokenizer_of(opened)
    except CheckpointError as error:
        return judged("tokenizer", False, str(error), error.hint or _HINT)
    if other is None or other.config.text_config is None:
        return judged("tokenizer", True, _ALONE)
    try:
        theirs = _tokenizer_of(other)
    except CheckpointError as error:
        return skipped("tokenizer", f"{_ALONE}: {error}")
    wrong = [
        f"other ids of {text!a}" for text in TEXTS if _ids(tokenizer, text) != _ids(theirs, text)
    ]
    ours, known = tokenizer.vocabulary, theirs.vocabulary  # of which texts use few
    wrong += [f"the token {token!a} is {ours.get(token)} here, {known.get(token)} there"
              for token in sorted(ours.keys() | known.keys())
              if ours.get(token) != known.get(token)]  # fmt: skip
    detail = f"{len(TEXTS)} texts and the vocabulary held against {other.resolved.name}"
    return judged("tokenizer", not wrong, detail, _HINT, findings=few(wrong))


def _tokenizer_of(opened: Opened) -> Tokenizer:
    """Errors: CheckpointError, as encoding a text would raise."""
    config = opened.config.text_config
    assert config is not None
    return Tokenizer.from_folder(
        opened.resolved.folder,
        max_length=config.max_position_embeddings,
        eos_token_id=config.eos_token_id,
        vocab_size=config.vocab_size,
    )


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode([text])[0].tolist()
    return ids


def _preprocessing(opened: Opened, other: Opened | None) -> Check:
    try:
        ours = _settings(opened)
    except CheckpointError as error:
        return judged("preprocessing", False, str(error), error.hint or _HINT)
    if other is None:
        return judged("preprocessing", True, _ALONE)
    try:
        theirs = _settings(other)
    except CheckpointError as error:
        return skipped("preprocessing", f"{_ALONE}: {error}")
    wrong = [
        f"{name} is {value} here, {theirs[name]} there"
        for name, value in ours.items()
        if value != theirs[name]
    ]
    detail = f"{', '.join(ours)} held against {other.resolved.name}"
    return judged("preprocessing", not wrong, detail, _HINT, findings=wrong)


def _settings(opened: Opened) -> dict[str, Any]:
    """Errors: CheckpointError for a file that makes no sense."""
    preset = read_preset(opened.resolved.folder, _PRESET)
    return {"mean": preset.mean, "std": preset.std, "crop": preset.crop_fraction}
