"""How likely a photo has a taught tag, by its score.

The library's scores are taken for two groups, each a normal distribution: photos without the tag,
whose middle and spread the library shows, and photos with it, which the owner has named. Only the
share of the second group is fitted to the library, within bounds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.inference.zero_shot import logistic

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

SURE = 0.5  # from here on a photo gets a taught tag

_SPREAD_ABOVE = 0.8413  # of a normal distribution is less than a spread above its middle
_NARROWEST = 1e-3
_FEW = 30  # scores; of fewer, the spread below their middle counts too
# The group with the tag before anyone has named a photo: its distance and spread in spreads of
# the other group, for how many photos this counts; then its share of a library, likewise.
_DISTANCE, _SPREAD, _NAMED = 4.0, 2.0, 4
_SHARE, _COUNTED = 0.03, 100
_LEAST_SHARE, _MOST_SHARE = 1e-3, 0.25
_ROUNDS, _SAMPLED = 60, 8192


@dataclass(frozen=True)
class Confidence:
    """The two groups of scores, and the share of the one with the tag."""

    middle: float
    spread: float
    found_middle: float
    found_spread: float
    share: float

    def of(self, scores: Floats | Doubles) -> Floats:
        """How likely a photo has the tag, 0 to 1; it never falls as scores rise.

        Shapes: (n,) -> (n,).
        """
        above = np.maximum((scores - self.middle) / self.spread, 0)
        from_found = (scores - self.found_middle) / self.found_spread
        from_found = np.maximum(from_found, (self.middle - self.found_middle) / self.found_spread)
        log_odds = self._even + (above**2 - from_found**2) / 2
        return np.asarray(logistic(log_odds), np.float32)

    def line(self) -> tuple[float, float]:
        """The score that is as likely with as without the tag, and how fast log odds rise there."""
        width = self.found_spread / self.spread
        distance = (self.found_middle - self.middle) / self.spread
        bend, slope = 1 - 1 / width**2, 2 * distance / width**2
        start = 2 * self._even - (distance / width) ** 2
        above = -2 * start / (slope + np.sqrt(slope**2 - 4 * bend * start))
        rise = (above - (above - distance) / width**2) / self.spread
        return float(self.middle + above * self.spread), float(rise)

    @property
    def _even(self) -> float:
        odds = self.share / (1 - self.share)
        return float(np.log(odds * self.spread / self.found_spread))


def learn_confidence(library: Floats, named: Doubles) -> Confidence:
    """The groups of a library's scores, without those of answered photos.

    ``named`` are scores of photos with the tag, each as the others teach it.
    Shapes: (n,), (k,).
    """
    scores = np.sort(library.astype(np.float64)) if len(library) else np.zeros(1)
    middle = float(np.median(scores))
    spread = float(np.quantile(scores, _SPREAD_ABOVE)) - middle
    below = middle - float(np.quantile(scores, 1 - _SPREAD_ABOVE))
    known = len(scores) / (len(scores) + _FEW)
    spread = max(known * spread + (1 - known) * max(spread, below), _NARROWEST)
    total = len(named) + _NAMED
    found_middle = (named.sum() + _NAMED * (middle + _DISTANCE * spread)) / total
    squares = ((named - found_middle) ** 2).sum() + _NAMED * (_SPREAD * spread) ** 2
    groups = Confidence(
        middle,
        spread,
        max(float(found_middle), middle + spread),
        max(float(np.sqrt(squares / total)), spread),
        _SHARE,
    )
    sampled = scores[np.linspace(0, len(scores) - 1, min(len(scores), _SAMPLED)).astype(np.int64)]
    for _ in range(_ROUNDS):
        likely = float(groups.of(sampled).sum()) + len(named) + _COUNTED * _SHARE
        share = likely / (len(sampled) + len(named) + _COUNTED)
        groups = Confidence(
            groups.middle,
            groups.spread,
            groups.found_middle,
            groups.found_spread,
            min(max(share, _LEAST_SHARE), _MOST_SHARE),
        )
    return groups
