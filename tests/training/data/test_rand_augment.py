"""RandAugment: reproducible, half of the time, and never the same for all."""

import numpy as np
import pytest

from mlx_aimv2.images.presets import IMAGENET_MEAN
from mlx_aimv2.training.data import rand_augment
from tests.support.pictures import photo

PICTURE = photo(37, 29)


def augmented(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    return rand_augment.rand_augment(PICTURE, rng, IMAGENET_MEAN).tobytes()


def test_the_same_seed_makes_the_same_picture() -> None:
    made = [augmented(seed) for seed in range(40)]
    assert made == [augmented(seed) for seed in range(40)]
    assert len({*made}) > 20


def test_each_of_two_changes_is_made_half_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[float, float]] = []

    def noted(image, level, sign, fill):
        seen.append((level, sign))
        return image

    monkeypatch.setattr(rand_augment, "_ALL", (noted,) * 15)
    for seed in range(400):
        augmented(seed)
    assert abs(len(seen) - 400) < 4 * np.sqrt(800) / 2
    levels, signs = np.array(seen).T
    assert abs(levels.mean() - 0.9) < 0.02
    assert levels.max() <= 1
    assert abs(signs.mean()) < 0.2


def test_every_change_keeps_the_size_and_the_given_picture() -> None:
    before = PICTURE.tobytes()
    for name, change in rand_augment.CHANGES.items():
        for level in (0.0, 0.87, 1.0):
            changed = change(PICTURE, level, -1.0, (1, 2, 3))
            assert (changed.mode, changed.size) == ("RGB", PICTURE.size), name
    assert PICTURE.tobytes() == before
