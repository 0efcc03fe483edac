"""``aimv2 tag history`` and ``undo``: what was done to tags, and taking it back."""

import os
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mlx_aimv2.errors import Aimv2Error, UsageError
from mlx_aimv2.options import argument, option

from . import output
from .edits import KEPT, library_at, note_waiting, on_photos, tell_failures, tell_sidecars
from .exit_codes import exit_code
from .options import LIBRARY
from .tag_edits import ListOptions

if TYPE_CHECKING:
    from mlx_aimv2.library.editing.edited import Edited


@dataclass(frozen=True)
class UndoOptions:
    """What ``aimv2 tag undo`` takes."""

    number: int | None = argument(
        None, help="The number of an edit, of aimv2 tag history.", metavar="NUMBER"
    )
    is_all: bool = option(
        False,
        help="Take back all tags that aimv2 has given; sidecars are as they were before.",
        flags="--all",
    )
    library: str | None = LIBRARY()


def undo(options: UndoOptions) -> int:
    """Undo the last run of aimv2 tag, or the edit of this number; the rest stays."""
    with library_at(options.library) as opened:
        if options.is_all:
            if options.number is not None:
                raise UsageError("--all takes no number", hint="leave one of them out")
            return _tell_all_undone(opened.undo_tags("all"))
        number = opened.store.edit_to_undo(options.number)
        edit = opened.store.edit_with(number)
        assert edit is not None
        edited = opened.undo_tags(number)
    what = f"edit {number} ({edit.kind}: {edit.said})"
    if edited.is_waiting:
        output.say(f"undoing {what} is {KEPT}")
        return 0
    later = "; later edits changed it since, so nothing changes" if edited.changed == 0 else ""
    output.say(f"undone: {what}{later or on_photos(edited)}")
    if edit.kind == "undo" and edit.undoes is None:  # of all tags: its sidecars are forgotten
        output.note("sidecars stay as they were put back: aimv2 tag --write sidecar writes them")
    return tell_sidecars(edited, done=1)


def history(options: ListOptions) -> None:
    """List the edits of tags, runs of aimv2 too, with the numbers for undo."""
    with library_at(options.library) as opened:
        edits = opened.tag_history()
        note_waiting(opened)
    if options.as_json:
        for each in edits:
            output.record(
                {
                    "number": each.number,
                    "at": each.at,
                    "kind": each.kind,
                    "said": each.said,
                    "changes": each.changes,
                    "undone_at": each.undone_at,
                }
            )
        return
    rows = [
        (str(each.number), _when(each.at), each.kind, each.said, "undone" * bool(each.undone_at))
        for each in edits
    ]
    if rows:
        output.table(rows, ("number", "when", "edit", "what", ""), right=(0,))
    else:
        output.say("no tag was given or changed yet: aimv2 tag")


ACTIONS = (history, undo)


def _tell_all_undone(edited: "Edited") -> int:
    failures = tell_failures(edited)
    restored = 0
    for name, outcome in edited.sidecars:
        if outcome is not None and not isinstance(outcome, Aimv2Error):
            restored += outcome.name != "GONE"
            if outcome.name not in ("RESTORED", "CAPTIONED"):
                output.note(f"{os.fsdecode(name)}: {outcome.value}")
    sidecars = output.counted(restored, "sidecar")
    output.say(f"tags taken back from the library and from {sidecars}; your own words stay")
    if failures and len(failures) == len(edited.sidecars):
        raise Aimv2Error("no sidecar could be restored", hint="the reasons are above")
    return exit_code(max(restored, 1), len(failures))


def _when(at: str) -> str:
    """A time of the journal as the clock here shows it."""
    return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M")
