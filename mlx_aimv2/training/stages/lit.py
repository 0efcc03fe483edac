"""LiT: a text tower learns the space of a frozen encoder."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import mlx.core as mx

from mlx_aimv2.models.aimv2.config import LiTConfig, TextConfig
from mlx_aimv2.models.aimv2.lit import LiT

from ..data.captions import Captions
from ..data.view import View
from ..data_loader import Arrays
from ..pretraining.initialisation import BLOCK_RULES, draw_weights, normal, zeros
from ..runs.gradients import Batch, Slope
from ..runs.settings import LitSettings
from .beginning import (
    Beginning,
    dtype_name,
    dtype_of,
    load_encoder,
    load_whole,
    read_tokenizer,
    sizes_of,
)
from .contrast import Contrast, ContrastGradient
from .features import batches_of, encoded
from .model_files import write_model

# Source: the text tower's tables as apple/ml-l3m draws them; the query as the probe's.
_RULES = {
    "cls_token": normal(0.02),
    "positional_embedding": normal(0.01),
    "text_embedding.weight": normal(0.02),
    "linear.bias": zeros,
    "log_logit_scale": lambda weight, _: weight,  # the configuration's
    **BLOCK_RULES,
}
_FROZEN = ("image_encoder.preprocessor.", "image_encoder.trunk.")


class LitWork:
    """Pooling head, projections, text tower and scale, beside an encoder that stays as it is.

    A checkpoint that reads texts already is gone on with: its sizes and its tokenizer count.
    """

    def __init__(self, settings: LitSettings, beginning: Beginning) -> None:
        start = beginning.start_for("lit")
        self._settings, self._beginning = settings, beginning
        dtype = dtype_name(settings.precision)
        self._encoder = load_encoder(start, dtype)
        before = sizes_of(start)
        source = settings.tokenizer
        length = settings.caption_tokens
        if isinstance(before, LiTConfig):
            source = str(start.folder)
            length = min(length, before.text_config.max_position_embeddings)
        tokenizer, self._tokenizer_folder = read_tokenizer(source, length)
        self._lit = _model(settings, before, tokenizer.vocab_size, tokenizer.eos_token_id)
        self.objective = Contrast(self._lit)
        draw_weights(self.objective, settings.seed, _RULES)
        if isinstance(before, LiTConfig):
            network = cast(LiT, load_whole(start))
            self.objective.update(Contrast(network).parameters())
        self.objective.log_logit_scale = self.objective.log_logit_scale.astype(mx.float32)
        mx.eval(self.objective.parameters())
        self._lit.text_encoder.trunk.is_recomputed = settings.recompute
        ranks = beginning.ranks
        config = self._encoder.config
        self._gradient = ContrastGradient(
            self.objective,
            -(-settings.batch_size // ranks.size),
            self._lit.config.max_logit_scale,
            dtype_of(settings.precision),
            ranks,
        )
        view = View(
            beginning.preset,
            config.image_size,
            config.patch_size,
            augments=settings.augment,
            decode=settings.decode,
        )
        captions = Captions(tokenizer, begins=True)
        self.batches = batches_of(settings, beginning, self._encoder, view, captions)

    def prepare(self, arrays: Arrays) -> Batch:
        """The batch with the encoder's features in the place of pixels."""
        if "features" in arrays:
            return arrays
        made = encoded(self._encoder, arrays)
        mx.eval(made)
        return {**made, "tokens": arrays["tokens"]}

    def slope(self, chunks: Sequence[Batch]) -> Slope:
        """The loss both ways and its gradient."""
        return self._gradient(chunks)

    def name_of(self, number: int) -> str:
        """The name of a pair."""
        return self._beginning.pairs.read(number).key

    def write_model(self, folder: Path) -> None:
        """Both towers as a checkpoint; the encoder is that of the beginning, bit for bit."""
        start = self._beginning.start_for("lit")
        lit = self._lit
        lit.log_logit_scale = self.objective.log_logit_scale
        frozen = load_encoder(start).flat_parameters()
        weights = {f"image_encoder.{name}": array for name, array in frozen.items()}
        lit.load_weights(
            [pair for pair in weights.items() if pair[0].startswith(_FROZEN)], strict=False
        )
        write_model(folder, lit, self._beginning, self._settings, self._tokenizer_folder)


def _model(settings: LitSettings, before: object, vocab_size: int, eos_token_id: int) -> LiT:
    if isinstance(before, LiTConfig):
        return LiT(before)
    text = TextConfig(
        vocab_size,
        settings.text_width,
        settings.text_mlp_width,
        settings.text_blocks,
        settings.text_heads,
        settings.caption_tokens,
        eos_token_id=eos_token_id,
    )
    vision = replace(before.vision_config, use_head=True)  # type: ignore[attr-defined]
    return LiT(LiTConfig(vision, text, settings.projection))
