"""Pre-training, and the two stages that go on with its objective at other resolutions."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten

from mlx_aimv2.checkpoints.hub import Resolved
from mlx_aimv2.checkpoints.load import check_side
from mlx_aimv2.checkpoints.safetensors_file import Spec, load_lazily, write_weights
from mlx_aimv2.checkpoints.weights import weight_files
from mlx_aimv2.errors import UsageError
from mlx_aimv2.models.aimv2.config import TextConfig, VisionConfig
from mlx_aimv2.models.aimv2.vision import VisionEncoder

from ..data.batches import Batches
from ..data.captions import Captions
from ..data.steps import AreaSteps, EqualSteps
from ..data.view import View
from ..data_loader import Arrays
from ..pretraining.decoder import Decoder
from ..pretraining.initialisation import initialise
from ..pretraining.objective import Pretraining
from ..runs.gradients import Batch, PooledGradient, Slope
from ..runs.settings import (
    EncoderSizes,
    HighResolutionSettings,
    NativeSettings,
    PretrainingSettings,
)
from .beginning import Beginning, dtype_of, load_encoder, read_tokenizer, sizes_of
from .model_files import write_model

DECODER_FOLDER = "decoder"  # beside the model, for the stages after it; nothing else reads it
_PATCH_SIZE = 14  # of every published encoder
_POSITIONS = "preprocessor.pos_embed"


class PretrainingWork:
    """Patches and captions, each predicted from what is before it.

    The encoder is of the settings' sizes, or of the checkpoint that is begun with; its position
    table is resampled for another side, and dropped for native resolution. The decoder is that
    which was trained with the checkpoint, where that is kept and has these sizes, else a new one.
    """

    def __init__(self, settings: EncoderSizes, beginning: Beginning) -> None:
        if not settings.prefix and settings.pixel_weight:
            raise UsageError(
                "without a prefix every patch is seen, and none is left to be predicted",
                hint="set pixel_weight=0 with prefix=false",
            )
        if not (settings.pixel_weight or settings.text_weight):
            raise UsageError("both losses weigh nothing", hint="set pixel_weight or text_weight")
        self._settings, self._beginning = settings, beginning
        tokenizer, self._tokenizer_folder = read_tokenizer(
            settings.tokenizer, settings.caption_tokens + 1
        )
        self._encoder = VisionEncoder(_encoder_sizes(settings, beginning.start))
        config = self._encoder.config
        text = TextConfig(
            tokenizer.vocab_size,
            settings.decoder_width,
            settings.decoder_mlp_width,
            settings.decoder_blocks,
            settings.decoder_heads,
            settings.caption_tokens,
            eos_token_id=tokenizer.eos_token_id,
        )
        self.objective = Pretraining(
            self._encoder,
            Decoder(text, config.hidden_size, config.patch_width),
            pixel_weight=settings.pixel_weight,
            text_weight=settings.text_weight,
        )
        initialise(self.objective, settings.seed)
        if beginning.start:
            self._begin_with(beginning.start)
        if settings.recompute:
            self.objective.recompute_blocks()
        weights = {"pixel": settings.pixel_weight, "text": settings.text_weight}
        self._gradient = PooledGradient(
            self.objective,
            [name for name, weight in weights.items() if weight],
            dtype_of(settings.precision),
            beginning.ranks,
        )
        view = View(beginning.preset, config.image_size, config.patch_size, decode=settings.decode)
        self.batches = Batches(
            beginning.pairs,
            _steps(settings),
            settings.seed,
            view,
            Captions(tokenizer),
            rank=beginning.ranks.rank,
            ranks=beginning.ranks.size,
            tell=beginning.tell,
        )

    def prepare(self, arrays: Arrays) -> Batch:
        """The batch as it is, or with the whole image for a prefix."""
        if self._settings.prefix:
            return arrays
        grids = arrays.get("grids")
        whole = self._encoder.config.grid_side**2 if grids is None else grids.prod(axis=1)
        return arrays | {"prefix": np.zeros_like(arrays["prefix"]) + whole}

    def slope(self, chunks: Sequence[Batch]) -> Slope:
        """Both losses and their gradient."""
        return self._gradient(chunks)

    def name_of(self, number: int) -> str:
        """The name of a pair."""
        return self._beginning.pairs.read(number).key

    def write_model(self, folder: Path) -> None:
        """The encoder as a checkpoint; the decoder in a folder of its own."""
        write_model(folder, self._encoder, self._beginning, self._settings)
        decoder = dict(sorted(_flat(self.objective.decoder).items()))
        (folder / DECODER_FOLDER).mkdir()
        specs = {name: Spec.of(array) for name, array in decoder.items()}
        write_weights(folder / DECODER_FOLDER, specs, decoder.items())

    def _begin_with(self, start: Resolved) -> None:
        before = load_encoder(start)
        config = self._encoder.config
        if not config.is_native and config.image_size != before.config.image_size:
            before.resample_positions(self._encoder.config.image_size or 0)
        weights = {
            name: array
            for name, array in before.flat_parameters().items()
            if not name.startswith("head.") and not (config.is_native and name == _POSITIONS)
        }
        self._encoder.load_weights(list(weights.items()))
        if not self._load_decoder(start.folder / DECODER_FOLDER):
            self._beginning.note(f"{start.name} has no decoder of these sizes: a new one is made")
        mx.eval(self.objective.parameters())

    def _load_decoder(self, folder: Path) -> bool:
        if not folder.is_dir():
            return False
        arrays: dict[str, mx.array] = {}
        for file in weight_files(folder):
            arrays |= load_lazily(file)
        mine = _flat(self.objective.decoder)
        if {name: each.shape for name, each in mine.items()} != {
            name: each.shape for name, each in arrays.items()
        }:
            return False
        self.objective.decoder.load_weights(list(arrays.items()))
        return True


def _encoder_sizes(settings: EncoderSizes, start: Resolved | None) -> VisionConfig:
    side_px = None
    if isinstance(settings, PretrainingSettings | HighResolutionSettings):
        side_px = settings.side_px
    patch_size = _PATCH_SIZE if start is None else sizes_of(start).vision_config.patch_size
    if side_px is not None:
        check_side(side_px, patch_size)
        if side_px == patch_size:
            raise UsageError(
                f"a side of {side_px} px is one patch: none is left to be predicted",
                hint=f"take {2 * patch_size} px or more",
            )
    if start is None:
        return VisionConfig(
            settings.width,
            settings.mlp_width,
            settings.blocks,
            settings.heads,
            image_size=side_px,
            patch_size=patch_size,
            is_native=side_px is None,
        )
    before = sizes_of(start).vision_config
    if before.is_native and side_px is not None:
        raise UsageError(
            f"{start.name} is of native resolution: it has no positions for {side_px} px",
            hint="go on with it by: aimv2 train native",
        )
    return replace(before, image_size=side_px, is_native=side_px is None, use_head=False)


def _steps(settings: EncoderSizes) -> AreaSteps | EqualSteps:
    if isinstance(settings, NativeSettings):
        exponents = settings.least_log2_area, settings.most_log2_area
        return AreaSteps(settings.seed, settings.batch_tokens, exponents)
    return EqualSteps(cast(PretrainingSettings | HighResolutionSettings, settings).batch_size)


def _flat(decoder: Decoder) -> dict[str, mx.array]:
    return dict(cast("list[tuple[str, mx.array]]", tree_flatten(decoder.parameters())))
