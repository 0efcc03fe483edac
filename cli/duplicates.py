"""``aimv2 duplicates``: files that show one picture."""

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.path_text import escape
from mlx_aimv2.options import option

from . import output
from .options import HTML, JSON, LIBRARY, OPEN
from .sheets import target_of, write

if TYPE_CHECKING:
    from mlx_aimv2.library.database.photos import FileRow
    from mlx_aimv2.library.duplicates.groups import Group

EXAMPLES = """
aimv2 duplicates
aimv2 duplicates --html duplicates.html --open
aimv2 duplicates --exact --json | jq -r '.copies[].path'
aimv2 duplicates --picked
aimv2 duplicates --picked -0 | xargs -0 ls -l
"""


@dataclass(frozen=True)
class Options:
    """What ``aimv2 duplicates`` takes."""

    threshold: float | None = option(
        help="How alike copies must be, from 0 to 1: a lower number finds more, and more "
        "that are no copies.",
        flags="--threshold -t",
        min=0.0,
        max=1.0,
        metavar="SHARE",
        show_default="0.5",
    )
    exact: bool = option(False, help="Only files that are the same byte for byte.")
    shots: bool = option(
        False, help="Also within a shot: a RAW and its JPEG, an edit and its original."
    )
    picked: bool = option(
        False, help="List what was picked for removal in aimv2 browse, paths only."
    )
    null: bool = option(
        False, help="With --picked: a NUL after each path, for xargs -0.", flags="-0 --null"
    )
    html: str | None = HTML()
    is_open: bool = OPEN()
    library: str | None = LIBRARY()
    as_json: bool = JSON()


def duplicates(options: Options) -> int:
    """Find copies in the library: the same file twice, resized, recompressed, lightly cropped.

    The first of each group is the one to keep: most pixels, least lossy, oldest place. A RAW and
    its JPEG, or Apple's edit and its original, are one shot and no copies. Nothing is ever deleted:
    --picked lists what you have picked for removal in the page (aimv2 browse).
    """
    if options.exact and options.threshold is not None:
        raise UsageError("--exact and --threshold cannot be combined", hint="leave one of them out")
    if options.picked:
        return _list_picks(options)
    if options.null:
        raise UsageError("--null is for the list of --picked", hint="aimv2 duplicates --picked -0")
    html = target_of(options.html, options.is_open, "duplicates")
    from mlx_aimv2.library.duplicates.groups import DEFAULT_THRESHOLD  # noqa: PLC0415  (heavy)
    from mlx_aimv2.library.library import Library  # noqa: PLC0415

    threshold = DEFAULT_THRESHOLD if options.threshold is None else options.threshold
    with Library(options.library) as opened:
        groups = opened.duplicates(
            threshold=1.0 if options.exact else threshold, shots=options.shots
        )
        files = opened.store.files_of(id for group in groups for id in group.files)
    for group in groups:
        if options.as_json:
            _print_json(group, files)
        elif not html:
            _print_rows(group, files)
    if html and groups:
        _write_sheet(html, groups, files, options.is_open)
    spare = [files[id] for group in groups for id in group.files[1:]]
    size_bytes = sum(file.stamp.size_bytes for file in spare)
    if groups:
        copies = "1 of the files is a copy"
        if len(spare) > 1:
            copies = f"{len(spare)} of the files are copies"
        output.say(f"{output.counted(len(groups), 'group')}, {copies} ({output.size(size_bytes)})")
    else:
        output.say("no duplicates: no sheet was written" if html else "no duplicates")
    return 0


def _list_picks(options: Options) -> int:
    """List the files that are picked for removal and are on the disk as they were looked at."""
    others = {
        "--threshold": options.threshold is not None,
        "--exact": options.exact,
        "--shots": options.shots,
    }
    for name in (name for name, is_given in others.items() if is_given):
        raise UsageError(f"--picked and {name} cannot be combined", hint="leave one of them out")
    if options.null and options.as_json:
        raise UsageError("--null and --json cannot be combined", hint="leave one of them out")
    html = target_of(options.html, options.is_open, "picked")
    from mlx_aimv2.library.library import Library  # noqa: PLC0415  (heavy)

    with Library(options.library) as opened:
        picks = opened.picks()
    if options.as_json:
        for file in (*picks.files, *picks.in_photos):
            path, size_bytes = escape(file.path_str), file.stamp.size_bytes
            output.record({"path": path, "size_bytes": size_bytes, "uuid": file.uuid})
    elif options.null or not html:
        for file in picks.files:
            sys.stdout.buffer.write(file.path + (b"\0" if options.null else b"\n"))
        sys.stdout.buffer.flush()
    if html and (picks.files or picks.in_photos):
        from mlx_aimv2.library.contact_sheet import SheetRow  # noqa: PLC0415

        rows = map(SheetRow, (*picks.files, *picks.in_photos))
        write(html, "Picked for removal", rows=rows, is_open=options.is_open)
    for count, why in (
        (len(picks.in_photos), "in Apple's Photos: delete it there; --json has its UUID"),
        (len(picks.changed), "changed since: not listed, look at it again in aimv2 browse"),
        (len(picks.away), "not there: removed, or on a drive that is not connected"),
    ):
        if count:
            output.note(f"{output.counted(count, 'picked file')} {why}")
    if picks.files:
        output.say(
            f"{output.counted(len(picks.files), 'file')} picked for removal "
            f"({output.size(picks.size_bytes)}); nothing was removed"
        )
    elif not picks.in_photos:
        output.say("nothing is picked for removal: aimv2 browse")
    return 0


def _print_json(group: "Group", files: "dict[int, FileRow]") -> None:
    paths = [escape(os.fsdecode(files[id].path)) for id in group.files]
    copies = [
        {"path": name, "similarity": round(similarity, 4)}
        for name, similarity in zip(paths[1:], group.similarity[1:], strict=True)
    ]
    output.record({"kind": group.kind, "best": paths[0], "copies": copies})


def _print_rows(group: "Group", files: "dict[int, FileRow]") -> None:
    rows = [_row(files[id], at) for at, id in zip(group.similarity, group.files, strict=True)]
    output.table([("keep" if not number else "", *row) for number, row in enumerate(rows)])
    output.line()


def _row(file: "FileRow", similarity: float) -> tuple[str, ...]:
    facts = file.facts
    pixels = f"{facts.width_px}×{facts.height_px}" if facts else ""
    return f"{similarity:.2f}", pixels, output.size(file.stamp.size_bytes), os.fsdecode(file.path)


def _write_sheet(
    target: str, groups: "list[Group]", files: "dict[int, FileRow]", is_open: bool
) -> None:
    from mlx_aimv2.library.contact_sheet import SheetGroup, SheetRow  # noqa: PLC0415

    kinds = {"exact": "The same file", "near": "Near copies"}
    sections = (
        SheetGroup(
            f"{number}. {kinds[group.kind]}",
            (
                SheetRow(files[id], similarity, is_best=id == group.files[0])
                for id, similarity in zip(group.files, group.similarity, strict=True)
            ),
        )
        for number, group in enumerate(groups, 1)
    )
    write(target, "Duplicates", groups=sections, is_open=is_open)
