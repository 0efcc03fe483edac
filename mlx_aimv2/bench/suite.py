"""All sections in their order: what ``aimv2 bench`` measures."""

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import cycle, islice
from pathlib import Path

import mlx.core as mx

from mlx_aimv2.checkpoints.hub import Confirm
from mlx_aimv2.device import backend
from mlx_aimv2.errors import Aimv2Error, UsageError
from mlx_aimv2.inference.model import load

from . import encoder, peers
from .conditions import conditions
from .encoder import Case, Measured, measure_case, text_figures
from .figure import Figure
from .pace import Pace, pace_of
from .photos import decoding_figures, folder_figures, make_photos
from .process import first_embedding, growth, load_figures, text_tower
from .reports.report import NOT_MEASURED, Report
from .search import search_figures
from .subject import Dtype, Subject, subject_of

CPU_NOTE = (
    "On a CPU only float32 is measured: MLX computes float16 and bfloat16 there on a slow path, "
    "about fifty times slower."
)
BLOCKS_NOTE = (
    "* from {} of {} blocks, rates scaled up by their work; without --quick whole networks are "
    "measured."
)
FAILED_NOTE = f"{NOT_MEASURED} to its end, because it failed: {{}}: {{}}."
LATE_NOTE = f"{NOT_MEASURED}, because the time of --quick was over: --only {{}}."
_ENCODER_SHARE = 0.6  # of the time, after which no other case is begun
BUSY_NOTE = (
    "Other work ran on this machine at the start (load {:.1f} on {} cores): figures are too low."
)
_BUSY = 0.5  # of the cores
_GPU_DTYPES: tuple[Dtype, ...] = ("float16", "bfloat16", "float32")

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What a user chose; None leaves the choice to the machine."""

    source: str
    is_random: bool
    is_quick: bool
    batch_sizes: tuple[int, ...] | None = None
    dtypes: tuple[Dtype, ...] | None = None
    sections: tuple[str, ...] | None = None
    ml_aim: Path | None = None
    repeats: int | None = None


@dataclass(frozen=True)
class Run:
    """One run of the suite: its settings, subject, folder for files, and notes so far."""

    settings: Settings
    pace: Pace
    subject: Subject
    folder: Path
    tell: Tell
    notes: list[str] = field(default_factory=list)
    started_s: float = field(default_factory=time.monotonic)

    def has_time(self, share: float = 1.0) -> bool:
        """Whether less than this share of the time limit has gone by."""
        return time.monotonic() - self.started_s < share * self.pace.limit_s

    def photos(self) -> list[Path]:
        """Photographs of 12 megapixels, made when they are first needed."""
        return make_photos(self.folder / "photos", self.pace.photos)


def run(settings: Settings, tell: Tell, confirm: Confirm | None = None) -> Report:
    """Measure what was chosen; ``tell`` hears what is done next, ``confirm`` of a download.

    Errors: those of loading; UsageError for the texts of a model without a text tower; Aimv2Error
    where nothing could be measured. What fails beside others becomes a note.
    """
    wanted = settings.sections or tuple(SECTIONS)
    chosen = [section for section in SECTIONS if section in wanted]
    known = conditions()
    figures: list[Figure] = []
    late: list[str] = []
    failures: list[str] = []
    with tempfile.TemporaryDirectory(prefix="aimv2-bench-") as name:
        folder = Path(name)
        tell(f"{'making' if settings.is_random else 'loading'} {settings.source}")
        pace = pace_of(settings.is_quick, settings.repeats)
        dtype = settings.dtypes[0] if settings.dtypes else None
        subject = subject_of(settings.source, settings.is_random, folder, dtype, confirm)
        run = Run(settings, pace, subject, folder, tell)
        if "text" in (settings.sections or ()) and not run.subject.model.has_text:
            raise UsageError(
                f"{run.subject.name} reads no texts, only pictures", hint="leave text out of --only"
            )
        for number, section in enumerate(chosen, 1):
            if run.has_time():
                tell(f"measuring {number} of {len(chosen)}: {section}")
                failure = _measure(section, run, figures)
                failures += [failure] if failure else []
            else:
                late.append(section)
        if failures and not figures:
            raise Aimv2Error(f"nothing could be measured: {failures[0]}")
        run.notes.extend(failures)
        run.notes.extend(_blocks_notes(figures))
        if late:
            run.notes.append(LATE_NOTE.format(",".join(late)))
        load, cores = known["load"][0], known["cpu_cores"]
        if load > _BUSY * cores:
            run.notes.append(BUSY_NOTE.format(load, cores))
        about = run.subject.about()
    return Report(known, about, _recorded(settings, pace), figures, run.notes)


def _measure(section: str, run: Run, figures: list[Figure]) -> str | None:
    """Add a section's figures; where it fails, those it has so far, and a note of why.

    Half an hour's figures are worth more than the one that is not among them.
    """
    try:
        for figure in SECTIONS[section](run):
            figures.append(figure)  # noqa: PERF402  (extend might lose those before an error)
    except (Aimv2Error, OSError, RuntimeError, MemoryError) as error:
        said = str(error).replace(run.subject.source, run.subject.name)  # as in _recorded
        return FAILED_NOTE.format(section, said)
    return None


def _blocks_notes(figures: Sequence[Figure]) -> list[str]:
    """The note that explains a star, where a figure has one."""
    for about in (each.about for each in figures):
        if "blocks" in about and about["blocks_measured"] < about["blocks"]:
            return [BLOCKS_NOTE.format(about["blocks_measured"], about["blocks"])]
    return []


def _recorded(settings: Settings, pace: Pace) -> dict[str, object]:
    limits = {key: value for key, value in asdict(pace).items() if value != math.inf}
    chosen = asdict(settings) | {"pace": limits, "ml_aim": settings.ml_aim is not None}
    del chosen["source"]  # the subject has its name; a path is nobody's business
    return chosen


# Sections


def _encoder(run: Run) -> Iterator[Figure]:
    """Every case in the first precision, the headline in the others."""
    model, pace = run.subject.model, run.pace
    config = model.vision.config
    sizes = run.settings.batch_sizes or pace.batch_sizes
    first, *others = encoder.cases(config, pace, sizes)
    run.tell(f"  {first.describe()}")
    found: list[Measured] = [measure_case(model, first, pace, with_rest=True)]
    for case in others:
        if run.has_time(_ENCODER_SHARE):
            run.tell(f"  {case.describe()}")
            found.append(measure_case(model, case, pace))
    for dtype in _other_dtypes(run):
        loaded = load(run.subject.source, tower="image" if model.has_text else None, dtype=dtype)
        run.tell(f"  {first.describe()}, {dtype}")
        found.append(measure_case(loaded, first, pace, with_rest=True))
    if backend() == "CPU" and run.settings.dtypes is None:
        run.notes.append(CPU_NOTE)
    yield from encoder.figures(found, config.num_hidden_layers)


def _other_dtypes(run: Run) -> Sequence[Dtype]:
    if run.settings.dtypes:
        return run.settings.dtypes[1:]
    if backend() == "CPU" or run.settings.is_quick:
        return ()
    return [dtype for dtype in _GPU_DTYPES if dtype != run.subject.model.dtype]


def _text(run: Run) -> Iterator[Figure]:
    if run.subject.model.has_text:
        yield from text_figures(run.subject.model, run.pace)


def _decoding(run: Run) -> Iterator[Figure]:
    yield from decoding_figures(run.subject.model, run.photos(), run.pace.repeats)


def _folder(run: Run) -> Iterator[Figure]:
    pace = run.pace
    photos = list(islice(cycle(run.photos()), pace.folder_photos))
    yield from folder_figures(
        run.subject.model, photos, pace.folder_runs, batch_size=pace.folder_batch
    )


def _start(run: Run) -> Iterator[Figure]:
    subject, pace = run.subject, run.pace
    yield first_embedding(run.photos()[0], pace.starts)
    with_cold = not run.settings.is_quick  # a disk can be slow, and then it takes minutes
    yield from load_figures(subject, subject.model.dtype, pace.starts, with_cold=with_cold)
    if not run.settings.is_quick and backend() == "CPU":
        yield from load_figures(subject, "float16", pace.starts)
    if subject.model.has_text:
        yield from text_tower(subject)


def _memory(run: Run) -> Iterator[Figure]:
    """MLX's peak in the headline, its weights included, and the growth with files."""
    model, case = run.subject.model, _headline(run)
    small = replace(case, blocks=min(2, case.blocks))  # depth adds nothing to the peak
    work, tokens, _ = encoder.work_of(encoder.variant(model, small.side_px, small.blocks), small)
    mx.reset_peak_memory()
    before = mx.get_active_memory()
    work()
    peak = mx.get_peak_memory()
    about = {"batch": case.batch, "tokens": tokens, "weights_bytes": before}
    yield Figure("memory", f"{case.describe()}, with weights", peak, "B", about=about)
    yield growth(run.folder / "small", run.pace.files)


def _headline(run: Run) -> Case:
    sizes = run.settings.batch_sizes or run.pace.batch_sizes
    return next(encoder.cases(run.subject.model.vision.config, run.pace, sizes))


def _search(run: Run) -> Iterator[Figure]:
    yield from search_figures(run.folder, run.pace.search_rows, run.pace.repeats)


def _peers(run: Run) -> Iterator[Figure]:
    """Peers that are installed; one that fails becomes a note, and the others go on."""
    model, pace = run.subject.model, run.pace
    if model.weights.quantization and backend() != "CPU":
        run.notes.append("Peers compute with dense weights: quantised ones have none here.")
        return
    if not peers.installed():
        run.notes.append("transformers and torch are not installed: no comparison with them.")
    depth = model.vision.config.num_hidden_layers
    figures, failures = peers.compare(
        model,
        replace(_headline(run), blocks=min(depth, pace.blocks or depth)),
        run.folder,
        repeats=pace.repeats,
        ml_aim=run.settings.ml_aim,
        start_s=pace.peer_start_s,
    )
    run.notes.extend(failures)
    yield from figures


SECTIONS: dict[str, Callable[[Run], Iterator[Figure]]] = {
    "start": _start,  # first: random weights that were just written are still in memory
    "encoder": _encoder,
    "text": _text,
    "decoding": _decoding,
    "memory": _memory,
    "search": _search,
    "folder": _folder,
    "peers": _peers,  # last: nobody knows how long others take
}
