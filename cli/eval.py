"""``aimv2 eval``: how well a checkpoint does on a data set, beside the paper's figure."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mlx_aimv2.errors import UsageError
from mlx_aimv2.evaluation.probe_settings import ProbeSettings
from mlx_aimv2.files.paths import printable
from mlx_aimv2.inference.image_options import DTYPE, MODEL, SIDE, Dtype, ImageOptions
from mlx_aimv2.models.aimv2.published import DEFAULT, find
from mlx_aimv2.options import argument, group, option

from . import output
from .exit_codes import exit_code
from .options import JSON, YES, confirm_download, path_at_home

if TYPE_CHECKING:
    from mlx_aimv2.evaluation.run import Evaluation, Record

EXAMPLES = """
aimv2 eval zero-shot imagenet --model lit --class-names names.txt
aimv2 eval zero-shot food101 --model lit --templates food101
aimv2 eval knn imagenette --model large
aimv2 eval linear imagenette --model large
aimv2 eval probe pets --model large --preset ml-aim
aimv2 eval probe pets --model large --cached --rates 1e-3 --decays 0.1 --epochs 20
aimv2 eval retrieval captions_val2017.json --images val2017 --model lit
aimv2 eval retrieval flickr30k --model lit --json
"""
# What is printed of a record, and how it is called; shares are printed as percent.
_ROWS = {
    "acc1": "top-1 accuracy",
    "acc5": "top-5 accuracy",
    "mean_per_class_recall": "mean recall of a class",
    "ece": "calibration error, 15 bins",
    "image_retrieval_recall@1": "text → picture, first",
    "image_retrieval_recall@5": "text → picture, among 5",
    "image_retrieval_recall@10": "text → picture, among 10",
    "text_retrieval_recall@1": "picture → text, first",
    "text_retrieval_recall@5": "picture → text, among 5",
    "text_retrieval_recall@10": "picture → text, among 10",
    "mean_recall": "mean of these",
}
_POOLING_HELP = "One vector for a picture: the mean of its patches, or by the head of LiT."
Pooling = Literal["mean", "head"]


def eval() -> None:
    """Measure a checkpoint on a data set, by the protocols of the papers.

    A data set has its parts in folders: train/ and test/ or val/, with a folder for each class.
    Pictures are read as in the published evaluations: their colours are not converted.
    """


@dataclass(frozen=True)
class Options:
    """What every ``aimv2 eval`` takes."""

    data: str = argument(
        help="The folder of the data set; for captions a JSON file too.", metavar="DATA"
    )
    model: str = MODEL(DEFAULT)
    split: str | None = option(
        help="The part to measure on.", metavar="NAME", show_default="test, val or validation"
    )
    dataset: str | None = option(
        help="Which data set of the paper this is, to print the paper's figure.",
        metavar="NAME",
        show_default="by the folder's name",
    )
    out: str | None = option(
        help="Write the results to a JSON file too.",
        flags="--out -o",
        metavar="FILE",
        parser=path_at_home,
    )
    as_json: bool = JSON()
    cache: str | None = option(
        help="The folder where the vectors of pictures are kept.",
        metavar="FOLDER",
        parser=path_at_home,
        show_default="where the system keeps caches",
    )
    dtype: Dtype | None = DTYPE()
    side: int | None = SIDE()
    images: ImageOptions = group(ImageOptions, without="pooling tiles normalize")
    yes: bool = YES()


@dataclass(frozen=True)
class ZeroShotOptions:
    """What ``aimv2 eval zero-shot`` takes."""

    templates: str | None = option(
        help="The sentences that class names are put into: the name of a set, a file with one on "
        "each line, or a sentence with {} or {c}.",
        metavar="SET|FILE|TEXT",
        show_default="the data set's own, else openai-simple",
    )
    class_names: str | None = option(
        help="A file with the name of each class on a line, in their order.",
        metavar="FILE",
        show_default="classnames.txt of the data set, else its folders' names",
        parser=path_at_home,
    )
    common: Options = group(Options)


@dataclass(frozen=True)
class KnnOptions:
    """What ``aimv2 eval knn`` takes."""

    k: str = option(
        "10,20,100,200", help="Numbers of neighbours that vote.", flags="--k", metavar="A,B,..."
    )
    pooling: Pooling = option("mean", help=_POOLING_HELP)
    common: Options = group(Options)


@dataclass(frozen=True)
class LinearOptions:
    """What ``aimv2 eval linear`` takes."""

    pooling: Pooling = option("mean", help=_POOLING_HELP)
    common: Options = group(Options)


@dataclass(frozen=True)
class ProbeOptions:
    """What ``aimv2 eval probe`` takes."""

    cached: bool = option(
        False,
        help="Learn from the middle of each picture and its mirror image, kept on disk (1 MB a "
        "picture with large): each is computed once. Not the paper's protocol.",
    )
    rates_tried: str | None = option(
        help="Rates to try.",
        flags="--rates",
        metavar="A,B,...",
        show_default="the paper's seven, 5e-5 to 2e-3",
    )
    decays_tried: str | None = option(
        help="Weight decays to try with each.",
        flags="--decays",
        metavar="A,B,...",
        show_default="0.05,0.1",
    )
    settings: ProbeSettings = group(ProbeSettings)
    common: Options = group(Options)


@dataclass(frozen=True)
class RetrievalOptions:
    """What ``aimv2 eval retrieval`` takes."""

    pictures: str | None = option(
        help="The folder of the pictures that a JSON file names.",
        flags="--images",
        metavar="FOLDER",
        show_default="the file's own folder",
        parser=path_at_home,
    )
    prompt: str = option("{}", help="A sentence that captions are put into.", metavar="TEXT")
    common: Options = group(Options)


def zero_shot(options: ZeroShotOptions) -> int:
    """Classes by the texts that name them; for checkpoints that read texts.

    A class is the mean of its sentences' vectors.
    """
    file = None if options.class_names is None else Path(options.class_names)
    _require_text(options.common.model)
    return _run(options.common, lambda run: run.zero_shot(options.templates, file))


def knn(options: KnnOptions) -> int:
    """Classes by a vote of the nearest pictures of the part train, as DINO counts it."""
    counts = [int(word) for word in options.k.split(",") if word.strip().isdecimal()]
    if len(counts) != len(options.k.split(",")) or min(counts) < 1:
        raise UsageError(f"--k is {options.k!r}", hint="numbers like 10,20,100,200")
    return _run(options.common, lambda run: run.knn(counts, options.pooling))


def linear(options: LinearOptions) -> int:
    """Classes by logistic regression on the vectors of the part train.

    The decay is chosen on the part val, or where there is none beside the part to measure on, on a
    tenth of train; then all of them are learnt.
    """
    return _run(options.common, lambda run: run.linear(options.pooling))


def probe(options: ProbeOptions) -> int:
    """Classes by attentive probes on the patches of the part train, as the paper measures.

    Every rate is tried with every decay, at once. One is chosen on the part val, or where there is
    none beside the part to measure on, on a tenth of train; then it is measured once.
    """
    settings = options.settings
    if options.rates_tried is not None:
        settings = replace(settings, rates=_numbers("--rates", options.rates_tried))
    if options.decays_tried is not None:
        settings = replace(settings, decays=_numbers("--decays", options.decays_tried))
    return _run(options.common, lambda run: run.probe(settings, is_cached=options.cached))


def retrieval(options: RetrievalOptions) -> int:
    """Pictures by their captions and captions by their pictures; for checkpoints that read texts.

    DATA is a JSON file as COCO's captions or Karpathy's split, or a folder with metadata.jsonl.
    """
    if "{}" not in options.prompt:
        raise UsageError(
            f"--prompt {options.prompt!r} has no place for the caption",
            hint='like "a photo of {}"',
        )
    _require_text(options.common.model)
    folder = None if options.pictures is None else Path(options.pictures)
    return _run(options.common, lambda run: run.retrieval(options.prompt, folder))


ACTIONS = (zero_shot, knn, linear, probe, retrieval)


def _require_text(model: str) -> None:
    """Errors: UsageError for a published checkpoint that reads no texts, before it is fetched."""
    checkpoint = find(model)
    if checkpoint is not None and not checkpoint.has_text:
        raise UsageError(
            f"{checkpoint.name} reads no texts, only pictures",
            hint="texts need the LiT checkpoint: --model lit; without texts: aimv2 eval knn",
        )


def _numbers(flag: str, text: str) -> list[float]:
    """Positive numbers with commas between them. Errors: UsageError."""
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or not all(0 < number < math.inf for number in numbers):
        raise UsageError(f"{flag} is {text!r}", hint="numbers above 0, like 1e-4,1e-3")
    return numbers


def _run(options: Options, measure: Callable[["Evaluation"], "Record"]) -> int:
    if not Path(options.data).exists():
        raise UsageError(f"{printable(options.data)} does not exist", hint="check its name")
    from mlx_aimv2.evaluation.paper import require_data_set  # noqa: PLC0415  (heavy, as below)
    from mlx_aimv2.evaluation.run import Evaluation  # noqa: PLC0415
    from mlx_aimv2.files.whole_file import check_new, write_whole  # noqa: PLC0415
    from mlx_aimv2.inference.model import load  # noqa: PLC0415

    if options.out is not None:
        check_new(Path(options.out))
    data_set = None if options.dataset is None else require_data_set(options.dataset)
    model = load(
        options.model,
        dtype=options.dtype,
        side_px=options.side,
        confirm=confirm_download(options.yes),
    )
    shown = ""
    with output.Progress("") as progress:

        def tell(what: str, done: int, total: int) -> None:
            nonlocal shown
            if what != shown:
                shown = what
                progress.begin(what, total)
            progress.reach(done, total)

        run = Evaluation(
            model,
            Path(options.data),
            options.images,
            split=options.split,
            cache=None if options.cache is None else Path(options.cache),
            data_set=data_set,
            tell=tell,
        )
        try:
            record = measure(run)
        except KeyboardInterrupt:
            output.stopped("what is kept so far is taken up by the same command")
            raise
    for error in run.errors:
        output.skipped(error)
    if options.as_json:
        output.record(record)
    else:
        _print(record)
    if options.out is not None:
        content = record | {"skipped": [str(error) for error in run.errors]}
        write_whole(Path(options.out), json.dumps(content, indent=1, allow_nan=False) + "\n")
        output.say(f"results: {options.out}")
    return exit_code(record["n"], record["failed"])


def _print(record: "Record") -> None:
    rows = [(name, record[key]) for key, name in _ROWS.items() if record.get(key) is not None]
    for count, figures in record.get("by_neighbours", {}).items():
        rows.append((f"  top-1 of {count} neighbours", figures["acc1"]))
    table = [[name, f"{100 * value:.1f}%"] for name, value in rows]
    variant = f" ({record['variant']})" if "variant" in record else ""
    columns = [record["protocol"] + variant, "here"]
    if record["paper_acc1"] is not None:
        columns.append("the paper")
        table = [[*row, ""] for row in table]
        table[0][-1] = f"{100 * record['paper_acc1']:.1f}%"
    output.table(table, columns, right=(1, 2))
    if not record.get("is_converged", True):
        output.note("L-BFGS was stopped after 1000 iterations")
    made = record["preprocessing"]
    output.line(
        f"{output.counted(record['n'], 'picture')} of {printable(record['split'])}, "
        f"{printable(record['checkpoint'])} in {record['dtype']}, preset {made['preset']}"
    )
    if record["paper_acc1"] is None:
        output.line("the paper has no figure for this checkpoint, data set and protocol")
    if record["differs"]:
        output.line(f"what differs from the paper's {record['data_set']}:")
    for difference in record["differs"]:
        output.line(f"  - {difference}")
