"""``aimv2 classify``: which of some labels fit images, without any training."""

import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.path_text import escape
from mlx_aimv2.files.paths import printable
from mlx_aimv2.inference.image_options import DTYPE, EXCLUDE, MODEL, Dtype, ImageOptions
from mlx_aimv2.models.aimv2 import published as checkpoints
from mlx_aimv2.options import argument, group, option

from . import output
from .exit_codes import exit_code
from .options import JSON, NULL, PATHS_HELP, YES, check_null, confirm_download
from .output import STDIN

if TYPE_CHECKING:
    from mlx_aimv2.inference.model import Model
    from mlx_aimv2.inference.records import Sample
    from mlx_aimv2.outputs.embeddings import Floats

    from .inputs import Images

EXAMPLES = """
aimv2 classify photos/*.jpg --labels "dog,cat,beach"
aimv2 classify photos --labels-from labels.txt --templates ensemble --top 1
aimv2 classify drawing.png --model demo --labels "sun,boat" --json
"""
GROUPS = {
    "Labels": "--labels --labels-from --templates --independent",
    "Output": "--top --json",
    "Model": "--model --yes",
    "Speed": "--decode",
}

_LEAST_LABEL = 12  # columns of a terminal
_TEXT_HINT = "labels need a checkpoint that reads texts: --model lit"

Score = Callable[["Floats"], "Floats"]  # an image's unit vector -> one number a label
Print = Callable[[str, dict[str, float]], None]  # a path and its best labels


@dataclass(frozen=True)
class Options:
    """What ``aimv2 classify`` takes."""

    paths: tuple[str, ...] = argument(help=PATHS_HELP, metavar="PATH")
    labels: tuple[str, ...] = option(
        (),
        help="Labels, separated by commas; may be given again.",
        flags="--labels -l",
        metavar="A,B,...",
    )
    labels_from: str | None = option(
        help="A file with one label on each line; - for stdin.", metavar="FILE"
    )
    model: str = MODEL(checkpoints.DEFAULT)
    templates: Literal["photo", "plain", "drawing", "ensemble"] | None = option(
        help='The sentences that labels are put into, like "a photo of a dog".',
        show_default="photo",
    )
    template: tuple[str, ...] = option(
        (),
        help="A sentence of your own instead, with {} for the label; may be given again.",
        metavar="TEXT",
    )
    independent: bool = option(False, help="Score each label by itself: several may fit, or none.")
    top: int = option(5, help="Number of best labels to show.", min=1, metavar="COUNT")
    as_json: bool = JSON()
    null: bool = NULL()
    exclude: tuple[str, ...] = EXCLUDE()
    dtype: Dtype | None = DTYPE()
    images: ImageOptions = group(ImageOptions, without="pooling tiles max_patches normalize")
    yes: bool = YES()


def classify(options: Options) -> int:
    """Say which labels fit images, the best first.

    The scores of an image are probabilities: they add up to 1 over all labels, unless they are
    independent. What cannot be read is listed with the reason, and the rest is done (exit code 3).
    """
    check_null(options.null, options.paths)
    words = read_labels(options.labels, options.labels_from)
    _check(options, words)
    from mlx_aimv2.inference.model import load  # noqa: PLC0415  (heavy, as those below)
    from mlx_aimv2.inference.zero_shot import templates_of  # noqa: PLC0415

    from .inputs import Images, in_order, require_any  # noqa: PLC0415

    prompts = templates_of(options.template or options.templates or "photo")
    source = Images(options.paths, options.null, options.images, options.exclude)
    inputs = require_any(source)
    model = load(options.model, dtype=options.dtype, confirm=confirm_download(options.yes))
    if not model.has_text:
        raise UsageError(f"{model.name} reads no texts, only pictures", hint=_TEXT_HINT)
    score = _scorer(model, words, prompts, independent=options.independent)
    tally = _Tally(words, options.top, as_json=options.as_json)
    with output.Progress("classified") as progress:
        for sample in in_order(source, model, inputs):
            tally.add(sample, score)
            progress.advance()
    return tally.report(source)


def read_labels(lists: Iterable[str], file: str | None) -> list[str]:
    """Labels from lists with commas, then those of a file, each once.

    Errors: UsageError for a file that cannot be read, or a label that is not UTF-8.
    """
    words = [word for text in lists for word in _decode(text).split(",")]
    if file is not None:
        words += _read_lines(file)
    given = [clean for word in words if (clean := " ".join(word.split()))]
    if repeated := [word for word, count in Counter(given).items() if count > 1]:
        output.note(f"labels that are there twice count once: {', '.join(repeated)}")
    return list(dict.fromkeys(given))


def _decode(text: str) -> str:
    """What was typed, in UTF-8 whatever the locale is."""
    try:
        return text.encode("utf-8", "surrogateescape").decode()
    except UnicodeError as error:
        raise UsageError(f"not UTF-8: --labels {text!a}", hint="write it in UTF-8") from error


def _read_lines(file: str) -> list[str]:
    from mlx_aimv2.texts.text_file import decode  # noqa: PLC0415

    try:
        data = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
    except OSError as error:
        reason = f"{file} cannot be read: {error.strerror}"
        raise UsageError(reason, hint="--labels-from takes a file, one label a line") from error
    return decode(data, "stdin" if file == STDIN else printable(file)).splitlines()


def _check(options: Options, words: list[str]) -> None:
    if options.template and options.templates:
        raise UsageError(
            "--template and --templates cannot be combined", hint="leave one of them out"
        )
    if options.labels_from == STDIN and STDIN in options.paths:
        raise UsageError(
            "labels and paths cannot both come from stdin", hint="write the labels: --labels"
        )
    if not words:
        raise UsageError("there are no labels", hint='--labels "dog,cat" or --labels-from FILE')
    if len(words) == 1 and not options.independent:
        raise UsageError(
            f"{words[0]!r} alone would fit everything",
            hint="give labels to choose from, or score each by itself: --independent",
        )
    published = checkpoints.find(options.model)
    if published and not published.has_text:
        raise UsageError(f"{published.name} reads no texts, only pictures", hint=_TEXT_HINT)


def _scorer(
    model: "Model", words: list[str], prompts: tuple[str, ...], *, independent: bool
) -> Score:
    import numpy as np  # noqa: PLC0415

    from mlx_aimv2.inference import zero_shot  # noqa: PLC0415

    labels = np.array(model.label_embeddings(words, templates=prompts))
    scale = model.logit_scale
    if not independent:
        return lambda image: zero_shot.probabilities(image[None], labels, scale)[0]
    background = np.array(model.embed_texts(list(zero_shot.BACKGROUND)))
    return lambda image: zero_shot.independent_scores(image[None], labels, background, scale)[0]


class _Tally:
    """Prints the labels or the error of each image as it comes, and counts both."""

    def __init__(self, words: list[str], top: int, *, as_json: bool) -> None:
        self._words = words
        self._top = top
        self._as_json = as_json
        # Wide enough for every label: which of them come is not known yet.
        self._label_width = max(map(output.width, map(printable, words)))
        if output.is_terminal(sys.stdout):
            columns = shutil.get_terminal_size().columns
            self._label_width = min(self._label_width, max(_LEAST_LABEL, columns // 3))
        self._done = self._failed = 0

    def add(self, sample: "Sample", score: Score) -> None:
        """Print an image's best labels, or why it has none."""
        path = str(sample.source)
        if sample.embedding is None:
            self._failed += 1
            if self._as_json:
                output.record({"path": escape(path), "error": str(sample.error)})
            if sample.error is not None:
                output.skipped(sample.error)
            return
        self._done += 1
        if sample.note is not None:
            output.note(f"{path}: {sample.note}")
        scores = score(sample.embedding)
        best = (-scores).argsort(kind="stable")[: self._top]
        pairs = [(self._words[index], round(float(scores[index]), 6)) for index in best]
        if self._as_json:
            output.record({"path": escape(path), "scores": dict(pairs)})
        else:
            self._print_rows(path, pairs)

    def report(self, source: "Images") -> int:
        """Say how many there were, and return the exit code."""
        output.left_out(source.left_out())
        skipped = f", {self._failed} skipped" if self._failed else ""
        output.say(f"{output.counted(self._done, 'image')} classified{skipped}")
        return exit_code(self._done, self._failed)

    def _print_rows(self, path: str, pairs: list[tuple[str, float]]) -> None:
        # The path comes last, as it may have any width.
        for label, number in pairs:
            shown = printable(label)
            if output.is_terminal(sys.stdout):
                shown = output.shortened(shown, self._label_width)
            output.line(f"{number:.3f}  {output.pad(shown, self._label_width)}  {printable(path)}")
