"""``aimv2 bench``: how fast this machine is with a checkpoint, each figure beside its ceiling."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, get_args

from mlx_aimv2.errors import OutputError, UsageError
from mlx_aimv2.inference.image_options import Dtype
from mlx_aimv2.options import option

from . import output
from .options import JSON, YES, complete_model, confirm_download, given_flags, path_at_home

if TYPE_CHECKING:
    from mlx_aimv2.bench.reports.report import Report

EXAMPLES = """
aimv2 bench --quick
aimv2 bench --random large-448 --only encoder --plot encoder.png
aimv2 bench --model lit --out before.json
aimv2 bench --compare before.json after.json
"""
GROUPS = {
    "What to measure": "--model --random --quick --only --repeats --compare",
    "Output": "--out --plot --json",
}

DEFAULT = "lit"
_MOST = 4096  # images at once, which takes any GPU's memory
_MOST_REPEATS = 1000
Word = TypeVar("Word", bound=str)
SECTIONS = ("encoder", "text", "peers", "decoding", "folder", "start", "memory", "search")


@dataclass(frozen=True)
class BenchOptions:
    """What ``aimv2 bench`` can be told."""

    model: str | None = option(
        help="Measure a checkpoint: an alias or name, a hub id[@revision], or a folder.",
        flags="--model -m",
        metavar="SOURCE",
    )
    random: str | None = option(
        help="Measure random weights in the sizes of a published checkpoint or of L, H, 1B, 3B.",
        metavar="NAME",
        autocompletion=complete_model,
        show_default=DEFAULT,
    )
    quick: bool = option(False, help="Measure less: two minutes on two cores.")
    out: str = option(
        ".",
        help="Where JSON and Markdown go: a folder that is there, or a file named .json.",
        flags="--out -o",
        metavar="PATH",
        parser=path_at_home,
        show_default="this folder",
    )
    plot: str | None = option(
        help="Draw the encoder's rates and their ceiling, as .png or .svg.",
        metavar="FILE",
        parser=path_at_home,
    )
    batch_sizes: str | None = option(
        help="Batches to measure, with commas between them.",
        metavar="1,4,8",
        show_default="1 to 16; with --quick on a CPU 1 to 4",
    )
    dtype: str | None = option(
        help="Precisions to compute in, with commas between them.",
        metavar="float16,float32",
        show_default="what suits this device",
    )
    only: str | None = option(
        help=f"Sections to measure, with commas between them: {', '.join(SECTIONS)}.",
        metavar="SECTION,…",
        show_default="all",
    )
    ml_aim: str | None = option(
        help="Compare with Apple's MLX module, in a clone of its repository.",
        metavar="FOLDER",
        parser=path_at_home,
    )
    repeats: int | None = option(
        help="Runs of each figure, of which the median counts.",
        metavar="NUMBER",
        show_default="5; with --quick fewer",
    )
    compare: tuple[str, str] | None = option(
        help="Compare two reports, row by row, and measure nothing.",
        metavar="FIRST.json SECOND.json",
    )
    as_json: bool = JSON()
    yes: bool = YES()


def bench(options: BenchOptions) -> None:
    """Measure this machine: rates, start and memory, each beside its ceiling and its peers.

    Prints a table and saves it as JSON and Markdown, with the machine and the versions. How to
    read it and how to contribute it: docs/benchmarks.md.
    """
    if options.compare is not None:
        if given_flags(options, without="compare as_json yes"):
            raise UsageError(
                "--compare measures nothing", hint="give it two reports and --json only"
            )
        show_comparison(*map(Path, options.compare), as_json=options.as_json)
        return
    model, random, repeats, out = options.model, options.random, options.repeats, Path(options.out)
    if model is not None and random is not None:
        raise UsageError("--model and --random are two things to measure", hint="give one of them")
    sizes = parse_sizes(options.batch_sizes)
    dtypes = parse_words("--dtype", options.dtype, get_args(Dtype))
    sections = parse_words("--only", options.only, SECTIONS)
    if repeats is not None and not 1 <= repeats <= _MOST_REPEATS:
        raise UsageError(f"--repeats {repeats}: from 1 to {_MOST_REPEATS}", hint="5 is usual")
    ml_aim = None if options.ml_aim is None else Path(options.ml_aim)
    if ml_aim is not None and not (ml_aim / "aim-v2").is_dir():
        raise UsageError(
            f"{ml_aim} is no clone of Apple's ml-aim: it has no folder aim-v2",
            hint="git clone https://github.com/apple/ml-aim",
        )
    check_out(out)
    plot = None if options.plot is None else Path(options.plot)
    if plot is not None:
        check_new(plot)
        check_writable(plot.parent)

    from mlx_aimv2.bench import suite  # noqa: PLC0415
    from mlx_aimv2.bench.reports import plot as plots  # noqa: PLC0415

    if plot is not None:
        plots.check_plot(plot)
        if sections and "encoder" not in sections:
            raise UsageError("--plot draws the encoder", hint="add --only encoder")
    source, quick = model or random or DEFAULT, options.quick
    settings = suite.Settings(
        source, model is None, quick, sizes, dtypes, sections, ml_aim, repeats
    )
    report = suite.run(settings, tell=output.say, confirm=confirm_download(options.yes))
    if options.as_json:
        output.record(report.to_dict())
    else:
        show(report)
    written = save(report, out)
    if plot is not None:
        plots.draw(report, plot)
        written.append(plot)
    output.say(f"saved: {', '.join(map(str, written))}")


def show(report: "Report") -> None:
    """The report on the terminal."""
    from mlx_aimv2.bench.reports import report as reports  # noqa: PLC0415

    for text in reports.headline(report):
        output.line(text)
    output.line()
    output.table(reports.rows(report), reports.COLUMNS, reports.RIGHT)
    output.line()
    for text in reports.remarks(report):
        output.line(text)


def show_comparison(first: Path, second: Path, *, as_json: bool) -> None:
    """Two reports on the terminal. Errors: UsageError for a file that is no report."""
    from mlx_aimv2.bench.reports import comparison  # noqa: PLC0415
    from mlx_aimv2.bench.reports.report import read_report  # noqa: PLC0415

    one, other = read_report(first), read_report(second)
    found = comparison.pairs(one, other)
    differing = comparison.differences(one, other)
    if as_json:
        unlike = [dict(zip(("name", "first", "second"), each, strict=True)) for each in differing]
        output.record({"figures": [each.to_dict() for each in found], "differences": unlike})
    else:
        output.table(comparison.rows(found), comparison.COLUMNS, comparison.RIGHT)
    for name, before, after in differing:
        output.note(f"not measured alike: {name} was {before}, then {after}")


def save(report: "Report", out: Path) -> list[Path]:
    """Write JSON and Markdown; a second run of a day in one folder gets a number.

    Errors: OutputError where they cannot be written.
    """
    from mlx_aimv2.bench.reports import report as reports  # noqa: PLC0415

    try:
        file = out if is_file(out) else free_name(out, reports.stem_of(report))
        file.parent.mkdir(parents=True, exist_ok=True)
        page = file.with_suffix(".md")
        reports.write_json(report, file)
        # (a name that is no text is written as the JSON has it)
        page.write_text(reports.to_markdown(report), "utf-8", errors="backslashreplace")
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror}") from error
    return [file, page]


def check_out(out: Path) -> None:
    """Before minutes of work.

    Errors: UsageError for what is neither a folder that is there nor a file named .json;
    OutputError for a file that is there, or a place that cannot be written to.
    """
    if out.suffix.casefold() == ".md" and not out.is_dir():
        raise UsageError(
            f"--out {out} names the Markdown, which goes beside the JSON",
            hint=f"name a folder, or {out.with_suffix('.json').name}",
        )
    if not is_file(out) and not out.is_dir():
        raise UsageError(
            f"--out {out} is neither a folder that is there nor a file named .json",
            hint=f"make the folder first, or name the file: {out}.json",
        )
    folder = out
    if is_file(out):
        check_new(out)
        check_new(out.with_suffix(".md"))
        # Folders that are not there yet are made, in the nearest that is.
        folder = next(each for each in out.parents if os.path.lexists(each))
    check_writable(folder)


def check_new(file: Path) -> None:
    """Errors: OutputError for a file that is there."""
    if os.path.lexists(file):
        raise OutputError(f"{file} exists already", hint="name another file")


def check_writable(folder: Path) -> None:
    """Write to a folder and take it back. Errors: OutputError where that cannot be."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except NotADirectoryError as error:
        raise OutputError(
            f"{folder} is not a folder", hint="name a folder, or a file in one"
        ) from error
    except OSError as error:
        raise OutputError(
            f"nothing can be written to {folder}: {error.strerror}",
            hint="name a folder that is there and yours",
        ) from error


def is_file(out: Path) -> bool:
    """Whether a path means a file and not a folder."""
    return out.suffix.casefold() == ".json" and not out.is_dir()


def free_name(folder: Path, stem: str) -> Path:
    """A file of that name, or with a number behind it, that is not there yet; nor its page."""
    file, number = folder / f"{stem}.json", 1
    while os.path.lexists(file) or os.path.lexists(file.with_suffix(".md")):
        number += 1
        file = folder / f"{stem}-{number}.json"
    return file


def parse_sizes(text: str | None) -> tuple[int, ...] | None:
    """Errors: UsageError for what is not a list of whole numbers, from 1 to what is sensible."""
    if text is None:
        return None
    try:
        sizes = sorted({int(part) for part in text.split(",")})
    except ValueError:
        sizes = [0]
    if sizes[0] < 1:
        raise UsageError(f"--batch-sizes {text!r} are no batches", hint="like 1,4,8")
    if sizes[-1] > _MOST:
        raise UsageError(f"--batch-sizes {text!r} are too many at once", hint=f"at most {_MOST}")
    return tuple(sizes)


def parse_words(option: str, text: str | None, known: Sequence[Word]) -> tuple[Word, ...] | None:
    """Errors: UsageError for a word that is not known."""
    if text is None:
        return None
    meant: dict[str, Word] = {word: word for word in known}
    words = dict.fromkeys(word.strip() for word in text.split(","))
    for word in words:
        if word not in meant:
            raise UsageError(f"{option} {word!r} is unknown", hint=f"one of: {', '.join(known)}")
    return tuple(meant[word] for word in words)
