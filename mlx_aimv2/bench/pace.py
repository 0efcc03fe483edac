"""How much is measured: all of it, or what fits into two minutes on two cores."""

import math
from dataclasses import dataclass, replace

from mlx_aimv2.device import backend


@dataclass(frozen=True)
class Pace:
    """Numbers of runs and things.

    ``limit_s`` is when no other section is begun, ``case_s`` when a case has no more runs.
    ``headline`` is the batch size that is measured with everything there is to say of it;
    ``blocks`` the depth of the other cases, None for the whole network's. ``files`` is the smaller
    of the two numbers whose memory is compared: large, so that buffers are full before.
    ``peer_start_s`` is how long another program may take to be ready.
    """

    limit_s: float
    case_s: float
    repeats: int
    blocks: int | None
    batch_sizes: tuple[int, ...]
    headline: int
    text_batches: tuple[int, ...]
    photos: int
    folder_photos: int
    folder_batch: int
    folder_runs: int
    files: int
    starts: int
    search_rows: int
    peer_start_s: float


FULL = Pace(
    limit_s=math.inf,
    case_s=math.inf,
    repeats=5,
    blocks=None,
    batch_sizes=(1, 2, 4, 8, 16),
    headline=8,
    text_batches=(1, 64),
    photos=8,
    folder_photos=24,
    folder_batch=8,
    folder_runs=5,
    files=600,
    starts=5,
    search_rows=100_000,
    peer_start_s=math.inf,
)
QUICK = Pace(
    limit_s=75,
    case_s=2,
    repeats=3,
    blocks=None,
    batch_sizes=(1, 4, 8, 16),
    headline=8,
    text_batches=(1, 16),
    photos=2,
    folder_photos=16,
    folder_batch=8,
    folder_runs=2,
    files=200,
    starts=2,
    search_rows=20_000,
    peer_start_s=20,
)
QUICK_CPU = replace(
    QUICK,
    case_s=4,
    blocks=3,
    batch_sizes=(1, 2, 4),
    headline=2,
    text_batches=(1, 4),
    folder_photos=2,
    folder_batch=1,
    folder_runs=1,
    starts=1,
)


def pace_of(is_quick: bool, repeats: int | None = None) -> Pace:
    """The pace for this machine; with ``repeats`` so many runs of each figure, however long."""
    pace = FULL
    if is_quick:
        pace = QUICK_CPU if backend() == "CPU" else QUICK
    if repeats is None:
        return pace
    return replace(pace, repeats=repeats, starts=repeats, folder_runs=repeats, case_s=math.inf)
