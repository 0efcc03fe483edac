"""What may be chosen of an answer, in Python and on the command line."""

import math
from dataclasses import dataclass
from typing import get_args

from mlx_aimv2.errors import UsageError
from mlx_aimv2.images.presets import AriaSplit
from mlx_aimv2.options import option


@dataclass(frozen=True)
class AnswerOptions:
    """How an answer is made; by default the likeliest token each time, the same for all runs.

    Errors: UsageError for a number that means nothing.
    """

    max_tokens: int = option(
        500,
        help="Longest answer, in tokens: three quarters of a word each, about.",
        min=1,
        metavar="COUNT",
    )
    fast: bool = option(
        False, help="Look at pictures with 490 px, not 980: a sixth of the work, less detail."
    )
    split: AriaSplit | None = option(
        help="Look at each picture in up to eight tiles, for small print: as Aria's authors cut "
        "it, who look at the whole too, or as transformers does."
    )
    temperature: float = option(
        0.0,
        help="How much chance chooses the words: 0 takes the likeliest; Aria's authors show 0.9.",
        min=0,
        metavar="NUMBER",
        show_default="0",
    )
    top_p: float = option(
        1.0,
        help="With a temperature, choose among the likeliest words that have this share together.",
        min=0,
        max=1,
        metavar="SHARE",
    )
    seed: int | None = option(
        help="With a temperature: the same number gives the same answer.",
        min=0,
        metavar="NUMBER",
        show_default="another answer each time",
    )

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise UsageError(f"an answer has at least 1 token: not {self.max_tokens}")
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise UsageError(f"a temperature is 0 or more: not {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise UsageError(f"top_p is a share above 0, at most 1: not {self.top_p}")
        if self.seed is not None and not 0 <= self.seed < 2**64:
            raise UsageError(f"a seed is 0 or more, and below 2^64: not {self.seed}")
        if self.split not in (None, *get_args(AriaSplit)):
            raise UsageError(
                f"unknown way to split: {self.split!r}", hint="rhymes, transformers, or None"
            )
