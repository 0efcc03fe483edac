"""``aimv2 tag add`` and its like: a person's own word on tags, and names of tags."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.paths import FilePath, printable
from mlx_aimv2.options import argument, group, option

from . import output
from .edits import KEPT, found_photos, library_at, note_waiting, on_photos, tell_sidecars
from .options import JSON, LIBRARY, YES

if TYPE_CHECKING:
    from mlx_aimv2.library.editing.editable import Action
    from mlx_aimv2.library.editing.edited import Edited
    from mlx_aimv2.library.library import Library

_COUNT = 20  # as a search shows
_DONE = {"add": "added to", "remove": "removed from", "confirm": "confirmed for",
         "reject": "rejected for"}  # fmt: skip


@dataclass(frozen=True)
class PhotosOptions:
    """Which photos a tag is said of."""

    photos: tuple[str, ...] = argument((), help="The photos.", metavar="FILE")
    from_search: str | None = option(
        help="The photos that aimv2 search finds for these words, above its line.",
        metavar="QUERY",
    )
    count: int | None = option(
        help="Number of photos of the search, at most.",
        flags="-n --count",
        min=1,
        metavar="COUNT",
        show_default=f"{_COUNT}",
    )
    list_of_photos: str | None = option(
        help="A list of photos, one on each line or a NUL after each; - for stdin.",
        flags="--from",
        metavar="FILE",
    )


@dataclass(frozen=True)
class EditOptions:
    """What ``aimv2 tag add``, ``remove``, ``confirm`` and ``reject`` take."""

    tag: str = argument(
        help='The tag, like "Animals|Dog", or its last name where one tag alone has that.',
        metavar="TAG",
    )
    which: PhotosOptions = group(PhotosOptions)
    library: str | None = LIBRARY()
    yes: bool = YES()


@dataclass(frozen=True)
class ListOptions:
    """What ``aimv2 tag list`` and ``history`` take."""

    library: str | None = LIBRARY()
    as_json: bool = JSON()


@dataclass(frozen=True)
class RenameOptions:
    """What ``aimv2 tag rename`` takes."""

    old: str = argument(help="The tag as it is.", metavar="OLD")
    new: str = argument(help='Its new name, like "Animals|Dog".', metavar="NEW")
    library: str | None = LIBRARY()


@dataclass(frozen=True)
class MergeOptions:
    """What ``aimv2 tag merge`` takes."""

    tags: tuple[str, ...] = argument(help="The tags that become one.", metavar="TAG")
    into: str | None = option(help="The tag that they become.", metavar="TAG")
    library: str | None = LIBRARY()


def add(options: EditOptions) -> int:
    """Add a tag of your own to photos; it stays whatever aimv2 gives later."""
    return _edit("add", options)


def remove(options: EditOptions) -> int:
    """Take a tag off photos: your own word, and what aimv2 gave, which may give it again.

    Keywords that other programs wrote stay: reject the tag to hide it there.
    """
    return _edit("remove", options)


def confirm(options: EditOptions) -> int:
    """Say that a tag fits photos; it stays whatever aimv2 gives later."""
    return _edit("confirm", options)


def reject(options: EditOptions) -> int:
    """Say that a tag does not fit photos, for good: it is never given or shown there again."""
    return _edit("reject", options)


def list(options: ListOptions) -> None:
    """List all tags, with how many photos have each, and from where."""
    with library_at(options.library) as opened:
        counts = opened.tags()
        note_waiting(opened)
    if options.as_json:
        for each in counts:
            output.record(
                {
                    "tag": each.tag,
                    "photos": each.photos,
                    "origins": each.origins,
                    "rejected": each.rejected,
                }
            )
        return
    rows = []
    for each in counts:
        origins = [f"{origin} {count}" for origin, count in each.origins.items()]
        origins += [f"rejected {each.rejected}"] if each.rejected else []
        rows.append((each.tag, str(each.photos), ", ".join(origins)))
    if rows:
        output.table(rows, ("tag", "photos", "from"), right=(1,))
    else:
        output.say("no photo has a tag yet: aimv2 tag")


def rename(options: RenameOptions) -> int:
    """Give a tag and all beneath it another name, for good, whoever gives the tag later."""
    with library_at(options.library) as opened:
        edited = opened.rename_tag(options.old, options.new)
    return _tell_renamed(f"{options.old} is {edited.tag} now", edited)


def merge(options: MergeOptions) -> int:
    """Make several tags one, for good."""
    if options.into is None:
        raise UsageError("merge needs --into", hint="aimv2 tag merge TAG TAG --into TAG")
    with library_at(options.library) as opened:
        edited = opened.merge_tags(options.tags, options.into)
    verb = "is" if len(options.tags) == 1 else "are"
    return _tell_renamed(f"{', '.join(options.tags)} {verb} {edited.tag} now", edited)


ACTIONS = (add, remove, confirm, reject, list, rename, merge)


def _edit(action: "Action", options: EditOptions) -> int:
    with library_at(options.library) as opened:
        photos = _photos(opened, action, options)
        edited = opened.edit_tags(action, options.tag, photos)
        is_taught = opened.store.taught_tag(edited.tag) is not None
    for error in edited.errors:
        output.skipped(error)
    tag, count = edited.tag, output.counted(edited.count, "photo")
    if edited.is_new:
        output.note(f"{tag} is a new tag")
    if edited.is_waiting:
        output.say(f"{tag} {_DONE[action]} {count} is {KEPT}")
    elif edited.changed == 0:
        output.say(f"{tag}: nothing new for {count}")
    elif edited.changed is None or edited.changed == edited.count:
        output.say(f"{tag} {_DONE[action]} {count}")
    else:
        same = edited.count - edited.changed
        changed = output.counted(edited.changed, "photo")
        output.say(f"{tag} {_DONE[action]} {changed}; nothing new for {same}")
    if others := len(edited.from_others):
        output.note(
            f"{tag} stays on {output.counted(others, 'photo')} as a keyword of another program: "
            "aimv2 tag reject hides it there"
        )
    if is_taught and edited.changed:
        output.note(f"{tag} is a taught tag: aimv2 teach {quote(tag)} learns from this")
    return tell_sidecars(edited, done=edited.count)


def _photos(library: "Library", action: "Action", options: EditOptions) -> Sequence[FilePath]:
    which = options.which
    ways = (which.photos or None, which.from_search, which.list_of_photos)
    if sum(way is not None for way in ways) != 1:
        raise UsageError(
            "name the photos in one way: by path, --from-search or --from",
            hint=f"aimv2 tag {action} {quote(options.tag)} FILE",
        )
    if which.count is not None and which.from_search is None:
        raise UsageError("--count is for --from-search", hint="leave it out")
    if which.from_search is not None:
        return found_photos(library, which.from_search, which.count or _COUNT, yes=options.yes)
    if which.list_of_photos is not None:
        return _listed(which.list_of_photos)
    return which.photos


def _listed(name: str) -> Sequence[FilePath]:
    from . import lists  # noqa: PLC0415  (heavy)

    try:
        data = sys.stdin.buffer.read() if name == output.STDIN else Path(name).read_bytes()
    except OSError as error:
        raise UsageError(
            f"{printable(name)} cannot be read: {error.strerror}",
            hint="--from takes a list of photos, one on each line",
        ) from error
    photos = [*lists.paths(BufferedReader(BytesIO(data)), is_null=b"\0" in data)]
    if not photos:
        raise UsageError("the list names no photos", hint="one path on each line")
    return photos


def _tell_renamed(text: str, edited: "Edited") -> int:
    if edited.is_waiting:
        output.say(f"{text}: {KEPT}")
        return 0
    output.say(f"{text}{on_photos(edited)}")
    return tell_sidecars(edited, done=1)
