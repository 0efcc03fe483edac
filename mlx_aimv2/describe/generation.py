"""One token after the other: the prompt in chunks, then each token from those before it."""

from collections.abc import Generator
from typing import cast

import mlx.core as mx

from mlx_aimv2.errors import NumericsError
from mlx_aimv2.models.aria.cache import KVCache
from mlx_aimv2.models.aria.network import AriaNetwork

from .options import AnswerOptions

CHUNK = 2048  # tokens of a prompt that are computed at once, so that memory stays flat
_COLD = 1e-6  # a temperature below it leaves nothing to chance, and float32 nothing to divide by


class Sampler:
    """Logits to a token: the likeliest, or by chance with a temperature.

    The same seed draws the same tokens from the same logits.
    """

    def __init__(self, options: AnswerOptions) -> None:
        self._temperature, self._top_p = options.temperature, options.top_p
        self._key = None if options.seed is None else mx.random.key(options.seed)

    def __call__(self, logits: mx.array) -> mx.array:
        """Shapes: (B, V) -> (B,)."""
        if self._temperature < _COLD:
            return mx.argmax(logits, axis=-1)
        # The largest becomes 0, so that no temperature makes it too large.
        wide = logits.astype(mx.float32)
        scaled = (wide - wide.max(axis=-1, keepdims=True)) / self._temperature
        if self._top_p == 1:
            return mx.random.categorical(scaled, key=self._next_key())
        order = mx.argsort(-scaled, axis=-1)
        ranked = mx.take_along_axis(scaled, order, axis=-1)
        shares = mx.softmax(ranked, axis=-1)
        is_kept = mx.cumsum(shares, axis=-1) - shares < self._top_p
        rank = mx.random.categorical(
            mx.where(is_kept, ranked, -mx.inf), axis=-1, key=self._next_key()
        )
        return mx.take_along_axis(order, rank[:, None], axis=-1)[:, 0]

    def _next_key(self) -> mx.array | None:
        if self._key is None:
            return None
        self._key, key = mx.random.split(self._key)
        return key


def generate(
    network: AriaNetwork, cache: list[KVCache], prompt: mx.array, options: AnswerOptions
) -> Generator[int, None, None]:
    """Tokens that follow a prompt, as many as the options allow; it does not know where to stop.

    ``prompt`` are embeddings of what comes after the tokens that the cache holds. While a token is
    taken the next one is computed, so the cache may hold one more than was taken.
    Shapes: prompt (1, L, D).
    Errors: NumericsError where the logits are not finite.
    """
    sampler = Sampler(options)

    def draw(embeddings: mx.array) -> tuple[mx.array, mx.array]:
        logits = network.decode(embeddings, cache, last_only=True)[:, -1]
        drawn = sampler(logits), mx.isfinite(logits).all()
        mx.async_eval(drawn)
        return drawn

    for start in range(0, prompt.shape[1] - CHUNK, CHUNK):
        mx.eval(network.decode(prompt[:, start : start + CHUNK], cache, last_only=True))
    left = (prompt.shape[1] - 1) % CHUNK + 1
    drawn = draw(prompt[:, -left:])
    for number in range(1, options.max_tokens + 1):
        token, is_finite = drawn
        if number < options.max_tokens:
            drawn = draw(network.text.embed(token[:, None]))
        if not is_finite.item():
            raise NumericsError(
                "the next word cannot be told: numbers of the network are not finite",
                options={"dtype bfloat16": "compute in another precision"},
            )
        yield cast(int, token.item())
