"""``aimv2 describe``: captions for pictures, in a table, in the library or in sidecars."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mlx_aimv2.describe.options import AnswerOptions
from mlx_aimv2.errors import Aimv2Error, UsageError
from mlx_aimv2.inference.image_options import DTYPE, EXCLUDE, MODEL, Dtype, ImageOptions
from mlx_aimv2.options import argument, group, option

from . import output
from .edits import KEPT, found_photos, library_at, on_photos, tell_sidecars
from .exit_codes import exit_code
from .help import RARE
from .options import (
    JSON,
    LIBRARY,
    NULL,
    PATHS_HELP,
    YES,
    check_null,
    confirm_download,
    path_at_home,
)

if TYPE_CHECKING:
    from mlx_aimv2.describe.aria import Aria
    from mlx_aimv2.library.database.captions import Caption
    from mlx_aimv2.library.editing.captions import Described
    from mlx_aimv2.library.library import Library
    from mlx_aimv2.library.sidecars.sidecar import Style

EXAMPLES = """
aimv2 describe photo.jpg
aimv2 describe ~/Pictures/2024 --write library
aimv2 describe ~/Pictures/2024 --write sidecar --language German
aimv2 describe site/images --prompt alt-text --out alt.csv
aimv2 describe --from-search "birthday cake" -n 50 --write library
aimv2 describe photo.jpg --caption "Luna at the lake"
aimv2 describe --undo last
"""
GROUPS = {
    "Which photos": "--from-search",
    "Question": "--prompt --language --fast",
    "Output": "--write --out --again",
    "Your own words": "--caption --undo",
    "Library": "--library",
    RARE: "--count --max-tokens --sidecar-names",
}
_COUNT = 20  # as a search shows
_UNDO_HINT = "aimv2 tag history lists edits, with their numbers"


@dataclass(frozen=True)
class Options:
    """What ``aimv2 describe`` takes."""

    paths: tuple[str, ...] = argument((), help=PATHS_HELP, metavar="PATH")
    from_search: str | None = option(
        help="The photos that aimv2 search finds for these words, above its line.",
        metavar="QUERY",
    )
    prompt: str = option(
        "caption",
        help="What to ask: caption, alt-text, or a text file of your own.",
        metavar="NAME",
    )
    language: str | None = option(
        help="The language of the captions.", metavar="LANGUAGE", show_default="English"
    )
    answer: AnswerOptions = group(AnswerOptions)
    write: Literal["library", "sidecar"] | None = option(
        help="Keep captions in the library, to be searched by; or there and in XMP files beside "
        "the photos.",
        show_default="print them",
    )
    out: str | None = option(
        help="Write a file, .csv or .jsonl; the same command goes on with one that is there.",
        flags="--out -o",
        metavar="FILE",
    )
    again: bool = option(
        False, help="Describe photos too that another prompt or checkpoint described before."
    )
    caption: str | None = option(
        help="Your own words for the named photos; they stand for good. Empty for no caption.",
        metavar="TEXT",
    )
    undo: str | None = option(
        help="Take back the last run (last), an edit of aimv2 tag history by its number, or all "
        "captions of the program's (all).",
        metavar="WHICH",
    )
    library: str | None = LIBRARY()
    count: int | None = option(
        help="Number of photos of the search, at most.",
        flags="-n --count",
        min=1,
        metavar="COUNT",
        show_default=f"{_COUNT}",
    )
    sidecar_names: Literal["full", "short"] | None = option(
        help="Name sidecars IMG_1.jpg.xmp (full), or IMG_1.xmp as Adobe does (short).",
        show_default="as last time, at first full",
    )
    null: bool = NULL()
    exclude: tuple[str, ...] = EXCLUDE()
    model: str = MODEL("aria")
    dtype: Dtype | None = DTYPE()
    as_json: bool = JSON()
    yes: bool = YES()


def describe(options: Options) -> int:
    """Say in a sentence or two what photos show.

    It may be wrong: a network guesses. A run that is stopped goes on by the same command: photos
    that have a caption are left alone, and your own words and those of other programs stand.
    """
    _check(options)
    if options.undo is not None:
        return _undo(options, options.undo)
    if options.caption is not None:
        return _say(options, options.caption)
    with ExitStack() as stack, Teller(options) as teller:
        try:
            for each in _described(options, stack, teller):
                teller.add(each)
        except KeyboardInterrupt:
            output.stopped_after(teller.done, "photo", "the same command goes on")
            raise
    return teller.report()


class Teller:
    """Prints photos with their captions as they come, and counts for the last line."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._prints = options.as_json or not (options.write or options.out)
        self._line = output.Progress("described")
        self.done = self._new = self._sidecars = self._waiting = self._failed = 0

    def __enter__(self) -> "Teller":
        self._line.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._line.__exit__(None, None, None)

    def begin(self, total: int) -> None:
        """From here on so many photos are counted."""
        self._line.begin("described", total)

    def fail(self, error: Aimv2Error) -> None:
        """Tell of a photo or a sidecar that is left out, and count it."""
        self._failed += 1
        output.skipped(error)

    def add(self, each: "Described") -> None:
        """Print and count one photo."""
        if each.error is not None:
            self.fail(each.error)
            return
        self.done += 1
        self._new += each.is_new
        self._waiting += each.is_waiting
        for _, outcome in each.sidecars:
            if isinstance(outcome, Aimv2Error):
                self.fail(outcome)
            else:
                self._sidecars += 1
        if each.caption is not None and self._prints:
            self._print(each.path, each.caption, is_new=each.is_new)
        self._line.advance()

    def report(self) -> int:
        """Say how it went, and return the exit code."""
        text = f"{output.counted(self.done, 'photo')}: {self._new} described"
        if had := self.done - self._new:
            text += f", {had} had a caption"
        if self._options.write == "sidecar":
            text += f", {output.counted(self._sidecars, 'sidecar')} written"
        output.say(text + (f" → {self._options.out}" if self._options.out else ""))
        if self._waiting:
            output.say(f"{output.counted(self._waiting, 'caption')} {KEPT}")
            if self._options.write == "sidecar":
                output.say("then the same command writes the sidecars")
        return exit_code(self.done, self._failed)

    def _print(self, path: str, caption: "Caption", *, is_new: bool) -> None:
        if not self._options.as_json:
            output.table([(path, caption.text)])
            return
        from mlx_aimv2.files.path_text import escape  # noqa: PLC0415

        fields = asdict(caption) | {"is_new": is_new}
        output.record({"path": escape(path), "caption": fields.pop("text"), **fields})


def load(options: Options) -> "Aria":
    """The checkpoint that describes."""
    from mlx_aimv2.describe.aria import Aria  # noqa: PLC0415  (heavy)

    return Aria.load(options.model, dtype=options.dtype, confirm=confirm_download(options.yes))


def _described(options: Options, stack: ExitStack, teller: Teller) -> "Iterator[Described]":
    """Each photo with its caption, kept where the options say."""
    from mlx_aimv2.describe import captions, prompts  # noqa: PLC0415  (heavy, as those below)

    prompt = prompts.read(path_at_home(options.prompt), options.language)
    model = Path(options.model).name or options.model
    aria = cache(lambda: load(options))  # once a photo needs it

    def ask(path: str) -> str:
        return aria().describe(path, prompt, **asdict(options.answer))

    file = None
    if options.out is not None:
        target = Path(path_at_home(options.out))
        file = stack.enter_context(captions.open_captions(target, prompt=prompt, model=model))
    if options.from_search is None:
        paths = _walked(options, teller)
    if options.write is not None or options.from_search is not None:
        library = stack.enter_context(library_at(options.library))
    if options.from_search is not None:
        paths = _found(library, options)
    teller.begin(len(paths))
    if options.write is None:
        yield from captions.describe_files(paths, ask, prompt=prompt, model=model, file=file)
        return
    names: Style | bool = (options.sidecar_names or True) if options.write == "sidecar" else False
    yield from library.describe(
        paths, ask, prompt=prompt, model=model, again=options.again, sidecars=names
    )


def _walked(options: Options, teller: Teller) -> list[bytes]:
    """The pictures in files and folders, each once. Errors: ImageError where there are none."""
    from .inputs import Images  # noqa: PLC0415  (heavy)

    images = Images(options.paths, options.null, ImageOptions(), options.exclude)
    paths: dict[bytes, None] = {}
    for path, error in images.find():
        if error is None:
            paths[path] = None
        else:
            teller.fail(error)
    output.left_out(images.left_out())
    if not paths:
        raise images.nothing()
    return list(paths)


def _found(library: "Library", options: Options) -> list[bytes]:
    count = options.count or _COUNT
    paths = found_photos(library, options.from_search or "", count, yes=options.yes)
    return [os.fsencode(path) for path in paths]


def _say(options: Options, text: str) -> int:
    """Keep a person's own words for photos."""
    with library_at(options.library) as opened:
        is_search = options.from_search is not None
        edited = opened.edit_caption(_found(opened, options) if is_search else options.paths, text)
    for error in edited.errors:
        output.skipped(error)
    photos = output.counted(edited.count, "photo")
    if edited.is_waiting:
        output.say(f"your caption of {photos} is {KEPT}")
    else:
        output.say(f"your caption of {photos} stands" if text.split() else f"{photos}: no caption")
    return tell_sidecars(edited, done=edited.count)


def _undo(options: Options, which: str) -> int:
    number: int | Literal["all"] | None = None
    if which != "last":
        number = "all" if which == "all" else _number(which)
    with library_at(options.library) as opened:
        edited = opened.undo_captions(number)
    if edited.is_waiting:
        output.say(f"undoing is {KEPT}")
        return 0
    if number == "all":
        photos = output.counted(edited.count, "photo")
        output.say(f"captions taken back from {photos}; your own words stay")
    else:
        output.say(f"undone{on_photos(edited)}")
    return tell_sidecars(edited, done=1)


def _number(which: str) -> int:
    if not which.isdecimal():
        raise UsageError(f"--undo takes last, all or a number, not {which!r}", hint=_UNDO_HINT)
    return int(which)


def _check(options: Options) -> None:
    """Errors: UsageError for what does not go together."""
    kinds = {
        "--undo": options.undo,
        "--caption": options.caption,
        "--write": options.write,
        "--out": options.out,
    }
    chosen = [name for name, value in kinds.items() if value is not None]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} cannot be combined", hint="leave one of them out")
    if options.undo is not None:
        if options.paths or options.from_search is not None:
            raise UsageError("--undo takes no photos", hint=_UNDO_HINT)
        return
    if bool(options.paths) == (options.from_search is not None):
        raise UsageError(
            "name photos, or find them with --from-search", hint="aimv2 describe photo.jpg"
        )
    if options.count is not None and options.from_search is None:
        raise UsageError("--count is for --from-search", hint="leave it out")
    if options.again and options.write is None:
        raise UsageError("--again is for captions that are kept", hint="add --write library")
    if options.sidecar_names and options.write != "sidecar":
        raise UsageError("--sidecar-names is for sidecars only", hint="add --write sidecar")
    check_null(options.null, options.paths)
