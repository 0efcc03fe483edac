"""The text tower: texts a second, all of them as long as the context."""

from collections.abc import Iterator

import mlx.core as mx

from mlx_aimv2.checkpoints.load import DTYPES
from mlx_aimv2.inference.embedder import Embedder
from mlx_aimv2.inference.parallel import in_shares

from .ceilings import evaluated, limit_of, measure_ceiling
from .encoder import CEILING, is_too_small
from .figure import Figure, rate
from .pace import Pace
from .timing import measure


def text_figures(model: Embedder, pace: Pace) -> Iterator[Figure]:
    """Rates over batches of full texts, each against its products alone."""
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
        ceiling = measure_ceiling(
            text.trunk,
            config,
            batch * tokens,
            DTYPES[model.dtype],
            repeats=pace.repeats,
            limit_s=pace.case_s,
        )
        found.append((batch, timing, ceiling))
    best = max(ceiling.flop_per_s for _, _, ceiling in found)
    for batch, timing, ceiling in found:
        is_small = is_too_small(timing, ceiling)
        yield rate(
            "text",
            f"{tokens} tokens, batch {batch}",
            batch,
            "texts/s",
            timing,
            ceiling=None if is_small else batch / ceiling.seconds,
            ceiling_name="" if is_small else CEILING,
            limit="" if is_small else limit_of(ceiling, best),
            about={
                "batch": batch,
                "tokens": tokens,
                "dtype": model.dtype,
                "is_too_small": is_small,
                "gemm": ceiling.summary(),
            },
        )
