"""Strings → ids: CLIP's byte-level BPE, from tokenizer.json or from vocab.json and merges.txt."""

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import models, normalizers, pre_tokenizers

from mlx_aimv2.errors import CheckpointError, TextError
from mlx_aimv2.files.checkpoint_files import TOKENIZER_FILES
from mlx_aimv2.files.file_diagnosis import unfit

from .truncation import Cut

# The begin and end strings in use: open_clip's (AIMv2's own files have them), then OpenAI's.
_SPECIALS = (
    ("<start_of_text>", "<end_of_text>"),
    ("<|startoftext|>", "<|endoftext|>"),
)

# CLIP's split: contractions, runs of letters, single digits, runs of anything else but space.
_SPLIT = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d"
    r"|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)
_WORD_END = "</w>"


class Tokenizer:
    """Texts to rows of ids: begin, the text's pieces, end, and the end again as padding.

    A text cannot hold the begin or end token: their strings are spelled out like any other,
    and symbols that the vocabulary lacks are left out (the published one lacks none).
    """

    def __init__(
        self,
        pieces: tokenizers.Tokenizer,
        *,
        max_length: int,
        bos_token_id: int,
        eos_token_id: int,
    ) -> None:
        pieces.no_padding()
        pieces.no_truncation()
        pieces.encode_special_tokens = True  # their strings inside a text are plain text
        self._pieces = pieces
        self.max_length = max_length
        self.bos_token_id = bos_token_id
        self.eos_token_id = eos_token_id

    @classmethod
    def from_folder(
        cls, folder: Path, *, max_length: int, eos_token_id: int, vocab_size: int | None = None
    ) -> "Tokenizer":
        """The tokenizer of a checkpoint folder.

        Units: max_length in tokens, begin and end included; vocab_size in the model's tokens.
        Errors: CheckpointError if files are missing or malformed, if their end token is not the
        one the model looks for, or if there are more tokens than the model has.
        """
        if max_length < 2:
            raise CheckpointError(f"{max_length} text positions hold no begin and end token")
        (whole,), parts = ([folder / name for name in names] for names in TOKENIZER_FILES)
        if whole.is_file():
            source, pieces = whole, read_whole(whole)
        else:
            source, pieces = parts[0], _read_parts(*parts)
        bos_token_id = _begin_for(eos_token_id, pieces, source)
        tokenizer = cls(
            pieces, max_length=max_length, bos_token_id=bos_token_id, eos_token_id=eos_token_id
        )
        if vocab_size is not None and tokenizer.vocab_size > vocab_size:
            raise CheckpointError(
                f"the tokenizer in {folder} has {tokenizer.vocab_size} tokens, "
                f"the text tower {vocab_size}",
                hint="use the tokenizer that belongs to these weights",
            )
        return tokenizer

    @property
    def vocabulary(self) -> dict[str, int]:
        """Every token's id."""
        return self._pieces.get_vocab()

    @property
    def vocab_size(self) -> int:
        """Size of the vocabulary: one more than the largest id."""
        return max(self.vocabulary.values()) + 1

    @property
    def eos_token(self) -> str:
        """How the end token is written."""
        return cast(str, self._pieces.id_to_token(self.eos_token_id))

    def encode(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """Ids of a batch, truncated to ``max_length`` with the end token kept.

        Shapes: B texts -> (B, N), N the longest row; shorter ones are padded with the end token.
        Errors: TextError if one is no string or cannot be written as UTF-8.
        """
        return self.encode_and_cut(texts)[0]

    def encode_and_cut(
        self, texts: Sequence[str]
    ) -> tuple[NDArray[np.int32], tuple[Cut | None, ...]]:
        """:meth:`encode`, and where each text was cut: None for those that are read whole."""
        room = self.max_length - 2
        spelled = self._spell(texts)
        rows = [[self.bos_token_id, *inner[:room], self.eos_token_id] for inner in spelled]
        ids = np.full(
            (len(rows), max(map(len, rows), default=0)), self.eos_token_id, dtype=np.int32
        )
        for padded, row in zip(ids, rows, strict=True):
            padded[: len(row)] = row
        cuts = (
            Cut(text, self._start_of(text, room)) if len(inner) > room else None
            for text, inner in zip(texts, spelled, strict=True)
        )
        return ids, tuple(cuts)

    def count(self, text: str) -> int:
        """Tokens of a text before truncation, begin and end included.

        Errors: as ``encode``.
        """
        return len(self._spell([text])[0]) + 2

    def _spell(self, texts: Sequence[str]) -> list[list[int]]:
        encodings = self._pieces.encode_batch_fast(checked(texts), add_special_tokens=False)
        return [[i for i in encoding.ids if not self._is_reserved(i)] for encoding in encodings]

    def _start_of(self, text: str, token: int) -> int:
        """Where in a text a token begins, counted as ``_spell`` does; the fast way does not say."""
        encoding = self._pieces.encode(text, add_special_tokens=False)
        starts = (
            start
            for id, (start, _) in zip(encoding.ids, encoding.offsets, strict=True)
            if not self._is_reserved(id)
        )
        return next(islice(starts, token, None))

    def _is_reserved(self, id: int) -> bool:
        # A vocabulary may give the end token's id to what it cannot spell: that would end the text.
        return id in (self.bos_token_id, self.eos_token_id)


def checked(texts: Sequence[str]) -> list[str]:
    """Texts that can be written as UTF-8. Errors: TextError for the first that cannot."""
    if isinstance(texts, str | bytes):
        raise TextError("a list of texts is needed, not one text", hint="write [text]")
    checked = list(texts)
    for index, text in enumerate(checked):
        if not isinstance(text, str):
            raise TextError(f"text {index} is of type {type(text).__name__}, not a string")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise TextError(
                f"text {index} holds {text[error.start]!a} at {error.start}, which is no character",
                hint="decode the text as what it was written in, e.g. encoding='latin-1'",
            ) from None
    return checked


def read_whole(file: Path) -> tokenizers.Tokenizer:
    """What is in a tokenizer.json. Errors: CheckpointError for what is none."""
    try:
        return tokenizers.Tokenizer.from_buffer(file.read_bytes())
    except Exception as error:  # tokenizers raises plain Exception and ValueError
        raise unfit(file, "a readable tokenizer", error) from error


def _read_parts(vocab_file: Path, merges_file: Path) -> tokenizers.Tokenizer:
    missing = [file.name for file in (vocab_file, merges_file) if not file.is_file()]
    if missing:
        raise CheckpointError(
            f"{vocab_file.parent} has no tokenizer: {' and '.join(missing)} missing, "
            f"and no {TOKENIZER_FILES[0][0]}",
            hint="copy them from the checkpoint this one was made from",
        )
    try:
        vocab = json.loads(vocab_file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise unfit(vocab_file, "a readable vocabulary", error) from error
    try:
        merges = _read_merges(merges_file)
        model = models.BPE(vocab, merges, end_of_word_suffix=_WORD_END)
    except Exception as error:  # tokenizers raises plain Exception
        raise unfit(
            merges_file, f"a readable list of merges beside {vocab_file.name}", error
        ) from error
    pieces = tokenizers.Tokenizer(model)
    pieces.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Replace(tokenizers.Regex(r"\s+"), " "),
            normalizers.Lowercase(),
        ]
    )
    pieces.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(_SPLIT), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    return pieces


def _read_merges(file: Path) -> list[tuple[str, str]]:
    merges = []
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip() or line.startswith("#version"):
            continue
        left, _, right = line.rstrip("\r").partition(" ")
        if not left or not right or " " in right:
            raise ValueError(f"line {number} of {file.name} is no pair: {line!a}")
        merges.append((left, right))
    return merges


def _begin_for(eos_token_id: int, pieces: tokenizers.Tokenizer, source: Path) -> int:
    """The id of the begin token that belongs to the model's end token."""
    ids = {name: pieces.token_to_id(name) for pair in _SPECIALS for name in pair}
    for begin, end in _SPECIALS:
        begin_id = ids[begin]
        if ids[end] == eos_token_id and begin_id is not None:
            return begin_id
    found = ", ".join(f"{name} = {i}" for name, i in ids.items() if i is not None)
    raise CheckpointError(
        f"{source} has no begin and end token for eos_token_id {eos_token_id}: "
        + (found or f"none of {', '.join(ids)}"),
        hint="the tokenizer and config.json must come from the same checkpoint",
    )
