"""A checkpoint in any layout → a folder in ours or transformers'; other dtypes; quantised."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlx_aimv2.errors import CheckpointError, HubError, OutputError
from mlx_aimv2.files.atomic_folder import refuse_existing, staged
from mlx_aimv2.files.checkpoint_files import TEXT_FILES, TOKENIZER_CONFIG_FILE
from mlx_aimv2.models.network import Config, EmbeddingConfig
from mlx_aimv2.texts.tokenizer import Tokenizer

from . import model_card
from .hub import Confirm, Resolved, resolve
from .recipe import Conversion, Recipe
from .safetensors_file import DTYPE_NAMES, Spec, write_weights
from .save import write_companions, write_config, write_json
from .upload import Upload, check_upload, upload
from .weights import Weights, read_weights


@dataclass(frozen=True)
class Converted:
    """A converted checkpoint; ``dtype`` is that of what is not packed into bits."""

    source: Resolved
    original: Weights
    folder: Path
    size_bytes: int
    dtype: str
    quantization: Mapping[str, Any] | None
    licence: str
    url: str | None


def convert(
    source: str | os.PathLike[str],
    out_folder: str | os.PathLike[str] = "mlx_model",
    *,
    quantize_bits: int | None = None,
    group_size: int = 64,
    dtype: str | None = None,
    dequantize: bool = False,
    to: model_card.Library = "mlx",
    upload_repo: str | None = None,
    confirm: Confirm | None = None,
    confirm_upload: Callable[[Upload], bool] | None = None,
    on_weight: Callable[[int, int], None] | None = None,
) -> Converted:
    """Convert a checkpoint (as :func:`hub.resolve` takes it) to a new folder.

    It is written in our layout, or ``to`` "transformers" as that library loads it.
    ``quantize_bits`` is 4 or 8; ``dtype`` is float32, float16 or bfloat16, and applies to what
    is not packed. ``upload_repo`` is a hub id: made private, after ``confirm_upload`` agreed.
    ``on_weight`` is told how many weights are done, and of how many.
    The folder is complete or absent, whenever the process ends.
    Errors: OutputError where the folder exists or cannot be written; UsageError for options that
    do not fit; CheckpointError for a source that lacks tensors or holds NaN or infinity;
    NumericsError where a value does not fit float16; HubError.
    """
    layout = None if to == "mlx" else to
    recipe = Recipe(quantize_bits, group_size, dtype, dequantize, layout)
    target = Path(out_folder)
    refuse_existing(target)
    if upload_repo is not None:
        check_upload(upload_repo)
    resolved = resolve(source, confirm=confirm)
    weights = read_weights(resolved.folder)
    conversion = Conversion.of(weights, recipe)
    licence = model_card.licence_of(resolved)
    if upload_repo is not None and confirm_upload is not None:
        planned = Upload(upload_repo, conversion.size_bytes, licence)
        if not confirm_upload(planned):
            raise HubError(
                f"nothing was uploaded to {upload_repo}, and nothing converted",
                hint="leave out --upload-repo to convert only",
            )
    with staged(target) as folder:
        arrays = conversion.arrays(on_weight)
        write_weights(folder, conversion.specs, arrays, format="mlx" if layout is None else "pt")
        write_config(folder, weights.config, conversion.quantization)
        written = _read_back(folder, conversion)
        dtype, quantization = DTYPE_NAMES[written.dtype], written.quantization
        card = model_card.card(
            upload_repo or f"./{target.name}",
            resolved,
            weights.config,
            layout=weights.layout,
            dtype=dtype,
            quantization=quantization,
            library=to,
        )
        write_companions(weights.folder, folder, weights.config, card)
        if to == "transformers":
            _complete_tokenizer(folder, weights.config)
    size_bytes = written.size_bytes
    url = upload(target, upload_repo) if upload_repo is not None else None
    return Converted(resolved, weights, target, size_bytes, dtype, quantization, licence, url)


def _complete_tokenizer(folder: Path, config: Config) -> None:
    """Say of a whole tokenizer which class reads it, where its folder does not.

    transformers would take CLIP's, which adds a begin and an end token of its own.
    """
    whole, stated = folder / TEXT_FILES[0], folder / TOKENIZER_CONFIG_FILE
    text = config.text_config if isinstance(config, EmbeddingConfig) else None
    if text is None or stated.exists() or not whole.exists():
        return
    length = text.max_position_embeddings
    tokenizer = Tokenizer.from_folder(folder, max_length=length, eos_token_id=text.eos_token_id)
    write_json(
        stated,
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": tokenizer.eos_token,
            "pad_token": tokenizer.eos_token,
            "model_max_length": length,
        },
    )


def _read_back(folder: Path, conversion: Conversion) -> Weights:
    """What was written, held against what was to be."""
    problem: CheckpointError | None = None
    try:
        written = read_weights(folder)
        specs = {each.name: Spec(each.dtype, each.shape) for each in written.headers()}
        if (specs, written.quantization, written.config) == (
            conversion.specs,
            conversion.quantization,
            conversion.weights.config,
        ):
            return written
    except CheckpointError as error:
        problem = error
    raise OutputError(
        f"what was written to {folder} does not read back as it was meant",
        hint="check the disk, then run the command again",
    ) from problem
