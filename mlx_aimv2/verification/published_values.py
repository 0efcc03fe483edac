"""Published weights held against what others computed with them, in their own tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.inference import model
from mlx_aimv2.models.aimv2.published import Checkpoint

from .check import PUBLISHED, Check, judged, skipped

PICTURE_VARIABLE = "AIMV2_COCO_PICTURE"  # names COCO val2017 000000039769.jpg
PICTURE = "COCO val2017 000000039769.jpg"
PICTURE_PX = (640, 480)

# First four columns of rows 0 to 6 of the features of that picture, by alias.
# Source: transformers 5.23, tests/models/aimv2/test_modeling_aimv2.py.
FEATURES = {
    "large": [
        [0.0510, 0.0806, -0.0990, -0.0154],
        [2.7850, -2.5143, -0.3320, 2.4196],
        [2.8179, -2.4089, -0.2770, 2.3218],
        [2.7641, -2.4114, -0.3684, 2.2998],
        [2.7972, -2.3180, -0.4490, 2.2302],
        [2.8584, -2.5322, -0.2302, 2.4936],
        [-2.7849, 2.4121, 1.3670, -1.5514],
    ],
    "native": [
        [-1.3342, 0.3720, 0.0963, 0.4159],
        [-1.5328, 0.4677, 0.0936, 0.4321],
        [-0.3775, -0.2758, -0.0803, -0.5367],
        [-1.3877, 0.5561, -1.9064, -1.1766],
        [-0.5148, 0.0108, -0.4515, -0.6402],
        [-0.3400, -0.1711, -0.1855, -0.4219],
        [-1.2877, -0.0585, -0.1646, 0.7420],
    ],
}
# Of the logits of the same picture, two cats on a sofa. transformers' tests say 33.3550 and
# 26.4255, but both prompts are equally long, where its text tower is not causal: only the order
# and the distance can be expected of a causal one.
CAT, DOG, CAT_ABOVE_DOG = "a photo of a cat", "a photo of a dog", 3.0

_HINT = "fetch the checkpoint again"


def picture() -> Path | None:
    """The picture, where the environment names it."""
    path = os.environ.get(PICTURE_VARIABLE)
    return Path(path) if path else None


def published_values(checkpoint: Checkpoint) -> Iterator[Check]:
    """The expected values that others published, where the weights and the picture are here."""
    alias = checkpoint.alias
    if alias not in FEATURES and not checkpoint.has_text:
        return
    file = picture()
    if file is None:
        yield skipped(
            "published values", f"{PICTURE_VARIABLE}=FILE in the environment gives {PICTURE}"
        )
        return
    try:
        with Image.open(file) as opened:
            size = opened.size
        if size != PICTURE_PX:
            raise OSError(f"it has {size[0]}×{size[1]} pixels, not 640×480")
        yield _expected_logits(file) if checkpoint.has_text else _expected_features(alias, file)
    except (OSError, Aimv2Error) as error:
        yield judged("published values", False, f"{file}: {error}", f"give {PICTURE}")


def _expected_features(alias: str, file: Path) -> Check:
    encoder = model.load(alias, dtype="float32")
    features = np.array(encoder.vision(encoder.preprocess(file)[None]))
    expected = np.array(FEATURES[alias])
    rows, columns = expected.shape
    far = float(np.abs(features[0, :rows, :columns] - expected).max())
    detail = f"{expected.size} features of transformers' tests within {far:.0e} ({PUBLISHED:.0e})"
    return judged("published values", far <= PUBLISHED, detail, _HINT)


def _expected_logits(file: Path) -> Check:
    lit = model.load("lit", dtype="float32")
    logits = lit(images=file, texts=[CAT, DOG]).logits_per_image
    cat, dog = np.array(logits)[0]
    is_right = 100 > cat > dog + CAT_ABOVE_DOG
    detail = f"two cats are a cat ({cat:.1f}) rather than a dog ({dog:.1f})"
    return judged("published values", is_right, detail, _HINT)
