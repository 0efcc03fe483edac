"""What a tag looks like, learnt from its words and from photos with and without it.

A logistic regression whose weights start at the words' vector and move away from it only as far as
the photos' answers carry them. Moves are measured by how much the library itself varies in their
direction (whitening), so that four photos of one dog do not teach the lawn beneath it. Whether the
words are followed at all, and whether whitening helps, is read from the answers: each photo with
the tag is judged by what the others teach. docs/teaching.md has the figures.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import NumericsError, UsageError
from mlx_aimv2.inference.zero_shot import logistic

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_ROUNDS, _SMALLEST_GAIN, _SMALLEST_STEP = 25, 1e-3, 1e-3
_CLOSE = 1e-6  # of the square error, left by conjugate gradients
_FREE = 1e6  # the intercept's variance, where a weight's is at most about 1: hardly bound
_LEAST_CURVATURE = 1e-6
_RIDGE = 0.3  # of the library's mean variance, added in each direction before whitening
_SOFT_WEIGHT = 3  # of the library's photos together, for each photo with the tag
_LEAST_TO_LEAVE_WORDS = 4  # photos with the tag
_FLOOR = 0.01  # of the library may look more like the tag than a photo that has it, for nothing
_HARD_JUDGE = 3  # judges that a rejected photo counts as: most are rejected for looking alike
_FEWEST_JUDGES = 20  # a share of fewer says little
# A merit of 3 is a place among the library's best twentieth, of 1.8 among its best sixth; places
# by chance have 0.95 on average.
_IMAGINED, _LEAST_MERIT = 3.0, 1.8
_TO_EVEN, _TO_LEAVE_MISFITS, _TO_LEAVE_WORDS = (
    0.5,
    0.5,
    2.0,
)  # standard errors of a gain; chosen on other drawings
_DOUBT = 0.5  # standard deviation of a gain, before any was seen


@dataclass(frozen=True)
class Space:
    """The middle of a library, and what evens out how much it varies. Shapes: (P,), (P, P)."""

    mean: Doubles
    evening: Doubles


@dataclass(frozen=True)
class Lesson:
    """What a tag is learnt from; ``words`` is None where examples alone teach.

    ``random`` are photos of the library whose answer nobody knows, a few of which may have the
    tag; ``judges`` are more of them, which are not learnt from. ``scale`` is the checkpoint's.
    Shapes: unit rows (n, P) each, words (P,).
    """

    yes: Floats
    no: Floats
    random: Floats
    judges: Floats
    words: Floats | None
    scale: float


@dataclass(frozen=True)
class Direction:
    """A taught tag: a photo's score is its product with ``weights``, plus ``offset``.

    ``yes_left_out`` and ``no_left_out`` are the scores of the photos with the tag and without
    it, each as the others teach it; empty where that cannot be told. ``follows_words``: whether
    the words are part of it.
    Shapes: (P,), (k,), (m,).
    """

    weights: Floats
    offset: float
    yes_left_out: Doubles
    no_left_out: Doubles
    follows_words: bool

    def scores(self, rows: Floats) -> Floats:
        """Shapes: (n, P) -> (n,)."""
        return np.asarray(rows @ self.weights + np.float32(self.offset), np.float32)


@dataclass(frozen=True)
class _Method:
    follows_words: bool
    is_evened: bool
    penalty: float


_BY_WORDS = _Method(follows_words=True, is_evened=True, penalty=0.3)
_BY_EXAMPLES = (
    _Method(follows_words=False, is_evened=False, penalty=1.0),
    _Method(follows_words=False, is_evened=True, penalty=1.0),
)


def learn_space(rows: Floats) -> Space:
    """The space of a library, of some of its vectors. Shapes: (n, P)."""
    exact = rows.astype(np.float64)
    mean = exact.mean(axis=0)
    centred = exact - mean
    covariance = centred.T @ centred / len(exact)
    usual = float(np.trace(covariance)) / len(mean)
    if usual <= 0:  # one photo, or copies of one
        return Space(mean, np.eye(len(mean)))
    ridge = _RIDGE * usual
    eased = np.linalg.inv(covariance + ridge * np.eye(len(mean)))
    return Space(mean, eased * (usual + ridge))


def learn(lesson: Lesson, space: Space) -> Direction:
    """The direction that the words and the answers teach.

    Without a photo that has the tag the words alone count. From four photos on the words are left
    where the examples alone place the photos better by more than two standard errors; at any
    number by one standard error, where the words place them little better than by chance, as a
    name does that says nothing of the looks.
    Errors: UsageError where there are neither words nor a photo with the tag; NumericsError for a
    vector that is not finite.
    """
    given = (lesson.yes, lesson.no, lesson.random, lesson.judges)
    if not all(np.isfinite(rows).all() for rows in (*given, space.mean)):
        raise NumericsError(
            "a picture's vector is not finite",
            hint="index again in a new library: aimv2 index --dtype float32",
        )
    count = len(lesson.yes)
    if not count and lesson.words is None:
        raise UsageError(
            "there is nothing to learn from: neither words nor a photo with the tag",
            hint='aimv2 teach "TAG" --yes photo.jpg',
        )
    if not count:
        assert lesson.words is not None
        words = (lesson.scale * lesson.words).astype(np.float32)
        return Direction(
            words, 0.0, np.zeros(0), (lesson.no @ words).astype(np.float64), follows_words=True
        )
    examples = _Examples(lesson, space)
    if lesson.words is None:
        return _by_examples(examples).direction()
    by_words = _Fit(examples, _BY_WORDS)
    fits = _fits(by_words)
    if fits and count < _LEAST_TO_LEAVE_WORDS:
        return by_words.direction()
    best = _by_examples(examples)
    if not fits and count == 1:  # nothing tells what the examples alone are worth
        return best.direction()
    wanted = _TO_LEAVE_WORDS if fits else _TO_LEAVE_MISFITS
    return (best if _gain(best, by_words) > wanted else by_words).direction()


class _Examples:
    """The rows of a lesson, centred, and their products: what the methods share."""

    def __init__(self, lesson: Lesson, space: Space) -> None:
        rows = np.concatenate([lesson.yes, lesson.no, lesson.random]).astype(np.float64)
        if not len(lesson.no) + len(lesson.random):
            rows = np.concatenate([rows, space.mean[None]])
        self.lesson, self.rows, self.mean = lesson, rows, space.mean
        self.centred, self._evening = rows - space.mean, space.evening

    @cached_property
    def plain(self) -> tuple[Doubles, Doubles]:
        """How each row moves the weights, and what that does to the scores. (n, P), (n, n)."""
        return self.centred, self.centred @ self.centred.T + _FREE

    @cached_property
    def evened(self) -> tuple[Doubles, Doubles]:
        """As :attr:`plain`, the library's variance evened out."""
        moves = self.centred @ self._evening
        return moves, moves @ self.centred.T + _FREE


class _Fit:
    """One method's result, in terms of the examples."""

    def __init__(self, examples: _Examples, method: _Method) -> None:
        lesson, rows = examples.lesson, examples.rows
        count, answered = len(lesson.yes), len(lesson.yes) + len(lesson.no)
        self._examples, self._method = examples, method
        self._count, self._answered = count, answered
        self._labels = np.where(np.arange(len(rows)) < count, 1.0, -1.0)
        self._weights = np.ones(len(rows))
        self._weights[answered:] = _SOFT_WEIGHT * count / max(1, len(rows) - answered)
        self._words = np.zeros(rows.shape[1])
        if method.follows_words and lesson.words is not None:
            self._words = lesson.scale * lesson.words.astype(np.float64)
        self._start = rows @ self._words
        self._moves, self._gram = examples.evened if method.is_evened else examples.plain
        self._found = self._trained()
        self._left_out, self.merits = self._judged()

    def direction(self) -> Direction:
        """What was learnt, as one vector."""
        moved = self._moves.T @ self._found
        offset = _FREE * self._found.sum() - moved @ self._examples.mean
        alone = self._count == 1 and not self._method.follows_words
        return Direction(
            (self._words + moved).astype(np.float32),
            float(offset),
            np.zeros(0) if alone else self._left_out[: self._count],
            self._left_out[self._count :],
            self._method.follows_words,
        )

    def _trained(self) -> Doubles:
        """Coefficients of the examples at the least loss: Newton's method."""
        found = np.zeros(len(self._gram))
        loss = self._loss(found)
        for _ in range(_ROUNDS):
            step, size = self._solved(*self._equations(found), found) - found, 1.0
            while (reached := self._loss(found + size * step)) > loss and size > _SMALLEST_STEP:
                size /= 2
            if reached > loss:
                break
            gain, found, loss = loss - reached, found + size * step, reached
            if gain < _SMALLEST_GAIN:
                break
        return found

    def _scores(self, found: Doubles) -> Doubles:
        return np.asarray(self._start + self._gram @ found)

    def _loss(self, found: Doubles) -> float:
        losses = np.logaddexp(0, -self._labels * self._scores(found))
        moved = found @ self._gram @ found
        return float(self._weights @ losses + self._method.penalty / 2 * moved)

    def _equations(self, found: Doubles) -> tuple[Doubles, Doubles]:
        """The weighted least squares that Newton's method solves at these coefficients.

        What is added to the products' diagonal, and the right side. Shapes: (n,), (n,).
        """
        scores = self._scores(found)
        chance = logistic(scores)
        slope = self._weights * (chance - (self._labels > 0))
        curvature = np.maximum(self._weights * chance * (1 - chance), _LEAST_CURVATURE)
        return self._method.penalty / curvature, scores - self._start - slope / curvature

    def _solved(self, added: Doubles, target: Doubles, found: Doubles) -> Doubles:
        """The equations' solution from ``found`` on, nearly: by conjugate gradients, scaled so
        that the diagonal that is added is 1."""
        scale = 1 / np.sqrt(added)
        solution = found / scale
        left = scale * (target - self._gram @ found) - solution
        along, size = left, left @ left
        enough = _CLOSE * size
        for _ in range(len(left)):
            if size <= enough:
                break
            product = along + scale * (self._gram @ (scale * along))
            length = size / (along @ product)
            solution = solution + length * along
            left = left - length * product
            before, size = size, left @ left
            along = left + size / before * along
        return scale * solution

    def _judged(self) -> tuple[Doubles, Doubles]:
        """Scores of answered photos, each learnt without it, and how well those with the tag are
        placed among judges and rejected photos: merits are larger, the fewer of these score higher.

        The equations at the result are solved without one example at a time, all at once.
        Shapes: (answers,), (k,).
        """
        count, answered, judges = self._count, self._answered, self._examples.lesson.judges
        added, target = self._equations(self._found)
        inverse = np.linalg.inv(self._gram + np.diag(added))
        self._found = inverse @ target  # the last step
        columns = inverse[:, :answered]
        taken = self._found[:answered] / np.diag(columns)
        without = self._found[:, None] - columns * taken  # a column for each answer
        left_out = self._start[:answered] + (self._gram[:, :answered] * without).sum(axis=0)
        moved = self._moves.T @ without[:, :count]
        offsets = _FREE * without[:, :count].sum(axis=0) - self._examples.mean @ moved
        scores = judges @ (moved + self._words[:, None]).astype(np.float32) + offsets
        higher = (scores > left_out[:count]).sum(axis=0)
        higher += _HARD_JUDGE * (left_out[count:, None] > left_out[:count]).sum(axis=0)
        total = len(judges) + _HARD_JUDGE * (answered - count)
        return left_out, -np.log(higher / max(_FEWEST_JUDGES, total) + _FLOOR)


def _fits(by_words: _Fit) -> bool:
    """Whether the words place the photos with the tag better than by chance.

    One more photo is imagined that they place well, so that a single one says little.
    """
    merits = [*by_words.merits, _IMAGINED]
    return float(np.mean(merits)) > _LEAST_MERIT


def _by_examples(examples: _Examples) -> _Fit:
    """The better of the two methods without words; of one photo the plain one."""
    plain = _Fit(examples, _BY_EXAMPLES[0])
    if len(plain.merits) == 1:
        return plain
    evened = _Fit(examples, _BY_EXAMPLES[1])
    return evened if _gain(evened, plain) > _TO_EVEN else plain


def _gain(new: _Fit, old: _Fit) -> float:
    """How much better one method places the photos with the tag, in standard errors."""
    gain = new.merits - old.merits
    return float(gain.mean() / np.sqrt((gain.var(ddof=1) + _DOUBT**2) / len(gain)))
