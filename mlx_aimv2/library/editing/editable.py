"""A library whose tags can be edited: the methods of ``Library`` that do so."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Literal, Union

from mlx_aimv2.errors import Aimv2Error, LockedError, UsageError
from mlx_aimv2.files.paths import FilePath

from ..database.access import Access
from ..database.edits import EditRow
from ..database.store import Store
from ..database.tags import FROM_OUTSIDE
from ..database.verdicts import Verdict
from ..shots import shots_of
from ..tag_names import tag_key
from . import known_tags
from .known_tags import TagCount, find_tag, must_find_tag, several_tags, typed_tag
from .photos import Named, named_photos
from .request import Request, make
from .waiting import keep_waiting, make_waiting, waiting_edits, waiting_path

if TYPE_CHECKING:
    from ..sidecars.sidecar import Undone

Action = Literal["add", "remove", "confirm", "reject"]
Sidecars = tuple[tuple[str, Union["Undone", Aimv2Error, None]], ...]

_VERDICTS: dict[str, Verdict] = {"add": "added", "confirm": "confirmed", "reject": "rejected"}
_SAID = {"add": "added to", "remove": "removed from", "confirm": "confirmed for",
         "reject": "rejected for"}  # fmt: skip


@dataclass(frozen=True)
class Edited:
    """What an edit did.

    ``is_waiting``: another process writes the library, and the edit counts once that has ended.
    ``tag`` is the tag that was meant, empty where none was, ``is_new`` if none was known by that
    name; ``photos`` are the paths of the files it was about, ``count`` is how many photos these
    are, the files of a shot being one, and ``changed`` of how many photos anything changed; None
    while that waits.
    ``errors`` are of photos that were named and are not known. ``from_others`` are photos that
    keep the tag as a keyword of another program: removing does not touch that, rejecting hides it.
    ``sidecars`` are those that were brought up to date, each with what undoing did to it, with an
    error, or with None.
    """

    tag: str
    photos: tuple[str, ...] = ()
    errors: tuple[Aimv2Error, ...] = ()
    from_others: tuple[str, ...] = ()
    is_waiting: bool = False
    is_new: bool = False
    count: int = 0
    changed: int | None = None
    sidecars: Sidecars = field(default=(), repr=False)


class EditableTags(Access):
    """Editing of tags, by any thread, also while another process writes the library."""

    def edit_tags(self, action: Action, tag: str, photos: FilePath | Iterable[FilePath]) -> Edited:
        """Add, remove, confirm or reject a tag of photos, given by their paths.

        ``tag`` is its path, like Animals|Dog, or its last name where one tag alone has that; but
        for ``add`` it may be one alone of those that the photos have. All files of a shot are
        spoken of as one. ``add`` makes a tag that is not there; ``remove``
        takes back the owner's yes and what the program gave, which may give it again; ``reject``
        is for good.
        Errors: UsageError for a tag that may mean several, or, but for ``add``, is not known, and
        where no photo is known; OutputError without a library.
        """
        if action not in _SAID:
            raise UsageError(f"{action!r} is no edit", hint=f"one of {', '.join(_SAID)}")
        with self._reading() as store:
            look = cache(lambda: named_photos(store, photos))
            if action == "add":
                known = find_tag(store, tag)
            else:
                known = must_find_tag(store, tag, of=lambda: list(look().files))
            meant = known or store.named()(typed_tag(tag))
            named = look()
            count = count_photos(store, list(named.files))
            others = _from_others(store, meant, named) if action == "remove" else ()
        said = f"{meant} {_SAID[action]} {count} {'photo' if count == 1 else 'photos'}"
        if action == "remove":
            request = Request(action, said, removed=tuple((hash, meant) for hash in named.hashes))
        else:
            verdict = _VERDICTS[action]
            words = tuple((hash, meant, verdict) for hash in named.hashes)
            request = Request(action, said, verdicts=words)
        paths = tuple(sorted(file.path_str for file in named.files.values()))
        edited = Edited(meant, paths, named.errors, others, is_new=known is None, count=count)
        return self._make(request, edited)

    def tags(self) -> list[TagCount]:
        """All tags with their photos by origin, the commonest first."""
        return self._of_one_moment(known_tags.count_by_origin)

    def rename_tag(self, old: str, new: str) -> Edited:
        """Give a tag, and all beneath it, another name for good, whoever gives it later.

        Errors: UsageError for a tag that is not known, and for a name that another tag has.
        """
        with self._reading() as store:
            tag, name = must_find_tag(store, old, is_path=True), typed_tag(new)
            is_same = tag_key(name) == tag_key(tag)
            if name == tag:
                raise UsageError(f"{tag} has that name already", hint="give another name")
            known = known_tags.known_tags(store)
            if not is_same and tag_key(name) in known:
                raise UsageError(
                    f"there is a tag {known[tag_key(name)]} already",
                    hint=f'make them one: aimv2 tag merge "{tag}" "{name}"',
                )
        request = Request("rename", f"{tag} to {name}", renamed=((tag, name),))
        return self._make(request, Edited(name))

    def merge_tags(self, tags: str | Iterable[str], into: str) -> Edited:
        """Make tags one, for good; where the owner said yes and no, the yes counts.

        Errors: UsageError for tags that are not known, or that are one already.
        """
        given = [tags] if isinstance(tags, str) else list(tags)
        with self._reading() as store:
            target = find_tag(store, into, is_path=True) or typed_tag(into)
            meant = [tag for tag in several_tags(store, given) if tag_key(tag) != tag_key(target)]
        if not meant:
            raise UsageError(f"there is nothing to merge into {target}", hint="name other tags")
        said = f"{', '.join(meant)} into {target}"
        renamed = tuple((tag, target) for tag in meant)
        return self._make(Request("merge", said, renamed=renamed), Edited(target))

    def tag_history(self) -> list[EditRow]:
        """All edits of tags, runs of the program too, the latest first."""
        with self._reading() as store:
            return [edit for edit in store.edits() if edit.changes]

    def waiting_edits(self) -> int:
        """How many edits wait until another process has ended that writes the library."""
        return len(waiting_edits(self.path))

    def undo_tags(self, number: int | Literal["all"] | None = None) -> Edited:
        """Undo an edit by its number; without one, the last run of the program.

        Each row that still is as the edit left it is set back, and sidecars with it. ``"all"``
        takes back everything that the program gave, and sidecars are as they were before; the
        owner's word stays.
        Errors: UsageError for an edit that is not there or was undone; OutputError without a
        library; LockedError for ``"all"`` while another process writes the library.
        """
        if number == "all":
            from ..tagging import tag_sidecars  # noqa: PLC0415  (XML: searches start sooner)

            with self._writing() as store:
                done = tuple((os.fsdecode(path), each) for path, each in tag_sidecars.undo(store))
                store.mark_runs_undone()
            return Edited("", sidecars=done)
        with self._reading() as store:
            row = store.edit_to_undo(number)
            photos = tuple(
                sorted(each.path_str for each in store.files_of(store.files_of_edit(row)).values())
            )
        return self._make(Request("undo", f"edit {row}", undoes=row), Edited("", photos))

    def _make(self, request: Request, edited: Edited) -> Edited:
        """Make an edit now, or keep it for later; what is known of it, with what became of it."""
        try:
            with self._writing() as store:
                ids = make(store, request)
                changed = count_photos(store, ids)
                return replace(edited, changed=changed, sidecars=synced(store, ids))
        except LockedError:
            keep_waiting(self.path, request)
        self._make_left()  # the other process may have ended just now
        return replace(edited, is_waiting=waiting_path(self.path).exists())

    @contextmanager
    def _writing(self, *, creates: bool = False) -> Iterator[Store]:
        try:
            with super()._writing(creates=creates) as store:
                synced(store, make_waiting(store))
                yield store
        finally:
            self._make_left()

    def _make_left(self) -> None:
        """Make the edits that were asked for while this process wrote; what fails goes on waiting.

        Whoever keeps an edit looks after it for the lock, whoever gives the lock back looks after
        that for edits: so none is left between the two.
        """
        with suppress(Aimv2Error):
            while not self._is_closed and os.path.lexists(waiting_path(self.path)):
                with super()._writing() as store:
                    synced(store, make_waiting(store))


def count_photos(store: Store, file_ids: list[int]) -> int:
    """How many photos these files are, those of a shot being one."""
    shots = shots_of(store, file_ids)
    return len({shots.get(id, (id,))[0] for id in file_ids})


def synced(store: Store, ids: list[int]) -> Sidecars:
    """What became of the sidecars of these files, which are brought up to date."""
    if not ids:
        return ()
    from ..tagging.tag_sidecars import sync_sidecars  # noqa: PLC0415  (XML, as above)

    done = sync_sidecars(store, ids)
    return tuple((os.fsdecode(path), each) for path, each in done)


def _from_others(store: Store, tag: str, named: Named) -> tuple[str, ...]:
    """The paths of photos that have a tag as a keyword of another program."""
    found = store.rows("SELECT file_id, origin FROM shown_tags WHERE key = ?", (tag_key(tag),))
    ids = {id for id, origin in found if origin in FROM_OUTSIDE and id in named.files}
    return tuple(sorted(named.files[id].path_str for id in ids))
