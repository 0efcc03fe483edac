"""The tags of photos with all that is known of each: who gave it, how sure, what the owner said."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..database.connection import OF_THESE, listed
from ..database.store import Store
from ..database.verdicts import Verdict
from ..tag_names import tag_key


@dataclass(frozen=True)
class PhotoTag:
    """A tag of a photo; ``score`` is that of the first of its origins that gave one."""

    tag: str
    origins: tuple[str, ...]
    score: float | None
    verdict: Verdict | None


@dataclass(frozen=True)
class PhotoTags:
    """The tags of a photo by name, and those of which the owner said that they do not fit."""

    tags: tuple[PhotoTag, ...]
    rejected: tuple[str, ...]


def photo_tags(store: Store, ids: Sequence[int]) -> dict[int, PhotoTags]:
    """The tags of each of these photos."""
    given = store.rows(
        "SELECT file_id, key, origin, score FROM tags WHERE score IS NOT NULL "
        "AND file_id IN (SELECT value FROM json_each(?))",
        (listed(ids),),
    )
    scores = {(id, key, origin): score for id, key, origin, score in given}
    verdicts: dict[tuple[int, str], Verdict] = {}
    rejected: dict[int, list[str]] = {}
    for id, key, tag, verdict in store.rows(
        "SELECT files.id, key, tag, verdict FROM verdicts JOIN files ON last_hash = verdicts.hash "
        f"WHERE {OF_THESE} ORDER BY tag",
        (listed(ids),),
    ):
        if verdict == "rejected":
            rejected.setdefault(id, []).append(tag)
        else:
            verdicts[id, key] = verdict

    def one(id: int, tag: str, origins: list[str]) -> PhotoTag:
        key = tag_key(tag)
        known = (scores.get((id, key, origin)) for origin in origins)
        score = next((each for each in known if each is not None), None)
        return PhotoTag(tag, tuple(origins), score, verdicts.get((id, key)))

    return {
        id: PhotoTags(
            tuple(one(id, tag, origins) for tag, origins in of.items()),
            tuple(rejected.get(id, ())),
        )
        for id, of in store.origins_of(ids).items()
    }
