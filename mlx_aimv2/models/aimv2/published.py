"""The 16 published checkpoints, one table, and how to find one in it."""

# ruff: noqa: E501  (the table is read by its columns)

import difflib
from dataclasses import dataclass
from typing import ClassVar

LICENCE = "apple-amlr"  # what the model cards say today; older cards said apple-ascl
LICENCE_TERMS = "Apple's model licence: research purposes only, no commercial use"

NUM_BLOCKS = 24


@dataclass(frozen=True)
class Architecture:
    """Widths of a published vision encoder; 24 blocks and 14 px patches in all of them."""

    name: str
    hidden_size: int
    intermediate_size: int
    num_attention_heads: int


# Source: AIMv2 paper, table 1; ml-aim at bd9e068, aim-v2/aim/v2.
ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (
        Architecture("L", 1024, 2816, 8),
        Architecture("H", 1536, 4096, 12),
        Architecture("1B", 2048, 5632, 16),
        Architecture("3B", 3072, 8192, 24),
    )
}


@dataclass(frozen=True)
class Checkpoint:
    """One published checkpoint, at the commit Apple pins.

    Units: ``side_px`` is the side of the square input in pixels, None for any size (native).
    """

    model_type: ClassVar[str] = "aimv2"

    name: str
    alias: str
    architecture: str
    side_px: int | None
    revision: str
    has_text: bool = False

    @property
    def repo_id(self) -> str:
        return f"apple/{self.name}"

    @property
    def short_name(self) -> str:
        """The name without what all of them share: ``large-224-lit``."""
        return self.name.removeprefix("aimv2-").replace("-patch14", "")

    @property
    def licence(self) -> str:
        return LICENCE


# Source of names and commits: the pins in ml-aim at bd9e068 (`main` was later overwritten).
# fmt: off
CHECKPOINTS = (
    Checkpoint("aimv2-large-patch14-224", "large", "L", 224, "ac764a25c832c7dc5e11871daa588e98e3cdbfb7"),
    Checkpoint("aimv2-huge-patch14-224", "huge", "H", 224, "9e0bab0e0abb7b20796d2d0b37f39b7c3b1c1af1"),
    Checkpoint("aimv2-1B-patch14-224", "1B", "1B", 224, "4d24a422f71e87d327d476bc405030fe6593d8b1"),
    Checkpoint("aimv2-3B-patch14-224", "3B", "3B", 224, "df1cbc288096c9742ec8bd6709ff82757972338c"),
    Checkpoint("aimv2-large-patch14-336", "large-336", "L", 336, "639423ae9f07319d24a7fc431b61908110d08d3a"),
    Checkpoint("aimv2-huge-patch14-336", "huge-336", "H", 336, "21528bd53a2438a84162e79f1f9a46453b88004c"),
    Checkpoint("aimv2-1B-patch14-336", "1B-336", "1B", 336, "5a15f23f6757776fdd487283353a018677621939"),
    Checkpoint("aimv2-3B-patch14-336", "3B-336", "3B", 336, "d1adb39ee92dfd7ecf3114b1ee3aa7e9027ce98f"),
    Checkpoint("aimv2-large-patch14-448", "large-448", "L", 448, "cefb13f21003bdadba65bfbee956c82b976cd23d"),
    Checkpoint("aimv2-huge-patch14-448", "huge-448", "H", 448, "44e6440a24a8ea966ad0deadf5399a22d852bcc0"),
    Checkpoint("aimv2-1B-patch14-448", "1B-448", "1B", 448, "7f292735d3a07a911559c0fabb3ad3e9d141713f"),
    Checkpoint("aimv2-3B-patch14-448", "3B-448", "3B", 448, "70810b618e4456b724bacc8ef4d2d038060ceda6"),
    Checkpoint("aimv2-large-patch14-224-distilled", "large-distilled", "L", 224, "d6d09b071e8ba31735c5e05ccd4b2a393020ce90"),
    Checkpoint("aimv2-large-patch14-336-distilled", "large-336-distilled", "L", 336, "8fe1704e5cc1c80cefc99c194afcefe21dff1faa"),
    Checkpoint("aimv2-large-patch14-native", "native", "L", None, "cfe7bdbbc924a5f65272d5e2c27fe5f61771a629"),
    Checkpoint("aimv2-large-patch14-224-lit", "lit", "L", 224, "c2cd59a786c4c06f39d199c50d08cc2eab9f8605", has_text=True),
)
# fmt: on

DEFAULT = "lit"  # the only one that takes texts too

BY_NAME = {
    key.casefold(): checkpoint
    for checkpoint in CHECKPOINTS
    for key in (checkpoint.alias, checkpoint.short_name, checkpoint.name, checkpoint.repo_id)
}


def find(name_or_alias: str) -> Checkpoint | None:
    """The checkpoint of that alias, name (long, short or ``apple/…``), in any case, or None."""
    return BY_NAME.get(name_or_alias.casefold())


def nearest(word: str) -> Checkpoint | None:
    """The checkpoint whose alias or name is closest to a mistyped word, if any is close."""
    close = difflib.get_close_matches(word.casefold(), BY_NAME, n=1, cutoff=0.6)
    return BY_NAME[close[0]] if close else None


def for_side(hidden_size: int, side_px: int) -> Checkpoint | None:
    """The checkpoint of that width to use for another input side, for error messages.

    The one trained at that side, else the native one; None where there is neither. Distilled
    and LiT checkpoints are other models, so they are never suggested.
    """
    same_width = [
        checkpoint
        for checkpoint in CHECKPOINTS
        if ARCHITECTURES[checkpoint.architecture].hidden_size == hidden_size
        and not checkpoint.has_text
        and not checkpoint.alias.endswith("distilled")
    ]
    by_side = {checkpoint.side_px: checkpoint for checkpoint in same_width}
    return by_side.get(side_px) or by_side.get(None)
