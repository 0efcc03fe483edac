"""``aimv2 bench``: how fast this machine is with a checkpoint, each figure beside its ceiling."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from mlx_aimv2.errors import OutputError, UsageError

from . import output
from .options import (
    Dtype,
    JsonOption,
    YesOption,
    complete_model,
    confirm_download,
    path,
    path_at_home,
)

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
DTYPES: tuple[Dtype, ...] = ("float32", "float16", "bfloat16")
Word = TypeVar("Word", bound=str)
SECTIONS = ("encoder", "text", "peers", "decoding", "folder", "start", "memory", "search")

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Measure a checkpoint: an alias or name, a hub id[@revision], or a folder.",
        parser=path,
        metavar="SOURCE",
        autocompletion=complete_model,
        show_default=False,
    ),
]
RandomOption = Annotated[
    str | None,
    typer.Option(
        "--random",
        help="Measure random weights in the sizes of a published checkpoint or of L, H, 1B, 3B.",
        metavar="NAME",
        autocompletion=complete_model,
        show_default=DEFAULT,
    ),
]
QuickOption = Annotated[
    bool, typer.Option("--quick", help="Measure less: two minutes on two cores.")
]
OutOption = Annotated[
    str,
    typer.Option(
        "--out",
        "-o",
        help="Where JSON and Markdown go: a folder that is there, or a file named .json.",
        metavar="PATH",
        parser=path_at_home,
        show_default="this folder",
    ),
]
PlotOption = Annotated[
    str | None,
    typer.Option(
        "--plot",
        help="Draw the encoder's rates and their ceiling, as .png or .svg.",
        metavar="FILE",
        parser=path_at_home,
        show_default=False,
    ),
]
BatchSizesOption = Annotated[
    str | None,
    typer.Option(
        "--batch-sizes",
        help="Batches to measure, with commas between them.",
        metavar="1,4,8",
        show_default="1 to 16; with --quick on a CPU 1 to 4",
    ),
]
DtypesOption = Annotated[
    str | None,
    typer.Option(
        "--dtype",
        help="Precisions to compute in, with commas between them.",
        metavar="float16,float32",
        show_default="what suits this device",
    ),
]
OnlyOption = Annotated[
    str | None,
    typer.Option(
        "--only",
        help=f"Sections to measure, with commas between them: {', '.join(SECTIONS)}.",
        metavar="SECTION,…",
        show_default="all",
    ),
]
RepeatsOption = Annotated[
    int | None,
    typer.Option(
        "--repeats",
        help="Runs of each figure, of which the median counts.",
        metavar="NUMBER",
        show_default="5; with --quick fewer",
    ),
]
CompareOption = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--compare",
        help="Compare two reports, row by row, and measure nothing.",
        metavar="FIRST.json SECOND.json",
        show_default=False,
    ),
]
MlAimOption = Annotated[
    str | None,
    typer.Option(
        "--ml-aim",
        help="Compare with Apple's MLX module, in a clone of its repository.",
        metavar="FOLDER",
        parser=path_at_home,
        show_default=False,
    ),
]


def bench(
    model: ModelOption = None,
    random: RandomOption = None,
    quick: QuickOption = False,
    out: OutOption = ".",
    plot: PlotOption = None,
    batch_sizes: BatchSizesOption = None,
    dtype: DtypesOption = None,
    only: OnlyOption = None,
    ml_aim: MlAimOption = None,
    repeats: RepeatsOption = None,
    compare: CompareOption = None,
    as_json: JsonOption = False,
    yes: YesOption = False,
) -> None:
    """Measure this machine: rates, start and memory, each beside its ceiling and its peers.

    Prints a table and saves it as JSON and Markdown, with the machine and the versions. How to
    read it and how to contribute it: docs/benchmarks.md.
    """
    if compare is not None:
        given = (model, random, quick, plot, batch_sizes, dtype, only, ml_aim, repeats)
        if any(given) or out != ".":
            raise UsageError(
                "--compare measures nothing", hint="give it two reports and --json only"
            )
        show_comparison(*map(Path, compare), as_json=as_json)
        return
    if model is not None and random is not None:
        raise UsageError("--model and --random are two things to measure", hint="give one of them")
    sizes = None if batch_sizes is None else parse_sizes(batch_sizes)
    dtypes = parse_words("--dtype", dtype, DTYPES)
    sections = parse_words("--only", only, SECTIONS)
    if repeats is not None and not 1 <= repeats <= _MOST_REPEATS:
        raise UsageError(f"--repeats {repeats}: from 1 to {_MOST_REPEATS}", hint="5 is usual")
    if ml_aim is not None and not Path(ml_aim, "aim-v2").is_dir():
        raise UsageError(
            f"{ml_aim} is no clone of Apple's ml-aim: it has no folder aim-v2",
            hint="git clone https://github.com/apple/ml-aim",
        )
    check_out(Path(out))
    if plot is not None:
        check_new(Path(plot))
        check_writable(Path(plot).parent, is_made=False)

    from mlx_aimv2.bench import suite  # noqa: PLC0415
    from mlx_aimv2.bench.reports import plot as plots  # noqa: PLC0415

    if plot is not None:
        plots.check_plot(Path(plot))
        if sections and "encoder" not in sections:
            raise UsageError("--plot draws the encoder", hint="add --only encoder")
    settings = suite.Settings(
        model or random or DEFAULT,
        model is None,
        quick,
        sizes,
        dtypes,
        sections,
        Path(ml_aim) if ml_aim else None,
        repeats,
    )
    report = suite.run(settings, tell=output.say, confirm=confirm_download(yes))
    if as_json:
        output.record(report.to_dict())
    else:
        show(report)
    written = save(report, Path(out))
    if plot is not None:
        plots.draw(report, Path(plot))
        written.append(Path(plot))
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
    if is_file(out):
        check_new(out)
        check_new(out.with_suffix(".md"))
    check_writable(out.parent if is_file(out) else out)


def check_new(file: Path) -> None:
    """Errors: OutputError for a file that is there."""
    if os.path.lexists(file):
        raise OutputError(f"{file} exists already", hint="name another file")


def check_writable(folder: Path, *, is_made: bool = True) -> None:
    """Write to a folder and take it back; of one that would be made, to the folder above it.

    Errors: OutputError where it is no folder, is not there (unless it is made), or cannot be
    written to.
    """
    place = folder
    while is_made and not os.path.lexists(place) and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except NotADirectoryError as error:
        raise OutputError(
            f"{place} is not a folder", hint="name a folder, or a file in one"
        ) from error
    except OSError as error:
        raise OutputError(
            f"nothing can be written to {place}: {error.strerror}",
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


def parse_sizes(text: str) -> tuple[int, ...]:
    """Errors: UsageError for what is not a list of whole numbers, from 1 to what is sensible."""
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
