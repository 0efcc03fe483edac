"""A checkpoint run step by step on the probe, in float32, one block in memory at a time.

Each block is computed from one input: by this package on the default device, by this package on
the CPU where that is another device, and by the formula.
"""

import hashlib
import math
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

import mlx.core as mx
import numpy as np
from mlx.utils import tree_flatten

from mlx_aimv2.checkpoints.weights import Weights
from mlx_aimv2.cpu import compile_cache
from mlx_aimv2.device import is_cpu
from mlx_aimv2.models.aimv2.config import TextConfig, VisionConfig
from mlx_aimv2.models.aimv2.layers import Transformer, grid_positions, patchify
from mlx_aimv2.models.aimv2.text import TextEncoder
from mlx_aimv2.models.aimv2.vision import VisionEncoder
from mlx_aimv2.models.network import EmbeddingConfig, EmbeddingNetwork, Tower
from mlx_aimv2.models.registry import build, embedding_network

from . import probe
from .check import finite
from .tensors import dense

Places = Mapping[str, float | None]

_TINY = 1e-30  # keeps a state of zeros from dividing by nothing


@dataclass(frozen=True)
class Step:
    """The state after one step. None stands for what is not finite, or was not computed.

    ``sums`` and ``length`` (of a token, root mean square) compare with those of another machine,
    ``digest`` with the very same. ``largest`` are the largest activations by place. The
    differences are of this package's result, relative to its largest value.
    """

    name: str
    digest: str
    sums: list[float | None]
    length: float | None
    largest: Places = field(default_factory=dict)
    to_formula: float | None = None
    to_cpu: float | None = None

    @property
    def is_finite(self) -> bool:
        """Whether every value was."""
        return self.length is not None


def trace(weights: Weights) -> Iterator[Step]:
    """Every step of the image tower, then of the text tower where there is one.

    None of a family whose blocks the formula does not know.
    """
    config = weights.config
    if not isinstance(config, EmbeddingConfig):
        return
    if not compile_cache.has_own_folder():  # some of it runs on the CPU on every machine
        mx.disable_compile()
    network = _lazy(weights, "image")
    if not isinstance(network.vision, VisionEncoder):
        return
    if config.text_config is None:
        yield from _image(network.vision, "")
        return
    yield from _image(network.vision, "image ", network.project_image)
    network = _lazy(weights, "text")
    if network.text is not None:
        yield from _text(network.text, "text ", network.project_text)


def _lazy(weights: Weights, tower: Tower) -> EmbeddingNetwork:
    """A tower whose weights are read when they are first computed with."""
    network = embedding_network(build(weights.config, tower))
    names = network.flat_parameters()
    network.load_weights([(name, dense(weights, name).astype(mx.float32)) for name in names])
    network.eval()
    return network


def _image(
    encoder: VisionEncoder, tower: str, projector: Callable[[mx.array], mx.array] | None = None
) -> Iterator[Step]:
    config = encoder.config
    pixels = mx.array(probe.pixels(config))

    def embed() -> mx.array:
        tokens = encoder.preprocessor.patchifier(patchify(pixels, config.patch_size))
        if not config.is_native:
            return tokens + encoder.preprocessor.pos_embed
        grid = (pixels.shape[1] // config.patch_size, pixels.shape[2] // config.patch_size)
        return tokens + grid_positions([grid], tokens.shape[1], config.hidden_size)[0]

    step, x = _step(f"{tower}patches", embed)
    yield step
    features = yield from _blocks(encoder.trunk, x, config, tower)
    step, pooled = _step(f"{tower}pooled", lambda: encoder.pool(features))
    yield step
    if projector is not None:
        yield _step(f"{tower}embedding", lambda: projector(pooled))[0]


def _text(
    encoder: TextEncoder, tower: str, projector: Callable[[mx.array], mx.array]
) -> Iterator[Step]:
    ids = probe.ids(encoder.config)
    step, x = _step(f"{tower}tokens", lambda: encoder.preprocessor(mx.array(ids)))
    yield step
    features = yield from _blocks(encoder.trunk, x, encoder.config, tower)
    ends = mx.array((ids == encoder.config.eos_token_id).argmax(axis=1))
    pooled = features[mx.arange(len(ids)), ends]
    yield _step(f"{tower}embedding", lambda: projector(pooled))[0]


def _blocks(
    trunk: Transformer, x: mx.array, config: VisionConfig | TextConfig, tower: str
) -> Generator[Step, None, mx.array]:
    """Every block, each let go of once it is done, and the final norm, whose result is returned."""
    is_causal = isinstance(config, TextConfig)
    for index in range(len(trunk.blocks)):
        block = trunk.blocks.pop(0)
        expected, places = _formula(
            x,
            cast("dict[str, mx.array]", dict(tree_flatten(block.parameters()))),
            num_heads=config.num_attention_heads,
            eps=config.rms_norm_eps,
            is_causal=is_causal,
        )
        largest = {place: mx.abs(values).max() for place, values in places.items()}
        mx.eval(expected, largest)
        mask = "causal" if is_causal else None
        run = partial(block, x, mask)
        step, x = _step(f"{tower}block {index}", run, expected)
        yield replace(step, largest={p: finite(float(v)) for p, v in largest.items()})
    step, x = _step(f"{tower}features", partial(trunk.post_trunk_norm, x))
    yield step
    return x


@np.errstate(invalid="ignore", over="ignore")
def _step(
    name: str, compute: Callable[[], mx.array], expected: mx.array | None = None
) -> tuple[Step, mx.array]:
    """A step, computed where it is by default and on the CPU, and its result."""
    result = compute()
    mx.eval(result)
    to_cpu = None
    if not is_cpu():
        with mx.stream(mx.cpu):
            to_cpu = _difference(result, compute())
    to_formula = None if expected is None else _difference(result, expected)
    state = np.array(result)
    tokens = state.size // state.shape[-1]
    return Step(
        name,
        hashlib.sha256(state.astype("<f4", copy=False).data).hexdigest(),
        [finite(total) for total in probe.sums(state)],
        finite(float(np.linalg.norm(state.astype(np.float64)) / math.sqrt(tokens))),
        to_formula=to_formula,
        to_cpu=to_cpu,
    ), result


@np.errstate(invalid="ignore", over="ignore")  # what is not finite is told as such
def _difference(actual: mx.array, expected: mx.array) -> float | None:
    one, other = np.array(actual), np.array(expected)
    return finite(float(np.abs(one - other).max() / max(np.abs(other).max(), _TINY)))


# A block as the paper says it, with nothing fused.


def _formula(
    x: mx.array, weights: Mapping[str, mx.array], *, num_heads: int, eps: float, is_causal: bool
) -> tuple[mx.array, dict[str, mx.array]]:
    """A block's output, and its values at the places where float16 overflows first.

    Shapes: (B, N, D) -> (B, N, D); ``weights`` by Apple's names within a block.
    Source: AIMv2 paper, section 2.3; ml-aim at bd9e068.
    """
    qkv = _rms_norm(x, weights["norm_1.weight"], eps) @ weights["attn.qkv.weight"].T
    mixed, scores = _attend(qkv, num_heads, is_causal)
    attention = mixed @ weights["attn.proj.weight"].T
    between = x + attention
    normed = _rms_norm(between, weights["norm_2.weight"], eps)
    gate, up = normed @ weights["mlp.fc1.weight"].T, normed @ weights["mlp.fc3.weight"].T
    product = gate / (1 + mx.exp(-gate)) * up
    mlp = product @ weights["mlp.fc2.weight"].T
    out = between + mlp
    return out, {
        "hidden state": out,
        "between": between,
        "qkv": qkv,
        "scores": scores,
        "attention": attention,
        "gate": gate,
        "up": up,
        "gate × up": product,
        "mlp": mlp,
    }


def _rms_norm(x: mx.array, weight: mx.array, eps: float) -> mx.array:
    return x / mx.sqrt((x * x).mean(axis=-1, keepdims=True) + eps) * weight


def _attend(qkv: mx.array, num_heads: int, is_causal: bool) -> tuple[mx.array, mx.array]:
    """Attention's output (B, N, D) and its scores, those that a mask hides left out."""
    batch, tokens, _ = qkv.shape
    q, k, v = (
        part.reshape(batch, tokens, num_heads, -1).swapaxes(1, 2)
        for part in mx.split(qkv, 3, axis=-1)
    )  # each (B, H, N, D/H)
    scores = q @ k.swapaxes(-1, -2) / q.shape[-1] ** 0.5
    seen = mx.tri(tokens, dtype=mx.float32).astype(mx.bool_) if is_causal else mx.array(True)
    powers = mx.where(seen, mx.exp(scores - scores.max(axis=-1, keepdims=True)), 0)
    mixed = (powers / powers.sum(axis=-1, keepdims=True)) @ v
    return mixed.swapaxes(1, 2).reshape(batch, tokens, -1), mx.where(seen, scores, 0)
