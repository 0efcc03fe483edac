"""Vectors like those that published encoders of pictures and texts give, with known content.

The demo's vectors are unlike theirs: pictures and texts of published encoders lie far apart, each
crowded round a mean of its own, and some tags are near everything. What such a checkpoint is
made of stands in one table, frozen before any method was measured on it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

WIDTH, SHARED = 768, 256  # of all vectors, and of the part that texts and contents share
TEXT_COSINE = 0.6  # of two texts
IMAGE_ENERGY = 0.40  # of a picture's vector along the mean picture
BASE_COSINE = 0.13  # of a picture and a text that have nothing to do with each other
PHOTO_SPREAD = 0.015  # of a photo's cosines with all texts
TRUE_TAG, TRUE_TAG_SPREAD = 0.12, 0.25  # what a true tag adds to its cosine; its log's deviation
TAGS, TOPICS, TOPIC_CORRELATION = 580, 40, 0.35
TWINS, TWIN_CORRELATION = 0.1, 0.85  # the share of tags that have a near-synonym before them
RAREST, COMMONEST, TAGS_A_PHOTO = 0.001, 0.25, 3.0
BLANKS, BLANK_COSINE = 64, 0.8  # of the mean blank and the mean picture, less their own content


@dataclass(frozen=True)
class Setting:
    """What differs between simulated checkpoints.

    ``misfit``: the cosine of a tag's content in pictures with its text. ``competition``: the
    power of a photo's sum of contents by which each is divided. ``hubs``: the deviation of tags'
    cosines with the mean picture. ``noise``: the deviation of each cosine. They are such that
    of photos with one tag the highest cosine is the right one for 60 to 80%.
    """

    misfit: float
    competition: float
    hubs: float = 0.02
    noise: float = 0.02


SETTINGS = {
    "well fitting": Setting(0.7, 0.0),
    "competing": Setting(0.7, 0.5),
    "misfitting": Setting(0.5, 0.0),
    "misfitting and competing": Setting(0.5, 0.5),
    "few hubs, more noise": Setting(0.7, 0.5, hubs=0.01, noise=0.025),
}


@dataclass(frozen=True)
class Simulated:
    """Shapes: images (N, P), tags (T, P), background (B, P), blanks (K, P), truth (N, T),
    shares (T,). All rows but truth's are unit vectors."""

    images: Floats
    tags: Floats
    background: Floats
    blanks: Floats
    truth: NDArray[np.bool_]
    shares: Doubles


def simulated(
    setting: Setting, seed: int, photos: int = 5000, tags: int = TAGS, one_each: bool = False
) -> Simulated:
    """A checkpoint's vectors of photos and tags; ``one_each`` gives every photo one tag."""
    rng = np.random.default_rng(seed)
    mean_text = np.eye(WIDTH)[0]
    contents = _contents(rng, tags)
    own = np.sqrt(1 - TEXT_COSINE)  # of a text's vector, apart from the mean text
    hub = rng.normal(size=SHARED - 1) * setting.hubs / (np.sqrt(IMAGE_ENERGY) * own)
    along = BASE_COSINE / np.sqrt(IMAGE_ENERGY * TEXT_COSINE)
    mean_image = _completed(rng, np.concatenate([[along], hub]))

    def texts(content: Doubles) -> Doubles:
        vectors = np.zeros((len(content), WIDTH))
        vectors[:, 1:SHARED] = own * content
        return _unit(vectors + np.sqrt(TEXT_COSINE) * mean_text)

    zipf = 1 / np.arange(1, tags + 1)
    shares = np.clip(zipf * TAGS_A_PHOTO / zipf.sum(), RAREST, COMMONEST)
    shares = rng.permutation(shares)
    truth = rng.random((photos, tags)) < shares
    if one_each:
        truth = np.eye(tags, dtype=bool)[rng.choice(tags, photos, p=shares / shares.sum())]
    salience = np.where(truth, np.exp(rng.normal(0, TRUE_TAG_SPREAD, truth.shape)), 0)
    total = np.maximum(salience.sum(axis=1, keepdims=True), 1e-9)
    salience = salience / total**setting.competition
    other = _unit(rng.normal(size=contents.shape))
    other -= (other * contents).sum(axis=1, keepdims=True) * contents
    shown = setting.misfit * contents + np.sqrt(1 - setting.misfit**2) * _unit(other)
    content = salience @ (shown * TRUE_TAG / (setting.misfit * own))
    blank_mean = _unit(BLANK_COSINE * mean_image + np.sqrt(1 - BLANK_COSINE**2) * _far(rng))
    return Simulated(
        _pictures(rng, mean_image, content, setting.noise),
        texts(contents).astype(np.float32),
        texts(_unit(rng.normal(size=(4, SHARED - 1)))).astype(np.float32),
        _pictures(rng, blank_mean, np.zeros((BLANKS, SHARED - 1)), setting.noise),
        truth,
        shares,
    )


def _contents(rng: np.random.Generator, tags: int) -> Doubles:
    """What sets each text apart: its topic and itself; some are twins. Shapes: (T, shared - 1)."""
    topics = _unit(rng.normal(size=(TOPICS, SHARED - 1)))[rng.integers(TOPICS, size=tags)]
    own = _unit(rng.normal(size=topics.shape))
    contents = np.sqrt(TOPIC_CORRELATION) * topics + np.sqrt(1 - TOPIC_CORRELATION) * own
    twins = 1 + rng.choice(tags - 1, round(TWINS * tags), replace=False)
    near = TWIN_CORRELATION * _unit(contents[twins - 1])
    contents[twins] = near + np.sqrt(1 - TWIN_CORRELATION**2) * own[twins]
    return _unit(contents)


def _pictures(rng: np.random.Generator, mean: Doubles, content: Doubles, noise: float) -> Floats:
    """Pictures of these contents, round a mean, each with an offset and noise of its own."""
    vectors = np.sqrt(IMAGE_ENERGY) * np.repeat(mean[None], len(content), axis=0)
    vectors[:, 0] += rng.normal(0, PHOTO_SPREAD / np.sqrt(TEXT_COSINE), len(content))
    vectors[:, 1:SHARED] += content
    vectors[:, 1:SHARED] += rng.normal(0, noise / np.sqrt(1 - TEXT_COSINE), content.shape)
    left = np.maximum(1 - (vectors**2).sum(axis=1, keepdims=True), 0.02)
    apart = rng.normal(size=(len(content), WIDTH - SHARED))
    vectors[:, SHARED:] += np.sqrt(left) * _unit(apart)
    return _unit(vectors).astype(np.float32)


def _completed(rng: np.random.Generator, shared: Doubles) -> Doubles:
    """A unit vector with this part in what is shared."""
    apart = _far(rng)
    return np.concatenate([shared, apart[SHARED:] * max(0.02, 1 - float(shared @ shared)) ** 0.5])


def _far(rng: np.random.Generator) -> Doubles:
    """A unit vector outside of what texts and contents share."""
    vector = np.zeros(WIDTH)
    vector[SHARED:] = rng.normal(size=WIDTH - SHARED)
    return _unit(vector)


def _unit(vectors: Doubles) -> Doubles:
    norms: Doubles = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / norms)
