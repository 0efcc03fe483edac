"""Crops beside torchvision's own: its boxes for the numbers it is given, and its pixels.

Its transforms are Python alone: they are imported without the package around them, which loads
only beside the torch that it was built with.
"""

import importlib
import math
import sys
import types
from collections.abc import Iterator
from importlib.machinery import PathFinder
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mlx_aimv2.images.presets import PRESETS
from mlx_aimv2.training.data.crop import TRIES, random_crop
from mlx_aimv2.training.data.view import DRAWS, View

torch = pytest.importorskip("torch", reason="needs torch")

VIEW = View(PRESETS["ml-aim"], 112)


@pytest.fixture(scope="module")
def transforms() -> Iterator[Any]:
    """``torchvision.transforms.transforms``."""
    spec = PathFinder.find_spec("torchvision")
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip("needs torchvision")
    before = {name: module for name, module in sys.modules.items() if _is_its(name)}
    package = types.ModuleType("torchvision")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["torchvision"] = package
    yield importlib.import_module("torchvision.transforms.transforms")
    for name in filter(_is_its, list(sys.modules)):
        del sys.modules[name]
    sys.modules.update(before)


def _is_its(name: str) -> bool:
    return name.partition(".")[0] == "torchvision"


class Given:
    """torch's random numbers for one crop: two to a try, and two more if it fits."""

    def __init__(self, draws: NDArray[np.float64]) -> None:
        self._tries = iter(draws.tolist())
        self._left: list[float] = []

    def empty(self, _: int) -> "Given":
        return self

    def uniform_(self, low: float, high: float) -> Any:
        if len(self._left) <= 2:
            self._left = next(self._tries)
        span = float(low), float(high)  # tensors, of a ratio's logarithm
        return torch.tensor(span[0] + (span[1] - span[0]) * self._left.pop(0), dtype=torch.float64)

    def randint(self, low: int, high: int, *, size: tuple[int]) -> Any:
        return torch.tensor([low + math.floor(self._left.pop(0) * (high - low))])


def their_crop(
    transforms: Any, image: Image.Image, draws: NDArray[np.float64], patch: pytest.MonkeyPatch
) -> tuple[int, int, int, int]:
    given = Given(draws)
    with patch.context() as given_to:
        given_to.setattr(transforms.torch, "empty", given.empty)
        given_to.setattr(transforms.torch, "randint", given.randint)
        get_params = transforms.RandomResizedCrop.get_params
        return get_params(image, list(VIEW.scale), list(VIEW.ratio))


@pytest.mark.parametrize("size", [(640, 480), (97, 211), (1, 1), (3, 701), (701, 3), (31, 29)])
def test_boxes(transforms: Any, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    image, rng = Image.new("RGB", size), np.random.default_rng(7)
    for _ in range(211):
        draws = rng.random((TRIES, 4))
        top, left, height, width = their_crop(transforms, image, draws, monkeypatch)
        box = random_crop(*size, draws, VIEW.scale, VIEW.ratio)
        assert box == (left, top, left + width, top + height)


def test_pixels(transforms: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    normal = transforms.Normalize(VIEW.preset.mean, VIEW.preset.std)
    for _ in range(13):
        shape = (*rng.integers(50, 400, 2), 3)
        image = Image.fromarray(rng.integers(0, 256, shape, np.uint8))
        draws = rng.random(DRAWS)
        crop = their_crop(transforms, image, draws[1:].reshape(TRIES, 4), monkeypatch)
        bicubic = transforms.InterpolationMode.BICUBIC
        theirs = transforms.F.resized_crop(image, *crop, (112, 112), bicubic)
        if draws[0] < VIEW.flip:
            theirs = transforms.F.hflip(theirs)
        scaled = torch.from_numpy(np.array(theirs)).permute(2, 0, 1).float().div(255)
        expected = normal(scaled).permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(VIEW.pixels(image, draws), expected)
