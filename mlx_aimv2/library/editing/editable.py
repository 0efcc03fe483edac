"""A library whose tags can be edited: the methods of ``Library`` that do so."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from typing import Literal

from mlx_aimv2.errors import Aimv2Error, LockedError, UsageError

from ..database.access import Access
from ..database.edits import EditRow
from ..database.store import Store
from ..database.tags import FROM_OUTSIDE
from ..database.verdicts import Verdict
from ..tag_names import tag_key
from . import known_tags
from .edited import Edited, Sidecars, count_photos, synced
from .known_tags import TagCount, find_tag, must_find_tag, several_tags, typed_tag
from .photos import Named, Photo, named_photos
from .request import Request, edit_meant, made, make
from .waiting import keep_waiting, make_waiting, waiting_edits, waiting_path, waiting_stamp

Action = Literal["add", "remove", "confirm", "reject"]

_VERDICTS: dict[str, Verdict] = {"add": "added", "confirm": "confirmed", "reject": "rejected"}
_SAID = {"add": "added to", "remove": "removed from", "confirm": "confirmed for",
         "reject": "rejected for"}  # fmt: skip


class EditableTags(Access):
    """Editing of tags, by any thread, also while another process writes the library.

    What an edit has answered is on the disk: it outlives a kill, and a power cut too. Where a
    ``uuid`` comes with it, made by whoever asks, the same one again changes nothing and answers
    the same, also after a restart.
    """

    _stuck: tuple[int, int] | None = None  # the edits that wait and cannot be made

    def edit_tags(
        self, action: Action, tag: str, photos: Photo | Iterable[Photo], *, uuid: str | None = None
    ) -> Edited:
        """Add, remove, confirm or reject a tag of photos, given by paths or by ids of files.

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
        if uuid and (before := self.asked_before(uuid, photos)):
            return before
        with self._reading() as store:
            look = cache(lambda: named_photos(store, photos))
            if action == "add":
                known = find_tag(store, tag)
            else:
                known = must_find_tag(store, tag, of=lambda: list(look().contents))
            meant = known or store.named()(typed_tag(tag))
            named = look()
            paths = _paths(store, named.contents)
            others = _from_others(store, meant, named) if action == "remove" else ()
        count = named.count
        said = f"{meant} {_SAID[action]} {count} {'photo' if count == 1 else 'photos'}"
        if action == "remove":
            request = Request(action, said, removed=tuple((hash, meant) for hash in named.hashes))
        else:
            verdict = _VERDICTS[action]
            words = tuple((hash, meant, verdict) for hash in named.hashes)
            request = Request(action, said, verdicts=words)
        edited = Edited(meant, paths, named.errors, others, is_new=known is None, count=count)
        return self._make(request, edited, uuid)

    def tags(self) -> list[TagCount]:
        """All tags with their photos by origin, the commonest first."""
        return self._of_one_moment(known_tags.count_by_origin)

    def rename_tag(self, old: str, new: str, *, uuid: str | None = None) -> Edited:
        """Give a tag, and all beneath it, another name for good, whoever gives it later.

        Errors: UsageError for a tag that is not known, and for a name that another tag has.
        """
        if uuid and (before := self.asked_before(uuid)):
            return before
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
        return self._make(request, Edited(name), uuid)

    def merge_tags(
        self, tags: str | Iterable[str], into: str, *, uuid: str | None = None
    ) -> Edited:
        """Make tags one, for good; where the owner said yes and no, the yes counts.

        Errors: UsageError for tags that are not known, or that are one already.
        """
        if uuid and (before := self.asked_before(uuid)):
            return before
        given = [tags] if isinstance(tags, str) else list(tags)
        with self._reading() as store:
            target = find_tag(store, into, is_path=True) or typed_tag(into)
            meant = [tag for tag in several_tags(store, given) if tag_key(tag) != tag_key(target)]
        if not meant:
            raise UsageError(f"there is nothing to merge into {target}", hint="name other tags")
        said = f"{', '.join(meant)} into {target}"
        renamed = tuple((tag, target) for tag in meant)
        return self._make(Request("merge", said, renamed=renamed), Edited(target), uuid)

    def tag_history(self) -> list[EditRow]:
        """All edits of tags, runs of the program and undoings too, the latest first."""
        with self._reading() as store:
            return store.edits()

    def waiting_edits(self) -> int:
        """How many edits wait until another process has ended that writes the library."""
        return len(waiting_edits(self.path))

    def undo_tags(
        self, number: int | Literal["all"] | None = None, *, uuid: str | None = None
    ) -> Edited:
        """Undo an edit by its number; without one, the last run of the program.

        Each row that still is as the edit left it is set back, and sidecars with it. That is an
        edit too: undone itself, the first one is done again, as far as nothing was changed since.
        ``"all"`` takes back everything that the program gave, and sidecars are as they were
        before; the owner's word stays.
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
            photos = _paths(store, store.files_of_edit(row))
        return self.undo_edit(row, uuid=uuid, photos=photos)

    def undo_edit(
        self, edit: int | str, *, uuid: str | None = None, photos: tuple[str, ...] = ()
    ) -> Edited:
        """:meth:`undo_tags` of an edit by its number, or by the uuid of one that may still wait."""
        if uuid and (before := self.asked_before(uuid)):
            return before
        with self._reading() as store:
            said = next((each.said for each in waiting_edits(self.path) if each.uuid == edit), None)
            if said is None:
                number = store.edit_to_undo(edit_meant(store, edit))
                said = getattr(store.edit_with(number), "said", "")
        request = Request("undo", f"undone: {said}", undoes=edit)
        return self._make(request, Edited("", photos), uuid)

    def asked_before(self, uuid: str, photos: Photo | Iterable[Photo] = ()) -> Edited | None:
        """What the edit of this uuid did, or that it waits; None where nobody has asked for it.

        ``photos`` are those that it was about, as far as the library knows them still.
        """
        with self._reading() as store:
            done = made(store, uuid)
            if done is not None:
                changed = count_photos(store, done.file_ids)
                edited = Edited("", number=done.number, said=done.said, changed=changed)
            else:
                waiting = [each.said for each in waiting_edits(self.path) if each.uuid == uuid]
                if not waiting:
                    return None
                edited = Edited("", said=waiting[0], is_waiting=True)
            with suppress(UsageError):
                named = named_photos(store, photos)
                return replace(edited, count=named.count, errors=named.errors)
            return edited

    def _make(
        self,
        request: Request,
        edited: Edited,
        uuid: str | None = None,
        also: Callable[[Store], object] | None = None,
    ) -> Edited:
        """Make an edit now, or keep it for later; what is known of it, with what became of it.

        ``also``: see ``make``; an edit that waits goes without it.
        """
        if uuid:
            request = replace(request, uuid=uuid)
        try:
            with self._writing() as store:
                done = make(store, request, also)
                changed = count_photos(store, done.file_ids)
                return replace(
                    edited,
                    number=done.number,
                    said=done.said,
                    changed=changed,
                    sidecars=self._synced(store, done.file_ids),
                )
        except LockedError:
            keep_waiting(self.path, request)
        self._make_left()  # the other process may have ended just now
        with self._reading() as store:
            kept = made(store, request.uuid)  # by that one, or by an index between two photos
            if kept is not None:
                changed = count_photos(store, kept.file_ids)
                return replace(edited, number=kept.number, said=kept.said, changed=changed)
            is_waiting = waiting_path(self.path).exists()
            if request.undoes is not None and not is_waiting:  # it was tried in vain
                store.edit_to_undo(edit_meant(store, request.undoes))
        return replace(edited, said=request.said, is_waiting=is_waiting)

    def _has_waiting(self) -> bool:
        """Whether edits wait that were not tried in vain."""
        stamp = waiting_stamp(self.path)
        return stamp is not None and stamp != self._stuck

    def _make_waiting(self, store: Store) -> None:
        """Make the edits that wait while this process goes on writing, each once.

        Those that fail go on waiting, and are told when the library is written next.
        """
        try:
            synced(store, make_waiting(store))
        except Aimv2Error:
            self._stuck = waiting_stamp(self.path)

    def _synced(self, store: Store, ids: list[int]) -> Sidecars:
        """What became of the sidecars of files that an edit has touched."""
        return synced(store, ids)

    def write_sidecars_behind(self, count: int) -> bool:
        """Bring sidecars of so many photos up to date that edits left behind; whether any were.

        Errors: LockedError while another process writes the library.
        """
        with self._writing() as store:
            ids = store.sidecars_behind(count)
            synced(store, ids)
        return bool(ids)

    @contextmanager
    def _writing(self, *, creates: bool = False) -> Iterator[Store]:
        try:
            with super()._writing(creates=creates) as store:
                make_waiting(store)
                self._synced(store, store.sidecars_behind())  # those of a process killed too
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
                    make_waiting(store)
                    self._synced(store, store.sidecars_behind())


def _from_others(store: Store, tag: str, named: Named) -> tuple[str, ...]:
    """The paths of photos that have a tag as a keyword of another program."""
    found = store.rows("SELECT file_id, origin FROM shown_tags WHERE key = ?", (tag_key(tag),))
    ids = {id for id, origin in found if origin in FROM_OUTSIDE and id in named.contents}
    return _paths(store, ids)


def _paths(store: Store, ids: Iterable[int]) -> tuple[str, ...]:
    return tuple(sorted(map(os.fsdecode, store.paths_of(ids).values())))
