"""The decoder of pre-training, which is thrown away after it: one sequence of patches and words."""

import mlx.core as mx
from mlx import nn

from mlx_aimv2.errors import TextError
from mlx_aimv2.models.aimv2.config import TextConfig
from mlx_aimv2.models.aimv2.layers import Transformer


class Decoder(nn.Module):
    """A causal transformer over an image's features, a start token and the caption.

    The configuration is that of a text tower; ``max_position_embeddings`` is the longest caption.
    Source: AIMv2 paper, sections 2.1 and 2.3; apple/ml-l3m,
    ``configs/aimv2/001_aimv2_hfdata.yaml``.
    """

    def __init__(self, config: TextConfig, feature_width: int, patch_width: int) -> None:
        super().__init__()
        self.config = config
        width = config.hidden_size
        self.image_projection = nn.Linear(feature_width, width)
        self.text_embedding = nn.Embedding(config.vocab_size, width)
        self.start_token = mx.zeros((width,))
        self.positional_embedding = mx.zeros((1 + config.max_position_embeddings, width))
        self.trunk = Transformer(config)
        self.image_head = nn.Linear(width, patch_width, bias=False)
        self.text_head = nn.Linear(width, config.vocab_size, bias=False)

    def __call__(
        self, features: mx.array, input_ids: mx.array | None, lengths: mx.array | None = None
    ) -> tuple[mx.array, mx.array | None]:
        """What the heads take: at a patch for the next patch, at a word for the next word.

        The first text output is the start token's and predicts the first id; the last id is not
        read. Without ids there is no text. ``lengths`` is given for padded images: patches each.
        Shapes: (B, I, D), (B, T), (B,) -> (B, I, E), (B, T, E).
        Errors: TextError for captions longer than the table of positions.
        """
        num_patches = features.shape[1]
        tokens = self.image_projection(features)
        if input_ids is not None:
            tokens = mx.concatenate([tokens, self._words(input_ids)], axis=1)
        mask: mx.array | str = "causal"
        if lengths is not None:
            position = mx.arange(tokens.shape[1])
            is_real = (position < lengths[:, None]) | (position >= num_patches)
            mask = (is_real[:, None] & (position[:, None] >= position))[:, None]
        outputs = self.trunk(tokens, mask)
        if input_ids is None:
            return outputs, None
        return outputs[:, :num_patches], outputs[:, num_patches:]

    def _words(self, input_ids: mx.array) -> mx.array:
        batch, length = input_ids.shape
        longest = self.config.max_position_embeddings
        if length > longest:
            raise TextError(
                f"captions of {length} tokens: the decoder has positions for {longest}",
                hint="cut the captions, or give the decoder more positions",
            )
        start = mx.broadcast_to(self.start_token, (batch, 1, len(self.start_token)))
        words = mx.concatenate([start, self.text_embedding(input_ids[:, :-1])], axis=1)
        return words + self.positional_embedding[:length]
