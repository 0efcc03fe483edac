"""What the owner said to be no duplicates, by content: it holds for good, and after moves."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from ..database.connection import OF_THESE, listed
from ..database.store import Store

Parts = Literal["none", "some", "all"]
Row = tuple[bytes, str, int, int]  # of the table: content, saying, member, whether of several files


class Apart:
    """Which contents are no duplicates of each other.

    A saying is of several contents, each a member of it by its number: those of other members are
    apart. Of a member that had several files these are apart too, whatever content each has since.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._sayings: dict[bytes, dict[str, tuple[int, bool]]] = {}
        for hash, said, member, is_several in rows:
            self._sayings.setdefault(hash, {})[said] = (member, bool(is_several))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Apart) and self._sayings == other._sayings

    __hash__ = None  # type: ignore[assignment]  # it is compared, and no key

    def __bool__(self) -> bool:
        return bool(self._sayings)

    def has(self, hash: bytes | None) -> bool:
        """Whether anything was said of a content."""
        return hash in self._sayings

    def are_apart(self, first: bytes | None, second: bytes | None) -> bool:
        """Whether two files of these contents are no duplicates of each other."""
        if first is None or second is None:
            return False
        said, also = self._sayings.get(first, {}), self._sayings.get(second, {})
        return any(
            said[each][0] != also[each][0] or said[each][1] for each in said.keys() & also.keys()
        )

    def parts(self, hashes: Sequence[bytes | None]) -> Parts:
        """Whether of files of these contents some pairs are apart; ``all`` where one saying has it
        of all pairs, ``some`` where some are, or all by several sayings."""
        members: dict[str, list[tuple[int, bool]]] = {}
        for hash in hashes:
            for said, member in self._sayings.get(hash or b"", {}).items():
                members.setdefault(said, []).append(member)
        found: Parts = "none"
        for each in members.values():
            counts = Counter(each)
            are_apart = [is_several for (_, is_several), count in counts.items() if count > 1]
            if len(each) == len(hashes) > 1 and all(are_apart):
                return "all"
            if len(counts) > 1 or any(are_apart):
                found = "some"
        return found


def apart(store: Store, ids: Collection[int] | None = None) -> Apart:
    """What was said of all contents, or of those of some files."""
    query = "SELECT hash, said, member, is_several FROM not_duplicates"
    if ids is None:
        return Apart(store.rows(query))
    of_these = f"hash IN (SELECT last_hash FROM files WHERE {OF_THESE})"
    return Apart(store.rows(f"{query} WHERE {of_these}", (listed(ids),)))


def say_apart(
    store: Store, members: Iterable[tuple[bytes, int, int, bool]], said: str, at: str
) -> None:
    """Remember contents as the members of sayings: content, saying, number in it, whether several.

    ``said`` is the name of the edit in which that was said.
    """
    store.run_many(
        "INSERT OR IGNORE INTO not_duplicates (hash, said, member, is_several, at) "
        "VALUES (?, ?, ?, ?, ?)",
        (
            (hash, f"{said}.{number}", member, int(is_several), at)
            for hash, number, member, is_several in members
        ),
    )
