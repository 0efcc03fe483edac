"""Sheets of pictures to look at, written and opened by several commands."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mlx_aimv2.errors import UsageError

from . import output

if TYPE_CHECKING:
    from mlx_aimv2.library.contact_sheet import SheetGroup, SheetRow


def target_of(html: str | None, is_open: bool, name: str) -> str | None:
    """Where a command's sheet goes, if it makes one: where it was asked for, else, to be looked at
    once, into the cache, where the next one takes its place.

    Errors: UsageError for a name that does not end in .html; OutputError.
    """
    if html:
        from mlx_aimv2.library.contact_sheet import check_sheet  # noqa: PLC0415

        if not html.lower().endswith((".html", ".htm")):  # a photo would be written over
            raise UsageError(f"{html} is no name of a sheet", hint=f"add .html: {html}.html")
        check_sheet(Path(html))
    if html or not is_open:
        return html
    from platformdirs import user_cache_path  # noqa: PLC0415

    folder = user_cache_path("mlx-aimv2") / "sheets"
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder / f"{name}.html")


def write(
    target: str,
    title: str,
    *,
    rows: "Iterable[SheetRow]" = (),
    groups: "Iterable[SheetGroup]" = (),
    is_open: bool = False,
) -> None:
    """Write a sheet, over one that is there, say so, and open it in the browser if asked to."""
    from mlx_aimv2.library.contact_sheet import write_sheet  # noqa: PLC0415

    path = Path(target)
    count = write_sheet(path, title, rows, groups=groups)
    output.say(f"{output.counted(count, 'photo')} → {target}")
    if is_open:
        import webbrowser  # noqa: PLC0415

        if webbrowser.open(path.absolute().as_uri()) is False:
            output.note(f"no browser was found to open {target}")
