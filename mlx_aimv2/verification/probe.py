"""What a checkpoint is asked: generated pictures and ids, the same on every machine."""

import hashlib

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.images.presets import PRESETS
from mlx_aimv2.models.aimv2.config import TextConfig, VisionConfig

Pixels = NDArray[np.uint8]

_TOKENS = 1024  # of pictures, about; one large picture holds as many
_NATIVE_GRID = (12, 20)  # rows and columns, different, and within the published range
_TEXTS = 4
SUMS = 8


def noise(count: int, name: str) -> Pixels:
    """So many bytes that look random and are always the same for a name. Shapes: (count,)."""
    return np.frombuffer(hashlib.shake_256(name.encode()).digest(count), np.uint8)


def picture(width_px: int, height_px: int, turn: int = 0) -> Pixels:
    """Four quarters, turned ``turn`` steps: slopes, noise, stripes, one grey.

    Shapes: (H, W, 3) uint8.
    """
    rows, columns = np.indices((height_px, width_px))
    slopes = np.stack(
        [columns * 255 // width_px, rows * 255 // height_px, (rows + columns) % 256], axis=-1
    )
    grains = noise(height_px * width_px * 3, "grains").reshape(slopes.shape)
    stripes = np.broadcast_to(((columns // 3 + rows // 5) % 2 * 255)[..., None], slopes.shape)
    kinds = [slopes, grains, stripes, np.full_like(slopes, 93)]
    quarter = (rows * 2 // height_px * 2 + columns * 2 // width_px + turn) % len(kinds)
    drawn = np.select([(quarter == k)[..., None] for k in range(len(kinds))], kinds)
    return np.ascontiguousarray(drawn, np.uint8)


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
