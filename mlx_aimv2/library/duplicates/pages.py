"""The groups of a library page by page, for whoever decides on them one after the other.

To find copies takes a minute in a large library: that is done in the background, and kept for as
long as the photos are the same. What the owner decides is laid over that, and counts at once.
"""

import os
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeVar

from mlx_aimv2.errors import Aimv2Error, UsageError

from ..database.store import Store
from .apart import Apart, apart
from .groups import DEFAULT_THRESHOLD, Group, files_to_compare, find_groups

Kind = Literal["exact", "near"]
T = TypeVar("T")

_SOON_S = 2.0  # what takes no longer is waited for
_LEAST_ALIKE: dict[Kind, float] = {"exact": 1.0, "near": DEFAULT_THRESHOLD}


class Look(Protocol):
    """Answers a question about the library as it is at one moment."""

    def __call__(self, question: Callable[[Store], T], /) -> T: ...


@dataclass(frozen=True)
class Page:
    """Some groups, the best file of each first, and what all groups of the kind come to.

    ``total`` is how many groups are left to decide on: those of which more than one file stays as
    things are. ``copies`` are the files that stay there beyond the first one of each group, and
    ``size_bytes`` is what these take. ``next`` is what to ask for the next page with; None on the
    last. While ``is_computing`` the groups are those known before, if any.
    """

    groups: tuple[Group, ...] = ()
    total: int = 0
    copies: int = 0
    size_bytes: int = 0
    next: int | None = None
    is_computing: bool = False


@dataclass(frozen=True)
class _Found:
    """All groups of one kind, whatever was said to be no duplicates.

    ``sizes`` are those of their files in bytes, ``photos`` is another value for other photos.
    """

    groups: list[Group]
    sizes: Mapping[int, int]
    photos: object


class GroupPages:
    """The groups of one library, for any number of threads."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._found: dict[Kind, _Found] = {}
        self._apart: dict[Kind, tuple[_Found, Apart, list[Group]]] = {}
        self._lock = threading.Lock()
        self._threads: dict[Kind, threading.Thread] = {}
        self._errors: dict[Kind, Aimv2Error] = {}
        self._rests_until: dict[Kind, float] = {}  # while an index runs photos change all the time

    def page(
        self, kind: Kind, *, after: int | None = None, count: int = 50, decided: bool = False
    ) -> Page:
        """So many groups that are left to decide on, or with ``decided`` any groups.

        They are in the order of their best files' paths; ``after`` is what the page before gave
        as its ``next``.
        Errors: UsageError for a file that is not known any more; OutputError for a library that
        cannot be read.
        """
        is_computing = self._renew(kind, is_wanted=after is None)
        found = self._found.get(kind)
        if found is None:
            return Page(is_computing=is_computing)
        page = self._look(lambda store: self._page(store, kind, found, after, count, decided))
        return replace(page, is_computing=is_computing)

    def known(self, kind: Kind) -> list[Group]:
        """The groups that are known at this moment, without looking for more."""
        found = self._found.get(kind)
        return [] if found is None else self._look(lambda store: self._left(store, kind, found))

    def _renew(self, kind: Kind, *, is_wanted: bool) -> bool:
        """Find the groups where photos have changed since; whether that goes on still."""
        found = self._found.get(kind)
        if found is not None:
            is_resting = time.monotonic() < self._rests_until.get(kind, 0.0)
            if is_resting or not is_wanted or found.photos == self._look(_photos):
                return False
        with self._lock:
            thread = self._threads.get(kind)
            if thread is None or not thread.is_alive():
                thread = threading.Thread(target=self._find, args=(kind,), daemon=True)
                self._threads[kind] = thread
                thread.start()
        thread.join(_SOON_S)
        if (error := self._errors.pop(kind, None)) is not None:
            raise error
        return thread.is_alive()

    def _find(self, kind: Kind) -> None:
        begun_s = time.monotonic()
        try:
            self._found[kind] = self._look(lambda store: _find(store, kind))
        except Aimv2Error as error:
            self._errors[kind] = error
        ended_s = time.monotonic()
        if ended_s - begun_s > _SOON_S:
            self._rests_until[kind] = ended_s + (ended_s - begun_s)

    def _page(
        self,
        store: Store,
        kind: Kind,
        found: _Found,
        after: int | None,
        count: int,
        decided: bool,
    ) -> Page:
        picked = {id for (id,) in store.rows("SELECT file_id FROM picked")}
        query = "SELECT id FROM files WHERE missing_since IS NOT NULL OR error IS NOT NULL"
        gone = {id for (id,) in store.rows(query)}
        shown, total, copies, size_bytes = list[Group](), 0, 0, 0
        for group in self._left(store, kind, found):
            there = _without(group, gone)
            staying = [id for id in there.files if id not in picked]
            if len(staying) > 1:
                total += 1
                copies += len(staying) - 1
                size_bytes += sum(found.sizes[id] for id in staying[1:])
            if len(staying) > 1 or (decided and len(there.files) > 1):
                shown.append(there)
        start = 0
        if after is not None:
            file = store.files_of([after]).get(after)
            if file is None:
                raise UsageError("the list of duplicates has changed", hint="load it again")
            start = bisect_right(shown, file.path, key=_place)
        page = shown[start : start + count]
        last = start + count >= len(shown)
        return Page(tuple(page), total, copies, size_bytes, None if last else page[-1].files[0])

    def _left(self, store: Store, kind: Kind, found: _Found) -> list[Group]:
        """The groups without what was said to be no duplicates, those that it tears found anew."""
        said = apart(store)
        if not said:
            return found.groups
        known = self._apart.get(kind)
        if known is not None and known[0] is found and known[1] == said:
            return known[2]
        query = (
            "SELECT id, last_hash FROM files WHERE last_hash IN (SELECT hash FROM not_duplicates)"
        )
        contents: dict[int, bytes] = dict(store.rows(query))
        left, torn = list[Group](), list[int]()
        for group in found.groups:
            parts = said.parts([contents.get(id) for id in group.files])
            if parts == "none":
                left.append(group)
            elif parts == "some":
                torn += group.files
        if torn:
            given = files_to_compare(store, store.serving(), ids=torn)
            again = find_groups(given, _LEAST_ALIKE[kind])
            left = sorted((*left, *(each for each in again if each.kind == kind)), key=_place)
        self._apart[kind] = found, said, left
        return left


def _find(store: Store, kind: Kind) -> _Found:
    """All groups of a kind, as if nothing was said of them."""
    vectors, ids = store.serving(), None
    if kind == "exact":
        query = (
            "SELECT id FROM files WHERE hash IN (SELECT hash FROM files "
            "WHERE missing_since IS NULL AND error IS NULL GROUP BY hash HAVING count(*) > 1)"
        )
        vectors, ids = None, [id for (id,) in store.rows(query)]
    given = replace(files_to_compare(store, vectors, ids=ids), apart=Apart())
    groups = [each for each in find_groups(given, _LEAST_ALIKE[kind]) if each.kind == kind]
    own = {id for group in groups for id in group.files}
    sizes = {file.id: file.stamp.size_bytes for file in given.files if file.id in own}
    return _Found(groups, sizes, _photos(store))


def _photos(store: Store) -> object:
    """Another value for other photos, other contents of them or other vectors; quick to have."""
    files = store.one(
        "SELECT count(*), max(id), total(size_bytes), sum(mtime_ns % 1000000007), count(hash), "
        "count(taken_at), sum(length(path)), count(error), count(missing_since) FROM files"
    )
    return files, store.serving()


def _without(group: Group, gone: AbstractSet[int]) -> Group:
    """A group without files that have gone since it was found."""
    if gone.isdisjoint(group.files):
        return group
    kept = [number for number, id in enumerate(group.files) if id not in gone]
    return Group(
        group.kind,
        tuple(group.files[number] for number in kept),
        tuple(group.similarity[number] for number in kept),
        tuple(group.paths[number] for number in kept),
    )


def _place(group: Group) -> bytes:
    """What groups are in the order of."""
    return os.fsencode(group.paths[0])
