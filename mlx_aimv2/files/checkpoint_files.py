"""The names of a checkpoint's files, and which of them are one whole copy of its weights."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlx_aimv2.errors import CheckpointError

from .file_diagnosis import unfit

CONFIG_FILE = "config.json"
PREPROCESSOR_FILE = "preprocessor_config.json"
CARD_FILE = "README.md"
LICENCE_FILES = ("LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE", "LICENCE.md", "LICENCE.txt")
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
SENTENCEPIECE_FILE = "tokenizer.model"
TEXT_FILES = (
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    TOKENIZER_CONFIG_FILE,
    "special_tokens_map.json",
    SENTENCEPIECE_FILE,
    "added_tokens.json",
    # What other programs ask with, and how they look at pictures.
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "processor_config.json",
)
TAGS_FILE = "tags.txt"  # what the photo library looks for by default with this checkpoint
# Either of these is a tokenizer of AIMv2's.
TOKENIZER_FILES = (TEXT_FILES[:1], TEXT_FILES[1:3])

INDEX_FILE = "model.safetensors.index.json"
SINGLE_FILE = "model.safetensors"
# Copies of the same weights, first choice first: the MLX file needs no conversion.
WEIGHT_FILES = ("mlx_model.safetensors", INDEX_FILE, SINGLE_FILE)

_SHARD = re.compile(r"\w[\w.-]*\.safetensors", re.ASCII)


@dataclass(frozen=True)
class Copy:
    """The files of one whole copy of the weights; ``promised`` is what its index says, if any."""

    files: tuple[Path, ...]
    promised: Mapping[str, str]


def first_copy(find: Callable[[str], Path | None]) -> Copy | None:
    """The first copy that is there as a whole; an index that cannot be read is none.

    ``find`` gives the path of a file by its name, or None where it is not there.
    """
    for name in WEIGHT_FILES:
        path = find(name)
        if path is None:
            continue
        if name != INDEX_FILE:
            return Copy((path,), {})
        try:
            promised = read_index(path)
        except CheckpointError:
            continue
        shards = [find(shard) for shard in shards_of(promised)]
        there = tuple(shard for shard in shards if shard is not None)
        if len(there) == len(shards):
            return Copy(there, promised)
    return None


def read_index(index: Path) -> dict[str, str]:
    """The shard of each tensor, by their names; each shard is a plain file name.

    Errors: CheckpointError for a file that is no index, or leads out of its folder.
    """
    try:
        weight_map = dict(json.loads(index.read_text(encoding="utf-8"))["weight_map"].items())
        shards = set(weight_map.values())
    except (OSError, LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise unfit(index, "a weights index", error) from error
    if not shards:
        raise CheckpointError(f"{index} names no file", hint="fetch the checkpoint again")
    for shard in shards:
        if not isinstance(shard, str) or not _SHARD.fullmatch(shard):
            raise CheckpointError(f"{index} names {shard!r}: shards lie beside it, as safetensors")
    return weight_map


def shards_of(promised: Mapping[str, str]) -> list[str]:
    """The files that an index names, in order."""
    return sorted(set(promised.values()))


def has_tokenizer(is_there: Callable[[str], object]) -> bool:
    """Whether the files of a tokenizer are there, of whichever family."""
    return any(all(map(is_there, names)) for names in (*TOKENIZER_FILES, (SENTENCEPIECE_FILE,)))
