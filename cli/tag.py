"""``aimv2 tag``: tags for photos, in the library and in sidecars."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mlx_aimv2.errors import Aimv2Error, UsageError

from . import output
from .explain import exit_code
from .options import LibraryOption, YesOption, confirm_download, path

if TYPE_CHECKING:
    from mlx_aimv2.library.library import Library
    from mlx_aimv2.library.tagger import Tagged, Written

EXAMPLES = """
aimv2 tag --dry-run
aimv2 tag --in ~/Pictures/2024 --write sidecar
aimv2 tag --write exiftool > keywords.args
aimv2 tag --vocabulary my-tags.txt --min-confidence 0.5
aimv2 tag undo
"""
Write = Literal["sidecar", "exiftool", "json"]


def tag(
    action: Annotated[
        Literal["undo"] | None,
        typer.Argument(
            help="Or undo: take back all tags that this program has given, in sidecars too.",
            metavar="[undo]",
            show_default=False,
        ),
    ] = None,
    write: Annotated[
        Write | None,
        typer.Option(
            "--write",
            help="Write XMP files beside the photos (sidecar), or on stdout ExifTool's argument "
            "file (exiftool) or lines (json).",
            show_default="the library only",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would change.")
    ] = False,
    vocabulary: Annotated[
        str | None,
        typer.Option(
            "--vocabulary",
            help="A file of your own tags (see docs/tagging.md).",
            metavar="FILE",
            parser=path,
            show_default="the one in this package",
        ),
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(
            "--min-confidence",
            help="How sure a tag must be, from 0 to 1: lower gives more, and more wrong ones.",
            min=0.0,
            max=1.0,
            metavar="SHARE",
            show_default="0.2",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            help="At most so many tags a photo.",
            min=1,
            metavar="COUNT",
            show_default="none",
        ),
    ] = None,
    places: Annotated[
        list[str] | None,
        typer.Option(
            "--in",
            help="Only photos in this folder, or by this pattern.",
            metavar="PLACE",
            parser=path,
            show_default=False,
        ),
    ] = None,
    sidecar_names: Annotated[
        Literal["full", "short"],
        typer.Option(
            "--sidecar-names",
            help="Name them IMG_1.jpg.xmp (full), or IMG_1.xmp as Adobe does (short).",
        ),
    ] = "full",
    library: LibraryOption = None,
    yes: YesOption = False,
) -> int:
    """Give photos tags, several each, from a vocabulary of everyday words.

    Each tag is calibrated on your library. Photos themselves are never changed; a sidecar keeps
    what other programs wrote, and undo puts it back as it was.
    """
    from mlx_aimv2.library.library import Library  # noqa: PLC0415  (heavy)

    given = {
        "--write": write,
        "--dry-run": dry_run,
        "--vocabulary": vocabulary,
        "--min-confidence": min_confidence,
        "--limit": limit,
        "--in": places,
    }
    names = [name for name, value in given.items() if value]
    if action == "undo":
        if names:
            raise UsageError(f"not for undo: {', '.join(names)}", hint="leave it out")
        return _undo(Library(library))
    from mlx_aimv2.library.calibration import MIN_CONFIDENCE  # noqa: PLC0415
    from mlx_aimv2.library.filters import Filters  # noqa: PLC0415

    teller = Teller(None if dry_run and write == "sidecar" else write, is_dry=dry_run)
    with output.Progress("tagged") as progress:

        def told(tagged: "Tagged", written: "Written | None") -> None:
            teller.add(tagged, written)
            progress.advance()

        Library(library).tag(
            vocabulary=Path(vocabulary) if vocabulary else None,
            min_confidence=MIN_CONFIDENCE if min_confidence is None else min_confidence,
            limit=limit,
            filters=Filters(tuple(places or ())),
            # Lines for other programs are no tags of the library's until they are written there.
            dry_run=dry_run,
            sidecars=sidecar_names if write == "sidecar" else None,
            confirm=confirm_download(yes),
            told=told,
        )
    return teller.report()


class Teller:
    """Prints what becomes of each photo, and counts."""

    def __init__(self, write: Write | None, *, is_dry: bool) -> None:
        self._write = write
        self._is_dry = is_dry
        self._photos = self._tagged = self._changed = self._tags = self._sidecars = 0
        self._failures: list[Aimv2Error] = []
        self._entries: list[tuple[bytes, list[tuple[str, ...]]]] = []

    def add(self, tagged: "Tagged", written: "Written | None") -> None:
        """One photo."""
        self._photos += 1
        self._tagged += bool(tagged.tags)
        self._tags += len(tagged.tags)
        self._changed += bool(tagged.added or tagged.removed)
        if written is not None:
            self._sidecars += written.error is None
            if written.error is not None:
                self._failures.append(written.error)
                output.skipped(written.error)
        if self._write == "json":
            self._print_json(tagged)
        elif self._write == "exiftool":
            self._print_arguments(tagged)
        elif self._is_dry and (tagged.added or tagged.removed):
            self._print_change(tagged)

    def report(self) -> int:
        """Say how it went, and return the exit code."""
        verb = "would change" if self._is_dry else "changed"
        output.say(
            f"{output.counted(self._photos, 'photo')}: {self._tags} tags on {self._tagged} of "
            f"them, {self._changed} {verb}"
            + (f", {self._sidecars} sidecars written" if self._write == "sidecar" else "")
        )
        if self._failures and not self._sidecars:
            raise Aimv2Error("no sidecar could be written", hint="the reasons are above")
        return exit_code(self._photos - len(self._failures), len(self._failures))

    def _print_json(self, tagged: "Tagged") -> None:
        from mlx_aimv2.names import escape  # noqa: PLC0415

        output.record(
            {
                "path": escape(os.fsdecode(tagged.file.path)),
                "tags": {tag: round(confidence, 4) for tag, confidence in tagged.tags},
                "added": list(tagged.added),
                "removed": list(tagged.removed),
            }
        )

    def _print_change(self, tagged: "Tagged") -> None:
        sure = dict(tagged.tags)
        signs = [f"+{tag} ({sure[tag]:.2f})" for tag in tagged.added]
        signs += [f"-{tag}" for tag in tagged.removed]
        output.table([(os.fsdecode(tagged.file.path), ", ".join(signs))])

    def _print_arguments(self, tagged: "Tagged") -> None:
        from mlx_aimv2.library.exiftool import arguments  # noqa: PLC0415

        tags = [tuple(tag.split("|")) for tag, _ in tagged.tags]
        is_first = self._photos == 1
        try:
            lines = list(arguments([(tagged.file.path, tags)]))
        except Aimv2Error as error:
            self._failures.append(error)
            output.skipped(error)
            return
        for line in lines[0 if is_first else 1 :]:
            sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


def _undo(library: "Library") -> int:
    done = 0
    failures: list[Aimv2Error] = []
    for name, outcome in library.undo_tags():
        if isinstance(outcome, Aimv2Error):
            failures.append(outcome)
            output.skipped(outcome)
        else:
            done += 1
            if outcome.name != "RESTORED":
                output.note(f"{os.fsdecode(name)}: {outcome.value}")
    restored = output.counted(done, "sidecar")
    output.say(f"tags taken back from the library and from {restored}")
    if failures and not done:
        raise Aimv2Error("no sidecar could be restored", hint="the reasons are above")
    return exit_code(max(done, 1), len(failures))
