"""Strings → ids and back for Aria: SentencePiece's BPE, from tokenizer.model or tokenizer.json."""

import codecs
import json
import re
from collections.abc import Iterable
from pathlib import Path

import tokenizers
from tokenizers import normalizers

from mlx_aimv2.errors import CheckpointError
from mlx_aimv2.files.checkpoint_files import (
    SENTENCEPIECE_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILES,
)
from mlx_aimv2.files.file_diagnosis import unfit

from .sentencepiece_file import SPACE, Added, read_sentencepiece
from .tokenizer import checked, read_whole

TURN_START, TURN_END = "<|im_start|>", "<|im_end|>"  # no tokens: they are spelled in pieces
IMAGE, IMAGE_START, IMAGE_END = "<|img|>", "<fim_prefix>", "<fim_suffix>"
TEXT_END = "<|endoftext|>"

_BYTE = re.compile("<0x([0-9A-F]{2})>")


class AriaTokenizer:
    """Texts to ids as Aria was trained with them, and ids to texts.

    A text is cut at the tokens that are found in it as they are (digits, line breaks, markers);
    what stands between them is joined to pieces. No piece begins with a space that is not there.
    """

    def __init__(self, pieces: tokenizers.Tokenizer) -> None:
        pieces.no_padding()
        pieces.no_truncation()
        self._pieces = pieces
        added = pieces.get_added_tokens_decoder()
        self._bytes = {
            id: b"" if id in added and added[id].special else _bytes_of(token, id in added)
            for token, id in pieces.get_vocab().items()
        }
        self.image_id = self._id_of(IMAGE)
        self.image_start_id, self.image_end_id = self._id_of(IMAGE_START), self._id_of(IMAGE_END)
        self.end_ids = frozenset({self._id_of(TEXT_END)})
        markers = {token.content for token in added.values() if _is_marker(token)}
        self._markers = _any_of(markers | {TURN_START, TURN_END})
        self._added = _any_of({token.content for token in added.values()})
        steps = pieces.normalizer
        is_folding = isinstance(steps, normalizers.Sequence) and isinstance(
            steps[0], normalizers.Precompiled
        )
        self._folding = steps[0] if is_folding else None

    @classmethod
    def from_folder(
        cls, folder: Path, *, vocab_size: int | None = None, image_id: int | None = None
    ) -> "AriaTokenizer":
        """The tokenizer of a checkpoint folder; of both files tokenizer.model is read.

        Units: vocab_size in the model's tokens; ``image_id`` is what the model takes for a picture.
        Errors: CheckpointError if files are missing or malformed, or belong to another model.
        """
        model, whole = folder / SENTENCEPIECE_FILE, folder / TOKENIZER_FILES[0][0]
        if model.is_file():
            pieces = _read_model(model, folder / TOKENIZER_CONFIG_FILE)
        elif whole.is_file():
            pieces = read_whole(whole)
            # Such a file may be made from a tokenizer.model by what puts a space before every text.
            pieces.normalizer = normalizers.Replace(" ", SPACE)
            pieces.pre_tokenizer = pieces.post_processor = None
        else:
            raise CheckpointError(
                f"{folder} has no tokenizer: neither {model.name} nor {whole.name}",
                hint="copy it from the checkpoint this one was made from",
            )
        tokenizer = cls(pieces)
        largest = max(pieces.get_vocab().values())
        if vocab_size is not None and largest >= vocab_size:
            problem = f"has {largest + 1} tokens, the network {vocab_size}"
        elif image_id not in (None, tokenizer.image_id):
            problem = f"has {IMAGE} as token {tokenizer.image_id}, the network takes {image_id}"
        else:
            return tokenizer
        raise CheckpointError(
            f"the tokenizer in {folder} {problem}",
            hint="use the tokenizer that belongs to these weights",
        )

    def encode(self, text: str) -> list[int]:
        """Ids of a text as it was published: a marker in it is a token.

        Errors: TextError for what is no string or cannot be written as UTF-8.
        """
        (text,) = checked([text])
        ids: list[int] = self._pieces.encode(text, add_special_tokens=False).ids
        return ids

    def split_markers(self, text: str) -> list[str]:
        """A text in parts: the parts with odd numbers, counted from 0, are markers."""
        return self._markers.split(self._folded(text))

    def _folded(self, text: str) -> str:
        """A text in which characters that are read as those of a marker are those."""
        if self._folding is None:
            return text
        parts = self._added.split(text)
        parts[::2] = map(self._folding.normalize_str, parts[::2])
        return "".join(parts)

    def spell(self, marker: str) -> list[int]:
        """Ids of a marker letter by letter, which is never how the model was shown it."""
        ids = []
        for letter in marker:
            id = self._pieces.token_to_id(letter)
            ids += self.encode(letter) if id is None else [id]
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, without special tokens; what is no UTF-8 becomes U+FFFD."""
        text = TextOfTokens(self)
        return "".join([*map(text.add, ids), text.rest()])

    def bytes_of(self, id: int) -> bytes:
        """What a token stands for; nothing for a special one, and for one that there is not."""
        return self._bytes.get(id, b"")

    def _id_of(self, token: str) -> int:
        id = self._pieces.token_to_id(token)
        if id is None:
            raise CheckpointError(
                f"the tokenizer has no token {token}",
                hint="use the tokenizer that belongs to these weights",
            )
        return int(id)


class TextOfTokens:
    """A text from its tokens as they come; the bytes of a character are held until it is whole."""

    def __init__(self, tokenizer: AriaTokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def add(self, id: int) -> str:
        """What is certain since the last call."""
        return self._decoder.decode(self._tokenizer.bytes_of(id))

    def rest(self) -> str:
        """U+FFFD if the last character is not whole."""
        return self._decoder.decode(b"", final=True)


def _bytes_of(token: str, is_added: bool) -> bytes:
    if is_added:
        return token.encode()
    if byte := _BYTE.fullmatch(token):
        return bytes([int(byte[1], 16)])
    return token.replace(SPACE, " ").encode()


def _any_of(tokens: Iterable[str]) -> re.Pattern[str]:
    return re.compile(f"({'|'.join(map(re.escape, sorted(tokens, key=len, reverse=True)))})")


def _is_marker(token: tokenizers.AddedToken) -> bool:
    """Whether a token says how a text is built; others are what texts hold, like ``<td>``."""
    return bool(token.special) or token.content.startswith(("<|", "<fim_"))


def _read_model(file: Path, config_file: Path) -> tokenizers.Tokenizer:
    pieces, added = read_sentencepiece(file)
    if config_file.is_file():
        added |= _read_added(config_file)
    for id, token in sorted(added.items()):
        pieces.add_tokens(
            [tokenizers.AddedToken(token.text, normalized=False, special=token.is_special)]
        )
        if (found := pieces.token_to_id(token.text)) != id:
            raise CheckpointError(
                f"{config_file}: {token.text!r} is token {id}, and {found} in {file.name}",
                hint="both must come from the same checkpoint",
            )
    return pieces


def _read_added(file: Path) -> dict[int, Added]:
    try:
        stated = json.loads(file.read_bytes()).get("added_tokens_decoder", {})
        return {
            int(id): Added(str(token["content"]), bool(token["special"]))
            for id, token in stated.items()
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise unfit(file, "a configuration of a tokenizer", error) from error
