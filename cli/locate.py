"""``aimv2 locate``: where in a picture words are, or in the photos that a search finds."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlx_aimv2.errors import ImageError, UsageError
from mlx_aimv2.files.path_text import escape
from mlx_aimv2.files.paths import printable
from mlx_aimv2.inference.image_options import DTYPE, MODEL, Dtype
from mlx_aimv2.models.aimv2 import published as checkpoints
from mlx_aimv2.options import argument, option

from . import output
from .exit_codes import exit_code
from .options import FORCE, HTML, JSON, LIBRARY, OPEN, YES, confirm_download, path_at_home
from .sheets import target_of, write

if TYPE_CHECKING:
    from mlx_aimv2.inference.locating.locator import Located, Locator
    from mlx_aimv2.library.library import Library
    from mlx_aimv2.library.search.searcher import Hit

EXAMPLES = """
aimv2 locate photo.jpg dog "red ball" --out found.png
aimv2 locate drawing.png sun boat --model demo --json
aimv2 locate --from-search "dog on a beach" dog --html dogs.html --open
"""
GROUPS = {
    "Where to look": "--from-search --library --count --tiles",
    "Output": "--out --html --open --json",
    "Model": "--model --yes",
}

_MOST_DRAWN = 100  # a sheet of more would be larger than programs show
_SURE = 0.5  # below it a place fits its word no better than any word


@dataclass(frozen=True)
class Options:
    """What ``aimv2 locate`` takes."""

    given: tuple[str, ...] = argument(
        (),
        help="A picture, then what to find in it; with --from-search only what to find.",
        metavar="IMAGE WORD",
    )
    from_search: str | None = option(
        help="Look in the photos that a search of the library finds; without words for what was "
        "searched.",
        metavar="QUERY",
    )
    library: str | None = LIBRARY()
    count: int | None = option(
        help="Number of photos to look in, at most, with --from-search.",
        flags="-n --count",
        min=1,
        metavar="COUNT",
        show_default="20",
    )
    tiles: int = option(
        2,
        help="Look at the whole only (1), at tiles of half its shorter side too (2), and of a "
        "third (3): for smaller things, in more time.",
        min=1,
        max=3,
        metavar="1|2|3",
    )
    out: str | None = option(
        help="Write the picture with what was found drawn on it, one for each word.",
        metavar="FILE.png",
        parser=path_at_home,
    )
    force: bool = FORCE()
    html: str | None = HTML(help="Write a sheet of the photos with what was found drawn on them.")
    is_open: bool = OPEN()
    as_json: bool = JSON()
    model: str | None = MODEL(show_default=f"{checkpoints.DEFAULT}; the library's with a search")
    dtype: Dtype | None = DTYPE()
    yes: bool = YES()


def locate(options: Options) -> int:
    """Find where in a picture words are: a box, a point and a score for each.

    Every word gets the place that fits it best; the score says whether it is there: at 0.5 the
    place fits the word as well as any word. Boxes are in pixels of the picture as it is seen,
    upright: left, top, right, bottom.
    """
    _check(options)
    if options.from_search is not None:
        return _in_library(options, options.from_search)
    path, *words = options.given
    if options.out:
        _check_out(Path(options.out), path, is_forced=options.force)
    from mlx_aimv2.inference.locating.locator import Locator  # noqa: PLC0415  (heavy)
    from mlx_aimv2.inference.model import load  # noqa: PLC0415

    source = options.model or checkpoints.DEFAULT
    _check_published(source)
    model = load(source, dtype=options.dtype, confirm=confirm_download(options.yes))
    found = Locator(model, _once(words), tiles=options.tiles).find(path)
    _print([(path, found)], as_json=options.as_json)
    if options.out:
        from mlx_aimv2.files.whole_file import write_whole  # noqa: PLC0415
        from mlx_aimv2.outputs.heatmap import panels  # noqa: PLC0415

        write_whole(Path(options.out), panels(path, found))
        output.say(f"{output.counted(len(found), 'heatmap')} → {printable(options.out)}")
    return 0


def _check(options: Options) -> None:
    """Errors: UsageError for options that do not go together."""
    if options.from_search is None:
        if len(options.given) < 2:
            raise UsageError(
                "a picture and what to find in it are needed",
                hint="aimv2 locate photo.jpg dog, or --from-search QUERY",
            )
        for word in options.given[1:]:
            if os.path.isfile(word):  # noqa: PTH113  (no error for a long text)
                raise UsageError(
                    f"{printable(word)} is a file: one picture is looked at, and what follows it "
                    "are words",
                    hint="pictures of a library: --from-search QUERY",
                )
        for flag, value in {
            "--library": options.library,
            "--count": options.count,
            "--html": options.html,
            "--open": options.is_open or None,
        }.items():
            if value is not None:
                raise UsageError(f"{flag} is for --from-search", hint="for one picture: --out")
    elif options.out:
        raise UsageError("--out is for one picture", hint="for photos of a search: --html")
    if options.out and not options.out.lower().endswith(".png"):
        raise UsageError(f"{options.out} is no name of a PNG", hint=f"like {options.out}.png")
    if options.out and len(options.given) > _MOST_DRAWN + 1:
        raise UsageError(
            f"heatmaps are drawn of {_MOST_DRAWN} words at most, not of {len(options.given) - 1}",
            hint="name fewer words, or leave --out out",
        )
    if options.force and not options.out:
        raise UsageError("--force says to replace what --out names", hint="leave --force out")


def _check_out(target: Path, picture: str, *, is_forced: bool) -> None:
    from mlx_aimv2.files.whole_file import check_new  # noqa: PLC0415

    with suppress(OSError):
        if target.samefile(picture):
            raise UsageError(f"{printable(target)} is the picture itself", hint="choose a new name")
    if not (is_forced and target.is_file()):
        check_new(target)


def _check_published(source: str) -> None:
    """Errors: UsageError for a published checkpoint without texts, before it is downloaded."""
    published = checkpoints.find(source)
    if published and not published.has_text:
        raise UsageError(
            f"{published.name} reads no texts, only pictures",
            hint="words need a checkpoint that reads texts: --model lit",
        )


def _once(words: list[str]) -> list[str]:
    return list(dict.fromkeys(" ".join(word.split()) for word in words))


def _in_library(options: Options, query_text: str) -> int:
    """Look in the photos of a search."""
    html = target_of(options.html, options.is_open, "locate")
    words = _once(list(options.given) or _texts_of(query_text))
    from mlx_aimv2.inference.locating.locator import Locator  # noqa: PLC0415  (heavy)
    from mlx_aimv2.inference.model import load  # noqa: PLC0415
    from mlx_aimv2.library.library import Library  # noqa: PLC0415

    confirm = confirm_download(options.yes)
    with Library(options.library) as opened:
        answer = opened.search(
            query_text.split(),
            count=options.count or 20,
            model=options.model,
            dtype=options.dtype,
            confirm=confirm,
        )
        if not answer.hits:
            output.say(f"no photo fits {query_text!r}: see aimv2 search {query_text}")
            return 0
        model = load(_source_of(opened, options), dtype=options.dtype, confirm=confirm)
        locator = Locator(model, words, tiles=options.tiles)
        done: list[tuple[Hit, list[Located]]] = []
        with output.Progress("located", len(answer.hits)) as progress:
            for hit, found in _each(locator, answer.hits):
                if found is not None:
                    done.append((hit, found))
                progress.advance()
        if not html or options.as_json:
            _print([(hit.path, found) for hit, found in done], as_json=options.as_json)
        if html and done:
            _write_sheet(html, words, done, options)
    return exit_code(len(done), len(answer.hits) - len(done))


def _texts_of(query_text: str) -> list[str]:
    """What a query looks for in words. Errors: UsageError where it has none."""
    from mlx_aimv2.library.search import query  # noqa: PLC0415  (heavy)

    terms = query.parse(query_text.split())
    words = [term.text for term in terms if term.text is not None and term.weight > 0]
    if not words:
        raise UsageError(
            f"{query_text!r} has no words to find a place for",
            hint=f"add them: aimv2 locate --from-search {query_text!r} dog",
        )
    return words


def _source_of(library: "Library", options: Options) -> str:
    vectors = library.store.serving()
    return options.model or (vectors.source if vectors else checkpoints.DEFAULT)


def _each(
    locator: "Locator", hits: "tuple[Hit, ...]"
) -> "Iterator[tuple[Hit, list[Located] | None]]":
    """Each hit with what was found in it; None, and a line, for a photo that cannot be read."""
    for hit in hits:
        try:
            yield hit, locator.find(hit.path)
        except ImageError as error:
            output.skipped(error)
            yield hit, None


def _print(done: "list[tuple[str, list[Located]]]", *, as_json: bool) -> None:
    if as_json:
        for path, found in done:
            for each in found:
                output.record(
                    {
                        "path": escape(path),
                        "text": escape(each.text),
                        "score": round(each.score, 6),
                        "box": each.box,
                        "point": each.point,
                        "width_px": each.size[0],
                        "height_px": each.size[1],
                    }
                )
        return
    rows = [
        (each.text, f"{each.score:.3f}", *map(str, each.box), path)
        for path, found in done
        for each in found
    ]
    if rows:
        columns = ("word", "score", "left", "top", "right", "bottom", "path")
        output.table(rows, columns, right=(2, 3, 4, 5))
    if any(each.score < _SURE for _, found in done for each in found):
        output.say(f"below {_SURE} a place fits its word no better than any word")


def _write_sheet(
    html: str, words: list[str], done: "list[tuple[Hit, list[Located]]]", options: Options
) -> None:
    """A sheet with a group of photos for each word, those that fit it best first."""
    from mlx_aimv2.library.contact_sheet import SheetGroup, SheetRow  # noqa: PLC0415

    groups = []
    for number, word in enumerate(words):
        ranked = sorted(done, key=lambda one: -one[1][number].score)
        rows = [
            SheetRow(hit.file, found[number].score, found=found[number]) for hit, found in ranked
        ]
        groups.append(SheetGroup(word, rows))
    write(html, str(options.from_search), groups=groups, is_open=options.is_open)
