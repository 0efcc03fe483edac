"""What a checkpoint makes of texts and pictures before its network sees them."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from mlx_aimv2.errors import CheckpointError
from mlx_aimv2.images.presets import read_preset
from mlx_aimv2.texts.tokenizer import Tokenizer

from .check import Check, judged, skipped
from .expected import TEXTS
from .report import Opened

_PRESET = "hub"  # the one that reads the checkpoint's own file
_HINT = "copy the file from the checkpoint this one was made from"
_ALONE = "can be read; held against no other"
T = TypeVar("T")


def examine_inputs(opened: Opened, other: Opened | None) -> Iterator[Check]:
    """Tokenizer and preprocessing, held against those of another copy where there is one."""
    if opened.config.text_config is not None:
        copy = other if other and other.config.text_config is not None else None
        held = f"{len(TEXTS)} texts and the vocabulary"
        yield _held("tokenizer", held, opened, copy, _tokenizer, _other_ids)
    settings = "mean, std, crop"
    yield _held("preprocessing", settings, opened, other, _preprocessing, _other_settings)


def _held(
    name: str,
    what: str,
    opened: Opened,
    other: Opened | None,
    read: Callable[[Opened], T],
    differences: Callable[[T, T], Iterator[str]],
) -> Check:
    try:
        ours = read(opened)
    except CheckpointError as error:
        return judged(name, False, str(error), error.hint or _HINT)
    if other is None:
        return judged(name, True, _ALONE)
    try:
        theirs = read(other)
    except CheckpointError as error:
        return skipped(name, f"{_ALONE}: {error}")
    found = [*differences(ours, theirs)]
    detail = f"{what} held against {other.resolved.name}"
    return judged(name, not found, detail, _HINT, findings=found)


def _tokenizer(opened: Opened) -> Tokenizer:
    """Errors: CheckpointError, as encoding a text would raise."""
    config = opened.config.text_config
    assert config is not None
    return Tokenizer.from_folder(
        opened.resolved.folder,
        max_length=config.max_position_embeddings,
        eos_token_id=config.eos_token_id,
        vocab_size=config.vocab_size,
    )


def _other_ids(ours: Tokenizer, theirs: Tokenizer) -> Iterator[str]:
    for text in TEXTS:
        if ours.encode([text]).tolist() != theirs.encode([text]).tolist():
            yield f"other ids of {text!a}"
    here, there = ours.vocabulary, theirs.vocabulary  # of which texts use few
    for token in sorted(here.keys() | there.keys()):
        if here.get(token) != there.get(token):
            yield f"the token {token!a} is {here.get(token)} here, {there.get(token)} there"


def _preprocessing(opened: Opened) -> dict[str, Any]:
    """Errors: CheckpointError for a file that makes no sense."""
    preset = read_preset(opened.resolved.folder, _PRESET)
    return {"mean": preset.mean, "std": preset.std, "crop": preset.crop_fraction}


def _other_settings(ours: dict[str, Any], theirs: dict[str, Any]) -> Iterator[str]:
    for name, value in ours.items():
        if value != theirs[name]:
            yield f"{name} is {value} here, {theirs[name]} there"
