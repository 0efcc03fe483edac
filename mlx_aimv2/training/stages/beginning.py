"""What a run begins with: a checkpoint or random weights, data, processes, a tokenizer."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import mlx.core as mx

from mlx_aimv2 import device
from mlx_aimv2.checkpoints.embedders import resolve_embedder
from mlx_aimv2.checkpoints.hub import Resolved
from mlx_aimv2.checkpoints.load import DTYPES, load_checkpoint
from mlx_aimv2.checkpoints.weights import read_config_file, read_weights
from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.checkpoint_files import has_tokenizer
from mlx_aimv2.images.presets import PRESETS, Preset, read_preset
from mlx_aimv2.models.aimv2.config import LiTConfig, VisionConfig
from mlx_aimv2.models.aimv2.vision import VisionEncoder
from mlx_aimv2.models.network import Network
from mlx_aimv2.texts.tokenizer import Tokenizer

from ..data.batches import Broken
from ..data.pair import Pairs
from ..runs.ranks import Ranks
from ..runs.settings import Precision

_CLIP_END = 49407  # the end token where no config.json says another


@dataclass(frozen=True)
class Beginning:
    """What every stage begins with.

    ``start`` is a checkpoint, None for random weights; ``tell`` is given each broken pair, and
    ``note`` what there is to say. ``folder`` is for what a stage keeps besides checkpoints.
    """

    start: Resolved | None
    pairs: Pairs
    ranks: Ranks
    folder: Path
    tell: Callable[[Broken], None]
    note: Callable[[str], None]

    @property
    def preset(self) -> Preset:
        """How pixels are made: as for the checkpoint that is begun with."""
        return read_preset(self.start.folder, "hub") if self.start else PRESETS["hub"]

    def start_for(self, stage: str) -> Resolved:
        """The checkpoint. Errors: UsageError where there is none, for a stage that needs one."""
        if self.start is None:
            raise UsageError(
                f"{stage} needs an encoder to begin with",
                hint="name the folder of its checkpoint, or its name: --from CHECKPOINT",
            )
        return self.start


def sizes_of(start: Resolved) -> VisionConfig | LiTConfig:
    """The configuration of a checkpoint, without its weights."""
    return cast("VisionConfig | LiTConfig", read_weights(start.folder).config)


def load_whole(start: Resolved) -> Network:
    """The whole network of a checkpoint, in float32."""
    return load_checkpoint(start.folder, dtype="float32", is_dense=True).network


def load_encoder(start: Resolved, dtype: str = "float32") -> VisionEncoder:
    """The image encoder of a checkpoint."""
    network = load_checkpoint(start.folder, tower="image", dtype=dtype, is_dense=True).network
    return cast(VisionEncoder, network.vision)


def dtype_name(precision: Precision) -> str:
    """What is computed in: float16, which suits M1 and M2, is too narrow for gradients."""
    if precision != "auto":
        return precision
    return "bfloat16" if device.default_dtype() == "bfloat16" else "float32"


def dtype_of(precision: Precision) -> mx.Dtype:
    """What is computed in, as MLX has it."""
    return DTYPES[dtype_name(precision)]


def read_tokenizer(source: str, max_length: int) -> tuple[Tokenizer, Path]:
    """The tokenizer of a checkpoint, or of a folder that holds nothing else, and its folder.

    Units: max_length in tokens, begin and end included.
    Errors: as ``hub.resolve`` and ``Tokenizer.from_folder``.
    """
    folder = Path(source).expanduser()
    if not has_tokenizer(lambda name: (folder / name).is_file()):
        folder = resolve_embedder(source).folder
    text = read_config_file(folder).get("text_config") or {}
    end = text.get("eos_token_id", _CLIP_END)
    return Tokenizer.from_folder(folder, max_length=max_length, eos_token_id=end), folder
