"""``aimv2 tag``: tags for photos, in the library and in sidecars."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mlx_aimv2.errors import Aimv2Error, UsageError
from mlx_aimv2.options import option

from . import output, tag_edits, tag_history
from .exit_codes import exit_code
from .options import LIBRARY, YES, confirm_download

if TYPE_CHECKING:
    from mlx_aimv2.library.tagging.tag_sidecars import Written
    from mlx_aimv2.library.tagging.tagger import Tagged

EXAMPLES = """
aimv2 tag --dry-run
aimv2 tag --in ~/Pictures/2024 --write sidecar
aimv2 tag --write exiftool > keywords.args
aimv2 tag --vocabulary my-tags.txt --min-confidence 0.5
aimv2 tag add Luna IMG_1.jpg IMG_2.jpg
aimv2 tag add "Trips|Norway" --from-search "fjord + boat" -n 50
aimv2 tag remove Boat IMG_3.jpg
aimv2 tag confirm Dog IMG_1.jpg
aimv2 tag reject Dog IMG_4.jpg
ls cats/*.jpg | aimv2 tag reject Dog --from -
aimv2 tag list
aimv2 tag rename Dog "Animals|Dog"
aimv2 tag merge Puppy Hound --into "Animals|Dog"
aimv2 tag history
aimv2 tag undo
aimv2 tag undo 12
"""
GROUPS = {
    "Which photos and tags": "--in --vocabulary --replace --min-confidence --limit",
    "Output": "--dry-run --write --sidecar-names",
    "Library": "--library",
}
ACTIONS = (*tag_edits.ACTIONS, *tag_history.ACTIONS)
Write = Literal["sidecar", "exiftool", "json"]
MIN_CONFIDENCE = 0.75  # calibration.MIN_CONFIDENCE; importing that would make help slow
_NOT_IN_PHOTOS = {"sidecar": "no sidecars", "exiftool": "not listed for ExifTool"}


@dataclass(frozen=True)
class Options:
    """What ``aimv2 tag`` takes."""

    write: Write | None = option(
        help="Write XMP files beside the photos (sidecar), or on stdout ExifTool's argument "
        "file (exiftool) or lines (json).",
        show_default="the library only",
    )
    dry_run: bool = option(False, help="Only show what would change, and write nothing.")
    vocabulary: str | None = option(
        help="A file of your own tags (see docs/tagging.md), or the name of a vocabulary that "
        "the library uses; its tags come beside those of others.",
        metavar="FILE",
        show_default="all that the library uses; at first the checkpoint's own, or 580 "
        "everyday tags",
    )
    replace: bool = option(
        False, help="Take away the tags of all other vocabularies, and use them no more."
    )
    min_confidence: float | None = option(
        help="How sure a tag must be, from 0 to 1: a lower number gives more tags, and more "
        "wrong ones.",
        min=0.0,
        max=1.0,
        metavar="SHARE",
        show_default=f"as last time, at first {MIN_CONFIDENCE}",
    )
    limit: int | None = option(
        help="Number of tags for a photo from one vocabulary, at most; 0 for any number.",
        min=0,
        metavar="COUNT",
        show_default="as last time, at first any number",
    )
    places: tuple[str, ...] = option(
        (),
        help="Only photos in this folder, or of this pattern (*.heic).",
        flags="--in",
        metavar="PLACE",
    )
    sidecar_names: Literal["full", "short"] | None = option(
        help="Name sidecars IMG_1.jpg.xmp (full), or IMG_1.xmp as Adobe does (short).",
        show_default="as last time, at first full",
    )
    library: str | None = LIBRARY()
    yes: bool = YES()


def tag(options: Options) -> int:
    """Give photos tags, several each, from vocabularies; or say yourself what fits.

    Without a command every vocabulary that the library uses gives its tags anew. What you rejected
    is never given again, and what you added or confirmed stays. Photos themselves are never
    changed; a sidecar keeps what other programs wrote.
    """
    _check(options)
    from mlx_aimv2.library.library import Library  # noqa: PLC0415  (heavy)
    from mlx_aimv2.library.search.filters import Filters  # noqa: PLC0415

    teller = Teller(options.write, is_dry=options.dry_run)
    sidecars = (options.sidecar_names or True) if options.write == "sidecar" else False
    with Library(options.library) as opened, output.Progress("tagged") as line:

        def told(tagged: "Tagged", written: "Written | None") -> None:
            teller.add(tagged, written)
            line.advance()

        def texts_told(done: int, total: int) -> None:
            if not done:
                line.begin("texts embedded")
            line.reach(done, total)
            if done == total:
                line.begin("tagged")

        try:
            opened.tag(
                vocabulary=options.vocabulary,
                replace=options.replace and _agreement(options),
                min_confidence=options.min_confidence,
                limit=options.limit,
                filters=Filters(options.places),
                dry_run=options.dry_run,
                sidecars=sidecars,
                exiftool=options.write == "exiftool",
                confirm=confirm_download(options.yes),
                told=told,
                texts_told=texts_told,
            )
        except KeyboardInterrupt:
            output.stopped(
                "what is done is kept: the same command goes on, aimv2 tag undo takes it back"
            )
            raise
    return teller.report()


def _agreement(options: Options) -> Callable[[int, int], bool]:
    """A question before the tags of other vocabularies go; ``--yes`` answers it."""

    def agrees(tags: int, photos: int) -> bool:
        what = f"{output.counted(tags, 'tag')} of other vocabularies"
        where = output.counted(photos, "photo")
        if options.dry_run:
            output.say(f"{what} would go from {where}")
        elif options.yes:
            output.say(f"{what} taken from {where}")
        elif not (output.is_interactive() and output.ask(f"Take away {what} from {where}?")):
            raise UsageError(f"{what} on {where} would go", hint="--yes takes them away")
        return True

    return agrees


def _check(options: Options) -> None:
    if options.replace and options.vocabulary is None:
        raise UsageError(
            "--replace needs --vocabulary", hint="aimv2 tag --vocabulary NAME --replace"
        )
    if options.sidecar_names and options.write != "sidecar":
        raise UsageError(
            "--sidecar-names is for sidecars only",
            hint="aimv2 tag --write sidecar --sidecar-names …",
        )


class Teller:
    """Prints each photo's change of tags or its sidecar, and counts both for the last line."""

    def __init__(self, write: Write | None, *, is_dry: bool) -> None:
        self._write = write
        self._is_dry = is_dry
        self._photos = self._tagged = self._changed = self._tags = self._in_photos = 0
        self._written = self._new = self._taken_back = 0  # sidecars, or entries for ExifTool
        self._up_to_date = 0
        self._failures: list[Aimv2Error] = []

    def add(self, tagged: "Tagged", written: "Written | None") -> None:
        """Print and count one photo."""
        self._photos += 1
        self._tagged += bool(tagged.tags)
        self._tags += len(tagged.tags)
        self._changed += bool(tagged.added or tagged.removed)
        self._in_photos += tagged.is_in_photos
        if self._write == "json":
            self._print_json(tagged)
        elif self._is_dry and (tagged.added or tagged.removed):
            self._print_change(tagged)
        if written is not None and written.error is not None:
            self._fail(written.error)
        elif written is not None and self._write == "exiftool":
            self._print_arguments(written.arguments)
        elif written is not None:
            self._add_sidecar(written)
        elif self._write == "sidecar" and tagged.tags and not tagged.is_in_photos:
            self._up_to_date += 1

    def report(self) -> int:
        """Say how it went, and return the exit code."""
        verb = "would change" if self._is_dry else "changed"
        text = (
            f"{output.counted(self._photos, 'photo')}: {output.counted(self._tags, 'tag')} on "
            f"{self._tagged} of them, {self._changed} {verb}"
        )
        if self._write == "sidecar":
            verb = "would be written" if self._is_dry else "written"
            text += f", {output.counted(self._written, 'sidecar')} {verb}"
            text += f" ({self._new} new)" if self._is_dry else ""
            text += f", {self._taken_back} taken back" if self._taken_back else ""
        output.say(text)
        if self._write == "exiftool" and not (self._written or self._failures):
            output.note("there is nothing for ExifTool to write")
        if self._in_photos and self._write in _NOT_IN_PHOTOS:
            photos = output.counted(self._in_photos, "photo")
            output.note(
                f"{photos} of Apple's Photos: {_NOT_IN_PHOTOS[self._write]}; "
                "see docs/photo-library.md, Apple Photos"
            )
        if self._failures and not (self._written or self._taken_back or self._up_to_date):
            what = "sidecar could be written" if self._write == "sidecar" else "photo can be listed"
            raise Aimv2Error(f"no {what}", hint="the reasons are above")
        return exit_code(self._photos - len(self._failures), len(self._failures))

    def _add_sidecar(self, written: "Written") -> None:
        is_taken_back = written.undone is not None  # nothing of aimv2 is left in it
        self._written += not is_taken_back
        self._taken_back += is_taken_back
        self._new += written.is_new
        if self._is_dry:
            changed = "taken back" if is_taken_back else "changed sidecar"
            change = "new sidecar" if written.is_new else changed
            output.table([(os.fsdecode(written.path), change)])

    def _fail(self, error: Aimv2Error) -> None:
        self._failures.append(error)
        output.skipped(error)

    def _print_json(self, tagged: "Tagged") -> None:
        from mlx_aimv2.files.path_text import escape  # noqa: PLC0415

        output.record(
            {
                "path": escape(os.fsdecode(tagged.file.path)),
                "tags": {tag: round(confidence, 4) for tag, confidence in tagged.tags},
                "origins": tagged.origins,
                "added": list(tagged.added),
                "removed": list(tagged.removed),
            }
        )

    def _print_change(self, tagged: "Tagged") -> None:
        sure = dict(tagged.tags)
        signs = [f"+{tag} ({sure[tag]:.2f})" for tag in tagged.added]
        signs += [f"-{tag}" for tag in tagged.removed]
        output.table([(os.fsdecode(tagged.file.path), ", ".join(signs))])

    def _print_arguments(self, lines: tuple[bytes, ...]) -> None:
        sys.stdout.buffer.writelines(lines[1:] if self._written else lines)
        sys.stdout.buffer.flush()
        self._written += 1
