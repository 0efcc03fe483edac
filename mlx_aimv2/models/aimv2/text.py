"""The text encoder: token ids to the feature of the end token."""

from collections.abc import Collection
from dataclasses import replace
from typing import Literal, overload

import mlx.core as mx
from mlx import nn

from mlx_aimv2.errors import TextError

from .config import TextConfig
from .layers import EncoderOutput, Transformer


class TextPreprocessor(nn.Module):
    """Ids to tokens, with learned positions."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.text_embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.positional_embedding = mx.zeros((config.max_position_embeddings, config.hidden_size))

    def __call__(self, input_ids: mx.array) -> mx.array:
        return self.text_embedding(input_ids) + self.positional_embedding[: input_ids.shape[1]]


class TextEncoder(nn.Module):
    """The causal text tower of the LiT checkpoint."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.preprocessor = TextPreprocessor(config)
        self.trunk = Transformer(config)

    @property
    def dtype(self) -> mx.Dtype:
        """The dtype it computes in, and the dtype of every result."""
        return self.preprocessor.positional_embedding.dtype

    @overload
    def __call__(self, input_ids: mx.array) -> mx.array: ...
    @overload
    def __call__(
        self,
        input_ids: mx.array,
        *,
        hidden_states: Literal[True] | Collection[int],
        attentions: bool | Collection[int] = False,
    ) -> EncoderOutput: ...
    @overload
    def __call__(
        self,
        input_ids: mx.array,
        *,
        hidden_states: bool | Collection[int] = False,
        attentions: Literal[True] | Collection[int],
    ) -> EncoderOutput: ...
    @overload
    def __call__(
        self,
        input_ids: mx.array,
        *,
        hidden_states: bool | Collection[int] = False,
        attentions: bool | Collection[int] = False,
    ) -> mx.array | EncoderOutput: ...
    def __call__(
        self,
        input_ids: mx.array,
        *,
        hidden_states: bool | Collection[int] = False,
        attentions: bool | Collection[int] = False,
    ) -> mx.array | EncoderOutput:
        """The feature at the first end token; an EncoderOutput if more is asked for.

        Attention is causal, so whatever follows the first end token changes nothing.
        Shapes: (B, N) integers -> (B, D).
        Errors: TextError for a row without the end token, ids outside the vocabulary, or N
        beyond the context length; ValueError for a block that is not run.
        Source: Apple's ``AIMv2TextEncoder``.
        """
        if hidden_states is False and attentions is False:
            return self.pooled(input_ids)
        self._check(input_ids)
        tokens = self.preprocessor(input_ids)
        output = self.trunk.trace(tokens, "causal", hidden_states, attentions, None)
        return replace(output, pooler_output=self._at_end(output.last_hidden_state, input_ids))

    def pooled(self, input_ids: mx.array) -> mx.array:
        """The feature at the first end token, and nothing else: see :meth:`__call__`."""
        self._check(input_ids)
        return self._at_end(self.trunk(self.preprocessor(input_ids), "causal"), input_ids)

    def _at_end(self, features: mx.array, input_ids: mx.array) -> mx.array:
        first_end = mx.argmax(input_ids == self.config.eos_token_id, axis=-1)
        return features[mx.arange(len(features)), first_end]

    def _check(self, input_ids: mx.array) -> None:
        config = self.config
        if input_ids.ndim != 2 or input_ids.shape[1] > config.max_position_embeddings:
            raise TextError(
                f"input_ids must be (batch, at most {config.max_position_embeddings} tokens): "
                f"got {input_ids.shape}",
                hint="model.tokenize truncates texts and keeps their end token",
            )
        if not mx.issubdtype(input_ids.dtype, mx.integer):
            raise TextError(f"input_ids must be integers, not {input_ids.dtype}")
        endless = ~(input_ids == config.eos_token_id).any(axis=-1)
        if endless.any().item():
            row = mx.argmax(endless).item()
            raise TextError(f"text {row} lacks its end token, id {config.eos_token_id}")
        if not ((input_ids >= 0) & (input_ids < config.vocab_size)).all().item():
            raise TextError(f"an id lies outside the vocabulary of {config.vocab_size}")
