"""A made-up family of networks: a convolution, a gated product, and a few experts.

Its tensors are written as other families write theirs: torch's convolution, a product that is cut
in two, experts one by one, a tensor that nobody needs.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import mlx.core as mx
import numpy as np
from mlx import nn
from safetensors.numpy import save_file

from mlx_aimv2.models.aimv2.config import VisionConfig
from mlx_aimv2.models.family import Family, Parameters
from mlx_aimv2.models.layout import Layout, Rule
from mlx_aimv2.models.network import ImageEncoder, Tower
from mlx_aimv2.models.stated_values import Shapes
from tests.support.makers import Tensors

WIDTH, PATCH, SIDE, EXPERTS = 32, 7, 35, 3


@dataclass(frozen=True)
class ToyConfig(VisionConfig):
    model_type: ClassVar[str] = "toy"

    def to_dict(self) -> dict[str, Any]:
        return {"model_type": self.model_type} | asdict(self)


class ToyEncoder(ImageEncoder):
    def __init__(self, config: ToyConfig, tower: Tower | None = None) -> None:
        super().__init__()
        self.config = config
        side, width = config.patch_size, config.hidden_size
        self.patches = nn.Conv2d(config.num_channels, width, side, stride=side)
        self.gate = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, width, bias=False)
        self.experts = mx.zeros((EXPERTS, width, width))

    def features(self, pixels_nhwc: mx.array) -> mx.array:
        self.check(pixels_nhwc)
        x = self.patches(pixels_nhwc.astype(self.patches.weight.dtype)).flatten(1, 2)
        x = nn.silu(self.gate(x)) * self.up(x)
        return x @ self.experts.sum(axis=0)


def complete_config(shapes: Shapes, stated: Mapping[str, Any]) -> ToyConfig:
    width, patch_size, _, channels = shapes["patches.weight"]
    return ToyConfig(width, width, 1, 1, stated["image_size"], patch_size, channels)


class _Cost:
    def parameters(self, config: ToyConfig) -> Parameters:
        width = config.hidden_size
        return Parameters((config.patch_width + 1) * width + (2 + EXPERTS) * width**2)

    def architecture_name(self, vision: ToyConfig) -> str:
        return "toy"

    def image_flops(self, config: ToyConfig, tokens: int) -> int:
        return 2 * tokens * self.parameters(config).total

    def text_flops(self, config: ToyConfig) -> int:
        return 0

    def batch_bytes(
        self, vision: ToyConfig, tokens: int, images: int, item_bytes: int, *, is_fused: bool
    ) -> int:
        return images * tokens * vision.hidden_size * item_bytes


TOY = Family(
    name="toy",
    model_types=("toy",),
    layouts=(
        Layout(
            "toy",
            (
                Rule("conv.weight", "patches.weight", (0, 2, 3, 1)),
                Rule("conv.bias", "patches.bias"),
                Rule("fused.weight", ("gate.weight", "up.weight"), (1, 0)),
                Rule("experts.*.weight", "experts", (0, 2, 1)),
                Rule("rotary.*.frequencies"),
            ),
        ),
    ),
    complete_config=complete_config,
    network=ToyEncoder,
    cost=_Cost(),
    processor=lambda config: {"image_processor_type": "ToyProcessor"},
)


def toy_tensors(seed: int = 0) -> Tensors:
    """Weights as the toy's publisher writes them."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    return {
        "conv.weight": normal(WIDTH, 3, PATCH, PATCH) / 12,
        "conv.bias": normal(WIDTH),
        "fused.weight": normal(WIDTH, 2 * WIDTH) / 5,
        **{f"experts.{number}.weight": normal(WIDTH, WIDTH) / 5 for number in range(EXPERTS)},
        "rotary.0.frequencies": normal(5),
    }


def write_toy(folder: Path, tensors: Tensors | None = None) -> Path:
    """A checkpoint of the toy family, as it is published."""
    folder.mkdir(exist_ok=True)
    save_file(toy_tensors() if tensors is None else tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "toy", "image_size": SIDE}))
    return folder
