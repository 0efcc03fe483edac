"""``aimv2 duplicates``: files that show one picture."""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlx_aimv2.errors import UsageError
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
    html: str | None = HTML()
    is_open: bool = OPEN()
    library: str | None = LIBRARY()
    as_json: bool = JSON()


def duplicates(options: Options) -> int:
    """Find copies in the library: the same file twice, resized, recompressed, lightly cropped.

    The first of each group is the one to keep: most pixels, least lossy, oldest place. A RAW and
    its JPEG, or Apple's edit and its original, are one shot and no copies. Nothing is ever deleted.
    """
    if options.exact and options.threshold is not None:
        raise UsageError("--exact and --threshold cannot be combined", hint="leave one of them out")
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


def _print_json(group: "Group", files: "dict[int, FileRow]") -> None:
    from mlx_aimv2.files.path_text import escape  # noqa: PLC0415

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
