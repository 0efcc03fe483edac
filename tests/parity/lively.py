"""transformers' own AIMv2 modules with random weights in which every part matters.

Their initial weights (0.02) leave the residual stream nearly untouched, so that a wrong block
would hardly show. Here products keep the size of what goes in, and norms differ from one.
"""

import math
from pathlib import Path

import mlx.core as mx
import numpy as np
import torch
import transformers

from tests.support.networks import to_numpy

LARGE = {"hidden_size": 1024, "intermediate_size": 2816, "num_attention_heads": 8}
SMALL = {"hidden_size": 76, "intermediate_size": 101, "num_attention_heads": 2}
WORDS = {"hidden_size": 768, "intermediate_size": 2048, "num_attention_heads": 6}
FEW_WORDS = {"hidden_size": 44, "intermediate_size": 59, "num_attention_heads": 2}


def vision(seed: int = 0, **sizes) -> torch.nn.Module:
    config = transformers.Aimv2VisionConfig(**({"use_head": False} | sizes))
    return _filled(transformers.Aimv2VisionModel, config, seed)


def lit(image: dict, text: dict, projection: int, seed: int = 0) -> torch.nn.Module:
    config = transformers.Aimv2Config(
        vision_config=image, text_config=text, projection_dim=projection
    )
    return _filled(transformers.Aimv2Model, config, seed)


def fill(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Give every parameter its random values, by transformers' or timm's names."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(generator=generator)
            if "norm" in name:
                parameter.mul_(0.1).add_(1)
            elif name == "logit_scale":
                parameter.fill_(math.log(100))
            elif "position_emb" in name or "pos_embed" in name or parameter.ndim < 2:
                parameter.mul_(0.3)
            elif "token_embedding" not in name:
                parameter.mul_(parameter[0].numel() ** -0.5)
    return model.eval()


def _filled(kind, config, seed: int) -> torch.nn.Module:
    # eager: transformers' own text tower is bidirectional in its SDPA path where nothing is padded
    with torch.device("meta"):
        model = kind._from_config(config, attn_implementation="eager")
    model = fill(model.to_empty(device="cpu"), seed)
    for name, buffer in model.named_buffers():
        assert name.endswith("position_ids")
        buffer.copy_(torch.arange(buffer.shape[-1]).expand(buffer.shape))
    return model


def saved(model: torch.nn.Module, folder: Path) -> Path:
    """As transformers saves it: its names and its config.json."""
    model.save_pretrained(folder)
    return folder


def pixels(batch: int, height: int, width: int, seed: int = 1) -> tuple[mx.array, torch.Tensor]:
    """The same normalised images for both."""
    values = np.random.default_rng(seed).standard_normal((batch, height, width, 3), np.float32)
    return mx.array(values), torch.from_numpy(values.transpose(0, 3, 1, 2).copy())


def ids(texts: int, positions: int, vocabulary: int, seed: int = 2) -> tuple[mx.array, dict]:
    """The same ragged prompts for both; the last one fills every position."""
    rng = np.random.default_rng(seed)
    end = vocabulary - 1
    rows = np.full((texts, positions), end)
    for row in range(texts):
        length = positions - 1 if row == texts - 1 else int(rng.integers(1, positions - 1))
        rows[row, :length] = rng.integers(0, end, length)
    mask = np.ones_like(rows)  # any explicit mask makes it causal
    return mx.array(rows), {
        "input_ids": torch.from_numpy(rows),
        "attention_mask": torch.from_numpy(mask),
    }


def difference(ours: mx.array, theirs: torch.Tensor) -> float:
    expected = theirs.detach().float().numpy()
    assert tuple(ours.shape) == expected.shape
    return float(np.abs(to_numpy(ours) - expected).max())


def cosine(ours: mx.array, theirs: torch.Tensor) -> float:
    """The lowest cosine of any row."""
    one, other = to_numpy(ours).astype(np.float64), theirs.detach().double().numpy()
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return float(((one * other).sum(axis=-1) / lengths).min())
