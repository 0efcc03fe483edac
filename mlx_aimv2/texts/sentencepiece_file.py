"""A tokenizer.model of SentencePiece, read and made a tokenizer of the tokenizers library."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tokenizers
from tokenizers import models, normalizers

from mlx_aimv2.files.file_diagnosis import unfit

SPACE = "▁"  # what a space is written as in a piece

# Source: sentencepiece_model.proto of SentencePiece.
_PIECE, _TRAINER, _NORMALIZER = 1, 2, 3  # fields of the whole
_TEXT, _SCORE, _KIND = 1, 2, 3  # fields of a piece
_MODEL_TYPE, _SPACE_LAST, _BPE = 3, 24, 2  # of the trainer
_CHARACTERS, _PREFIX, _STRIPS, _ESCAPES = 2, 3, 4, 5  # of the normalizer
_NORMAL, _UNKNOWN, _CONTROL, _OF_THE_USER = 1, 2, 3, 4  # kinds of pieces


@dataclass(frozen=True)
class Added:
    """A token that is found in a text as it is, before anything else."""

    text: str
    is_special: bool


def read_sentencepiece(
    file: Path,
) -> tuple[tokenizers.Tokenizer, dict[int, Added]]:
    """The tokenizer in a tokenizer.model, and the tokens by their ids that it does not split.

    Pieces of user-defined and control kinds are tokens to be added, by whoever knows more of them.
    Errors: CheckpointError for a file that is none of SentencePiece, or of another kind than BPE.
    """
    try:
        whole = list(_fields(file.read_bytes()))
        pieces = [_piece(value) for number, value in whole if number == _PIECE]
        trainer, normalizer = (
            dict(_fields(_bytes(dict(whole).get(part, b"")))) for part in (_TRAINER, _NORMALIZER)
        )
        if not pieces:
            raise ValueError("it has no pieces")
        if trainer.get(_MODEL_TYPE, 1) != _BPE:
            raise ValueError("its pieces are not those of BPE")
        if trainer.get(_SPACE_LAST, False) or not normalizer.get(_ESCAPES, True):
            raise ValueError("spaces are not written before a piece")
        tokenizer = tokenizers.Tokenizer(_bpe(pieces))
        tokenizer.normalizer = _normalizer(normalizer)
    except Exception as error:  # tokenizers raises plain Exception
        raise unfit(file, "a tokenizer of SentencePiece", error) from error
    added = {
        id: Added(text, kind != _OF_THE_USER)
        for id, (text, _, kind) in enumerate(pieces)
        if kind in (_UNKNOWN, _CONTROL, _OF_THE_USER)
    }
    return tokenizer, added


def _piece(data: int | bytes) -> tuple[str, float, int]:
    fields = dict(_fields(_bytes(data)))
    (score,) = struct.unpack("<f", _bytes(fields.get(_SCORE, bytes(4))))
    kind = fields.get(_KIND, _NORMAL)
    if not isinstance(kind, int):
        raise ValueError("the kind of a piece is no number")
    return _bytes(fields[_TEXT]).decode(), score, kind


def _bpe(pieces: list[tuple[str, float, int]]) -> models.BPE:
    ids = {text: id for id, (text, _, _) in enumerate(pieces)}
    if len(ids) < len(pieces):
        raise ValueError("two of its pieces are equal")
    scores = {text: score for text, score, kind in pieces if kind == _NORMAL}
    # SentencePiece joins what makes the piece of the best score, whatever it is joined of.
    merges = [
        (text[:cut], text[cut:])
        for text in sorted(scores, key=scores.__getitem__, reverse=True)
        for cut in range(1, len(text))
        if text[:cut] in scores and text[cut:] in scores
    ]
    unknown = next(text for text, _, kind in pieces if kind == _UNKNOWN)
    return models.BPE(ids, merges, unk_token=unknown, fuse_unk=True, byte_fallback=True)


def _normalizer(spec: dict[int, int | bytes]) -> normalizers.Normalizer:
    steps: list[normalizers.Normalizer] = []
    if characters := _bytes(spec.get(_CHARACTERS, b"")):
        steps.append(normalizers.Precompiled(characters))
    steps.append(normalizers.Replace(" ", SPACE))
    if spec.get(_STRIPS, True):
        spare = tokenizers.Regex(rf"\A{SPACE}+|{SPACE}+\z|(?<={SPACE}){SPACE}+")
        steps.append(normalizers.Replace(spare, ""))
    if spec.get(_PREFIX, True):
        steps.append(normalizers.Prepend(SPACE))
    return normalizers.Sequence(steps)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message in protobuf's encoding: numbers, and bytes of everything else."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        width = {1: 8, 5: 4}.get(key & 7)
        if key & 7 == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if key & 7 == 2:
            width, at = _varint(data, at)
        if width is None or at + width > len(data):
            raise ValueError("it is cut off, or no message of protobuf")
        yield key >> 3, data[at : at + width]
        at += width


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first; and where it ends."""
    value = 0
    for shift in range(0, 64, 7):
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
    raise ValueError("a number in it has no end")


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number stands where a text is")
    return value
