"""``tag:Luna`` in a query: a taught tag's direction; any other tag stands for its name."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..database.store import Store
from ..editing.known_tags import must_find_tag
from ..search.query import Term
from .lessons import Learnt, School


def with_tags(store: Store, school: Callable[[], School], terms: Sequence[Term]) -> list[Term]:
    """The terms, those that name tags with what the tags mean.

    Errors: UsageError for a tag that the library does not know.
    """
    found = []
    for term in terms:
        if term.tag is None:
            found.append(term)
            continue
        name = must_find_tag(store, term.tag)
        taught = store.taught_tag(name)
        learnt = school().learn(taught) if taught else None
        if learnt is None:
            found.append(Term(term.weight, name.rpartition("|")[2], None))
        else:
            found.append(_with_direction(term, learnt, school().scale))
    return found


def _with_direction(term: Term, learnt: Learnt, scale: float) -> Term:
    """The term with a vector and a line on which the tag is as likely as not, as a text's are."""
    line, rise = learnt.confidence.line()
    vector = learnt.direction.weights * np.float32(rise / scale)
    return replace(term, direction=vector, line=(line - learnt.direction.offset) * rise / scale)
