"""Each change of RandAugment beside timm's, at the same strength and in the same direction."""

import random
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mlx_aimv2.training.data.rand_augment import CHANGES
from tests.support.pictures import photo

FILL = (124, 116, 104)


@pytest.fixture(scope="module")
def auto_augment() -> ModuleType:
    """timm's module alone: its package needs torchvision, of which this module needs nothing."""
    timm = find_spec("timm")
    if timm is None:
        pytest.skip("needs timm")
    path = Path(timm.origin).parent / "data" / "auto_augment.py"
    spec = spec_from_file_location("timm_auto_augment", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_changes_are_timm_s(auto_augment: ModuleType) -> None:
    assert [*CHANGES] == auto_augment.rand_augment_choices("", increasing=True)


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("magnitude", [0.0, 3.3, 8.7, 9.0, 9.4, 10.0])
def test_the_same_bytes(
    name: str, magnitude: float, auto_augment: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = photo(61, 47)
    for draw, sign in ((0.1, 1.0), (0.9, -1.0)):  # timm turns a level round above 0.5
        monkeypatch.setattr(random, "random", lambda draw=draw: draw)
        options = {"img_mean": FILL, "interpolation": 3}
        ours = CHANGES[name](picture, magnitude / 10, sign, FILL)
        if (name, magnitude) == ("PosterizeIncreasing", 10.0):  # Pillow 13 refuses to keep no bit
            assert not np.asarray(ours).any()
            continue
        theirs = auto_augment.AugmentOp(name, 1.0, magnitude, options)(picture)
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
