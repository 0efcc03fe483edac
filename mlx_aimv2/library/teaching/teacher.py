"""Answers about photos, and the tags that are given by what they teach."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import Aimv2Error, UsageError
from mlx_aimv2.files.paths import printable

from ..caption_text import clean_caption
from ..database.photos import FileRow
from ..database.store import Store
from ..database.taught import TAUGHT, TaughtTag
from ..database.verdicts import Verdict
from ..editing.known_tags import find_tag, typed_tag
from ..editing.photos import Photo, named_photos
from ..editing.request import Request
from ..editing.waiting import waiting_edits
from ..tag_names import tag_key
from ..tagging.tagger import Given
from .confidence import SURE
from .lessons import Learnt, School
from .questions import questions

Floats = NDArray[np.float32]

_NAMED = 10  # taught tags in a hint, at most
_DOUBTFUL = 0.1  # from here on a photo without the tag is in doubt


@dataclass(frozen=True, repr=False)
class Question:
    """A photo that is asked about, and how likely it has the tag."""

    file: FileRow
    score: float

    @property
    def path(self) -> str:
        """The photo's path, as ``os.fsdecode`` gives it."""
        return self.file.path_str

    def __repr__(self) -> str:
        return f"Question({self.path!r}, {self.score:.3f})"


@dataclass(frozen=True)
class Taught:
    """How far a taught tag is.

    ``words`` is None where examples alone teach; ``follows_words``: whether the words still count,
    which several photos may outweigh. ``yes`` and ``no`` count the photos that teach, near-copies
    once. Of those ``found_again`` and ``kept_out`` are judged rightly by what the others teach;
    None where there are too few to tell. ``given`` are the photos that have the tag from this
    program, of which ``expected`` have it by its own estimate; ``doubtful`` those that are left.
    """

    tag: str
    words: str | None
    follows_words: bool
    yes: int
    no: int
    found_again: int | None
    kept_out: int | None
    given: int
    expected: float
    doubtful: int


def named(store: Store, tag: str, words: str | Literal[False] | None = None) -> TaughtTag:
    """A taught tag by its name, as it is or shall be: its words stay, unless others are given.

    At first they are the last of its names; ``words`` is False for none. Those of edits that wait
    count already.
    Errors: UsageError for a name that no tag can have or that may mean several, and for words
    that are none.
    """
    name = find_tag(store, tag) or typed_tag(tag)
    if words is None:
        known = _waiting(store, name) or store.taught_tag(name)
        return known or TaughtTag(name, name.rpartition("|")[2])
    if words is False:
        return TaughtTag(name, None)
    words = clean_caption(words)
    if not words:
        raise UsageError("the words are empty", hint="leave them out, or give some: a brown dog")
    return TaughtTag(name, words)


def known(store: Store, tag: str) -> TaughtTag:
    """The taught tag of this name. Errors: UsageError where none is."""
    name = find_tag(store, tag) or typed_tag(tag)
    taught = store.taught_tag(name)
    if taught is None and _waiting(store, name):
        raise UsageError(
            f"{name} counts once the index that is running has ended", hint="ask again then"
        )
    if taught is None:
        names = ", ".join(each.tag for each in store.taught_tags()[:_NAMED])
        raise UsageError(
            f"{printable(tag)} was not taught",
            hint=f"taught are: {names}" if names else f"aimv2 teach {quote(tag)} --yes photo.jpg",
        )
    return taught


def _waiting(store: Store, name: str) -> TaughtTag | None:
    """The tag as the last edit that waits teaches it."""
    found = None
    for edit in waiting_edits(store.path):
        for tag, words in edit.taught:
            if tag_key(tag) == tag_key(name):
                found = TaughtTag(tag, words)
    return found


def request(
    store: Store,
    taught: TaughtTag,
    yes: Sequence[Photo],
    no: Sequence[Photo],
    *,
    has_text: bool,
    skipped: Callable[[Aimv2Error], None] | None = None,
) -> Request:
    """The edit that teaches a tag by photos with it and without it.

    ``has_text``: whether the library's checkpoint reads the tag's words. ``skipped`` is told of
    photos that the library does not know, while others are known; without it they are errors.
    Errors: UsageError for a photo that the library does not know, where one picture is said to
    have the tag and not to have it, and where there is nothing to learn from.
    """
    words: dict[bytes, Verdict] = {}
    query = "SELECT file_id FROM shown_tags WHERE key = ?"
    having = {id for (id,) in store.rows(query, (tag_key(taught.tag),))}
    all_photos = [*yes, *no]
    unknown = named_photos(store, all_photos).errors if all_photos else ()
    for error in unknown:
        if skipped is None:
            raise error
        skipped(error)
    for photos, has in ((yes, True), (no, False)):
        if not photos:
            continue
        try:
            spoken = named_photos(store, photos)
        except UsageError:  # none of these is known, as was told
            continue
        for id, hash in spoken.contents.items():
            word: Verdict = ("confirmed" if id in having else "added") if has else "rejected"
            if words.setdefault(hash, word) != "rejected" and not has:
                path = store.paths_of([id])[id]
                if all(isinstance(each, int) for each in photos):  # as the page names them
                    path = os.path.basename(path)  # noqa: PTH119  (pathlib takes no bytes)
                raise UsageError(
                    f"{printable(path)} is said to have {taught.tag}, and not to",
                    hint="name that picture, or a copy of it, once",
                )
    before = store.verdicts_on(taught.tag)
    is_waited_for = bool(waiting_edits(store.path))  # they may change what was said before
    if not (words or before or (taught.words is not None and has_text)):
        why = "no words are to count" if has_text else "this library's checkpoint reads no texts"
        raise UsageError(
            f"{why}: {taught.tag} needs a photo that has it",
            hint=f"aimv2 teach {quote(taught.tag)} --yes photo.jpg",
        )
    new = {
        hash: word
        for hash, word in words.items()
        if is_waited_for
        or hash not in before
        or (before[hash] == "rejected") != (word == "rejected")
    }
    count = sum(word != "rejected" for word in words.values())
    return Request(
        "teach",
        f"{taught.tag}: {count} yes, {len(words) - count} no",
        verdicts=tuple((hash, taught.tag, word) for hash, word in new.items()),
        taught=((taught.tag, taught.words),),
    )


def renew(store: Store, school: School, taught: TaughtTag) -> Taught:
    """Learn a tag anew and give it to the photos that have it by that, and to no others.

    Photos that the owner has answered get none: the answer itself says it.
    """
    learnt, sure = _judged(school, taught)
    scores = _given(store, school, taught, learnt, sure)
    had = store.scores_given(taught.tag)
    with store.transaction():
        store.remove_tags(TAUGHT, [(id, taught.tag) for id in had if id not in scores])
        store.add_tags(TAUGHT, ((id, taught.tag, score) for id, score in scores.items()))
    return _status(store, school, taught, learnt, sure)


def give(store: Store, school: Callable[[], School]) -> dict[int, Given]:
    """What taught tags give to files, all learnt anew: of new photos, and by a new checkpoint.

    Nothing is written. Files that get none are left out.
    """
    given: dict[int, list[tuple[str, float]]] = {}
    for taught in store.taught_tags():
        scores = _given(store, school(), taught, *_judged(school(), taught))
        for id, score in scores.items():
            given.setdefault(id, []).append((taught.tag, score))
    return {id: tuple(sorted(each, key=lambda pair: -pair[1])) for id, each in given.items()}


def status(store: Store, school: School, taught: TaughtTag) -> Taught:
    """How far a tag is; nothing is given."""
    return _status(store, school, taught, *_judged(school, taught))


def ask(store: Store, school: School, taught: TaughtTag, count: int) -> list[Question]:
    """The photos whose answer helps most, so many at most.

    Errors: UsageError where there is nothing to go by yet, or count is below 1.
    """
    if count < 1:
        raise UsageError(f"count is {count}", hint="give a positive number")
    asked = to_ask(store, school, taught, count)
    if asked is None:
        raise UsageError(
            f"nothing is known of {taught.tag} yet",
            hint="name a photo that has the tag, with --yes photo.jpg"
            + ", or --words" * school.has_text,
        )
    files = store.files_of(id for id, _ in asked)
    return [Question(files[id], score) for id, score in asked]


def to_ask(
    store: Store, school: School, taught: TaughtTag, count: int
) -> list[tuple[int, float]] | None:
    """The files whose answer helps most, and how likely they have the tag.

    None where nothing is known of the tag yet.
    """
    judged = school.judged(taught)
    if judged is None:
        return None
    learnt, scores = judged
    rows = questions(school, learnt, scores, count)
    sure = learnt.confidence.of(scores[np.searchsorted(school.rows, rows)])
    shown = store.ids_of_rows(school.set_id, rows)
    return [
        (shown[row][0], float(score))
        for row, score in zip(rows.tolist(), sure, strict=True)
        if row in shown  # else it has gone meanwhile
    ]


def _judged(school: School, taught: TaughtTag) -> tuple[Learnt | None, Floats]:
    """What is known of a tag, and how likely every photo has it, in the order of the rows."""
    judged = school.judged(taught)
    if judged is None:
        return None, np.zeros(len(school.rows), np.float32)
    learnt, scores = judged
    return learnt, learnt.confidence.of(scores)


def _given(
    store: Store, school: School, taught: TaughtTag, learnt: Learnt | None, sure: Floats
) -> dict[int, float]:
    """The files to have the tag, with its probability; none that the owner has answered.

    What words alone gave stays while the checkpoint reads none.
    """
    said = store.answered_rows(school.set_id, taught.tag)
    answered = {id for _, id, _ in said}
    if learnt is None and taught.words is not None and not school.has_text:
        had = store.scores_given(taught.tag)
        return {id: score for id, score in had.items() if id not in answered}
    rows = {school.row_of(row, id) for row, id, _ in said}
    chosen = sure >= SURE
    score_of = dict(zip(school.rows[chosen].tolist(), sure[chosen].tolist(), strict=True))
    photos = school.photos[np.isin(school.photos[:, 0], school.rows[chosen])]
    return {
        id: score_of[row] for row, id in photos.tolist() if row not in rows and id not in answered
    }


def _status(
    store: Store, school: School, taught: TaughtTag, learnt: Learnt | None, sure: Floats
) -> Taught:
    had = store.scores_given(taught.tag)
    rows = school.photos[np.isin(school.photos[:, 1], np.array(list(had), np.int64)), 0]
    given = len(np.unique(rows))
    if learnt is None:
        no = len(store.verdicts_on(taught.tag))
        return Taught(taught.tag, taught.words, False, 0, no, None, None, given, 0.0, 0)
    line = learnt.confidence.line()[0]
    yes, no_left_out = learnt.direction.yes_left_out, learnt.direction.no_left_out
    left = sure[~np.isin(school.rows, list(learnt.answered))]
    return Taught(
        tag=taught.tag,
        words=taught.words,
        follows_words=learnt.direction.follows_words,
        yes=learnt.yes,
        no=learnt.no,
        found_again=int((yes >= line).sum()) if len(yes) else None,
        kept_out=int((no_left_out < line).sum()) if len(no_left_out) else None,
        given=given,
        expected=float(left[left >= SURE].sum()),
        doubtful=int(((left >= _DOUBTFUL) & (left < SURE)).sum()),
    )
