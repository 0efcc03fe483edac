"""``aimv2 library``: what is in the library, and how it is looked after."""

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mlx_aimv2.errors import UsageError

from . import output
from .options import JsonOption, LibraryOption, path

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


def status(library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """Say what is in the library: photos, folders, vectors and tags."""
    with _opened(library) as opened:
        _status(opened, as_json)


def errors(library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """List the photos that could not be read, with the reasons."""
    with _opened(library) as opened:
        _errors(opened, as_json)


def prune(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be forgotten.")
    ] = False,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget photos and folders that are gone, and give their disk space back."""
    with _opened(library) as opened:
        _prune(opened, dry_run, as_json)


def forget(
    folder: Annotated[
        str,
        typer.Argument(
            help="The folder, or a single photo.",
            metavar="FOLDER",
            parser=path,
            show_default=False,
        ),
    ],
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a folder out of the library, with all that is known of its photos."""
    if not folder:
        raise UsageError("there is nothing to forget", hint="aimv2 library forget FOLDER")
    with _opened(library) as opened:
        _tell_forgotten(opened.forget(folder), as_json)


def export(
    target: Annotated[
        str,
        typer.Argument(
            help="A file to write (.npz, .npy, .safetensors, .jsonl or .parquet), or a folder in "
            "the form of clip-retrieval.",
            metavar="TARGET",
            parser=path,
            show_default=False,
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="The checkpoint whose vectors to write.",
            metavar="SOURCE",
            parser=path,
            show_default="the library's",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the library's vectors and facts for other programs."""
    with _opened(library) as opened:
        count = opened.export(target, model=model, overwrite=force)
    output.say(f"{output.counted(count, 'vector')} → {target}")
    if as_json:
        from mlx_aimv2.files.path_text import escape  # noqa: PLC0415

        output.record({"count": count, "target": escape(target)})


ACTIONS = (status, errors, prune, forget, export)


def _opened(file: str | None) -> "Library":
    from mlx_aimv2.library.library import Library  # noqa: PLC0415  (heavy)

    return Library(file)


def _status(library: "Library", as_json: bool) -> None:
    from mlx_aimv2.files.path_text import escape  # noqa: PLC0415
    from mlx_aimv2.library.maintenance import describe_set  # noqa: PLC0415
    from mlx_aimv2.library.shots import count_tags  # noqa: PLC0415

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
    tags = dict(count_tags(store))
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
        rows.append(("vectors", f"{each.row_count} by {describe_set(each)}, {disk} ({note})"))
    if tags:
        rows.append(("tags", f"{sum(tags.values())}, of {len(tags)} different ones"))
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
    from mlx_aimv2.library.indexing.scan import emptied  # noqa: PLC0415  (heavy)

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
