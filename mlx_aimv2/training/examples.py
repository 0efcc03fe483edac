"""Training examples: batches of drawings with their regions and captions.

A batch is fixed by the run's recipe and its number alone, so a training run can be repeated.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .data_loader import load_batches
from .drawings.captions import (
    Caption,
    caption_of,
    colour_caption,
    generic_caption,
    label_caption,
    place_caption,
    truth,
)
from .drawings.nouns import COLOURS, NOUNS
from .drawings.places import PLACES
from .drawings.scene import HELD_OUT, Box, Kind, Scene, paint, plan

# Many objects a picture: each object with its box is one more example (see ``contrastive``).
_TRAINING_KINDS: dict[Kind, float] = {
    "single": 0.32,
    "counted": 0.16,
    "several": 0.48,
    "empty": 0.04,
}
_LAST_GRIDS = 0.1
_RESIZED_SHARE = 0.5
_VISIBLE_SHARE = 0.5
_GENERIC = 4
REGIONS = 4


@dataclass(frozen=True)
class View:
    """What is left to be seen of a drawing: nouns and colours with their boxes, and the place."""

    kinds: tuple[tuple[str, str], ...]
    place: str | None
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True)
class Batch:
    """Pictures, the objects in them as regions, captions, and what is true.

    A region is a set of patches; ``region_rows`` are the rows of ``region_masks``, counted
    through the batch, that hold one. Of R regions and B pictures ``truth`` says which of
    the T captions are true: first the pictures' rows, then the regions'; ``generic`` (T,) which
    captions fit anything.
    Shapes: pixels (B, S, S, 3); region_masks (B, Q, N); region_rows (R,) int32; captions (T, L)
    in UTF-8, filled up with zeros; generic (T,); truth (B + R, T). Where not said, uint8.
    """

    pixels: NDArray[np.uint8]
    region_masks: NDArray[np.uint8]
    region_rows: NDArray[np.int32]
    captions: NDArray[np.uint8]
    generic: NDArray[np.uint8]
    truth: NDArray[np.uint8]

    @property
    def texts(self) -> list[str]:
        """The captions."""
        return [bytes(row).rstrip(b"\0").decode() for row in self.captions]


@dataclass(frozen=True)
class Recipe:
    """What every batch of a run has in common. Units: side_px and patch_size in pixels.

    It begins with grids of large objects on plain paper, which teach shapes several times faster,
    and ends with every kind: the share of grids falls from 1 to ``_LAST_GRIDS`` over the first
    36% of the steps.
    """

    seed: int
    steps: int
    batch_size: int
    side_px: int
    patch_size: int


def batches(recipe: Recipe) -> Iterator[Batch]:
    """The batches of a run, each drawing in one of them, drawn ahead while the caller trains."""
    size = recipe.batch_size
    order = list(range(recipe.steps * size))
    random.Random(f"order {recipe.seed}").shuffle(order)
    steps = {order[first]: first // size for first in range(0, len(order), size)}
    made = load_batches(order, size, lambda n: vars(make_batch(recipe, steps[n[0]], n)))
    return (Batch(**arrays) for arrays in made)


def make_batch(recipe: Recipe, step: int, numbers: Sequence[int]) -> Batch:
    """Batch number ``step`` of a run, of these of its drawings."""
    rng = random.Random(f"batch {recipe.seed} {step}")
    size = recipe.batch_size
    first = recipe.seed * 100_003 * size
    grids = max(_LAST_GRIDS, 1 - 2.5 * step / recipe.steps)
    seeds = [(first + number) % HELD_OUT for number in numbers]
    seen = [_view(seed, recipe.side_px, grids, rng) for seed in seeds]
    views = [view for _, view in seen]
    masks = np.ones((size, REGIONS, (recipe.side_px // recipe.patch_size) ** 2), np.uint8)
    rows, regions = [], []
    for picture, view in enumerate(views):
        objects = list(zip(view.kinds, view.boxes, strict=True))
        for slot, (kind, box) in enumerate(rng.sample(objects, min(len(objects), REGIONS))):
            masks[picture, slot] = patches_of(box, recipe.side_px, recipe.patch_size)
            rows.append(picture * REGIONS + slot)
            regions.append(View((kind,), view.place))
    captions = _captions(views, regions, rng)
    texts = np.array([caption.text.encode() for caption in captions])
    return Batch(
        pixels=np.stack([pixels for pixels, _ in seen]),
        region_masks=masks,
        region_rows=np.array(rows, np.int32),
        captions=texts.view(np.uint8).reshape(len(texts), -1),
        generic=np.array([caption.generic for caption in captions], np.uint8),
        truth=truth([*views, *regions], captions).astype(np.uint8),
    )


def fit_view(image: Image.Image, view: View, side_px: int) -> tuple[Image.Image, View]:
    """The picture as a checkpoint sees it: shortest side to ``side_px``, centre cropped.

    Objects of which less than half is left are no longer claimed.
    """
    scale = side_px / min(image.size)
    width, height = max(side_px, int(image.width * scale)), max(side_px, int(image.height * scale))
    left, top = (width - side_px) // 2, (height - side_px) // 2
    resized = image.resize((width, height), Image.Resampling.BICUBIC)
    kept = []
    for kind, box in zip(view.kinds, view.boxes, strict=True):
        whole = [edge * scale - shift for edge, shift in zip(box, (left, top) * 2, strict=True)]
        x0, y0, x1, y1 = (round(min(side_px, max(0.0, edge))) for edge in whole)
        area = (whole[2] - whole[0]) * (whole[3] - whole[1])
        if (x1 - x0) * (y1 - y0) >= _VISIBLE_SHARE * area:
            kept.append((kind, (x0, y0, x1, y1)))
    cropped = resized.crop((left, top, left + side_px, top + side_px))
    return cropped, View(tuple(k for k, _ in kept), view.place, tuple(b for _, b in kept))


def patches_of(box: Box, side_px: int, patch_size: int) -> NDArray[np.bool_]:
    """Which patches a box covers by at least a quarter of their side, never none."""
    grid = side_px // patch_size
    margin = patch_size // 4
    left, top = (min(grid - 1, (edge + margin) // patch_size) for edge in box[:2])
    right, bottom = (-(-(edge - margin) // patch_size) for edge in box[2:])
    mask = np.zeros((grid, grid), bool)
    mask[top : max(bottom, top + 1), left : max(right, left + 1)] = True
    return mask.reshape(-1)


def _view(
    seed: int, side_px: int, grids: float, rng: random.Random
) -> tuple[NDArray[np.uint8], View]:
    kind = rng.choices(list(_TRAINING_KINDS), list(_TRAINING_KINDS.values()))[0]
    if rng.random() < grids:
        kind = "grid"
    if kind == "grid" or rng.random() >= _RESIZED_SHARE:
        scene = plan(seed, kind=kind)
        image, boxes = paint(scene, side_px, side_px)
        return np.asarray(image), _seen(scene, boxes)
    width, height = (round(side_px * rng.uniform(1.0, 1.34)) for _ in range(2))
    scene = plan(seed, kind=kind, aspect=width / height)
    image, boxes = paint(scene, width, height)
    fitted, view = fit_view(image, _seen(scene, boxes), side_px)
    return np.asarray(fitted), view


def _seen(scene: Scene, boxes: list[Box]) -> View:
    return View(scene.kinds, scene.place, tuple(boxes))


def _captions(views: list[View], regions: list[View], rng: random.Random) -> list[Caption]:
    captions = [caption_of(view, rng) for view in views]
    captions += [caption_of(region, rng) for region in regions[: len(views)]]
    captions += [label_caption(noun, rng) for noun in NOUNS]
    captions += [colour_caption(colour, rng) for colour in COLOURS]
    captions += [place_caption(place, rng) for place in [*PLACES, None]]
    captions += [generic_caption(rng) for _ in range(_GENERIC)]
    return list({caption.text: caption for caption in captions}.values())
