"""``aimv2 library``: what is in the library, and how it is looked after."""

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mlx_aimv2.errors import UsageError

from . import output
from .options import JsonOption, LibraryOption, path

if TYPE_CHECKING:
    from mlx_aimv2.library.library import Library
    from mlx_aimv2.library.upkeep import Pruned

EXAMPLES = """
aimv2 library status
aimv2 library errors
aimv2 library prune --dry-run
aimv2 library forget /Volumes/Old
aimv2 library export vectors.npz
aimv2 library export clip-retrieval-folder
"""


def library(
    action: Annotated[
        Literal["status", "errors", "prune", "forget", "export"],
        typer.Argument(
            help="One of status (what is in it), errors (what could not be read), prune (forget "
            "what is gone), forget (take a folder out), export (write the vectors).",
            metavar="ACTION",
            show_default=False,
        ),
    ],
    target: Annotated[
        str | None,
        typer.Argument(
            help="For export: a file (.npz, .npy, .safetensors, .jsonl, .parquet), or a folder in "
            "clip-retrieval's form. For forget: the folder or file.",
            metavar="TARGET",
            parser=path,
            show_default=False,
        ),
    ] = None,
    library: LibraryOption = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="For export: the checkpoint whose vectors to write.",
            metavar="SOURCE",
            parser=path,
            show_default="the library's",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="For prune: only say what would be forgotten.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="For export: replace it if it exists.")
    ] = False,
    as_json: JsonOption = False,
) -> int:
    """Look after the library. Photos themselves are never changed."""
    _check(action, target, model, dry_run, force)
    from mlx_aimv2.library.library import Library  # noqa: PLC0415  (heavy)

    with Library(library) as opened:
        if action == "status":
            _status(opened, as_json)
        elif action == "errors":
            _errors(opened, as_json)
        elif action == "prune":
            _prune(opened, dry_run, as_json)
        elif action == "forget" and target is not None:
            _tell_forgotten(opened.forget(target), as_json)
        elif target is not None:
            count = opened.export(target, model=model, overwrite=force)
            output.say(f"{output.counted(count, 'vector')} → {target}")
            if as_json:
                from mlx_aimv2.names import escape  # noqa: PLC0415

                output.record({"count": count, "target": escape(target)})
    return 0


def _check(action: str, target: str | None, model: str | None, dry_run: bool, force: bool) -> None:
    for_export = {"--model": model, "--force": force}
    if action != "forget":
        for_export = {"TARGET": target, **for_export}
    given = [name for name, value in for_export.items() if value and action != "export"]
    given += ["--dry-run"] * (dry_run and action != "prune")
    if given:
        raise UsageError(f"not for {action}: {', '.join(given)}", hint="leave it out")
    if action == "forget" and not target:
        raise UsageError("there is nothing to forget", hint="aimv2 library forget FOLDER")
    if action == "export" and target is None:
        raise UsageError("the vectors have nowhere to go", hint="aimv2 library export FILE.npz")


def _status(library: "Library", as_json: bool) -> None:
    from mlx_aimv2.library.upkeep import describe_set  # noqa: PLC0415
    from mlx_aimv2.names import escape  # noqa: PLC0415

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
    tags = dict(store.tag_counts())
    problems = store.check()
    problems += [text for each in store.sets() for text in store.segments(each).problems()]
    if as_json:
        output.record(
            {
                "library": escape(str(library.path)),
                "files": counts.files,
                "errors": counts.in_error,
                "missing": counts.missing,
                "folders": [escape(root) for root in roots],
                "sets": sets,
                "tags": tags,
                "problems": problems,
            }
        )
        return
    there = counts.files - counts.in_error - counts.missing
    rows = [("library", str(library.path)), ("photos", str(there))]
    if counts.in_error:
        rows.append(("not readable", f"{counts.in_error} (aimv2 library errors)"))
    if counts.missing:
        rows.append(("gone", f"{counts.missing} (aimv2 library prune forgets them)"))
    rows += [("folder", root) for root in roots]
    for each, facts in zip(store.sets(), sets, strict=True):
        note = "complete" if not facts["left"] else f"not complete, {facts['left']} left"
        note = "searched" if each.is_serving else f"{note}, not searched"
        disk = output.size(store.segments(each).size_bytes)
        rows.append(("vectors", f"{each.row_count} by {describe_set(each)}, {disk} ({note})"))
    if tags:
        rows.append(("tags", f"{sum(tags.values())} of {len(tags)} kinds"))
    rows += [("problem", problem) for problem in problems]
    output.table(rows)


def _errors(library: "Library", as_json: bool) -> None:
    from mlx_aimv2.names import escape  # noqa: PLC0415

    files = library.errors()
    for file in files:
        path = os.fsdecode(file.path)
        if as_json:
            output.record({"path": escape(path), "error": file.error, "hint": file.error_hint})
        else:
            output.line(file.error or "")
    output.say(f"{output.counted(len(files), 'photo')} could not be read" if files else "no errors")


def _prune(library: "Library", dry_run: bool, as_json: bool) -> None:
    pruned = library.prune(dry_run=dry_run)
    if as_json:
        output.record(asdict(pruned))
    verb = "to forget" if dry_run else "forgotten"
    given = "" if dry_run else f", {output.size(pruned.size_bytes)} of disk given back"
    photos = output.counted(pruned.files, "photo")
    photos += " that is gone" if pruned.files == 1 else " that are gone"
    folders = output.counted(pruned.folders, "folder")
    folders += " that is not there" if pruned.folders == 1 else " that are not there"
    parts = [photos, *([folders] * (pruned.folders > 0))]
    sets = output.counted(pruned.sets, "former set")
    output.say(f"{verb}: {', '.join(parts)}, {sets}{given}")


def _tell_forgotten(pruned: "Pruned", as_json: bool) -> None:
    if as_json:
        output.record(asdict(pruned))
    given = f"{output.size(pruned.size_bytes)} of disk given back"
    output.say(f"forgotten: {output.counted(pruned.files, 'photo')}, {given}")
