"""What captions say of a query: how far each has its words, by itself or beside the picture.

A caption's share is that of the query's words that it has, each weighed by how seldom it is (idf).
Beside the picture share³ x 5 is added to the logit of the picture's score. No photo loses by a
caption: what it does not say may be there none the less. ``python -m benchmarks.caption_search``
has the figures of this, and of reciprocal ranks, which were worse than pictures alone.
"""

import math
from collections.abc import Sequence

from mlx_aimv2.errors import UsageError

from ..caption_text import words_of
from ..database.store import Store
from .query import Term

WEIGHT, POWER = 5.0, 3
LEAST_ADDED = 0.01  # share³: what common words alone add is not worth a look at half the library
LEAST_SHARE = 0.5  # of the words, from which on captions alone find a photo


def shares(store: Store, text: str, captions: int) -> dict[int, float]:
    """The share of a text's words that the caption of a file has, 0 to 1, by file; not those of 0.

    ``captions`` is how many there are.
    """
    saying = {word: store.files_saying(word) for word in map(str.lower, words_of(text))}
    seldom = {
        word: max(0.0, math.log((captions + 1) / (len(files) + 0.5)))
        for word, files in saying.items()
    }
    whole = sum(seldom.values())
    found: dict[int, float] = {}
    for word, files in saying.items() if whole else ():
        for id in files:
            found[id] = found.get(id, 0.0) + seldom[word] / whole
    return found


def said(store: Store, terms: Sequence[Term], *, power: int = 1) -> dict[int, float]:
    """How far captions say what a query wants, 0 to 1, by file; not those of 0.

    Each text counts by its share, to a power, and by its weight; what is not wanted takes away.
    """
    captions = store.count_captioned()
    wanted = sum(term.weight for term in terms if term.weight > 0)
    found: dict[int, float] = {}
    for term in terms if captions else ():
        if term.text is not None:
            for id, share in shares(store, term.text, captions).items():
                found[id] = found.get(id, 0.0) + term.weight / wanted * share**power
    return {id: share for id, share in found.items() if share > 0}


def only_texts(terms: Sequence[Term]) -> None:
    """Errors: UsageError for terms that captions cannot have."""
    if any(term.text is None for term in terms):
        raise UsageError("captions are searched by words alone", hint="leave pictures and tag: out")
