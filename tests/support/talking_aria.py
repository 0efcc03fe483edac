"""Small random Arias with a tokenizer, and what they are made to say."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mlx_aimv2.describe import conversation
from mlx_aimv2.texts.aria_tokenizer import AriaTokenizer
from tests.support.aria_vocabulary import vocab_size, write_sentencepiece
from tests.support.tiny_aria import tiny_config, write_tiny_aria


def write_aria(folder: Path, *, seed: int = 0, context: int = 1024) -> Path:
    """A whole checkpoint folder: random weights of a few widths, and a tokenizer that fits."""
    text = {"vocab_size": vocab_size(), "max_position_embeddings": context}
    write_tiny_aria(folder, tiny_config(text), seed=seed)
    return write_sentencepiece(folder)


@cache
def _tokenizer(folder: Path) -> AriaTokenizer:
    return AriaTokenizer.from_folder(folder)


def says(patch: pytest.MonkeyPatch, folder: Path, *answers: str) -> list[int]:
    """From here on answers are these, one after the other; returns the lengths of prompts as read.

    Tokens go on behind an answer, as a network's do.
    """
    lengths: list[int] = []
    waiting = [_tokenizer(folder).encode(f"{answer} and more") for answer in answers]

    def generate(network: Any, cache: Any, prompt: Any, options: Any) -> Iterator[int]:
        lengths.append(prompt.shape[1])
        network.decode(prompt, cache)
        yield from waiting.pop(0)[: options.max_tokens]

    patch.setattr(conversation, "generate", generate)
    return lengths
