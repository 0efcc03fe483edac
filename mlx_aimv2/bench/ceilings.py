"""The ceiling: a network's matrix products alone, with its own weights, at a batch's shapes.

What a block does beside them (attention, the gate's SiLU, norms, sums) is measured alone too, so
that a report can say what eats the rest.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import mlx.core as mx
from mlx import nn

from mlx_aimv2.cpu import kernels
from mlx_aimv2.cpu.attention import attention
from mlx_aimv2.inference import mlx_thread
from mlx_aimv2.inference.parallel import Compute, in_shares, one_by_one
from mlx_aimv2.models.aimv2.config import TextConfig, VisionConfig
from mlx_aimv2.models.aimv2.layers import Block, PatchEmbed, Transformer

from .figure import Timing, measure
from .pace import Pace

_BLOCKS = 4  # whose weights are taken in turns: one block's alone would stay in a cache
_MEMORY_BOUND = 0.6  # products below this share of the best rate wait for their weights


@dataclass(frozen=True)
class Product:
    """One product of a network: where it is, its work in FLOP, and how long it took.

    The fastest of its runs counts: a ceiling is what can be.
    """

    name: str
    flops: int
    timing: Timing

    @property
    def seconds(self) -> float:
        return self.timing.least_s

    @property
    def flop_per_s(self) -> float:
        return self.flops / self.seconds


@dataclass(frozen=True)
class Ceiling:
    """All products of a batch: ``blocks`` times those of a block, and those at the entrance."""

    blocks: int
    per_block: tuple[Product, ...]
    once: tuple[Product, ...] = ()

    @property
    def seconds(self) -> float:
        """How long a batch would take if there were nothing but products."""
        each = sum(product.seconds for product in self.per_block)
        return self.blocks * each + sum(product.seconds for product in self.once)

    @property
    def flop_per_s(self) -> float:
        each = sum(product.flops for product in self.per_block)
        return (self.blocks * each + sum(product.flops for product in self.once)) / self.seconds

    def summary(self) -> dict[str, object]:
        """The ceiling as a report holds it, product by product."""
        return {
            "tflop_per_s": self.flop_per_s / 1e12,
            "seconds": self.seconds,
            "blocks": self.blocks,
            "products": {
                product.name: {
                    "tflop_per_s": product.flop_per_s / 1e12,
                    "seconds": product.seconds,
                    "flops": product.flops,
                }
                for product in (*self.per_block, *self.once)
            },
        }


def block_flops(config: VisionConfig | TextConfig, tokens: int) -> dict[str, int]:
    """Work of a block's products over so many tokens in all; attention's own are not among them."""
    width, mlp = config.hidden_size, config.intermediate_size
    return {
        "qkv": 6 * tokens * width**2,
        "proj": 2 * tokens * width**2,
        "gate": 2 * tokens * width * mlp,
        "up": 2 * tokens * width * mlp,
        "down": 2 * tokens * width * mlp,
    }


def measure_ceiling(
    trunk: Transformer,
    config: VisionConfig | TextConfig,
    tokens: int,
    dtype: mx.Dtype,
    pace: Pace,
    patches: PatchEmbed | None = None,
) -> Ceiling:
    """The products of a batch of so many tokens in all."""
    blocks: list[Block] = trunk.blocks[:_BLOCKS]
    narrow = _normal((tokens, config.hidden_size), dtype)
    wide = _normal((tokens, config.intermediate_size), dtype)
    layers: dict[str, tuple[mx.array, list[nn.Module]]] = {
        "qkv": (narrow, [block.attn.qkv for block in blocks]),
        "proj": (narrow, [block.attn.proj for block in blocks]),
        "gate": (narrow, [block.mlp.fc1 for block in blocks]),
        "up": (narrow, [block.mlp.fc3 for block in blocks]),
        "down": (wide, [block.mlp.fc2 for block in blocks]),
    }
    flops = block_flops(config, tokens)

    def product(name: str) -> Product:
        inputs, same = layers[name]
        limit_s = pace.case_s / len(layers)
        timing = measure(lambda: _run_each(same, inputs), repeats=pace.repeats, limit_s=limit_s)
        return Product(name, flops[name], timing.scaled(1 / len(blocks)))

    per_block = tuple(product(name) for name in layers)
    once = () if patches is None else (_patch_product(patches, tokens, dtype, pace.repeats),)
    return Ceiling(len(trunk.blocks), per_block, once)


def measure_rest(
    trunk: Transformer,
    config: VisionConfig | TextConfig,
    batch: int,
    tokens: int,
    dtype: mx.Dtype,
    pace: Pace,
) -> dict[str, Timing]:
    """What the blocks of a whole network do beside their products, each alone.

    Shapes: a batch of (B, N, D).
    """
    heads, width = config.num_attention_heads, config.hidden_size
    block: Block = trunk.blocks[0]
    x, y = (_normal((batch, tokens, width), dtype) for _ in range(2))
    gate, up = (_normal((batch, tokens, config.intermediate_size), dtype) for _ in range(2))
    qkv = _normal((batch, tokens, 3, heads, width // heads), dtype).transpose(2, 0, 3, 1, 4)
    q, k, v = qkv  # each (B, H, N, D/H)
    mx.eval(q, k, v)  # another thread takes what is not evaluated for its own
    works: Mapping[str, tuple[int, Callable[[slice], mx.array]]] = {  # times in a block, of a part
        "attention": (
            1,
            lambda part: attention(q[part], k[part], v[part], block.attn.scale),
        ),
        "gated SiLU": (1, lambda part: kernels.gated_silu(gate[part], up[part])),
        "norms": (2, lambda part: block.norm_1(x[part])),
        "sums": (2, lambda part: x[part] + y[part]),
    }

    def alone(times: int, work: Callable[[slice], mx.array]) -> Timing:
        timing = measure(
            lambda: _run(work, batch, one_by_one),
            repeats=pace.repeats,
            limit_s=pace.case_s / len(works),
        )
        return timing.scaled(times * len(trunk.blocks))

    return {name: alone(*work) for name, work in works.items()}


def evaluated(parts: Callable[[Compute, int], mx.array], compute: Compute, count: int) -> mx.array:
    """A batch of so many rows, computed as an embedder does: on its thread, in parts on a CPU."""

    def run() -> mx.array:
        result = parts(compute, count)
        mx.eval(result)
        return result

    return mlx_thread.run(run)


def limit_of(ceiling: Ceiling, best_flop_per_s: float) -> str:
    """What keeps products from being faster: arithmetic, or their weights' way from memory."""
    return "memory" if ceiling.flop_per_s < _MEMORY_BOUND * best_flop_per_s else "compute"


def _patch_product(patches: PatchEmbed, tokens: int, dtype: mx.Dtype, repeats: int) -> Product:
    weight = patches.proj.weight
    matrix = weight.reshape(len(weight), -1).T
    mx.eval(matrix)  # another thread takes what is not evaluated for its own
    inputs = _normal((tokens, matrix.shape[0]), dtype)
    timing = measure(lambda: _run(lambda part: inputs[part] @ matrix, tokens), repeats=repeats)
    return Product("patches", 2 * tokens * weight.size, timing)


def _run_each(layers: list[nn.Module], inputs: mx.array) -> None:
    # One after the other, each result let go: a batch's five results are many caches large.
    def product(layer: nn.Module) -> Compute:
        return lambda part: layer(inputs[part])

    for layer in layers:
        _run(product(layer), len(inputs))


def _run(work: Compute, rows: int, parts: Callable[[Compute, int], mx.array] = in_shares) -> None:
    evaluated(parts, lambda part: work(part)[..., :1], rows)  # nothing to put together


def _normal(shape: tuple[int, ...], dtype: mx.Dtype) -> mx.array:
    array = mx.random.normal(shape).astype(dtype)
    mx.eval(array)
    return array
