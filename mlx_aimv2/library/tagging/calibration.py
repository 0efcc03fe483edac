"""Which tags fit which pictures: mostly judged by what does not depend on the library.

Pictures that show nothing a tag could name (``blanks``) say how a checkpoint's pictures and texts
lie, how far scores spread by chance, and what fits nothing; the checkpoint's own tags compete with
those that are asked for (``space``). The library corrects the spread and each tag's share, within
bounds. docs/tagging.md has the reasons and figures.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import NumericsError, UsageError
from mlx_aimv2.inference.zero_shot import logistic

from .constants import CONSTANTS
from .space import Space, make_space

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

MIN_CONFIDENCE = 0.75  # of a tag by default: what a score at the threshold has

_BLOCK = 512  # rows whose scores and residuals stay in the processor's cache
_BINS = 1024
_REACH = 16  # scales, either way, of the histograms
_ROUNDS = 12
_BITS = 16  # of a picture's code; near-copies mostly have the same


@dataclass(frozen=True)
class Calibration:
    """How a library's tags are judged. ``note`` says in a line what could not be learnt, if so.

    Shapes: shares (T,).
    """

    space: Space
    scale: float
    shares: Doubles
    note: str = ""

    def scores(self, images: Floats) -> Floats:
        """How well each tag fits what the others leave unexplained. Shapes: (n, P) -> (n, T).

        Units: the scale of scores by chance. Errors: NumericsError for a vector that is not finite.
        """
        scores = np.empty((len(images), self.space.tags), np.float32)
        for part, _, plain in self._parts(images):
            scores[part] = self._scores(plain)
        return scores

    def confidence(self, images: Floats) -> Floats:
        """How likely a picture has a tag: 0 to 1, rising with its score. Shapes: (n, P) -> (n, T).

        It is 0 for pictures that fit nothing.
        Errors: NumericsError for a vector that is not finite.
        """
        shares = self.shares.astype(np.float32)
        sure = np.empty((len(images), self.space.tags), np.float32)
        for part, rows, plain in self._parts(images):
            fits = self.space.fits(rows, plain)
            sure[part] = logistic(_log_odds(self._scores(plain), shares))
            sure[part][~fits] = 0
        return sure

    def _parts(self, images: Floats) -> Iterator[tuple[slice, Floats, Floats]]:
        """Few pictures at a time: which they are, their rows, and the score of every atom."""
        first = 0
        for block in _rows([images]):
            rows = self.space.rows(block)
            yield slice(first, first := first + len(block)), rows, rows @ self.space.atoms.T

    def _scores(self, plain: Floats) -> Floats:
        """The scores of tags from those of all atoms, which are written over."""
        own = (self.space.spread(plain) / self.scale).clip(0.5, 2) ** CONSTANTS.own_spread
        plain /= own[:, None].astype(np.float32)
        explained = self.space.explained(plain, CONSTANTS.penalty * self.scale)
        return np.asarray(explained / np.float32(self.scale), np.float32)


def fit(
    blocks: Iterable[Floats],
    tags: Floats,
    background: Floats,
    blanks: Floats,
    rivals: Floats | None = None,
) -> Calibration:
    """The calibration of a library whose vectors come in blocks; they are read twice.

    Memory hardly grows with the library: scores are kept as one histogram a tag. ``rivals`` are
    the checkpoint's own or everyday tags, which explain pictures too where a vocabulary is small.
    Shapes: blocks (n, P) each, tags (T, P), background (B, P), blanks (K, P), the vectors of
    ``make_blanks``, rivals (R, P); all rows are unit vectors.
    Errors: UsageError for no tags, or blocks that can be read only once; NumericsError for a
    vector that is not finite.
    """
    if iter(blocks) is blocks:
        raise UsageError(
            "the vectors are read more than once", hint="give a list of blocks, no iterator"
        )
    if len(tags) == 0:
        raise UsageError("no tags to calibrate", hint="give a vocabulary with at least one tag")
    space = make_space(tags, tags[:0] if rivals is None else rivals, background, blanks)
    unlearnt = Calibration(space, space.scale, np.full(len(tags), CONSTANTS.share))
    weights, spreads = _evidence(blocks, space)
    distinct, photos = float(weights.sum()), len(weights)
    if distinct < CONSTANTS.few:
        if photos < CONSTANTS.many:
            return unlearnt
        note = f"{photos:,} photos say too little to learn from: tags are given as in any library"
        return Calibration(space, space.scale, unlearnt.shares, note)
    scale = _scale(spreads, weights, space)
    shares = _shares(blocks, Calibration(space, scale, unlearnt.shares), weights)
    if not (np.isfinite(shares).all() and np.isfinite(scale)):
        note = "what the library's photos say is no number: tags are given as in any library"
        return Calibration(space, space.scale, unlearnt.shares, note)
    return Calibration(space, scale, shares)


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


def _evidence(blocks: Iterable[Floats], space: Space) -> tuple[Doubles, Floats]:
    """Each picture's weight, and the spread of its scores. Shapes: (N,), (N,).

    Near-copies count once together, pictures that fit nothing not at all.
    """
    axes = np.random.default_rng(0).normal(size=(space.atoms.shape[1], _BITS)).astype(np.float32)
    centre = space.atoms[: space.named].mean(axis=0)
    codes, fits = [np.empty(0, np.int64)], [np.empty(0, np.bool_)]
    spreads = [np.empty(0, np.float32)]
    for block in _rows(blocks):
        rows = space.rows(block)
        plain = rows @ space.atoms.T
        codes.append(((rows - centre) @ axes > 0) @ (1 << np.arange(_BITS)))
        fits.append(space.fits(rows, plain))
        spreads.append(space.spread(plain))
    code, fit = np.concatenate(codes), np.concatenate(fits)
    _, of, counts = np.unique(code[fit], return_inverse=True, return_counts=True)
    weights = np.zeros(len(code))
    weights[fit] = 1 / counts[of]
    return weights, np.concatenate(spreads)


def _weighted(blocks: Iterable[Floats], weights: Doubles) -> Iterator[tuple[Floats, Doubles]]:
    """The pictures that count, with their weights."""
    first = 0
    for rows in _rows(blocks):
        weight = weights[first : first + len(rows)]
        first += len(rows)
        counts = weight > 0
        if counts.any():
            yield rows[counts], weight[counts]


def _scale(spreads: Floats, weights: Doubles, space: Space) -> float:
    """The spread of the library's scores as far as it may say: within bounds, and by its size."""
    prior = space.scale
    order = np.argsort(spreads, kind="stable")
    upto = weights[order].cumsum()
    found = float(spreads[order][np.searchsorted(upto, upto[-1] / 2)])
    known = CONSTANTS.scale_weight * upto[-1] / (upto[-1] + CONSTANTS.share_weight)
    bounded = np.clip(found / prior, 1 / CONSTANTS.scale_bound, CONSTANTS.scale_bound)
    return float(prior * bounded**known)


def _shares(blocks: Iterable[Floats], learnt: Calibration, weights: Doubles) -> Doubles:
    """Each tag's share of the pictures that count, by expectation maximisation. Shapes: (T,)."""
    counts = np.zeros((learnt.space.tags, _BINS))
    for rows, weight in _weighted(blocks, weights):
        counts += _histograms(learnt.scores(rows), weight)
    scores = ((np.arange(_BINS) + 0.5) * (2 / _BINS) - 1) * _REACH
    total = weights.sum() + CONSTANTS.share_weight
    shares = learnt.shares
    for _ in range(_ROUNDS):
        sure = logistic(_log_odds(scores[:, None], shares)).T
        found = (counts * sure).sum(axis=1) + CONSTANTS.share_weight * CONSTANTS.share
        shares = np.clip(found / total, CONSTANTS.least_share, CONSTANTS.most_share)
    return shares


def _log_odds(scores: NDArray[np.floating], shares: NDArray[np.floating]) -> NDArray[np.floating]:
    """Of a tag that so many pictures have; at the threshold and the usual share, 3 to 1.

    Shapes: (n, T or 1), (T,) -> (n, T).
    """
    known = CONSTANTS
    usual = np.log(known.share / (1 - known.share)) + known.steepness * known.threshold
    offsets = np.log(shares / (1 - shares)) - usual + np.log(MIN_CONFIDENCE / (1 - MIN_CONFIDENCE))
    return np.asarray(scores * scores.dtype.type(known.steepness) + offsets.astype(scores.dtype))


def _histograms(scores: Floats, weights: Doubles) -> Doubles:
    """One histogram of scores a tag. Shapes: (n, T), (n,) -> (T, bins)."""
    tags = scores.shape[1]
    bins = ((scores + _REACH) * (_BINS / 2 / _REACH)).astype(np.int64)
    np.clip(bins, 0, _BINS - 1, out=bins)
    bins += np.arange(tags) * _BINS
    each = np.repeat(weights, tags)
    counts = np.bincount(bins.ravel(), each, minlength=tags * _BINS)
    return np.asarray(counts.reshape(tags, _BINS), np.float64)
