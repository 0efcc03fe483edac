"""Edits of the library, by several commands: the photos that are meant, and what became of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.files.paths import FilePath, printable

from . import output
from .exit_codes import exit_code
from .options import confirm_download

if TYPE_CHECKING:
    from mlx_aimv2.library.editing.edited import Edited
    from mlx_aimv2.library.library import Library

KEPT = "kept: it counts once the index that is running has ended"


def library_at(path: str | None) -> "Library":
    """The library that was named, or the user's own."""
    from mlx_aimv2.library.library import Library  # noqa: PLC0415  (heavy)

    return Library(path)


def found_photos(library: "Library", query: str, count: int, *, yes: bool) -> Sequence[FilePath]:
    """The photos that a search finds. Errors: Aimv2Error where there is none."""
    answer = library.search(query.split(), count=count, confirm=confirm_download(yes))
    if not answer.hits:
        best = "" if answer.best is None else f"; the best score is {answer.best:.3f}"
        raise Aimv2Error(
            f"no photo fits {printable(query)}{best}", hint=f"look first: aimv2 search {query}"
        )
    more = ", the best ones: -n takes more" if len(answer.hits) == count else ""
    output.say(f"{output.counted(len(answer.hits), 'photo')} found{more}")
    return [hit.file.path for hit in answer.hits]


def on_photos(edited: "Edited") -> str:
    """On how many photos an edit changed something, as the end of a sentence."""
    return "" if edited.changed is None else f", on {output.counted(edited.changed, 'photo')}"


def tell_sidecars(edited: "Edited", *, done: int) -> int:
    """Say what became of the sidecars of an edit that is made, and return the exit code."""
    failures = tell_failures(edited)
    if written := len(edited.sidecars) - len(failures):
        output.say(f"{output.counted(written, 'sidecar')} brought up to date")
    return exit_code(done, len(failures) + len(edited.errors))


def tell_failures(edited: "Edited") -> Sequence[Aimv2Error]:
    """The errors of sidecars, each told."""
    failures = [each for _, each in edited.sidecars if isinstance(each, Aimv2Error)]
    for failure in failures:
        output.skipped(failure)
    return failures


def note_waiting(library: "Library") -> None:
    """Say how many edits wait for the end of an index."""
    if waiting := library.waiting_edits():
        edits = output.counted(waiting, "more edit")
        output.note(f"{edits} will count once the index that is running has ended")
