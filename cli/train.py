"""``aimv2 train``: the paper's stages on pictures with captions, and plots of their losses."""

import shlex
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.options import argument, group, option
from mlx_aimv2.training.data.options import PairOptions

from . import output
from .exit_codes import exit_code
from .options import YES, as_source, confirm_download, path_at_home

if TYPE_CHECKING:
    from mlx_aimv2.training.data.batches import Broken
    from mlx_aimv2.training.runs.settings import Stage

EXAMPLES = """
aimv2 train lit --from large --data captions --out my-lit
aimv2 train lit --from my-lit --data more-captions --out my-lit-2 --set steps=2000
aimv2 train lit --out my-lit --resume
aimv2 train pretraining --config small.toml --data 'shards/{000..099}.tar' --out small
aimv2 train pretraining --data drawings:20000 --out toy
aimv2 train high-resolution --from toy --data drawings:20000 --out toy-168
aimv2 train native --from toy --data drawings:20000 --out toy-native
aimv2 train probe --from large --data imagenette --out probe
aimv2 train settings pretraining --set preset=L
aimv2 train plot my-lit
"""

CONFIG = partial(
    option,
    help='Settings: lines like steps = 1000, and preset = "L" for a table to begin with.',
    metavar="FILE.toml",
    parser=path_at_home,
)
SET = partial(
    option,
    (),
    help="A setting, over those of the file; may be given again.",
    flags="--set",
    metavar="KEY=VALUE",
)


def train() -> None:
    """Train a checkpoint, by the stages of the paper.

    Each stage writes a folder that all other commands take. A run keeps checkpoints of itself:
    stopped or killed, it goes on with --resume as if nothing had been. Under mlx.launch several
    processes or machines train as one.
    """


@dataclass(frozen=True)
class Options:
    """What every stage takes."""

    out: str = option(
        help="The new folder of the checkpoint and of its run.",
        metavar="FOLDER",
        parser=path_at_home,
    )
    data: str | None = option(
        help="Pictures with captions: shards, a folder with metadata.jsonl, a .csv, or "
        "drawings:COUNT.",
        metavar="SOURCE",
    )
    source: str | None = option(
        help="The checkpoint to begin with: a name, a hub id or a folder.",
        flags="--from",
        metavar="CHECKPOINT",
    )
    config: str | None = CONFIG()
    changes: tuple[str, ...] = SET()
    pairs: PairOptions = group(PairOptions)
    resume: bool = option(False, help="Go on with a run that was stopped.")
    yes: bool = YES()


def pretraining(options: Options) -> int:
    """Pre-train an encoder: patches and captions are predicted from what is before them.

    The presets L, H, 1B and 3B are the paper's; toy, the default, is small enough for a laptop.
    """
    return _run("pretraining", options)


def high_resolution(options: Options) -> int:
    """Go on with pre-training at a larger side; positions are resampled."""
    return _run("high-resolution", options)


def native(options: Options) -> int:
    """Go on with pre-training on whole pictures of any shape and many sizes."""
    return _run("native", options)


def lit(options: Options) -> int:
    """Teach a text tower the space of an encoder, which stays as it is.

    Of a checkpoint that reads texts already, both towers are gone on with. The encoder's features
    of each picture are kept in the run's folder: 512 KiB for a picture of large.
    """
    return _run("lit", options)


def probe(options: Options) -> int:
    """Train the attentive probe, a classifier, on pictures in a folder for each class."""
    return _run("probe", options)


@dataclass(frozen=True)
class PlotOptions:
    """What ``aimv2 train plot`` takes."""

    folder: str = argument(help="The folder of a run.", metavar="FOLDER")
    out: str | None = option(
        help="The picture to write, .png or .svg.",
        metavar="FILE",
        show_default="losses.png in the folder",
        parser=path_at_home,
    )


def plot(options: PlotOptions) -> None:
    """Draw the losses of a run."""
    from mlx_aimv2.files.whole_file import check_new  # noqa: PLC0415  (heavy, as below)
    from mlx_aimv2.training.runs.plot import draw_losses  # noqa: PLC0415

    folder = Path(options.folder)
    file = Path(options.out) if options.out else folder / "losses.png"
    if options.out:
        check_new(file)
    draw_losses(folder, file)
    output.say(f"→ {file}")


@dataclass(frozen=True)
class SettingsOptions:
    """What ``aimv2 train settings`` takes."""

    stage: Literal["pretraining", "high-resolution", "native", "lit", "probe"] = argument(
        help="The stage.", metavar="STAGE"
    )
    config: str | None = CONFIG()
    changes: tuple[str, ...] = SET()


def settings(options: SettingsOptions) -> None:
    """Print all settings of a stage, as a file for --config.

    Presets: L, H, 1B, 3B (pretraining, high-resolution, native), L (lit), imagenet and other
    (probe) are the paper's; toy is for trying.
    """
    from mlx_aimv2.training.runs.settings_file import make_settings, to_toml  # noqa: PLC0415

    file = Path(options.config) if options.config else None
    for line in to_toml(make_settings(options.stage, file, options.changes)).splitlines():
        output.line(line)


ACTIONS = (pretraining, high_resolution, native, lit, probe, settings, plot)


class _Hearer:
    """Tells on stderr how far a run is."""

    def __init__(self, progress: output.Progress) -> None:
        self._progress = progress
        self.step = self.left_out = 0

    def joined(self, rank: int) -> None:
        if rank:  # the first process speaks for all
            output.set_quiet()

    def stepped(self, step: int, steps: int, loss: float) -> None:
        self.step = step
        self._progress.rename(f"loss {loss:.3f}, step")
        self._progress.reach(step, steps)

    def kept(self, step: int, steps: int, loss: float) -> None:
        self.step = step
        output.say(f"step {step}/{steps}, loss {loss:.4f}: kept")

    def broken(self, sample: "Broken") -> None:
        self.left_out += 1
        output.skipped(Aimv2Error(sample.reason))

    def note(self, text: str) -> None:
        output.note(text)


def _run(stage: "Stage", options: Options) -> int:
    from mlx_aimv2.training.stages.run import Order, train  # noqa: PLC0415  (heavy)

    order = Order(
        stage,
        Path(options.out),
        options.data,
        options.source,
        Path(options.config) if options.config else None,
        options.changes,
        options.pairs,
        options.resume,
    )
    with output.Progress("training") as progress:
        hearer = _Hearer(progress)
        try:
            folder = train(order, hearer, confirm_download(options.yes))
        except KeyboardInterrupt:
            if hearer.step:
                again = f"aimv2 train {stage} --out {shlex.quote(options.out)} --resume"
                output.stopped(f"{output.counted(hearer.step, 'step')} done and kept: {again}")
            raise
    output.say(f"→ {folder}")
    output.say(
        f"next: aimv2 embed photos --model {shlex.quote(as_source(folder))} --out photos.npz"
    )
    if hearer.left_out:
        count = output.counted(hearer.left_out, "sample")
        output.say(f"{count} left out, as said above and in {folder / 'training' / 'log.jsonl'}")
    return exit_code(1, hearer.left_out)
