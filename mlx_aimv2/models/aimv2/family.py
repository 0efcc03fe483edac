"""AIMv2 as the rest of the package knows it."""

from typing import Any

from mlx_aimv2.images.presets import PRESETS

from ..family import Family
from ..network import EmbeddingNetwork, Tower
from . import cost, layouts
from .config import LiTConfig, VisionConfig, complete_config
from .lit import LiT
from .vision import VisionEncoder

_BICUBIC = 3  # Pillow's number


def network(config: VisionConfig | LiTConfig, tower: Tower | None = None) -> EmbeddingNetwork:
    """A vision encoder or a LiT, or one tower of it, its weights not set yet."""
    if isinstance(config, VisionConfig):
        return VisionEncoder(config)
    return LiT(config, ("image", "text") if tower is None else (tower,))


def processor(config: VisionConfig | LiTConfig) -> dict[str, Any]:
    """The ``preprocessor_config.json`` of a checkpoint that came without one, as published."""
    vision, preset = config.vision_config, PRESETS["hub"]
    fixed = {
        "do_resize": True,
        "size": {"shortest_edge": vision.image_size},
        "resample": _BICUBIC,
        "do_center_crop": True,
        "crop_size": {"height": vision.image_size, "width": vision.image_size},
    }
    native = {"do_resize": False, "do_center_crop": False}
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        **(native if vision.is_native else fixed),
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": preset.mean,
        "image_std": preset.std,
    }


AIMV2 = Family(
    name="AIMv2",
    model_types=("aimv2", "aimv2_vision_model"),
    layouts=(layouts.APPLE, layouts.TRANSFORMERS, layouts.TIMM),
    written={layouts.TO_TRANSFORMERS.name: layouts.TO_TRANSFORMERS},
    complete_config=complete_config,
    network=network,
    cost=cost,
    processor=processor,
    towers={"image": "image_", "text": "text_"},
    float32=("log_logit_scale",),  # in float16 its rounding alone would move a logit by 0.03
    foreign={".mlp.fc13.": "an Ovis2 tower (stacked fc13, no final norm)"},
)
