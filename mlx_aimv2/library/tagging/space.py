"""Tags and pictures as a checkpoint sees them, whatever the library: what pictures have in common
is taken away, a picture is explained as a sum of few tags, and some pictures fit nothing.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .constants import CONSTANTS

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]
_Step = tuple[Numbers, Numbers, Floats]

_SMALLEST_SCALE = 1 / 512
_SAME = 0.99  # two texts of one word
_AXES = 64  # that blanks are told apart along: the others say nothing, and take time
_STEPS = 8  # at most: what is found after those is small
_SMALLEST_STEP = 1e-3


@dataclass(frozen=True)
class Space:
    """``judges`` are atoms that the checkpoint has whatever the vocabulary, or all that are named.

    Shapes: centre (P,), blanks (K, P), atoms (A, P): tags, those that compete, background.
    """

    gap: float
    centre: Floats
    atoms: Floats
    blanks: Floats
    tags: int
    named: int  # atoms that are no background
    judges: Numbers
    scale: float = field(init=False)
    _gram: Floats = field(init=False, repr=False)
    _credit: "_Credit" = field(init=False, repr=False)
    _axes: Floats = field(init=False, repr=False)
    _flat: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        known = CONSTANTS
        gram = self.atoms @ self.atoms.T
        credit = gram[:, : self.tags] * _risen(gram[:, : self.tags])
        np.fill_diagonal(credit, 1)
        factor = known.scale + self.gap * (known.scale_with_gap - known.scale)
        found = self.blanks @ self.atoms[self.judges].T
        by_chance = np.median(np.abs(found - np.median(found, axis=0))) / 0.6745
        axes = np.linalg.svd(self.blanks, full_matrices=False)[2][:_AXES]
        for name, value in (
            ("_gram", gram),
            ("_credit", _Credit(credit)),
            ("_axes", axes),
            ("_flat", self.blanks @ axes.T),
            ("scale", max(factor * float(by_chance), _SMALLEST_SCALE)),
        ):
            object.__setattr__(self, name, value)

    def rows(self, images: Floats) -> Floats:
        """Pictures without what all have in common. Shapes: (n, P), kept, unit rows."""
        return unit(images - self.gap * self.centre)

    def spread(self, plain: Floats) -> Floats:
        """How far each picture's scores lie apart by chance: from the median down to the point
        that a deviation's share lies below; of few judges nothing can be said, and it is the
        scale. Shapes: (n, A) -> (n,)."""
        count = len(self.judges)
        if count < CONSTANTS.enough_judges:
            return np.full(len(plain), self.scale, np.float32)
        at = [round(part * (count - 1)) for part in (0.1587, 0.5)]
        # Sorting takes a third of the time that partitioning at two places takes.
        low, middle = np.sort(plain[:, self.judges], axis=1)[:, at].T
        return np.asarray(middle - low, np.float32)

    def fits(self, rows: Floats, plain: Floats) -> NDArray[np.bool_]:
        """Whether the best tag fits better than blanks and background do. Shapes: (n,)."""
        known = CONSTANTS
        alike = rows @ self._axes.T @ self._flat.T
        most = alike.max(axis=1, keepdims=True)
        part = np.exp(np.float32(known.blank_sharpness) * (alike - most))
        blend = (part * alike).sum(axis=1) / np.linalg.norm(part @ self._flat, axis=1)
        fit = plain[:, : self.named].max(axis=1) - np.float32(known.blank_weight) * blend
        if self.named < len(self.atoms):
            fit -= plain[:, self.named :].mean(axis=1)
        return np.asarray(fit >= known.refused * self.scale)

    def explained(self, plain: Floats, penalty: float) -> Floats:
        """How well each tag fits what the others leave unexplained. Shapes: (n, A) -> (n, T).

        A tag has credit for what a near-synonym explains: neither takes the picture from the
        other. ``plain`` is written over.
        """
        steps, left = _pursue(plain, self._gram, penalty)
        found = left[:, : self.tags].copy()
        for rows, atoms, amounts in steps:
            self._credit.add(found, rows, atoms, amounts)
        return found


class _Credit:
    """What a tag gets of each atom that is taken: of nearly all none. Shapes: (A, T)."""

    def __init__(self, credit: Floats) -> None:
        givers, self._tags = np.nonzero(credit)
        self._parts = credit[givers, self._tags]
        self._first, end = np.searchsorted(givers, [(at := np.arange(len(credit))), at + 1])
        self._count = end - self._first

    def add(self, found: Floats, rows: Numbers, atoms: Numbers, amounts: Floats) -> None:
        """Add it, in place. Shapes: found (n, T), of each picture that takes an atom (m,)."""
        count = self._count[atoms]
        each = np.repeat(np.arange(len(atoms)), count)
        at = np.arange(len(each)) + np.repeat(self._first[atoms] - (count.cumsum() - count), count)
        # No pair is there twice. A sparse sum: the whole product would be mostly of zeros.
        found[rows[each], self._tags[at]] += amounts[each] * self._parts[at]


def make_space(tags: Floats, rivals: Floats, background: Floats, blanks: Floats) -> Space:
    """The space of a checkpoint and a vocabulary.

    Shapes: (T, P), (R, P), (B, P), (K, P); all rows are unit vectors.
    """
    known = CONSTANTS
    named = np.concatenate([tags, _competing(tags, rivals)])
    usual = rivals if len(rivals) else tags
    # Chosen by what the checkpoint has, so that no other tag changes them.
    evenly = np.linspace(0, len(usual) - 1, min(len(usual), known.most_judges)).astype(int)
    judges = np.flatnonzero((named @ usual[evenly].T).max(axis=1) >= _SAME)
    together = float((usual @ background.T).mean()) if len(background) else 0.0
    gap = float(np.clip((together - known.gap_from) / (known.gap_to - known.gap_from), 0, 1))
    if len(judges) < known.enough_judges:  # a vocabulary full of words of its own
        judges = np.arange(len(named))
    atoms = np.concatenate([named, background]).astype(np.float32)
    centre = blanks.mean(axis=0)
    if gap > 0:
        atoms = unit(atoms - gap * np.concatenate([usual, background]).mean(axis=0))
        towards = centre / max(float(np.linalg.norm(centre)), 1e-12)
        atoms = unit(atoms - gap * (atoms @ towards)[:, None] * towards)
    blanks = unit(blanks - gap * centre)
    return Space(gap, centre, atoms, blanks, len(tags), len(named), judges)


def unit(rows: Floats) -> Floats:
    """Rows at length 1; zero stays zero. Shapes: (n, P), kept."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, np.finfo(np.float32).tiny), np.float32)


def _competing(tags: Floats, rivals: Floats) -> Floats:
    """Those that fill a small vocabulary up, from all over the rivals. Shapes: (R, P) -> (n, P)."""
    if len(rivals):
        rivals = rivals[(rivals @ tags.T).max(axis=1) < CONSTANTS.same]
    number = min(len(rivals), max(0, CONSTANTS.enough_tags - len(tags)))
    return rivals[np.linspace(0, len(rivals) - 1, number).astype(int)] if number else rivals[:0]


def _risen(cosines: Floats) -> Floats:
    """From 0 to 1, smoothly, as two tags become near-synonyms."""
    known = CONSTANTS
    part = np.clip((cosines - known.alike_from) / (known.alike_to - known.alike_from), 0, 1)
    return np.asarray(part * part * (3 - 2 * part), np.float32)


def _pursue(left: Floats, gram: Floats, penalty: float) -> tuple[list[_Step], Floats]:
    """Matching pursuit: the atom that explains most is taken, less the penalty, and its share of
    every other score is removed; then the next. Gives the steps, each with the pictures that took
    it, their atoms and the amounts, and what is left of the scores.

    Shapes: (n, A), kept.
    """
    steps: list[_Step] = []
    rest = np.empty_like(left)
    rows = np.arange(len(left))  # of the pictures that are not explained yet
    share = np.empty_like(left)
    for _ in range(_STEPS):
        best = left.argmax(axis=1)
        step = left[np.arange(len(left)), best] - penalty
        going = step > _SMALLEST_STEP
        if not going.all():
            rest[rows[~going]] = left[~going]
            rows, best, step, left = rows[going], best[going], step[going], left[going]
        if not len(rows):
            break
        steps.append((rows, best, step))
        removed = np.take(gram, best, axis=0, out=share[: len(rows)], mode="clip")
        removed *= step[:, None]
        left -= removed
    rest[rows] = left
    return steps, rest
