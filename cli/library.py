"""``aimv2 library``: what is in the library, and how it is looked after."""

import os
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mlx_aimv2.errors import UsageError
from mlx_aimv2.inference.image_options import MODEL
from mlx_aimv2.options import argument, group, option
from mlx_aimv2.outputs.formats import KNOWN

from . import output
from .options import FORCE, JSON, LIBRARY

if TYPE_CHECKING:
    from mlx_aimv2.library.library import Library
    from mlx_aimv2.library.maintenance import Pruned

EXAMPLES = """
aimv2 library status
aimv2 library errors
aimv2 library prune --dry-run
aimv2 library forget /Volumes/Old
aimv2 library export vectors.npz
aimv2 library export clip-retrieval-folder
"""


def library() -> None:
    """Look after the library. Photos themselves are never changed."""


@dataclass(frozen=True)
class Options:
    """What ``aimv2 library status`` and ``errors`` take, and the others too."""

    library: str | None = LIBRARY()
    as_json: bool = JSON()


@dataclass(frozen=True)
class PruneOptions:
    """What ``aimv2 library prune`` takes."""

    dry_run: bool = option(False, help="Only say what would be forgotten.")
    common: Options = group(Options)


@dataclass(frozen=True)
class ForgetOptions:
    """What ``aimv2 library forget`` takes."""

    folder: str = argument(help="The folder, or a single photo.", metavar="FOLDER")
    common: Options = group(Options)


@dataclass(frozen=True)
class ExportOptions:
    """What ``aimv2 library export`` takes."""

    target: str = argument(
        help=f"A file to write ({KNOWN}), or a folder in the form of clip-retrieval.",
        metavar="TARGET",
    )
    model: str | None = MODEL(
        help="The checkpoint whose vectors to write.", show_default="the library's"
    )
    force: bool = FORCE()
    common: Options = group(Options)


def status(options: Options) -> None:
    """Say what is in the library: photos, folders, vectors and tags."""
    with _opened(options) as opened:
        _status(opened, options.as_json)


def errors(options: Options) -> None:
    """List the photos that could not be read, with the reasons."""
    with _opened(options) as opened:
        _errors(opened, options.as_json)


def prune(options: PruneOptions) -> None:
    """Forget photos and folders that are gone, and give their disk space back."""
    with _opened(options.common) as opened:
        _prune(opened, options.dry_run, options.common.as_json)


def forget(options: ForgetOptions) -> None:
    """Take a folder out of the library, with all that is known of its photos."""
    if not options.folder:
        raise UsageError("there is nothing to forget", hint="aimv2 library forget FOLDER")
    with _opened(options.common) as opened:
        _tell_forgotten(opened.forget(options.folder), options.common.as_json)


def export(options: ExportOptions) -> None:
    """Write the library's vectors and facts for other programs."""
    with _opened(options.common) as opened:
        count = opened.export(options.target, model=options.model, overwrite=options.force)
    output.say(f"{output.counted(count, 'vector')} → {options.target}")
    if options.common.as_json:
        from mlx_aimv2.files.path_text import escape  # noqa: PLC0415

        output.record({"count": count, "target": escape(options.target)})


ACTIONS = (status, errors, prune, forget, export)


def _opened(options: Options) -> "Library":
    from mlx_aimv2.library.library import Library  # noqa: PLC0415  (heavy)

    return Library(options.library)


def _status(library: "Library", as_json: bool) -> None:
    from mlx_aimv2.files.path_text import escape  # noqa: PLC0415
    from mlx_aimv2.library.editing.known_tags import count_verdicts  # noqa: PLC0415

    store, counts = library.store, library.counts()
    roots = [os.fsdecode(root) for root, _ in store.roots()]
    sets = [
        {
            "checkpoint": each.settings["checkpoint"],
            "revision": each.settings["revision"],
            "width": each.width,
            "rows": each.row_count,
            "size_bytes": store.segments(each).size_bytes,
            "is_serving": each.is_serving,
            "is_former": each.is_former,
            "left": store.unembedded(each.id),
        }
        for each in store.sets()
    ]
    given = [tag for tag in library.tags() if tag.photos]
    tags = {tag.tag: tag.photos for tag in given}
    origins: Counter[str] = Counter()
    for tag in given:
        origins.update(tag.origins)
    verdicts, captions = count_verdicts(store), store.count_captions()
    problems = store.check()
    problems += [text for each in store.sets() for text in store.segments(each).problems()]
    if as_json:
        output.record(
            {
                "library": escape(str(library.path)),
                "files": counts.files,
                "errors": counts.in_error,
                "missing": counts.missing,
                "excluded": counts.excluded,
                "exclude": [escape(pattern) for pattern in store.excluded()],
                "folders": [escape(root) for root in roots],
                "sets": sets,
                "tags": tags,
                "origins": origins,
                "verdicts": verdicts,
                "captions": captions,
                "problems": problems,
            }
        )
        return
    there = counts.files - counts.in_error - counts.missing - counts.excluded
    rows = [("library", str(library.path)), ("photos", str(there))]
    if counts.in_error:
        rows.append(("not readable", f"{counts.in_error} (aimv2 library errors)"))
    if counts.missing:
        rows.append(("gone", f"{counts.missing} (aimv2 library prune forgets them)"))
    if counts.excluded:
        rows.append(("excluded", f"{counts.excluded} (their tags are kept)"))
    rows += [("folder", root) for root in roots]
    rows += [("without", pattern) for pattern in store.excluded()]
    for each, facts in zip(store.sets(), sets, strict=True):
        left = output.counted(facts["left"], "photo")
        note = f"not complete, {left} left" if facts["left"] else "complete"
        note = "searched" if each.is_serving else f"{note}, not searched"
        disk = output.size(store.segments(each).size_bytes)
        preset = each.settings["preprocessing"]["preset"]
        maker = f"{facts['checkpoint']}, {each.width} wide, preset {preset}"
        rows.append(("vectors", f"{each.row_count} by {maker}, {disk} ({note})"))
    if tags:
        rows.append(("tags", f"{sum(tags.values())}, of {len(tags)} different ones"))
        named = [f"{origin} {count}" for origin, count in origins.most_common()]
        rows.append(("given by", ", ".join(named)))
    if any(verdicts.values()):
        said = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items() if count)
        rows.append(("your word", said))
    if captions:
        named = [f"{origin} {count}" for origin, count in captions.items()]
        rows.append(("captions", f"{sum(captions.values())} ({', '.join(named)})"))
    rows += [("problem", problem) for problem in problems]
    output.table(rows)


def _errors(library: "Library", as_json: bool) -> None:
    from mlx_aimv2.files.path_text import escape  # noqa: PLC0415

    files = library.errors()
    for file in files:
        path = os.fsdecode(file.path)
        if as_json:
            output.record({"path": escape(path), "error": file.error, "hint": file.error_hint})
        else:
            output.line(file.error or "")
    output.say(f"{output.counted(len(files), 'photo')} could not be read" if files else "no errors")


def _prune(library: "Library", dry_run: bool, as_json: bool) -> None:
    from mlx_aimv2.files.path_text import escape  # noqa: PLC0415
    from mlx_aimv2.library.indexing.roots import emptied  # noqa: PLC0415  (heavy)

    pruned = library.prune(dry_run=dry_run)
    for folder in pruned.empty:
        output.note(emptied(folder))
    if as_json:
        output.record(asdict(pruned) | {"empty": [escape(folder) for folder in pruned.empty]})
    counts = {
        "missing photo": pruned.files,
        "missing folder": pruned.folders,
        "unused vector set": pruned.sets,
    }
    parts = [output.counted(count, noun) for noun, count in counts.items() if count]
    if pruned.size_bytes and not dry_run:
        parts.append(f"{output.size(pruned.size_bytes)} of disk given back")
    verb = "to forget" if dry_run else "forgotten"
    output.say(f"{verb}: {', '.join(parts)}" if parts else "nothing to forget")


def _tell_forgotten(pruned: "Pruned", as_json: bool) -> None:
    if as_json:
        output.record(asdict(pruned))
    given = f"{output.size(pruned.size_bytes)} of disk given back"
    output.say(f"forgotten: {output.counted(pruned.files, 'photo')}, {given}")
