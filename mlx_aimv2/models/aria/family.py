"""Aria as the rest of the package knows it."""

from typing import Any

from ..family import Family
from ..network import Tower
from . import cost, layouts
from .config import AriaConfig, complete_config
from .network import AriaNetwork

_BICUBIC = 3  # Pillow's number


def network(config: AriaConfig, _tower: Tower | None = None) -> AriaNetwork:
    """A network of these sizes, its weights not set yet; it has no towers of their own."""
    return AriaNetwork(config)


def processor(config: AriaConfig) -> dict[str, Any]:
    """The ``preprocessor_config.json`` of a checkpoint that came without one, as published."""
    return {
        "image_processor_type": "AriaImageProcessor",
        "processor_class": "AriaProcessor",
        "do_convert_rgb": True,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "max_image_size": max(config.sides_px),
        # In proportion, as the processor takes it without a file.
        "min_image_size": 336 * max(config.sides_px) // 980,
        "resample": _BICUBIC,
        "split_image": False,
    }


ARIA = Family(
    name="Aria",
    model_types=("aria",),
    layouts=(layouts.HUB, layouts.IN_MEMORY, layouts.RHYMES),
    complete_config=complete_config,
    network=network,
    cost=cost,
    processor=processor,
    embeds=False,
    is_large=True,
    narrow=("vision.blocks.",),
    half="bfloat16",  # as published: whether float16 holds all of it is not known
)
