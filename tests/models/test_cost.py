"""Parameters, FLOPs and memory of configurations, against tables, networks and MLX's own count."""

from dataclasses import replace

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten

from mlx_aimv2.models.aimv2 import cost
from mlx_aimv2.models.aimv2.config import LiTConfig, TextConfig, VisionConfig
from mlx_aimv2.models.aimv2.published import CHECKPOINTS, find
from mlx_aimv2.models.aimv2.vision import VisionEncoder
from mlx_aimv2.models.network import Config
from mlx_aimv2.models.registry import build
from tests.support.counted import graph_bytes

VISION = VisionConfig(76, 101, 3, 2, image_size=35, patch_size=7)
TEXT = TextConfig(97, 44, 59, 2, 2, 13, eos_token_id=96)
CONFIGS = {
    "fixed": VISION,
    "native": replace(VISION, image_size=None, is_native=True),
    "head": replace(VISION, use_head=True),
    "lit": LiTConfig(replace(VISION, use_head=True), TEXT, projection_dim=37),
}

# Source: the formula 2lN(4d² + 3dm) + 4lN²d + 2N·588·d, worked out by hand for the paper's sizes.
GIGAFLOPS = {
    "L": {256: 165, 576: 388, 1024: 736, 4096: 4180},
    "H": {256: 358, 576: 833, 1024: 1548, 4096: 8048},
    "1B": {256: 645, 576: 1487, 1024: 2734, 4096: 13410},
    "3B": {256: 1412, 576: 3231, 1024: 5879, 4096: 27228},
}
PUBLISHED_PARAMETERS = {"large": 309_197_824, "native": 308_935_680, "lit": 436_680_193}
PUBLISHED_GIGABYTES = {"large": 1.24, "huge": 2.72, "1B": 4.94, "3B": 10.9, "lit": 1.75}
FIRST_OF = {"L": "large", "H": "huge", "1B": "1B", "3B": "3B"}
MEMORY_FACTOR = 4 / 3  # the estimate promises "to within a third"
MOST_AHEAD = 10  # operations that MLX begins before those ahead of them are done, on a CPU


def config_of(alias: str) -> Config:
    checkpoint = find(alias)
    assert checkpoint is not None
    return cost.published_config(checkpoint)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_parameters_are_those_of_the_network(config: Config) -> None:
    counted = cost.parameters(config)
    arrays = tree_flatten(build(config).parameters())
    assert counted.total == sum(array.size for _, array in arrays)
    if isinstance(config, LiTConfig):
        for tower, count in (("image", counted.image), ("text", counted.text)):
            assert count == sum(a.size for name, a in arrays if name.startswith(f"{tower}_encoder"))


@pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=lambda checkpoint: checkpoint.alias)
def test_published_configs_agree_with_the_table(checkpoint) -> None:
    config = cost.published_config(checkpoint)
    assert cost.architecture_name(config.vision_config) == checkpoint.architecture
    assert isinstance(config, LiTConfig) == checkpoint.has_text


@pytest.mark.parametrize(("alias", "parameters"), PUBLISHED_PARAMETERS.items())
def test_parameters_are_the_published_ones(alias: str, parameters: int) -> None:
    assert cost.parameters(config_of(alias)).total == parameters


@pytest.mark.parametrize(("alias", "gigabytes"), PUBLISHED_GIGABYTES.items())
def test_sizes_are_the_published_ones(alias: str, gigabytes: float) -> None:
    checkpoint = find(alias)
    assert checkpoint is not None
    assert cost.published_bytes(checkpoint) / 1e9 == pytest.approx(gigabytes, rel=5e-3)


def test_other_sizes_are_custom() -> None:
    large = config_of("large").vision_config
    assert cost.architecture_name(VISION) == "custom"
    assert cost.architecture_name(replace(large, num_hidden_layers=12)) == "custom"


@pytest.mark.parametrize("architecture", GIGAFLOPS)
def test_flops_of_images(architecture: str) -> None:
    config = config_of(FIRST_OF[architecture])
    for tokens, gigaflops in GIGAFLOPS[architecture].items():
        assert cost.image_flops(config, tokens) / 1e9 == pytest.approx(gigaflops, abs=0.5)


def test_flops_of_a_lit() -> None:
    lit, large = config_of("lit"), config_of("large")
    assert isinstance(lit, LiTConfig)
    assert cost.text_flops(lit) / 1e9 == pytest.approx(13.3, abs=0.05)
    added = cost.image_flops(lit, 256) - cost.image_flops(large, 256)
    keys_and_values, query, linear = 4 * 256 * 1024**2, 4 * 256 * 1024, 2 * 1024**2
    assert added == keys_and_values + query + linear + 2 * 1024 * 768


@pytest.mark.parametrize(("side_px", "images"), [(112, 7), (224, 3), (448, 1), (896, 1)])
def test_memory_of_a_batch(side_px: int, images: int) -> None:
    if mx.default_device().type != mx.DeviceType.cpu:
        pytest.skip("needs a CPU as the default device")
    config = VisionConfig(256, 704, 5, 2, image_size=side_px)
    encoder = VisionEncoder(config)
    pixels = mx.zeros((images, side_px, side_px, 3))
    mx.eval(encoder.parameters(), pixels)
    estimate = cost.batch_bytes(config, config.grid_side**2, images, 4, is_fused=False)
    one_by_one, far_ahead = (
        graph_bytes(encoder.features, pixels, ahead=ahead) for ahead in (0, MOST_AHEAD)
    )
    assert one_by_one < estimate < far_ahead * MEMORY_FACTOR
    fused = cost.batch_bytes(config, config.grid_side**2, images, 2, is_fused=True)
    assert fused < estimate / 2
