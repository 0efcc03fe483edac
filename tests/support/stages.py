"""A stage of training on a few drawings, with sizes that take no time."""

from pathlib import Path
from typing import Any

from mlx_aimv2.training.runs.run_folder import RunFolder, read_log
from mlx_aimv2.training.runs.settings import Stage
from mlx_aimv2.training.stages.run import Order, train

DRAWINGS = "drawings:7:64"
FEW = ("steps=3", "warm_up_steps=1", "checkpoint_every=2", "chunk_size=3", "batch_size=5")
ENCODER = (
    "width=32", "mlp_width=48", "blocks=2", "heads=2", "decoder_width=24", "decoder_mlp_width=32",
    "decoder_blocks=1", "decoder_heads=2", "caption_tokens=11",
)  # fmt: skip
TEXT = ("projection=16", "text_width=24", "text_mlp_width=32", "text_blocks=1", "caption_tokens=11")
STILL = ("peak_rate=1e-9", "first_rate=0", "last_rate=0", "weight_decay=0")
NATIVE = ("steps=3", "warm_up_steps=1", "batch_tokens=64", "least_log2_area=3", "most_log2_area=5")


class Heard:
    """What a run said."""

    def __init__(self) -> None:
        self.steps, self.notes, self.left_out = 0, list[str](), list[str]()

    def joined(self, rank: int) -> None:
        assert rank == 0

    def stepped(self, step: int, steps: int, loss: float) -> None:
        self.steps += 1

    def kept(self, step: int, steps: int, loss: float) -> None:
        pass

    def broken(self, sample: Any) -> None:
        self.left_out.append(sample.reason)

    def note(self, text: str) -> None:
        self.notes.append(text)


def run(stage: Stage, out: Path, *words: str, data: str = DRAWINGS, **given: Any) -> Heard:
    heard = Heard()
    assert train(Order(stage, out, data, words=words, **given), heard) == out
    return heard


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_log(RunFolder(folder).log_file)]
