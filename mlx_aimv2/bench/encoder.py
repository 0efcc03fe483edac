"""The encoders: images and texts a second over batches, sides and precisions, and their ceiling.

Cases of fewer blocks than the network has are scaled up by their work, and say so.
"""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import mlx.core as mx

from mlx_aimv2.checkpoints.load import DTYPES
from mlx_aimv2.images.patches import bucket
from mlx_aimv2.inference.embedder import Embedder
from mlx_aimv2.inference.parallel import in_shares, one_by_one
from mlx_aimv2.models.aimv2 import cost
from mlx_aimv2.models.aimv2.config import VisionConfig
from mlx_aimv2.models.aimv2.vision import VisionEncoder

from .ceilings import Ceiling, evaluated, limit_of, measure_ceiling, measure_rest
from .figure import Figure, Timing, measure, rate
from .pace import Pace

SECTION = "encoder"
CEILING = "the same matrix products alone"
PUBLISHED_SIDES_PX = (224, 336, 448)
_PUBLISHED_PATCH_PX = 14
_MOST_OF_WHOLE = 1.1  # that parts measured alone may take together: runs differ by some percent
# Photographs of 4:3, 3:4, 1:1 and 16:9 at about 576 patches, as rows and columns.
NATIVE_MIX = ((21, 28), (28, 21), (24, 24), (18, 32))


@dataclass(frozen=True)
class Case:
    """One batch to measure; ``side_px`` is None for a mix of native grids, padded."""

    side_px: int | None
    batch: int
    blocks: int

    def describe(self) -> str:
        """The case in tables: side and batch, without the precision."""
        side = "native mix" if self.side_px is None else f"{self.side_px} px"
        return f"{side}, batch {self.batch}"


@dataclass(frozen=True)
class Measured:
    """The seconds of a case and of its parts, scaled up to the whole network's."""

    case: Case
    dtype: str
    tokens: int  # an image's, padding included
    padding: float
    timing: Timing
    ceiling: Ceiling
    rest: dict[str, Timing]


def encode(model: Embedder, pixels: mx.array) -> mx.array:
    """Features of images, computed as an embedder does, and evaluated: "ours" in every ratio.

    Shapes: (B, S, S, 3) -> (B, N, D).
    """
    return evaluated(one_by_one, lambda part: model.vision.features(pixels[part]), len(pixels))


def encode_native(model: Embedder, patches: mx.array, grids: Sequence[tuple[int, int]]) -> mx.array:
    """Features of native images padded to one length. Shapes: (B, N, P*P*3) -> (B, N, D)."""
    return evaluated(
        one_by_one,
        lambda part: model.vision.encode_patches(patches[part], grids[part])[0],
        len(grids),
    )


def sides(vision: VisionConfig) -> tuple[int, ...]:
    """Sides in pixels to measure: the published ones, or the own one where patches differ."""
    if vision.patch_size == _PUBLISHED_PATCH_PX and vision.image_size in {
        *PUBLISHED_SIDES_PX,
        None,
    }:
        return PUBLISHED_SIDES_PX
    return (vision.image_size or 16 * vision.patch_size,)


def variant(model: Embedder, side_px: int | None, blocks: int | None = None) -> Embedder:
    """The same weights as a network of another side (None: native), or of its first blocks only.

    Nothing is copied. The positions of another side are random: time does not depend on them.
    """
    vision = model.vision
    sizes = replace(
        vision.config,
        image_size=side_px,
        is_native=side_px is None,
        num_hidden_layers=blocks or vision.config.num_hidden_layers,
        use_head=False,
    )
    network = VisionEncoder(sizes)
    network.preprocessor.patchifier = vision.preprocessor.patchifier
    network.trunk.blocks = vision.trunk.blocks[: sizes.num_hidden_layers]
    network.trunk.post_trunk_norm = vision.trunk.post_trunk_norm
    if side_px is not None:
        shape = (1, sizes.grid_side**2, sizes.hidden_size)
        network.preprocessor.pos_embed = mx.random.normal(shape).astype(vision.dtype)
        mx.eval(network.preprocessor.pos_embed)
    network.eval()
    other = copy.copy(model)
    other.network = network
    return other


def random_pixels(batch: int, side_px: int) -> mx.array:
    """Normalised images. Shapes: (B, S, S, 3) float32."""
    pixels = mx.random.normal((batch, side_px, side_px, 3))
    mx.eval(pixels)
    return pixels


def native_batch(config: VisionConfig, batch: int) -> tuple[mx.array, list[tuple[int, int]]]:
    """Patches of a mix of photographs' shapes, padded. Shapes: (B, N, P*P*3) float32."""
    grids = [NATIVE_MIX[number % len(NATIVE_MIX)] for number in range(batch)]
    tokens = bucket(max(rows * columns for rows, columns in grids))
    patches = mx.random.normal((batch, tokens, config.patch_width))
    mx.eval(patches)
    return patches, grids


def work_of(model: Embedder, case: Case) -> tuple[Callable[[], mx.array], int, float]:
    """The case's work, tokens of an image, and the share of tokens that is padding."""
    if case.side_px is None:
        patches, grids = native_batch(model.vision.config, case.batch)
        tokens = patches.shape[1]
        real = sum(rows * columns for rows, columns in grids)
        padding = 1 - real / (case.batch * tokens)
        return lambda: encode_native(model, patches, grids), tokens, padding
    pixels = random_pixels(case.batch, case.side_px)
    tokens = (case.side_px // model.vision.config.patch_size) ** 2
    return lambda: encode(model, pixels), tokens, 0.0


def measure_case(model: Embedder, case: Case, pace: Pace, *, with_rest: bool = False) -> Measured:
    """Time a case, its ceiling and, if asked, what a block does beside its products."""
    whole = model.vision.config
    smaller = variant(model, case.side_px, case.blocks)
    work, tokens, padding = work_of(smaller, case)
    timing = measure(work, repeats=pace.repeats, limit_s=pace.case_s)
    flops = (
        cost.image_flops(replace(each, use_head=False), tokens)
        for each in (whole, smaller.vision.config)
    )
    timing = timing.scaled(next(flops) / next(flops))
    trunk, dtype = model.vision.trunk, DTYPES[model.dtype]
    patches = model.vision.preprocessor.patchifier
    ceiling = measure_ceiling(trunk, whole, case.batch * tokens, dtype, pace, patches)
    rest = measure_rest(trunk, whole, case.batch, tokens, dtype, pace) if with_rest else {}
    return Measured(case, model.dtype, tokens, padding, timing, ceiling, rest)


def cases(vision: VisionConfig, pace: Pace, batch_sizes: Sequence[int]) -> Iterator[Case]:
    """Cases to measure: batches at the first side, the other sides, and a native mix.

    The headline comes first, at full depth.
    """
    first, *others = sides(vision)
    headline = max((size for size in batch_sizes if size <= pace.headline), default=batch_sizes[0])
    depth = vision.num_hidden_layers
    few = min(depth, pace.blocks or depth)
    yield Case(first, headline, depth)
    same = [Case(first, size, few) for size in batch_sizes if size != headline]
    fewer = {side_px: (headline * first**2) // side_px**2 for side_px in others}  # as many tokens
    other = [Case(side_px, max(1, batch), few) for side_px, batch in reversed(fewer.items())]
    other.append(Case(None, min(headline, len(NATIVE_MIX)), few))
    # In turns, so that there is something of both where time is short.
    for pair in zip_longest(other, same):
        yield from (case for case in pair if case is not None)


def figures(found: Sequence[Measured], depth: int) -> Iterator[Figure]:
    """Cases as figures, by side and batch, the best products deciding what limits each."""
    best: dict[str, float] = {}
    for each in found:
        best[each.dtype] = max(best.get(each.dtype, 0.0), each.ceiling.flop_per_s)
    for each in sorted(found, key=lambda each: (each.case.side_px or math.inf, each.case.batch)):
        case = each.case
        dtype = f", {each.dtype}" if len(best) > 1 else ""
        yield _against_products(
            SECTION,
            f"{case.describe()}{dtype}{' *' if case.blocks < depth else ''}",
            case.batch,
            "images/s",
            each.timing,
            each.ceiling,
            best[each.dtype],
            {
                "side_px": case.side_px,
                "batch": case.batch,
                "tokens": each.tokens,
                "padding": each.padding,
                "dtype": each.dtype,
                "blocks_measured": case.blocks,
                "blocks": depth,
                "latency_s": each.timing.median_s,
                "shares": shares(each),
            },
        )


def text_figures(model: Embedder, pace: Pace) -> Iterator[Figure]:
    """Texts a second over batches, all as long as the context, against their products alone."""
    text, config = model.text, model.text.config
    tokens = config.max_position_embeddings
    found = []
    for batch in pace.text_batches:
        ids = mx.full((batch, tokens), 1, mx.int32)
        ids[:, -1] = config.eos_token_id
        mx.eval(ids)

        def work(ids: mx.array = ids) -> None:
            evaluated(in_shares, lambda part: text.pooled(ids[part]), len(ids))

        timing = measure(work, repeats=pace.repeats, limit_s=pace.case_s)
        dtype = DTYPES[model.dtype]
        ceiling = measure_ceiling(text.trunk, config, batch * tokens, dtype, pace)
        found.append((batch, timing, ceiling))
    best = max(ceiling.flop_per_s for _, _, ceiling in found)
    for batch, timing, ceiling in found:
        about = {"batch": batch, "tokens": tokens, "dtype": model.dtype}
        name = f"{tokens} tokens, batch {batch}"
        yield _against_products("text", name, batch, "texts/s", timing, ceiling, best, about)


def _against_products(
    section: str,
    name: str,
    count: int,
    unit: str,
    timing: Timing,
    ceiling: Ceiling,
    best_flop_per_s: float,
    about: Mapping[str, object],
) -> Figure:
    """A rate and its ceiling; there is none for what is too small to tell."""
    is_small = is_too_small(timing, ceiling)
    return rate(
        section,
        name,
        count,
        unit,
        timing,
        ceiling=None if is_small else count / ceiling.seconds,
        ceiling_name="" if is_small else CEILING,
        limit="" if is_small else limit_of(ceiling, best_flop_per_s),
        about={**about, "is_too_small": is_small, "gemm": ceiling.summary()},
    )


def shares(each: Measured) -> dict[str, float]:
    """Shares of a case's time: matrix products, attention, and so on.

    Empty where only the products were measured, and where the parts take so much longer than the
    whole that they say nothing of it.
    """
    if not each.rest or is_too_small(each.timing, each.ceiling):
        return {}
    whole_s = each.timing.median_s
    found = {"matrix products": each.ceiling.seconds / whole_s}
    found |= {name: timing.median_s / whole_s for name, timing in each.rest.items()}
    total = sum(found.values())
    return {} if total > _MOST_OF_WHOLE else found | {"the rest": max(0.0, 1 - total)}


def is_too_small(whole: Timing, ceiling: Ceiling) -> bool:
    """Whether the products alone take longer than the whole: starting each outweighs its work."""
    return ceiling.seconds > whole.median_s
