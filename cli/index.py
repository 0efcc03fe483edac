"""``aimv2 index``: read new and changed photos into the library."""

import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlx_aimv2.errors import Aimv2Error, UsageError
from mlx_aimv2.files.paths import printable
from mlx_aimv2.library.indexing.options import IndexOptions
from mlx_aimv2.options import argument, group, option

from . import output
from .exit_codes import exit_code
from .options import JSON, LIBRARY, YES, confirm_download

if TYPE_CHECKING:
    from mlx_aimv2.library.indexing.report import Estimate, Progress, Report

EXAMPLES = """
aimv2 index ~/Pictures
aimv2 index ~/Pictures /Volumes/Photos --estimate
aimv2 index --exclude Exports --exclude '*.png'
aimv2 index --photos
aimv2 index
"""
GROUPS = {
    "What to index": "--photos --exclude --estimate",
    "Library": "--library",
    "Model": "--model --yes",
    "Speed": "--decode",
}

_RECORD_S = 0.5  # between two lines of progress


@dataclass(frozen=True)
class Options:
    """What ``aimv2 index`` takes."""

    folders: tuple[str, ...] = argument(
        (),
        help="Folders and photos, also a .photoslibrary; without any, all indexed before.",
        metavar="FOLDER",
    )
    photos: bool = option(False, help="Index the library of Apple's Photos, which is only read.")
    estimate: bool = option(
        False, help="Only say how many photos there are, and how much time and disk they take."
    )
    index: IndexOptions = group(IndexOptions)
    library: str | None = LIBRARY()
    as_json: bool = JSON()
    progress: bool = option(
        False, help="With --json: also lines of JSON that tell how far it is, for a program."
    )
    yes: bool = YES(
        help="Download weights, and reject many keywords that another program took out of "
        "sidecars, without being asked first."
    )


def index(options: Options) -> int:
    """Read new and changed photos into the library, so that they can be searched and tagged.

    Photos that are unchanged are not read again, and moved ones are recognised. A run that is
    stopped keeps what is done, and the next run goes on from there. Photos that cannot be read are
    listed with the reason, and the rest is done (exit code 3). Photos themselves are never changed.
    """
    from mlx_aimv2.library.apple_photos import default_bundle  # noqa: PLC0415
    from mlx_aimv2.library.indexing.report import Estimate, Report  # noqa: PLC0415
    from mlx_aimv2.library.library import Library  # noqa: PLC0415  (heavy)

    folders: list[str | bytes] = [*options.folders]
    if "" in folders:
        raise UsageError("an empty name is no folder", hint="for the current one: aimv2 index ./")
    if options.progress and not options.as_json:
        raise UsageError("progress is told in lines of JSON", hint="aimv2 index --json --progress")
    if options.photos:
        folders.append(os.fsencode(default_bundle()))
    opened = Library(options.library)
    confirm = confirm_download(options.yes)
    counter = Counter(in_json=options.progress)
    found: Estimate | Report
    try:
        if options.estimate:
            found = opened.estimate_with(
                options.index, folders, confirm=confirm, progress=counter.progress()
            )
        else:
            found = opened.index_with(
                options.index,
                folders,
                confirm=confirm,
                rejects=_confirm_rejections(options.yes),
                progress=counter.progress(),
            )
    except KeyboardInterrupt:
        counter.close()
        output.stopped_after(counter.done, "photo", "the same command goes on")
        raise
    finally:
        counter.close()
    if isinstance(found, Estimate):
        return tell_estimate(found, as_json=options.as_json)
    return tell(found, counter.elapsed_s, as_json=options.as_json)


def _confirm_rejections(yes: bool) -> "Callable[[int], bool]":
    """What an index asks before many keywords count as rejected."""

    def confirm(count: int) -> bool:
        if yes or not output.is_interactive():
            return yes
        return output.ask(
            f"Another program took {count} keywords of this one out of sidecars. Reject them?"
        )

    return confirm


class Counter:
    """The progress line of a terminal: photos found, then photos embedded.

    ``in_json``: the same in lines of JSON on stdout, two a second at most.
    """

    def __init__(self, told: Collection[str] = (), *, in_json: bool = False) -> None:
        self.found = self.done = self._read = self._total = 0
        self._in_json, self._recorded_s = in_json, 0.0
        self._told = told  # why files could not be read, said before
        self._line = output.Progress("found")
        self._started_s = 0.0
        self.elapsed_s = 0.0

    def progress(self) -> "Progress":
        """The functions that the indexer calls as it finds and embeds photos."""
        from mlx_aimv2.library.indexing.report import Progress  # noqa: PLC0415

        return Progress(self._find, self._start, self._add)

    def close(self) -> None:
        """Wipe the progress line."""
        self._line.__exit__(None, None, None)

    def _find(self) -> None:
        self.found += 1
        self._line.advance()
        self._record({"progress": "found", "count": self.found})

    def _start(self, total: int) -> None:
        self._line.begin("indexed", total)
        self._started_s = time.monotonic()
        self._total, self._recorded_s = total, 0.0
        self._record_read()

    def _add(self, error: Aimv2Error | None) -> None:
        self.done += error is None
        self.elapsed_s = time.monotonic() - self._started_s
        if error is not None and str(error) not in self._told:
            output.skipped(error)
        self._line.advance()
        self._read += 1
        self._record_read()

    def _record_read(self) -> None:
        self._record({"progress": "read", "count": self._read, "of": self._total})

    def _record(self, fields: dict[str, object]) -> None:
        now_s = time.monotonic()
        is_last = self._read == self._total > 0
        if self._in_json and (is_last or now_s - self._recorded_s >= _RECORD_S):
            self._recorded_s = now_s
            try:
                output.record(fields)
                output.finish()
            except BrokenPipeError:  # the program that listened has ended: what is done is kept
                output.abandon()
                raise KeyboardInterrupt from None


def tell(report: "Report", elapsed_s: float, *, as_json: bool = False) -> int:
    """Say what a run did, and return the exit code.

    Errors: Aimv2Error where nothing could be read; UsageError where there is nothing.
    """
    from mlx_aimv2.files.path_text import escape  # noqa: PLC0415

    _tell_notes(report)
    if as_json:
        output.record(
            {
                "found": report.found,
                "unchanged": report.unchanged,
                "embedded": report.embedded,
                "recognised": report.recognised,
                "recoloured": report.recoloured,
                "missing": report.missing,
                "failed": len(report.errors),
                "away": report.away,
                "excluded": report.excluded,
                "unsettled": report.unsettled,
                "keywords_edit": report.keywords_edit,
                "elapsed_s": round(elapsed_s, 3),
                "is_serving": report.is_serving,
                "empty": [escape(folder) for folder in report.empty],
            }
        )
    if not report.found and not report.missing:
        if report.errors:
            raise Aimv2Error("nothing could be indexed", hint="the reasons are above")
        if not report.had_photos:
            raise UsageError(
                "there are no pictures",
                hint="in folders pictures are known by their names: .jpg, .png, .heic and so on",
            )
    output.say(_sentence(report, elapsed_s))
    if not report.is_serving and report.left:
        output.say(
            f"{output.counted(report.left, 'photo')} of other folders have no vector by this "
            "checkpoint yet: searches use the former one until `aimv2 index` without folders, "
            "with the same --model, has read them too"
        )
    if report.found and report.found == report.failed:
        raise Aimv2Error(
            f"none of {report.found} photos could be read"
            if report.found > 1
            else "the only photo could not be read",
            hint="aimv2 library errors lists the reasons",
        )
    return exit_code(report.found - report.failed, len(report.errors))


def _tell_notes(report: "Report") -> None:
    """Say what was skipped, what may be gone, and which photos had colours that were read wrong."""
    from mlx_aimv2.library.indexing.roots import emptied  # noqa: PLC0415  (heavy)

    for error in report.errors[: len(report.errors) - report.failed]:
        output.skipped(error)
    output.left_out(report.skipped)
    for folder in report.empty:
        output.note(emptied(folder))
    for text, (first, *others) in report.notes.items():
        more = f" and {output.counted(len(others), 'other')}" if others else ""
        output.note(f"{printable(first)}{more}: {text}")
    if report.recoloured:
        output.note(
            "read again, because their colour profiles were ignored before, or they are TIFFs that "
            f"were read wrong: {output.counted(report.recoloured, 'photo')}"
        )
    if report.unsettled:
        output.note(
            f"another program took {report.unsettled} keywords of this one out of sidecars: "
            "aimv2 index --yes rejects them, and aimv2 tag history tells how to undo that"
        )
    if report.keywords_edit is not None:
        output.note(
            "another program changed keywords of this one in sidecars, which counts as your word: "
            f"aimv2 tag history says what, aimv2 tag undo {report.keywords_edit} takes it back"
        )
    if report.colours_unread:
        output.note(
            f"{output.counted(report.colours_unread, 'photo')} in other folders or out of reach "
            "were read while colour profiles were ignored: aimv2 index reads them again"
        )


def _sentence(report: "Report", elapsed_s: float) -> str:
    parts = [f"{output.counted(report.found, 'photo')}: {report.embedded} read"]
    if report.embedded and elapsed_s > 0:
        parts[0] += f" in {output.duration(elapsed_s)} ({report.embedded / elapsed_s:.1f}/s)"
    rest = {
        "unchanged": report.unchanged,
        "recognised": report.recognised,
        "not readable": report.failed,
        "gone": report.missing,
        "out of reach": report.away,
        "excluded from now on": report.excluded,
    }
    return ", ".join(parts + [f"{count} {word}" for word, count in rest.items() if count])


def tell_estimate(guess: "Estimate", *, as_json: bool) -> int:
    """Say what a run would take, and return the exit code."""
    if as_json:
        output.record(
            {
                "count": guess.count,
                "sampled": guess.sampled,
                "seconds": round(guess.seconds, 1),
                "size_bytes": guess.size_bytes,
                "download": guess.download or None,
                "download_bytes": guess.download_bytes,
            }
        )
    elif not guess.count:
        output.line("nothing to do: every photo that was found is in the library")
    else:
        output.line(
            f"{output.counted(guess.count, 'photo')} to read: "
            f"{output.duration(guess.seconds)} and {output.size(guess.size_bytes)} of disk, "
            f"measured on {guess.sampled} of them"
        )
        if guess.download:
            output.line(
                f"to download first: {guess.download}, {output.size(guess.download_bytes)}; "
                "the time was measured with random weights of its shape"
            )
    return 0
