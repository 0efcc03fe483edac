"""Which tags fit which pictures, each tag judged by its own scores over the whole library.

Three steps; docs/tagging.md has the reasons and figures. A picture is explained as a sum of few
tags, so that a dog is not called a wolf for being nearly one. The tags' vectors then move a little
towards the pictures they explain. At last the scores of a tag are split in two groups, pictures
without it and with it, shrunk towards what all tags have in common where the library says little.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import NumericsError, UsageError
from mlx_aimv2.inference.zero_shot import logistic

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

MIN_CONFIDENCE = 0.75  # of a tag by default: chosen on drawings that no figure is taken from

_BLOCK = 512  # rows whose scores and residuals stay in the processor's cache
_STEPS = 8  # at most: what is found after those is small
_SMALLEST_STEP = 1e-3
_BINS = 1024
_EDGES = np.linspace(-1, 1, _BINS + 1)
_CENTRES = (_EDGES[1:] + _EDGES[:-1]) / 2
_ROUNDS = 40
_NARROWEST = 2 / _BINS
_ONE_SCALE_BELOW = 0.1587  # of a normal distribution is further below its middle
# What a library is taken for before its first picture, in cosines, and for how many scores.
_EMPTY_SCALE = 0.05
_EMPTY_WEIGHT = 30
_SHARE = 0.03  # of pictures with a tag, before any was seen
_DISTANCE, _SPREAD = 5.0, 2.5  # of the scores with the tag, in null scales, before any was seen


@dataclass(frozen=True)
class Groups:
    """The scores of a tag without and with it, as two normal distributions. Shapes: (T,) each."""

    location: Doubles
    scale: Doubles
    found_location: Doubles
    found_scale: Doubles
    share: Doubles


@dataclass(frozen=True)
class Weights:
    """The weight of all tags' common values against a tag's own, in pictures, by group."""

    absent: float
    found: float
    share: float


_POOL_WEIGHTS = Weights(absent=10, found=10, share=100)
_TAG_WEIGHTS = Weights(absent=2000, found=100, share=500)
_TEXT_WEIGHT = 60  # pictures' worth that a tag's text counts against the pictures it explains


@dataclass(frozen=True)
class Calibration:
    """The vectors, penalty and groups of scores that were learnt from a library.

    Shapes: atoms (T + B, P) are the tags, then the background prompts.
    """

    atoms: Floats
    penalty: float
    groups: Groups

    def scores(self, images: Floats) -> Floats:
        """How well each tag fits what the others leave unexplained. Shapes: (n, P) -> (n, T).

        Errors: NumericsError for a vector that is not finite.
        """
        return _explained(images, self.atoms, self.penalty)[:, : len(self.groups.share)]

    def confidence(self, images: Floats) -> Floats:
        """How likely a picture has a tag, by its score: 0 to 1. Shapes: (n, P) -> (n, T).

        Errors: NumericsError for a vector that is not finite.
        """
        return np.asarray(_posterior(self.groups, self.scores(images).T).T, np.float32)


def fit(blocks: Iterable[Floats], tags: Floats, background: Floats) -> Calibration:
    """The calibration of a library whose vectors come in blocks; they are read three times.

    Memory does not grow with the library: scores are kept as one histogram a tag.
    Shapes: blocks (n, P) each, tags (T, P), background (B, P); all rows are unit vectors.
    Errors: UsageError for no tags, or blocks that can be read only once; NumericsError for a
    vector that is not finite.
    """
    if iter(blocks) is blocks:
        raise UsageError(
            "the vectors are read more than once", hint="give a list of blocks, no iterator"
        )
    if len(tags) == 0:
        raise UsageError("no tags to calibrate", hint="give a vocabulary with at least one tag")
    atoms = np.concatenate([tags, background]).astype(np.float32)
    penalty = _penalty(blocks, len(tags), atoms)
    atoms = _adapted(blocks, atoms, penalty)
    counts = np.zeros((len(tags), _BINS))
    for rows in _rows(blocks):
        counts += _histograms(_explained(rows, atoms, penalty)[:, : len(tags)])
    return Calibration(atoms, penalty, _split(counts, _pooled(counts), _TAG_WEIGHTS))


def choose(
    confidence: Floats, min_confidence: float = MIN_CONFIDENCE, limit: int | None = None
) -> NDArray[np.bool_]:
    """The tags given to each picture: sure enough, and at most ``limit``, the surest first.

    Shapes: (n, T) -> (n, T).
    Errors: UsageError for a confidence outside 0 to 1 or a limit below 1.
    """
    if not 0 <= min_confidence <= 1:
        raise UsageError(
            f"a confidence is 0 to 1, not {min_confidence}", hint=f"{MIN_CONFIDENCE} is usual"
        )
    if limit is not None and limit < 1:
        raise UsageError(f"at most {limit} tags a picture", hint="give 1 or more")
    chosen = confidence >= min_confidence
    if limit is None or limit >= confidence.shape[1]:
        return chosen
    order = np.argsort(-confidence, axis=1, kind="stable")[:, :limit]
    among_best = np.zeros_like(chosen)
    np.put_along_axis(among_best, order, True, axis=1)
    return chosen & among_best


def _rows(blocks: Iterable[Floats]) -> Iterator[Floats]:
    for block in blocks:
        for first in range(0, len(block), _BLOCK):
            rows = np.asarray(block[first : first + _BLOCK], np.float32)
            if not np.isfinite(rows).all():
                raise NumericsError(
                    "a picture's vector is not finite",
                    hint="index again in a new library: aimv2 index --dtype float32",
                )
            yield rows


def _penalty(blocks: Iterable[Floats], tags: int, atoms: Floats) -> float:
    """The least score at which a tag is taken: the robust scale of scores over the background's."""
    counts = np.zeros((1, _BINS))
    for rows in _rows(blocks):
        scores = rows @ atoms.T
        centred = scores[:, :tags]
        if len(atoms) > tags:
            centred = centred - scores[:, tags:].mean(axis=1, keepdims=True)
        counts += _histograms(centred.reshape(-1, 1))
    return float(_middle(counts[0])[1])


def _adapted(blocks: Iterable[Floats], atoms: Floats, penalty: float) -> Floats:
    """Atoms nearer to the pictures they explain: ridge regression towards the texts' vectors.

    Only amounts above the penalty count. Shapes: (A, P) -> (A, P), unit rows.
    """
    together = _TEXT_WEIGHT * np.eye(len(atoms))
    explained = _TEXT_WEIGHT * atoms.astype(np.float64)
    gram = atoms @ atoms.T
    for rows in _rows(blocks):
        amount, _ = _pursue(rows @ atoms.T, gram, penalty)
        amount[amount < penalty] = 0
        together += amount.T @ amount
        explained += amount.T @ rows
    moved = np.linalg.solve(together, explained)
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), np.float32)


def _explained(images: Floats, atoms: Floats, penalty: float) -> Floats:
    """The score of each atom in what the others do not explain. Shapes: (n, P) -> (n, A)."""
    gram = atoms @ atoms.T
    result = np.empty((len(images), len(atoms)), np.float32)
    first = 0
    for rows in _rows([images]):
        amount, left = _pursue(rows @ atoms.T, gram, penalty)
        result[first : first + len(rows)] = amount + left
        first += len(rows)
    return result


def _pursue(left: Floats, gram: Floats, penalty: float) -> tuple[Floats, Floats]:
    """Matching pursuit: the atom that explains most is taken, less the penalty, and its share of
    every other score is removed; then the next. Gives amounts and what is left of the scores.

    Shapes: (n, A) -> (n, A) each.
    """
    amount = np.zeros_like(left)
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
        amount[rows, best] += step
        removed = np.take(gram, best, axis=0, out=share[: len(rows)], mode="clip")
        removed *= step[:, None]
        left -= removed
    rest[rows] = left
    return amount, rest


def _histograms(scores: Floats) -> Doubles:
    """One histogram of scores a tag. Shapes: (n, T) -> (T, bins)."""
    tags = scores.shape[1]
    bins = ((scores + 1) * (_BINS / 2)).astype(np.int64)
    np.clip(bins, 0, _BINS - 1, out=bins)
    bins += np.arange(tags) * _BINS
    return np.bincount(bins.ravel(), minlength=tags * _BINS).reshape(tags, _BINS).astype(np.float64)


def _middle(counts: Doubles) -> tuple[float, float]:
    """Where scores without a tag lie, and their scale: the median and what is below it.

    Nothing above the median is looked at: the pictures with a tag are there.
    """
    total = counts.sum()
    if total == 0:
        return 0.0, _EMPTY_SCALE
    shares = counts.cumsum() / total
    median = float(_CENTRES[np.searchsorted(shares, 0.5)])
    distance = median - float(_CENTRES[np.searchsorted(shares, _ONE_SCALE_BELOW)])
    known = float(total / (total + _EMPTY_WEIGHT))
    return median, max(known * distance + (1 - known) * _EMPTY_SCALE, _NARROWEST)


def _pooled(counts: Doubles) -> Groups:
    """The two groups of all tags' scores together: the prior of each tag's groups."""
    pool = counts.sum(axis=0, keepdims=True)
    location, scale = _middle(pool[0])
    prior = (location, scale, location + _DISTANCE * scale, _SPREAD * scale, _SHARE)
    return _split(pool, Groups(*(np.array([value]) for value in prior)), _POOL_WEIGHTS)


def _split(counts: Doubles, prior: Groups, weights: Weights) -> Groups:
    """Two groups for each row, by expectation maximisation that starts at the prior.

    Shapes: (T, bins) -> (T,) each.
    """
    groups = prior
    total = counts.sum(axis=1)
    for _ in range(_ROUNDS):
        found = counts * _posterior(groups, _CENTRES[None])
        share = (found.sum(axis=1) + weights.share * prior.share) / (total + weights.share)
        groups = Groups(
            *_moments(counts - found, prior.location, prior.scale, weights.absent),
            *_moments(found, prior.found_location, prior.found_scale, weights.found),
            share,
        )
    return groups


def _moments(
    counts: Doubles, location: Doubles, scale: Doubles, weight: float
) -> tuple[Doubles, Doubles]:
    total = counts.sum(axis=1) + weight
    mean = (counts @ _CENTRES + weight * location) / total
    squares = (counts * (_CENTRES - mean[:, None]) ** 2).sum(axis=1)
    return mean, np.maximum(np.sqrt((squares + weight * scale**2) / total), _NARROWEST)


def _posterior(groups: Groups, scores: Doubles | Floats) -> NDArray[Any]:
    """The chance that pictures of these scores have the tag; it never falls as scores rise.

    Beyond the middle of either group it stays what it is there. Shapes: (T or 1, k) -> (T, k).
    """

    def column(values: Doubles) -> NDArray[Any]:
        return values[:, None].astype(scores.dtype)  # of float32 there are too many to widen

    low = column(groups.location)
    high = np.maximum(column(groups.found_location), low)
    within = np.clip(scores, low, high)
    absent = (within - low) * column(0.5 / groups.scale)
    found = (within - high) * column(0.5 / groups.found_scale)
    log_odds = (absent - found) * (absent + found)
    even = groups.share / (1 - groups.share) * groups.scale / groups.found_scale
    log_odds += column(0.5 * np.log(even))
    log_odds *= 2  # both terms above are halved
    return np.asarray(logistic(log_odds))
