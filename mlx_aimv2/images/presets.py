"""How pixels are made for a checkpoint: presets, and what its own file says."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mlx_aimv2.errors import CheckpointError, UsageError
from mlx_aimv2.files.paths import printable

Triple = tuple[float, float, float]
AriaSplit = Literal["rhymes", "transformers"]
"""How a picture is cut into tiles: as Rhymes AI's own code does, or as transformers does."""

CLIP_MEAN: Triple = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Triple = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preset:
    """How pixels are made for a fixed side S; embeddings of two presets do not compare.

    The shortest side goes to ceil(S / ``crop_fraction``), then the centre is cropped. Half a pixel
    of margin is rounded down, or with ``half_to_even`` to the even neighbour.
    """

    name: str
    mean: Triple
    std: Triple
    crop_fraction: float
    half_to_even: bool = False


# Source: the Hub's preprocessor_config.json as transformers' CLIPImageProcessorPil reads it;
# ml-aim's val_transforms, in which torchvision's CenterCrop rounds halves to even.
PRESETS = {
    preset.name: preset
    for preset in (
        Preset("hub", CLIP_MEAN, CLIP_STD, 1.0),
        Preset("ml-aim", IMAGENET_MEAN, IMAGENET_STD, 0.875, half_to_even=True),
    )
}

# What preprocessor_config.json may say of the rest: bicubic, to 0..1, normalised.
_MADE_HERE = {
    "resample": 3,
    "rescale_factor": 1 / 255,
    "do_rescale": True,
    "do_normalize": True,
    "do_convert_rgb": True,
}


def read_preset(folder: Path, name: str) -> Preset:
    """The preset of that name; ``hub`` takes its numbers from the checkpoint's own file.

    Errors: UsageError for another name, CheckpointError for a file that makes no sense or asks
    for pixels that are not made here.
    """
    if name not in PRESETS:
        raise UsageError(f"there is no preset {name}", hint=f"one of: {', '.join(PRESETS)}")
    preset = PRESETS[name]
    if name != "hub":
        return preset
    with read_preprocessor(folder, (preset.mean, preset.std)) as (config, mean, std):
        crop_fraction = _crop_fraction(config, preset)
    return replace(preset, mean=mean, std=std, crop_fraction=crop_fraction)


@contextmanager
def read_preprocessor(
    folder: Path, statistics: tuple[Triple, Triple]
) -> Iterator[tuple[dict[str, Any], Triple, Triple]]:
    """A checkpoint's preprocessor_config.json, empty if there is none, and its mean and deviation.

    ``statistics`` stand for those that the file does not say.
    Errors: CheckpointError for a file that makes no sense or asks for pixels that are not made
    here, also where what is done with it raises a ValueError or its like.
    """
    import json  # noqa: PLC0415  (help knows limits and presets, and no files)

    from mlx_aimv2.files.checkpoint_files import PREPROCESSOR_FILE  # noqa: PLC0415
    from mlx_aimv2.files.file_diagnosis import unfit  # noqa: PLC0415

    file = folder / PREPROCESSOR_FILE
    try:
        config = json.loads(file.read_bytes()) if file.is_file() else {}
    except (OSError, ValueError, RecursionError) as error:
        raise unfit(file, "readable JSON", error) from error
    try:
        mean = _triple(config.get("image_mean", statistics[0]))
        std = _triple(config.get("image_std", statistics[1]))
        if min(std) <= 0:
            raise ValueError("image_std must be positive")
        yield config, mean, std
        for key, made in _MADE_HERE.items():
            if config.get(key, made) != made:
                raise ValueError(f"{key} is {config[key]!r}, and only {made!r} is made here")
    except (ValueError, TypeError, AttributeError, ArithmeticError, LookupError) as error:
        raise CheckpointError(
            f"{printable(file)} cannot be used: {error}", hint="fetch it again, or remove it"
        ) from error


def _crop_fraction(config: dict[str, Any], preset: Preset) -> float:
    # A file may resize to 256 and crop 224; the sides themselves follow the checkpoint's.
    size, crop = config.get("size"), config.get("crop_size")
    if not isinstance(size, dict) or not isinstance(crop, dict) or "shortest_edge" not in size:
        return preset.crop_fraction
    fraction = float(crop["height"]) / float(size["shortest_edge"])
    if crop["height"] != crop["width"] or not 0 < fraction <= 1:
        raise ValueError(f"crop_size {crop} does not fit size {size}")
    return fraction


def _triple(values: Any) -> Triple:
    red, green, blue = (float(value) for value in values)
    if not all(map(math.isfinite, (red, green, blue))):
        raise ValueError("a value is not finite")
    return red, green, blue
