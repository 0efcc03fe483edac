"""A contact sheet: photos and what is known of them on one page, which needs no other file.

Names, dates and notes come from strangers' files. They are escaped wherever they stand, and the
page forbids scripts and every address, should one slip through.
"""

import base64
import html
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from mlx_aimv2.errors import ImageError, OutputError
from mlx_aimv2.files.atomic_folder import sync
from mlx_aimv2.files.lock import take_lock
from mlx_aimv2.files.paths import no_folder, partial_of, printable, unwritable

from .database.photos import FileRow
from .thumbnails.thumbnail import thumbnail

if TYPE_CHECKING:
    from mlx_aimv2.inference.locating.locator import Located

_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d)?", re.ASCII)


@dataclass(frozen=True)
class SheetRow:
    """A file of the library on a sheet; ``note`` is any text, as from EXIF, and so is ``caption``.

    ``commands`` are to be pasted into a shell, one at a time.
    ``tags`` are its tags, each with the names of its origins; ``found`` is what was located in it
    and is drawn on it.
    """

    file: FileRow
    score: float | None = None
    note: str = ""
    is_best: bool = False
    tags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    found: "Located | None" = None
    commands: tuple[str, ...] = ()
    caption: str = ""


@dataclass(frozen=True)
class SheetGroup:
    """Photos that belong together, under a heading."""

    heading: str
    rows: Iterable[SheetRow]


def check_sheet(target: Path) -> None:
    """Refuse a target that is no file or in no folder, before any work for it.

    Errors: OutputError.
    """
    name = printable(target)
    if target.is_dir():
        raise OutputError(f"{name} is a folder", hint="give the name of a file, like photos.html")
    if target.exists() and not target.is_file():
        raise OutputError(f"{name} is not a file", hint="give another name, like photos.html")
    if not target.parent.is_dir():
        raise no_folder(target.parent)


def write_sheet(
    target: Path,
    title: str,
    rows: Iterable[SheetRow] = (),
    *,
    groups: Iterable[SheetGroup] = (),
) -> int:
    """Write photos, and after them groups of photos, as one HTML file; says how many photos.

    The file appears whole or not at all, in place of one that is there. Photos are read one at a
    time, as they are needed.
    Errors: as ``check_sheet``; OutputError where the disk is full or fails, or another process
    writes the same sheet. A photo that cannot be read is shown with the reason.
    """
    check_sheet(target)
    folder = partial_of(target)
    sections = chain([SheetGroup("", rows)], groups)
    try:
        with take_lock(folder, printable(target)):
            try:
                page = folder / "page.html"
                count = _write_page(page, title, sections)
                sync(page)
                page.replace(target)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise unwritable(target, error) from error
    with suppress(OSError):
        sync(target.parent)
    return count


def _write_page(page: Path, title: str, sections: Iterable[SheetGroup]) -> int:
    count = 0
    with page.open("w", encoding="utf-8", newline="\n") as file:
        file.write(_head(title))
        for section in sections:
            is_open = False
            for row in section.rows:
                if not is_open:
                    file.write(_section_start(section.heading))
                    is_open = True
                file.writelines(_card(row))
                count += 1
            file.write("</ol>\n</section>\n" if is_open else "")
        photos = "1 photo" if count == 1 else f"{count:,} photos" if count else "No photos"
        file.write(f"</main>\n<footer>{photos}</footer>\n</body>\n</html>\n")
    return count


def _head(title: str) -> str:
    shown = _shown(title)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{shown}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<header>\n<h1><bdi>{shown}</bdi></h1>\n</header>\n<main>\n"
    )


def _section_start(heading: str) -> str:
    title = f"<h2><bdi>{_shown(heading)}</bdi></h2>\n" if heading else ""
    return f'<section>\n{title}<ol class="grid">\n'


def _card(row: SheetRow) -> Iterator[str]:
    path, facts = Path(row.file.path_str), row.file.facts
    name, folder = _shown(path.name), _shown(os.fspath(path.parent))
    yield f'<li class="card{" best" if row.is_best else ""}">\n'
    yield f'<a href="{html.escape(path.as_uri())}" title="{_shown(os.fspath(path))}">'
    yield from _picture(row, _shown(row.caption) or name)
    yield '</a>\n<div class="facts">\n'
    if row.is_best:
        yield '<p class="mark">suggested best</p>\n'
    yield f'<p class="name"><bdi>{name}</bdi></p>\n'
    yield _paragraph("caption", row.caption)
    score = None if row.score is None else f'<span class="unseen">score </span>{row.score:.3f}'
    yield _list("figures", (score, _time(facts.taken_at) if facts else None))
    pixels = f"{facts.width_px} × {facts.height_px}" if facts else None
    yield _list("figures", (_size(row.file.stamp.size_bytes), pixels))
    yield f'<p class="folder"><bdi>{folder}</bdi></p>\n'
    yield _list(
        "tags",
        (
            f"<bdi>{_shown(tag)}</bdi> <span>{_shown(', '.join(origins))}</span>"
            for tag, origins in row.tags.items()
        ),
    )
    yield _paragraph("note", row.note)
    yield _list("commands", (f"<code>{_shown(each)}</code>" for each in row.commands))
    yield "</div>\n</li>\n"


def _picture(row: SheetRow, words: str) -> Iterator[str]:
    path = row.file.path_str
    try:
        data = base64.b64encode(thumbnail(path, draw=_drawing(row.found))).decode()
    except ImageError as error:
        reason = str(error).removeprefix(printable(path)).strip()
        yield f'<span class="none"><b>no thumbnail</b> <bdi>{_shown(reason)}</bdi></span>'
    else:
        yield f'<img alt="{words}" decoding="async" src="data:image/jpeg;base64,{data}">'


def _drawing(found: "Located | None") -> Callable[[Image.Image], Image.Image] | None:
    if found is None:
        return None
    from mlx_aimv2.outputs.heatmap import draw  # noqa: PLC0415  (MLX)

    return partial(draw, found=found)


def _shown(text: str) -> str:
    """Text for between tags or in quotes: on one line, as it is, with nothing hidden in it."""
    return html.escape(printable(text))


def _paragraph(kind: str, text: str) -> str:
    words = " ".join(text.split())
    return f'<p class="{kind}"><bdi>{_shown(words)}</bdi></p>\n' if words else ""


def _list(kind: str, items: Iterable[str | None]) -> str:
    shown = "".join(f"<li>{item}</li>" for item in items if item)
    return f'<ul class="{kind}">{shown}</ul>\n' if shown else ""


def _time(taken_at: str | None) -> str | None:
    known = _TIME.fullmatch(taken_at or "")
    return f"{known[1]} {known[2]}" if known else _shown(taken_at) if taken_at else None


def _size(size_bytes: int) -> str:
    amount = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if amount < 999.5:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


_STYLE = """
:root {
  color-scheme: light dark;
  --page: #f5f4f1; --card: #fff; --mat: #ebe9e4; --line: #dddad3;
  --ink: #1c1c1e; --soft: #66656b; --accent: #0a5fc2; --best: #177245;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #151517; --card: #202023; --mat: #19191b; --line: #36363b;
    --ink: #f1f1f3; --soft: #a6a6ae; --accent: #6cb2ff; --best: #63d597;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 110rem; padding: 2rem clamp(1rem, 4vw, 3rem);
  background: var(--page); color: var(--ink);
  font: 0.9375rem/1.45 system-ui, -apple-system, sans-serif; overflow-wrap: anywhere;
}
h1 { margin: 0; font-size: 1.625rem; line-height: 1.2; letter-spacing: -0.01em; }
h2 { margin: 2.25rem 0 0.875rem; font-size: 1.0625rem; }
p { margin: 0; }
header { margin-bottom: 1.5rem; }
.summary, footer { margin-top: 0.375rem; color: var(--soft); }
footer { margin-top: 2rem; }
ol, ul { margin: 0; padding: 0; list-style: none; }
.grid {
  display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 14rem), 1fr));
}
.card {
  overflow: hidden; border: 1px solid var(--line); border-radius: 0.75rem;
  background: var(--card); content-visibility: auto; contain-intrinsic-size: auto 18rem;
}
.card:hover { border-color: var(--soft); }
.best { border-color: var(--best); box-shadow: 0 0 0 1px var(--best); }
.card a {
  display: block; height: 12rem; background: var(--mat);
  color: inherit; text-decoration: none;
}
a:focus-visible { outline: 3px solid var(--accent); outline-offset: -3px; }
img { display: block; width: 100%; height: 100%; object-fit: scale-down; }
.none {
  display: flex; flex-direction: column; justify-content: center; gap: 0.25rem;
  height: 100%; padding: 1rem; overflow: hidden;
  color: var(--soft); font-size: 0.8125rem; text-align: center;
}
.facts { padding: 0.625rem 0.75rem 0.75rem; }
.name { font-weight: 600; }
.caption { margin-top: 0.25rem; font-size: 0.8125rem; }
.mark { color: var(--best); font-size: 0.8125rem; font-weight: 600; }
.figures {
  display: flex; flex-wrap: wrap; justify-content: space-between; column-gap: 0.75rem;
  font-size: 0.8125rem; font-variant-numeric: tabular-nums;
}
.folder, .note, .tags { margin-top: 0.25rem; color: var(--soft); font-size: 0.75rem; }
.commands { margin-top: 0.25rem; font-size: 0.75rem; }
.commands code { white-space: pre-wrap; overflow-wrap: anywhere; }
.tags bdi { color: var(--ink); }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
@media print {
  :root {
    --page: #fff; --card: #fff; --mat: #fff; --line: #bbb;
    --ink: #000; --soft: #444; --accent: #000; --best: #000;
  }
  body { padding: 0; font-size: 9pt; }
  .grid { grid-template-columns: repeat(4, 1fr); gap: 0.5rem; }
  .card { break-inside: avoid; content-visibility: visible; }
  .card a { height: 8rem; }
  h2 { break-after: avoid; }
}
"""
