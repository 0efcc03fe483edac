"""A library whose duplicates are decided on: the methods of ``Library`` that do so."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mlx_aimv2.errors import LockedError, UsageError
from mlx_aimv2.files.paths import FilePath

from ..database.store import Store
from ..duplicates import picks as picked
from ..duplicates.pages import GroupPages, Kind, Page
from ..duplicates.picks import Picks
from .captions import EditableCaptions
from .edited import Edited, synced
from .photos import Named, Photo, named_photos
from .request import Request

if TYPE_CHECKING:
    from ..duplicates.carrying import Carried


class WholeGroupError(UsageError):
    """No file of a group of duplicates would be left."""


class EditableDuplicates(EditableCaptions):
    """Picks for removal and the owner's word on duplicates. Nothing is ever removed here."""

    def __init__(self, path: FilePath | None = None) -> None:
        super().__init__(path)
        self._group_pages = GroupPages(self._of_one_moment)

    def duplicate_page(
        self, kind: Kind, *, after: int | None = None, count: int = 50, decided: bool = False
    ) -> Page:
        """So many groups of exact or near copies that are left to decide on, the best file first.

        Near copies are found in the background, and kept while the photos are the same; what was
        picked or said to be no duplicates counts at once. ``after`` is the ``next`` of the page
        before; with ``decided`` groups come too of which no more than one file stays.
        Errors: UsageError where the page before is no longer known; OutputError without a library.
        """
        return self._group_pages.page(kind, after=after, count=count, decided=decided)

    def picks(self) -> Picks:
        """What is picked for removal, as it is on the disk at this moment."""
        return self._of_one_moment(picked.picks)

    def pick(
        self,
        photos: Photo | Iterable[Photo],
        *,
        is_picked: bool = True,
        whole_groups: bool = False,
        carry_to: Photo | None = None,
        uuid: str | None = None,
    ) -> Edited:
        """Pick files for removal, or take that back; given by paths or by ids.

        A pick is of a file, not of the other files of its shot and not of its copies. Nothing is
        removed: :meth:`picks` has the list. With ``carry_to`` that photo gets what :meth:`carry`
        would give it from those picked, in the same edit.
        Errors: UsageError where no file is known, and where of a group of duplicates none would be
        left, unless that is meant: ``whole_groups``.
        """
        if uuid and (before := self.asked_before(uuid, photos)):
            return before
        with self._reading() as store:
            named = named_photos(store, photos)
            if is_picked and not whole_groups:
                self._check_left(store, named)
            carried, changes = "", dict[str, Any]()
            if carry_to is not None:
                found, changes = _carrying(store, carry_to, named)
                carried = found.said and f", {found.said} carried over"
        ids = named.ids
        what = "picked for removal" if is_picked else "no longer picked for removal"
        request = Request(
            "pick" if is_picked else "unpick",
            f"{_files(len(ids))} {what}{carried}",
            picks=tuple((named.contents[id], id, is_picked) for id in ids),
            **changes,
        )
        edited = self._make(request, Edited("", errors=named.errors, count=len(ids)), uuid)
        return self._with_sidecars(request, edited)

    def not_duplicates(
        self, groups: Iterable[Sequence[Photo]], *, uuid: str | None = None
    ) -> Edited:
        """Say of the photos of each group that none is a duplicate of another, for good.

        That is known by their contents, so that it holds for files that were moved too.
        Errors: UsageError for a group of fewer than two files.
        """
        if uuid and (before := self.asked_before(uuid)):
            return before
        with self._reading() as store:
            named = [named_photos(store, group) for group in groups]
        rows = list[tuple[bytes, int, int, bool]]()
        for number, group in enumerate(named):
            hashes = [group.contents[id] for id in group.ids]
            members = list(dict.fromkeys(hashes))
            if len(hashes) < 2:
                hint = "name all photos of the group that are no duplicates"
                raise next(iter(group.errors), UsageError("one photo is no group", hint=hint))
            rows += [
                (hash, number, member, hashes.count(hash) > 1)
                for member, hash in enumerate(members)
            ]
        count = sum(len(group.ids) for group in named)
        said = f"{_files(count)} said to be no duplicates"
        if len(named) > 1:
            said += f" in {len(named)} groups"
        request = Request("not_duplicates", said, apart=tuple(rows))
        return self._make(request, Edited("", count=count), uuid)

    def carry(
        self, keep: Photo, copies: Photo | Iterable[Photo], *, uuid: str | None = None
    ) -> Edited:
        """Give the photo that is kept what people have said of its copies; one edit, undone as one.

        Tags and a caption of the owner's or of other programs become the owner's word. The most
        stars in photos and sidecars, and a date where the photo has none, are written into its
        sidecar. The copies stay as they are.
        Errors: UsageError where a photo is not known, or nothing is to be carried.
        """
        if uuid and (before := self.asked_before(uuid, keep)):
            return before
        with self._reading() as store:
            named = named_photos(store, copies)
            found, changes = _carrying(store, keep, named)
        if not found.said:
            raise UsageError(
                "there is nothing to carry: the photo has all that people said of its copies",
                hint="tags that aimv2 gave are not carried",
            )
        request = Request("carry", f"{found.said} carried over from copies", **changes)
        edited = self._make(request, Edited("", errors=named.errors, count=1), uuid)
        return self._with_sidecars(request, edited)

    def _with_sidecars(self, request: Request, edited: Edited) -> Edited:
        """What became of the sidecars that have carried values, before the edit is answered.

        Stars are nowhere else, and who is told that they were carried removes the copies.
        """
        ids = sorted({id for _, id, _, _ in request.carried})
        if not ids or edited.is_waiting or edited.sidecars:
            return edited
        with suppress(LockedError), self._writing() as store:
            return replace(edited, sidecars=synced(store, ids))
        return edited

    def _check_left(self, store: Store, named: Named) -> None:
        """Errors: UsageError where of a group that is known no file would be left."""
        near = (group.files for group in self._group_pages.known("near"))
        whole = picked.without_any_left(store, named.ids, near)
        if whole:
            files = "both files" if len(whole[0]) == 2 else f"all {len(whole[0])} files"
            groups = "a group" if len(whole) == 1 else f"each of {len(whole)} groups"
            raise WholeGroupError(
                f"that would pick {files} of {groups}: none would be left",
                hint="leave the best one out",
                options={"whole_groups": "pick them all the same"},
            )


def _carrying(store: Store, keep: Photo, copies: Named) -> tuple["Carried", dict[str, Any]]:
    """What a photo is to get from copies, also as the changes of a request."""
    from ..duplicates.carrying import what_to_carry  # noqa: PLC0415  (XML: searches start sooner)

    kept = named_photos(store, keep)
    [id] = kept.ids
    files = store.files_of([id, *copies.ids])
    found = what_to_carry(store, files[id], [files[other] for other in copies.ids if other != id])
    verdicts, caption = found.verdicts.items(), found.caption
    return found, {
        "verdicts": tuple((hash, tag, each) for hash in kept.hashes for tag, each in verdicts),
        "captions": tuple((hash, "you", caption, None, None) for hash in kept.hashes if caption),
        "carried": tuple(
            (kept.contents[id], id, name, value) for name, value in found.values.items()
        ),
    }


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"
