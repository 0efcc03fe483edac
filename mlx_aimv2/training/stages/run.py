"""A run of any stage, begun or gone on with."""

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mlx_aimv2.checkpoints.embedders import resolve_embedder
from mlx_aimv2.checkpoints.hub import Confirm
from mlx_aimv2.checkpoints.weights import read_weights
from mlx_aimv2.cpu import blas, compile_cache
from mlx_aimv2.errors import OutputError, UsageError
from mlx_aimv2.files.paths import printable, unreadable

from .. import process
from ..data.batches import Broken
from ..data.options import PairOptions
from ..data.pair import Pairs
from ..data.source import open_pairs
from ..runs.loop import Listener, Loop
from ..runs.ranks import Ranks
from ..runs.run_folder import RunFolder
from ..runs.settings import Stage
from ..runs.settings_file import make_settings
from ..runs.work import Work
from .beginning import Beginning
from .labelled import LabelledPairs
from .lit import LitWork
from .pretraining import PretrainingWork
from .probe import ProbeWork

_WORKS: dict[Stage, Callable[[Any, Beginning], Work]] = {
    "pretraining": PretrainingWork,
    "high-resolution": PretrainingWork,
    "native": PretrainingWork,
    "lit": LitWork,
    "probe": ProbeWork,
}


@dataclass(frozen=True)
class Order:
    """What a run is asked for: ``words`` are ``key=value``, ``source`` is a checkpoint."""

    stage: Stage
    out: Path
    data: str | None = None
    source: str | None = None
    config: Path | None = None
    words: Sequence[str] = ()
    pair_options: PairOptions = field(default_factory=PairOptions)
    resume: bool = False


class Hearer(Listener, Protocol):
    """A listener who is told of broken samples, and of what else there is to say, too."""

    def joined(self, rank: int) -> None:
        """The number of this process among those of the run, from 0."""

    def broken(self, sample: Broken) -> None:
        """A sample cannot be used; each is told once."""

    def note(self, text: str) -> None:
        """A remark."""


def train(order: Order, hearer: Hearer, confirm: Confirm | None = None) -> Path:
    """Run a stage from its beginning, or from its last checkpoint, to its last step.

    Returns the folder, which is then the checkpoint that the stage has made.
    Errors: UsageError for an order that cannot be; OutputError, CheckpointError and NumericsError
    as :meth:`Loop.run`; KeyboardInterrupt once it was stopped, with all that is done kept.
    """
    process.prepare()
    blas.warn_once()
    compile_cache.protect()
    ranks, folder = Ranks(), RunFolder(order.out)
    hearer.joined(ranks.rank)
    with ranks.watched():
        try:
            known = _known(order, folder, ranks)
        except OSError as error:
            raise unreadable(order.out, error) from error
        settings = make_settings(order.stage, order.config, order.words, known.get("settings"))
        data, source = order.data or known.get("data"), order.source or known.get("from")
        if data is None:
            raise UsageError("there is nothing to train on", hint="name it: --data SOURCE")
        options = PairOptions(**known.get("pair_options", {}))
        if order.pair_options != PairOptions():
            options = order.pair_options
        pairs = _open(order, data, options)
        start = resolve_embedder(source, confirm=confirm) if source else None
        about = {
            "stage": order.stage,
            "data": data,
            "pair_options": asdict(options),
            "pairs": len(pairs),
            "from": source,
            "fingerprint": read_weights(start.folder).fingerprint() if start else None,
            "settings": asdict(settings),
        }
        _compare(known, about, hearer)
        for note in pairs.notes:
            hearer.note(note)
        left_out: list[str] = []

        def tell(sample: Broken) -> None:
            left_out.append(sample.reason)
            hearer.broken(sample)

        beginning = Beginning(start, pairs, ranks, folder.path, tell, hearer.note)
        work = _WORKS[order.stage](settings, beginning)
        with folder.held() if ranks.is_first else nullcontext():
            if ranks.is_first:
                if not known and folder.is_there:  # begun by another process meanwhile
                    raise _has_a_run(order.out)
                folder.write_run(about)
            Loop(work, settings, folder, ranks, hearer, left_out).run()
    return folder.target


def _known(order: Order, folder: RunFolder, ranks: Ranks) -> dict[str, Any]:
    """What a run to go on with was begun with, as the first process knows it; else nothing."""
    if order.resume:
        there = folder.is_there or not ranks.is_first
        if not there:
            raise UsageError(
                f"there is no run in {printable(order.out)} to go on with",
                hint="leave --resume out to begin one",
            )
        text = json.dumps(folder.read_run()) if ranks.is_first else ""
        known: dict[str, Any] = json.loads(ranks.text_of_the_first(text))
        if known.get("stage") != order.stage:
            raise UsageError(
                f"the run in {printable(order.out)} is of {known.get('stage')}, "
                f"not of {order.stage}",
                hint=f"aimv2 train {known.get('stage')} --out {order.out} --resume",
            )
        return known
    if ranks.is_first and folder.is_there:
        raise _has_a_run(order.out)
    if (
        ranks.is_first
        and order.out.is_dir()
        and any(path != folder.path for path in order.out.iterdir())
    ):
        raise OutputError(
            f"{printable(order.out)} is not empty", hint="choose another folder for the run"
        )
    return {}


def _has_a_run(out: Path) -> OutputError:
    hint = "go on with it: --resume, or choose another folder"
    return OutputError(f"{printable(out)} has a run already", hint=hint)


def _open(order: Order, data: str, options: PairOptions) -> Pairs:
    if order.stage != "probe":
        return open_pairs(data, options)
    if Path(data).resolve() in order.out.resolve().parents:
        raise UsageError(
            f"{printable(order.out)} is in the folder of the data, whose folders are classes",
            hint="choose a folder outside of it",
        )
    return LabelledPairs(Path(data))


def _compare(known: dict[str, Any], about: dict[str, Any], hearer: Hearer) -> None:
    """Errors: UsageError where a run cannot go on as it was, as the data or the start changed."""
    if not known:
        return
    for key, noun in (("pairs", "data"), ("fingerprint", "checkpoint to begin with")):
        if known.get(key) != about[key]:
            raise UsageError(
                f"the {noun} has changed since the run began ({known.get(key)}, now {about[key]})",
                hint="give it what it began with, or begin a new run in another folder",
            )
    for key in ("data", "from"):
        if known.get(key) != about[key]:
            hearer.note(f"{key} was {known.get(key)}, from here on it is {about[key]}")
    for key, value in about["settings"].items():
        if known["settings"].get(key) != value:
            hearer.note(f"{key} was {known['settings'].get(key)}, from here on it is {value}")
