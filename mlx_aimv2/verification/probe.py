"""What a checkpoint is asked: generated pictures and ids, the same on every machine."""

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.images.decode import PRESETS
from mlx_aimv2.models.aimv2.config import TextConfig, VisionConfig

from .pictures import noise, picture

_TOKENS = 1024  # of pictures, about; one large picture holds as many
_NATIVE_GRID = (12, 20)  # rows and columns, different, and within the published range
_TEXTS = 4
SUMS = 8


def pixels(config: VisionConfig) -> NDArray[np.float32]:
    """Pictures as the encoder takes them. Shapes: (B, H, W, C), normalised."""
    rows, columns = _NATIVE_GRID if config.is_native else (config.grid_side, config.grid_side)
    height, width = rows * config.patch_size, columns * config.patch_size
    count = min(4, max(1, _TOKENS // (rows * columns)))
    drawn = np.stack([picture(width, height, turn) for turn in range(count)])
    preset = PRESETS["hub"]
    mean, std = np.array(preset.mean, np.float32), np.array(preset.std, np.float32)
    values = (drawn.astype(np.float32) / 255 - mean) / std
    return np.resize(values, (*values.shape[:3], config.num_channels))


def ids(config: TextConfig) -> NDArray[np.int32]:
    """Texts of different lengths, one of which fills every position. Shapes: (B, N)."""
    length = config.max_position_embeddings
    rows = np.full((_TEXTS, length), config.eos_token_id, np.int32)
    words = noise(2 * rows.size, "words").view("<u2").reshape(rows.shape).astype(np.int32)
    words = words % config.vocab_size
    words[words == config.eos_token_id] = 0
    for text in range(_TEXTS):
        room = (length - 1) * (text + 1) // _TEXTS
        rows[text, :room] = words[text, :room]
    return rows


def sums(states: NDArray[np.float32]) -> list[float]:
    """Numbers that change where any channel does. Shapes: (..., D) -> (8,).

    The mean state, each channel added or taken away by a fixed rule.
    """
    flat = states.reshape(-1, states.shape[-1])
    signs = noise(SUMS * flat.shape[1], "signs").reshape(SUMS, -1) % 2 * 2.0 - 1
    return [float(total) for total in signs @ flat.mean(axis=0, dtype=np.float64)]
