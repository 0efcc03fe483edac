"""Settings that are known to belong together, a table a stage, each with its source."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlx_aimv2.models.aimv2.published import ARCHITECTURES, NUM_BLOCKS

from .settings import Stage


@dataclass(frozen=True)
class Preset:
    """Values of settings, and where they come from; what is not in them has its default."""

    values: Mapping[str, Any]
    source: str


_TABLE_A1 = (
    "AIMv2 paper, table A1; decoder, epsilon and first rate: apple/ml-l3m, "
    "configs/aimv2/001_aimv2_hfdata.yaml"
)
_PEAKS = {"L": 1e-3, "H": 8e-4, "1B": 8e-4, "3B": 4e-4}
_PRETRAINING = {
    "steps": 1_500_000,
    "batch_size": 8192,
    "warm_up_steps": 12_500,
    "first_rate": 1e-6,
    "last_rate": 1e-5,
    "beta1": 0.9,
    "beta2": 0.95,
    "epsilon": 1e-8,
    "weight_decay": 1e-4,
    "clip_norm": 1.0,
    "pixel_weight": 0.4,
    "caption_tokens": 77,
    "decoder_width": 1024,
    "decoder_mlp_width": 2816,
    "decoder_blocks": 12,
    "decoder_heads": 8,
    "tokenizer": "lit",  # the paper's, SigLIP's of 32,000 ids, is not published with the encoders
    "checkpoint_every": 5000,
}
_SIZES = {
    name: {
        "width": each.hidden_size,
        "mlp_width": each.intermediate_size,
        "blocks": NUM_BLOCKS,
        "heads": each.num_attention_heads,
    }
    for name, each in ARCHITECTURES.items()
}
_OF_EACH: dict[str, dict[str, Any]] = {
    name: _PRETRAINING | _SIZES[name] | {"preset": name, "peak_rate": peak}
    for name, peak in _PEAKS.items()
}

_LATER = "AIMv2 paper, section 2.4: {}; rates, warm-up and batch are not published and chosen here"
_HIGH_RESOLUTION = {
    "side_px": 336,
    "steps": 244_000,  # 2 G pairs of 8192 a step
    "peak_rate": 1e-4,
    "warm_up_steps": 1000,
    "weight_decay": 0.0,
}
_NATIVE = {
    "steps": 244_000,
    "peak_rate": 1e-4,
    "warm_up_steps": 1000,
    "weight_decay": 0.0,
    "batch_tokens": 2_097_152,  # as many as 8192 images of 224 px have
}
_LIT = {
    "preset": "L",
    "steps": 100_000,
    "batch_size": 16_384,
    "peak_rate": 1e-3,
    "warm_up_steps": 3000,
    "projection": 768,
    "text_width": 768,
    "text_mlp_width": 2048,
    "text_blocks": 12,
    "text_heads": 6,
    "caption_tokens": 77,
    "tokenizer": "lit",
}
_PROBE = {
    "peak_rate": 1e-3,
    "last_rate": 1e-5,
    "beta2": 0.999,
    "weight_decay": 0.1,
    "clip_norm": 3.0,
}
_TOY = "this project: minutes on two processor cores, with drawings"
_TOY_ENCODER = {"steps": 600, "batch_size": 32, "warm_up_steps": 60, "checkpoint_every": 100}

PRESETS: dict[Stage, dict[str, Preset]] = {
    "pretraining": {
        **{name: Preset({"side_px": 224} | of, _TABLE_A1) for name, of in _OF_EACH.items()},
        "toy": Preset(_TOY_ENCODER, _TOY),
    },
    "high-resolution": {
        **{
            name: Preset(
                of | _HIGH_RESOLUTION,
                _LATER.format("336 px, 2 G pairs, weight decay 0"),
            )
            for name, of in _OF_EACH.items()
        },
        "toy": Preset(
            _TOY_ENCODER | {"steps": 200, "warm_up_steps": 20, "peak_rate": 1e-4}
            | {"batch_size": 16, "weight_decay": 0.0}, _TOY
        ),
    },
    "native": {
        **{
            name: Preset(
                {key: value for key, value in of.items() if key != "batch_size"} | _NATIVE,
                _LATER.format("areas of 2 to the power 7 to 12 patches, tokens a batch constant"),
            )
            for name, of in _OF_EACH.items()
        },
        "toy": Preset(
            {"steps": 200, "warm_up_steps": 20, "peak_rate": 1e-4, "weight_decay": 0.0}
            | {"batch_tokens": 1024, "least_log2_area": 5.0, "most_log2_area": 7.0}
            | {"checkpoint_every": 100}, _TOY
        ),
    },
    "lit": {
        "L": Preset(
            _LIT,
            "text tower and widths: config.json of aimv2-large-patch14-224-lit; AIMv2 paper, "
            "section 4.1; rates, warm-up, batch and length are not published and chosen here",
        ),
        "toy": Preset(
            {"steps": 600, "batch_size": 32, "warm_up_steps": 60, "checkpoint_every": 100}, _TOY
        ),
    },
    "probe": {
        "imagenet": Preset(
            _PROBE | {"preset": "imagenet", "batch_size": 1024, "steps": 125_100}
            | {"warm_up_steps": 6255},
            "AIMv2 paper, table A2: 100 epochs, 5 of warm-up, of 1,281,167 images",
        ),
        "other": Preset(
            _PROBE | {"preset": "other", "batch_size": 512, "warm_up_steps": 0},
            "AIMv2 paper, table A2: 100 epochs without warm-up; set steps to 100 · images / 512",
        ),
        "toy": Preset(
            _PROBE | {"steps": 300, "batch_size": 32, "checkpoint_every": 100}
            | {"augment": False}, _TOY
        ),
    },
}  # fmt: skip
