"""``aimv2 search``: photos that fit words, or look like a picture."""

import os
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlx_aimv2.errors import UsageError
from mlx_aimv2.inference.image_options import DTYPE, MODEL, Dtype
from mlx_aimv2.library.search.filters import Filters
from mlx_aimv2.library.search.request import SearchRequest
from mlx_aimv2.options import group, option

from . import output
from .options import HTML, JSON, LIBRARY, OPEN, YES, confirm_download
from .sheets import target_of, write

if TYPE_CHECKING:
    from mlx_aimv2.library.library import Library
    from mlx_aimv2.library.search.searcher import Answer, Hit

EXAMPLES = """
aimv2 search red bicycle in snow
aimv2 search --captions-only birthday cake
aimv2 search horse + stripes - 2:zebra --in ~/Pictures
aimv2 search --like cat.jpg --since 2023 -n 50
aimv2 search --tag Dog --not-tag Luna --since 2024
aimv2 search tag:Luna + beach --sort date --unique
aimv2 search birthday cake --html cakes.html --open
aimv2 search receipts --photos --uuid | osxphotos batch-edit --uuid-from-file - --keyword receipt
"""
GROUPS = {
    "Which photos": "--like --in --since --tag --not-tag",
    "Output": "--count --min-score --sort --html",
    "Library": "--library",
}

_LINE = "---- the line: below it a photo fits the text no better than any text ----"


@dataclass(frozen=True)
class Options:
    """What ``aimv2 search`` takes."""

    count: int = option(
        20,
        help="Number of photos to show, at most.",
        flags="-n --count",
        min=1,
        metavar="COUNT",
    )
    asked: SearchRequest = group(SearchRequest)
    paths_only: bool = option(False, help="Print paths only, one on each line.", flags="-f --paths")
    null: bool = option(False, help="Print paths only, a NUL after each.", flags="-0 --null")
    uuid: bool = option(False, help="Print the UUIDs of the photos in Apple's Photos.")
    html: str | None = HTML()
    is_open: bool = OPEN()
    library: str | None = LIBRARY()
    model: str | None = MODEL(
        help="The checkpoint whose vectors to use.", show_default="the library's"
    )
    dtype: Dtype | None = DTYPE()
    as_json: bool = JSON()
    yes: bool = YES()


def search(options: Options) -> int:
    """Find photos in the library: by words, by likeness, or by both.

    Words are looked for in pictures and in captions (aimv2 describe), and both count.

    Words between + and - belong together; 2:dog counts twice; a term after - is taken away. Where
    no photo fits, the best score is told. Options like --tag without words list photos, the newest
    first.
    """
    html = target_of(options.html, options.is_open, "search")
    filters = _checked(options)
    from mlx_aimv2.library.library import Library  # noqa: PLC0415  (heavy)

    with Library(options.library) as opened:
        _index_new(opened, options)
        answer = opened.search(
            options.asked.words,
            like=options.asked.like,
            count=options.count,
            min_score=options.asked.min_score,
            filters=filters,
            sort=options.asked.sort,
            unique=options.asked.unique,
            captions_only=options.asked.captions_only,
            model=options.model,
            dtype=options.dtype,
            confirm=confirm_download(options.yes),
        )
        if options.as_json:
            _print_json(opened, answer)
        elif options.paths_only or options.null:
            _print_paths(answer, b"\0" if options.null else b"\n")
        elif options.uuid:
            for hit in answer.hits:
                output.line(str(hit.file.uuid))
        elif not html:
            _print_table(answer, is_by_date=options.asked.sort == "date")
            _tell_line(answer, options)
        if html and answer.hits:
            from mlx_aimv2.library.contact_sheet import SheetRow  # noqa: PLC0415

            title = " ".join(options.asked.words or options.asked.like or ["Photos"])
            ids = [hit.file.id for hit in answer.hits]
            origins, captions = opened.store.origins_of(ids), opened.store.captions_of(ids)
            rows = (
                SheetRow(
                    hit.file,
                    hit.score,
                    _others(hit),
                    tags=origins[hit.file.id],
                    caption=captions[hit.file.id].text if hit.file.id in captions else "",
                )
                for hit in answer.hits
            )
            write(html, title, rows=rows, is_open=options.is_open)
        _tell(opened, answer, filters, is_of_captions=options.asked.captions_only)
    if html and not answer.hits:
        output.say("no sheet was written")
    return 0


def _checked(options: Options) -> Filters:
    """The filters of a search. Errors: UsageError for wrong options, before anything is indexed."""
    from mlx_aimv2.library.search import query  # noqa: PLC0415  (heavy)
    from mlx_aimv2.library.search.fitting import condition  # noqa: PLC0415
    from mlx_aimv2.library.search.searcher import check_order  # noqa: PLC0415

    chosen = {
        "--paths": options.paths_only,
        "--null": options.null,
        "--uuid": options.uuid,
        "--json": options.as_json,
    }
    names = [name for name, is_chosen in chosen.items() if is_chosen]
    if len(names) > 1:
        raise UsageError(f"{' and '.join(names)} cannot be combined", hint="leave one of them out")
    filters = options.asked.filters
    if options.uuid:
        filters = replace(filters, is_in_photos=True)
    condition(filters)
    has_query = bool(options.asked.words or options.asked.like or filters.is_empty)
    check_order(options.asked.sort, options.asked.min_score, has_query=has_query)
    if has_query:
        query.parse(options.asked.words, options.asked.like)
    return filters


def _index_new(library: "Library", options: Options) -> None:
    """Index new photos in the folders of --in, unless another process writes the library."""
    from mlx_aimv2.errors import LockedError, OutputError  # noqa: PLC0415
    from mlx_aimv2.library.indexing.options import IndexOptions  # noqa: PLC0415

    from .index import Counter  # noqa: PLC0415

    expanded = [os.path.expanduser(place) for place in options.asked.filters.named_places]  # noqa: PTH111  (never raises)
    folders = [place for place in expanded if os.path.lexists(place)]
    if not folders:
        return
    told: set[str] = set()
    with suppress(OutputError):  # a library that is not there yet, or of an older version
        told = {str(file.error) for file in library.errors()}
    counter = Counter(told)
    try:
        report = library.index_with(
            IndexOptions(model=options.model, dtype=options.dtype),
            folders,
            confirm=confirm_download(options.yes),
            progress=counter.progress(),
        )
    except LockedError as held:
        output.note(f"{held}: searched as it is")
        return
    finally:
        counter.close()
    for error in report.errors[: len(report.errors) - report.failed]:
        output.skipped(error)
    if report.embedded:
        output.say(f"indexed {output.counted(report.embedded, 'new photo')}")


def _print_table(answer: "Answer", *, is_by_date: bool) -> None:
    """The hits as rows; where the line lies among them it is drawn, or by date those below it are
    in brackets."""
    rows = [(_score(hit), _day(hit), _path(hit) + _others(hit)) for hit in answer.hits]
    below = [_is_below(hit, answer.line) for hit in answer.hits]
    if any(below) and is_by_date:
        rows = [
            (f"({score})" if is_below else score, day, path)
            for (score, day, path), is_below in zip(rows, below, strict=True)
        ]
    elif any(below):
        rows.insert(below.index(True), (f"{answer.line:.3f}", "", _LINE))
    columns = ("score", "date", "path")
    first = 1 if answer.best is None else 0  # a list by filters has no scores
    if rows:
        output.table([row[first:] for row in rows], columns[first:])


def _tell_line(answer: "Answer", options: Options) -> None:
    """Say on which side of the line the hits of a table lie, where the table does not show it."""
    if answer.line is None or not answer.hits:
        return
    if options.asked.min_score is None:
        more = " (below it: -t 0.3)" if len(answer.hits) < options.count else ""
        output.say(
            f"{output.counted(len(answer.hits), 'photo')} above the line, {answer.line}{more}"
        )
    elif options.asked.sort == "date" and any(_is_below(hit, answer.line) for hit in answer.hits):
        output.say(f"in brackets: below the line, {answer.line}, no better than for any text")


def _is_below(hit: "Hit", line: float | None) -> bool:
    return line is not None and hit.score is not None and hit.score < line


def _print_json(library: "Library", answer: "Answer") -> None:
    from mlx_aimv2.files.path_text import escape  # noqa: PLC0415

    ids = [hit.file.id for hit in answer.hits]
    origins, captions = library.store.origins_of(ids), library.store.captions_of(ids)
    for hit in answer.hits:
        file, facts, caption = hit.file, hit.file.facts, captions.get(hit.file.id)
        output.record(
            {
                "path": escape(_path(hit)),
                "same_shot": [escape(os.fsdecode(path)) for path in _same_shot(hit)],
                "copies": [escape(path) for path in hit.copies],
                "score": None if hit.score is None else round(hit.score, 6),
                "line": answer.line,
                "taken_at": facts.taken_at if facts else None,
                "width_px": facts.width_px if facts else None,
                "height_px": facts.height_px if facts else None,
                "format": facts.format if facts else None,
                "latitude": facts.latitude if facts else None,
                "longitude": facts.longitude if facts else None,
                "uuid": file.uuid,
                "tags": list(origins[file.id]),
                "origins": origins[file.id],
                "caption": caption and caption.text,
                "caption_origin": caption and caption.origin,
            }
        )


def _print_paths(answer: "Answer", separator: bytes) -> None:
    for hit in answer.hits:
        sys.stdout.buffer.write(hit.file.path + separator)
    sys.stdout.buffer.flush()


def _tell(library: "Library", answer: "Answer", filters: Filters, *, is_of_captions: bool) -> None:
    if answer.hits:
        if answer.best is None and len(answer.hits) < answer.searched:
            output.say(
                f"{len(answer.hits)} of {output.counted(answer.searched, 'photo')}: -n shows more"
            )
    elif not answer.searched:
        output.say(_why_none(library, answer, filters, is_of_captions=is_of_captions))
    elif answer.best is not None:
        shown = answer.best - 0.001
        shown = max(0.0, shown) if answer.best >= 0 else shown
        output.say(
            f"nothing fits; the best score of {output.counted(answer.searched, 'photo')} is "
            f"{answer.best:.3f} (see it with: -t {shown:.3f})"
        )


def _why_none(
    library: "Library", answer: "Answer", filters: Filters, *, is_of_captions: bool
) -> str:
    """The reason why no photo was searched, and what to type next."""
    counts = library.counts()
    if is_of_captions and not library.store.count_captions():
        return "no photo has a caption yet: aimv2 describe FOLDER --write library"
    if answer.excluded:
        return f"no other photo {'is in the library' if filters.is_empty else 'fits the filters'}"
    if filters.is_empty or counts.files == counts.in_error + counts.missing + counts.excluded:
        return "there are no photos to search: aimv2 index FOLDER"
    if filters.tags and not library.store.has_tags():
        return "no photo has a tag yet: aimv2 tag"
    return "no photo fits the filters"


def _score(hit: "Hit") -> str:
    return "" if hit.score is None else f"{hit.score:.3f}"


def _day(hit: "Hit") -> str:
    facts = hit.file.facts
    return facts.taken_at[:10] if facts and facts.taken_at else ""


def _others(hit: "Hit") -> str:
    """The names of the other files of a hit's shot, as they stand behind its path, and how many
    copies were found with it."""
    names = "".join(f"  + {os.path.basename(path)}" for path in hit.same_shot)  # noqa: PTH119  (any name)
    copies = "copy" if len(hit.copies) == 1 else "copies"
    return f"{names}  + {len(hit.copies)} {copies}" if hit.copies else names


def _same_shot(hit: "Hit") -> list[bytes]:
    """The paths of the other files of a hit's shot, and of the videos that are part of it."""
    from mlx_aimv2.library.shot_names import videos_beside  # noqa: PLC0415

    others = [os.fsencode(path) for path in hit.same_shot]
    return [*others, *(video for path in (hit.file.path, *others) for video in videos_beside(path))]


def _path(hit: "Hit") -> str:
    return os.fsdecode(hit.file.path)
