"""The photos of one tag, for a person to look through: those that have it, in doubt, said no to."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain, zip_longest

from mlx_aimv2.errors import Aimv2Error

from ..database.store import Store
from ..database.taught import TaughtTag
from ..shots import shots_of
from .lessons import School
from .teacher import Taught, status, to_ask

Scored = list[tuple[int, float | None]]

_ASKED = 48  # photos at once: more would be chosen by what these will have taught
_NEAR = 0.9  # a vocabulary gives its tags from 0.75 on: those with less than this are in doubt


@dataclass(frozen=True)
class Review:
    """The photos of a tag by the ids of their files, of a shot the one that is shown.

    ``sure`` have the tag, those with the lowest confidence first; without one are those that the
    owner, or another program, gave it. ``ask`` are in doubt, ``no`` are those that the owner said
    no to, the latest first. ``verdicts`` is how often the owner said anything of the tag, and
    ``taught`` how far a taught tag is; None of another.
    """

    tag: str
    sure: Scored
    ask: Scored
    no: Scored
    verdicts: int
    taught: Taught | None


def review(store: Store, school: Callable[[], School], tag: str) -> Review:
    """The photos of a tag as the library has them now; ``tag`` is one that is known."""
    said = store.verdicts_on(tag)
    no: Scored = [(id, None) for id in store.files_said_no_to(tag)]
    having = store.files_having(tag)
    certain = {id for id, score in having if score is None}
    taught = store.taught_tag(tag)
    how_far = None
    if taught is not None:
        how_far = status(store, school(), taught)
        ask: Iterable[tuple[int, float | None]] = to_ask(store, school(), taught, _ASKED) or ()
    else:
        ask = _in_doubt(store, school, tag, [each for each in having if each[1] is not None])
    known = certain | {id for id, _ in no}
    lists: list[Scored] = [having, [each for each in ask if each[0] not in known], no]
    shots = shots_of(store, [id for each in lists for id, _ in each])
    sure, asked, refused = (_shown(each, shots) for each in lists)
    return Review(tag, sure, asked, refused, len(said), how_far)


def _in_doubt(
    store: Store, school: Callable[[], School], tag: str, given: Scored
) -> Iterable[tuple[int, float | None]]:
    """Photos near a plain tag's line: given with little confidence, and nearly given.

    What was nearly given is what the tag's name finds, and what was answered since teaches.
    """
    near = [(id, score) for id, score in given if (score or 0) < _NEAR][: _ASKED // 2]
    try:
        nearly = to_ask(store, school(), TaughtTag(tag, tag.rpartition("|")[2]), _ASKED // 2) or []
    except Aimv2Error:  # the checkpoint is not here: what was given is known all the same
        nearly = []
    mixed = chain.from_iterable(zip_longest(near, nearly))
    return dict(each for each in mixed if each is not None).items()


def _shown(scored: Iterable[tuple[int, float | None]], shots: dict[int, tuple[int, ...]]) -> Scored:
    """Of the files of a shot the one alone that is shown first."""
    firsts: dict[int, float | None] = {}
    for id, score in scored:
        firsts.setdefault(shots.get(id, (id,))[0], score)
    return list(firsts.items())
