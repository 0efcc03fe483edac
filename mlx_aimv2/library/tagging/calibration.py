"""Which tags fit which pictures: mostly judged by what does not depend on the library.

Pictures that show nothing a tag could name (``blanks``) say how a checkpoint's pictures and texts
lie, how far scores spread by chance, and what fits nothing. A picture is then explained as a sum
of few tags, so that a dog is not called a wolf for being nearly one. The library corrects the
spread and each tag's share, within bounds. docs/tagging.md has the reasons and figures.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import NumericsError, UsageError
from mlx_aimv2.inference.zero_shot import logistic

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

MIN_CONFIDENCE = 0.75  # of a tag by default: what a score at the threshold has

_BLOCK = 512  # rows whose scores and residuals stay in the processor's cache
_STEPS = 8  # at most: what is found after those is small
_SMALLEST_STEP = 1e-3
_BINS = 1024
_CENTRES = (np.arange(_BINS) + 0.5) * (2 / _BINS) - 1
_ROUNDS = 12
_BITS = 16  # of a picture's code; near-copies mostly have the same


@dataclass(frozen=True)
class Constants:
    """All that was chosen, on other drawings and simulated checkpoints than those reported.

    Scores and distances are in units of the scale, shares are of all pictures.
    """

    # Texts this near to each other on average lie far from pictures, those below it less so.
    gap_from: float = 0.05
    gap_to: float = 0.30
    # The spread of photos' scores against that of blanks', without a gap and with one: demo's
    # blanks differ more than its drawings, those of published encoders less.
    scale: float = 0.85
    scale_with_gap: float = 1.25
    # The library's say about the scale, and its bounds: foreign pictures widen it by a third.
    scale_weight: float = 0.65
    scale_bound: float = 1.25
    # Less than 1.5 is explained by anything; 2.4 has the best F1 where 3% have the tag.
    penalty: float = 1.5
    threshold: float = 2.4
    steepness: float = 4.5
    # A tag's share: before any picture was seen, for how many pictures that counts, its bounds.
    share: float = 0.03
    share_weight: float = 300.0
    least_share: float = 0.003
    most_share: float = 0.25
    # A picture is refused where the best tag falls this short of the likeness to blanks.
    blank_weight: float = 1.5
    refused: float = -6.9
    blank_sharpness: float = 40.0  # of the soft maximum over blanks
    few: int = 10  # distinct pictures say nothing yet
    many: int = 60  # photos should be more than a few distinct ones


CONSTANTS = Constants()


@dataclass(frozen=True)
class Space:
    """Tags and blanks as a checkpoint sees them, whatever the library.

    Shapes: centre (P,), atoms (T + B, P) are the tags, then the background prompts; known
    (T + B + K, P) are those and then the blanks.
    """

    gap: float
    centre: Floats
    atoms: Floats
    known: Floats
    scale: float
    tags: int

    def rows(self, images: Floats) -> Floats:
        """Pictures without what all have in common. Shapes: (n, P), kept, unit rows."""
        return _unit(images - self.gap * self.centre)


@dataclass(frozen=True)
class Calibration:
    """How a library's tags are judged. ``note`` says in a line what could not be learnt, if so.

    Shapes: shares (T,).
    """

    space: Space
    scale: float
    shares: Doubles
    note: str = ""
    _gram: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_gram", self.space.atoms @ self.space.atoms.T)

    def scores(self, images: Floats) -> Floats:
        """How well each tag fits what the others leave unexplained. Shapes: (n, P) -> (n, T).

        Units: the scale of scores by chance. Errors: NumericsError for a vector that is not finite.
        """
        return self._judged(images)[0]

    def confidence(self, images: Floats) -> Floats:
        """How likely a picture has a tag: 0 to 1, rising with its score. Shapes: (n, P) -> (n, T).

        It is 0 for pictures that fit nothing.
        Errors: NumericsError for a vector that is not finite.
        """
        scores, refused = self._judged(images)
        sure = logistic(_log_odds(scores, self.shares.astype(np.float32)))
        sure[refused] = 0
        return np.asarray(sure, np.float32)

    def _judged(self, images: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Scores, and which pictures fit nothing. Shapes: (n, T), (n,)."""
        space, penalty = self.space, CONSTANTS.penalty * self.scale
        scores = np.empty((len(images), space.tags), np.float32)
        refused = np.empty(len(images), np.bool_)
        first = 0
        for block in _rows([images]):
            part = slice(first, first := first + len(block))
            rows = space.rows(block)
            known = rows @ space.known.T
            refused[part] = _fit(space, known) < CONSTANTS.refused * space.scale
            plain = np.ascontiguousarray(known[:, : len(space.atoms)])
            amount, left = _pursue(plain, self._gram, penalty)
            scores[part] = (amount + left)[:, : space.tags] / np.float32(self.scale)
        return scores, refused


def fit(blocks: Iterable[Floats], tags: Floats, background: Floats, blanks: Floats) -> Calibration:
    """The calibration of a library whose vectors come in blocks; they are read three times.

    Memory hardly grows with the library: scores are kept as one histogram a tag.
    Shapes: blocks (n, P) each, tags (T, P), background (B, P), blanks (K, P), the vectors of
    ``make_blanks``; all rows are unit vectors.
    Errors: UsageError for no tags, or blocks that can be read only once; NumericsError for a
    vector that is not finite.
    """
    if iter(blocks) is blocks:
        raise UsageError(
            "the vectors are read more than once", hint="give a list of blocks, no iterator"
        )
    if len(tags) == 0:
        raise UsageError("no tags to calibrate", hint="give a vocabulary with at least one tag")
    space = _space(tags, background, blanks)
    unlearnt = Calibration(space, space.scale, np.full(len(tags), CONSTANTS.share))
    weights, plain = _evidence(blocks, space)
    distinct, photos = float(weights.sum()), len(weights)
    if distinct < CONSTANTS.few:
        if photos < CONSTANTS.many:
            return unlearnt
        note = f"{photos:,} photos say too little to learn from: tags are given as in any library"
        return Calibration(space, space.scale, unlearnt.shares, note)
    scale = _scale(plain, space.scale, distinct)
    learnt = Calibration(space, scale, unlearnt.shares)
    shares = _shares(blocks, learnt, weights)
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


def _space(tags: Floats, background: Floats, blanks: Floats) -> Space:
    known = CONSTANTS
    together = float((tags @ background.T).mean()) if len(background) else 0.0
    gap = float(np.clip((together - known.gap_from) / (known.gap_to - known.gap_from), 0, 1))
    atoms = np.concatenate([tags, background]).astype(np.float32)
    centre = blanks.mean(axis=0)
    if gap > 0:
        atoms = _unit(atoms - gap * atoms.mean(axis=0))
        towards = centre / max(float(np.linalg.norm(centre)), 1e-12)
        atoms = _unit(atoms - gap * (atoms @ towards)[:, None] * towards)
    rows = _unit(blanks - gap * centre)
    found = rows @ atoms[: len(tags)].T
    by_chance = float(np.median(np.abs(found - np.median(found, axis=0)))) / 0.6745
    scale = by_chance * (known.scale + gap * (known.scale_with_gap - known.scale))
    every = np.concatenate([atoms, rows])
    return Space(gap, centre, atoms, every, max(scale, 2 / _BINS), len(tags))


def _fit(space: Space, known: Floats) -> Floats:
    """How much better the best tag fits a picture than blanks and background, by its scores.

    Shapes: (n, T + B + K) -> (n,).
    """
    tags, background, blanks = np.split(known, [space.tags, len(space.atoms)], axis=1)
    sharp = np.float32(CONSTANTS.blank_sharpness)
    alike = np.log(np.exp(sharp * blanks).mean(axis=1)) / sharp
    best = tags.max(axis=1) - np.float32(CONSTANTS.blank_weight) * alike
    return np.asarray(best - background.mean(axis=1) if background.size else best, np.float32)


def _evidence(blocks: Iterable[Floats], space: Space) -> tuple[Doubles, Doubles]:
    """Each picture's weight, and histograms of plain scores. Shapes: (N,), (T, bins).

    Near-copies count once together, pictures that fit nothing not at all.
    """
    axes = np.random.default_rng(0).normal(size=(space.atoms.shape[1], _BITS)).astype(np.float32)
    centre = space.atoms[: space.tags].mean(axis=0)
    codes, fits = [np.empty(0, np.int64)], [np.empty(0, np.bool_)]
    for block in _rows(blocks):
        rows = space.rows(block)
        codes.append(((rows - centre) @ axes > 0) @ (1 << np.arange(_BITS)))
        fits.append(_fit(space, rows @ space.known.T) >= CONSTANTS.refused * space.scale)
    code, fit = np.concatenate(codes), np.concatenate(fits)
    _, of, counts = np.unique(code[fit], return_inverse=True, return_counts=True)
    weights = np.zeros(len(code))
    weights[fit] = 1 / counts[of]
    plain = np.zeros((space.tags, _BINS))
    for rows, weight in _weighted(blocks, weights):
        plain += _histograms(space.rows(rows) @ space.atoms[: space.tags].T, weight)
    return weights, plain


def _weighted(blocks: Iterable[Floats], weights: Doubles) -> Iterator[tuple[Floats, Doubles]]:
    """The pictures that count, with their weights."""
    first = 0
    for rows in _rows(blocks):
        weight = weights[first : first + len(rows)]
        first += len(rows)
        counts = weight > 0
        if counts.any():
            yield rows[counts], weight[counts]


def _scale(plain: Doubles, prior: float, distinct: float) -> float:
    """The spread of the library's scores as far as it may say: within bounds, and by its size."""
    shares = plain.cumsum(axis=1) / plain.sum(axis=1, keepdims=True)
    low, high = (_CENTRES[(shares < part).sum(axis=1).clip(max=_BINS - 1)] for part in (0.25, 0.75))
    found = float(np.median(high - low)) / 1.349
    known = CONSTANTS.scale_weight * distinct / (distinct + CONSTANTS.share_weight)
    bounded = np.clip(found / prior, 1 / CONSTANTS.scale_bound, CONSTANTS.scale_bound)
    return float(prior * bounded**known)


def _shares(blocks: Iterable[Floats], learnt: Calibration, weights: Doubles) -> Doubles:
    """Each tag's share of the pictures that count, by expectation maximisation. Shapes: (T,)."""
    counts = np.zeros((learnt.space.tags, _BINS))
    reach = _BINS / 64  # bins reach from -16 to 16 scales
    for rows, weight in _weighted(blocks, weights):
        counts += _histograms(learnt.scores(rows) / np.float32(reach), weight)
    total = weights.sum() + CONSTANTS.share_weight
    shares = learnt.shares
    for _ in range(_ROUNDS):
        sure = logistic(_log_odds((_CENTRES * reach)[:, None], shares)).T
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


def _unit(rows: Floats) -> Floats:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, np.finfo(np.float32).tiny), np.float32)


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


def _histograms(scores: Floats, weights: Doubles) -> Doubles:
    """One histogram of scores from -1 to 1 a tag. Shapes: (n, T), (n,) -> (T, bins)."""
    tags = scores.shape[1]
    bins = ((scores + 1) * (_BINS / 2)).astype(np.int64)
    np.clip(bins, 0, _BINS - 1, out=bins)
    bins += np.arange(tags) * _BINS
    each = np.repeat(weights, tags)
    counts = np.bincount(bins.ravel(), each, minlength=tags * _BINS)
    return np.asarray(counts.reshape(tags, _BINS), np.float64)
