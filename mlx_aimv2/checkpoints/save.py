"""A network in memory → a checkpoint folder in our layout, and what belongs to any such folder."""

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx

from mlx_aimv2.errors import Aimv2Warning, CheckpointError, NumericsError, OutputError
from mlx_aimv2.files.atomic_folder import refuse_existing, staged
from mlx_aimv2.files.checkpoint_files import (
    CARD_FILE,
    CONFIG_FILE,
    INDEX_FILE,
    LICENCE_FILES,
    PREPROCESSOR_FILE,
    TAGS_FILE,
    TEXT_FILES,
    has_tokenizer,
)
from mlx_aimv2.files.paths import check_length, printable
from mlx_aimv2.models.network import Config, EmbeddingConfig, Network
from mlx_aimv2.models.registry import family_of

from . import model_card
from .hub import Resolved
from .safetensors_file import DTYPE_NAMES, Spec, write_weights
from .weights import Weights

_WRITTEN = {
    CONFIG_FILE, PREPROCESSOR_FILE, CARD_FILE, INDEX_FILE, TAGS_FILE, *TEXT_FILES, *LICENCE_FILES
}  # fmt: skip


def save(
    network: Network,
    weights: Weights,
    resolved: Resolved,
    target: Path,
    *,
    overwrite: bool,
) -> None:
    """Write a network's weights as they are in memory, with the files of where they came from.

    The folder is complete or as it was, whenever the process ends. Runs on the MLX thread.
    Errors: OutputError where the folder holds something, or cannot be written; NumericsError for
    a weight that is not finite.
    """
    target = Path(os.path.realpath(target))
    replaces = _may_replace(target, overwrite)
    arrays = dict(sorted(network.flat_parameters().items()))
    for name, array in arrays.items():
        if array.dtype != mx.uint32 and not mx.isfinite(array).all():
            raise NumericsError(f"the weight {name} holds NaN or infinity: it is not saved")
    is_packed = any(array.dtype == mx.uint32 for array in arrays.values())
    quantization = weights.quantization if is_packed else None
    specs = {name: Spec.of(array) for name, array in arrays.items()}
    with staged(target, replaces=replaces) as folder:
        write_weights(folder, specs, arrays.items())
        write_config(folder, network.config, quantization)
        card = model_card.card(
            f"./{target.name}",
            resolved,
            network.config,
            layout=weights.layout,
            dtype=DTYPE_NAMES[_dtype_of(specs)],
            quantization=quantization,
        )
        write_companions(resolved.folder, folder, network.config, card)


def _may_replace(target: Path, overwrite: bool) -> bool:
    """Whether there is a folder to be replaced. Errors: OutputError where it must not be."""
    check_length(target)
    if not target.is_dir():
        refuse_existing(target)
        return False
    names = {path.name for path in target.iterdir()}
    if names and not overwrite:
        raise OutputError(
            f"{printable(target)} is not empty", hint="choose another folder, or overwrite=True"
        )
    others = {name for name in names - _WRITTEN if not name.endswith(".safetensors")}
    if others:
        raise OutputError(
            f"{printable(target)} holds something else than a checkpoint: {printable(min(others))}",
            hint="choose another folder: it is not replaced",
        )
    return True


def _dtype_of(specs: Mapping[str, Spec]) -> str:
    """The dtype of what is not packed, by the norms: the scale of logits has its own."""
    return next(spec.dtype for name, spec in specs.items() if name.endswith("norm.weight"))


def write_config(folder: Path, config: Config, quantization: Mapping[str, Any] | None) -> None:
    """Write config.json."""
    stated = config.to_dict()
    if quantization:
        stated["quantization"] = dict(quantization)
    write_json(folder / CONFIG_FILE, stated)


def write_companions(source: Path, folder: Path, config: Config, card: str) -> None:
    """Write what belongs to weights: their preprocessing, tokenizer, tags, licence and README.md.

    Errors: CheckpointError for a file of the source that cannot be read.
    """
    reads_no_texts = isinstance(config, EmbeddingConfig) and config.text_config is None
    text_files = () if reads_no_texts else (*TEXT_FILES, TAGS_FILE)
    for name in (PREPROCESSOR_FILE, *LICENCE_FILES, *text_files):
        if (source / name).is_file():
            try:
                content = (source / name).read_bytes()
            except OSError as error:
                raise CheckpointError(
                    f"{source / name} cannot be read: {error.strerror}"
                ) from error
            (folder / name).write_bytes(content)
    if not (folder / PREPROCESSOR_FILE).exists():
        stated = family_of(config).processor(config)
        write_json(folder / PREPROCESSOR_FILE, stated)
    # A folder's name need not be UTF-8.
    (folder / CARD_FILE).write_bytes(card.encode("utf-8", "backslashreplace"))
    if text_files and not has_tokenizer(lambda name: (folder / name).exists()):
        files = "vocab.json and merges.txt" if family_of(config).embeds else "tokenizer.json"
        warnings.warn(
            f"{source} has no tokenizer, so the new checkpoint cannot read texts: "
            f"copy {files} into it",
            Aimv2Warning,
            stacklevel=3,
        )


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Write a file of settings as people read it."""
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
