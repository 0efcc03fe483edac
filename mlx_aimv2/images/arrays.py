"""Arrays of any kind of number to 8-bit pictures."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlx_aimv2.errors import ImageError

_CHANNELS = {1, 3, 4}
_ARRAY_HINT = "give uint8 from 0 to 255 (array.astype('uint8')), or floats from 0 to 1"


def to_8_bits(values: NDArray[Any], most: int = 65535) -> NDArray[np.uint8]:
    """Values of 16 bits or less as 8-bit ones, rounded: the highest becomes 255."""
    scale = np.minimum(np.rint(np.arange(65536) * (255 / most)), 255)
    return scale.astype(np.uint8)[values]


def stretch(values: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """(H, W) -> (H, W): the lowest finite value becomes 0 and the highest 255."""
    finite = np.isfinite(values)
    if not finite.any():
        raise ImageError(f"{name} has no finite value", hint="look at how it was written")
    first = values.flat[finite.argmax()]
    low = float(values.min(where=finite, initial=first))
    high = float(values.max(where=finite, initial=first))
    scale = 255 / (high - low) if high > low else 0.0
    grey = np.empty(values.shape, np.uint8)
    for row, out in zip(values, grey, strict=True):  # float64 for a row at a time
        with np.errstate(invalid="ignore"):  # of the NaN that signal
            plain = np.nan_to_num(row.astype(np.float64), nan=low, posinf=high, neginf=low)
        out[:] = np.rint((plain - low) * scale)
    return grey


def array_to_image(array: NDArray[Any], name: str) -> Image.Image:
    """(H, W), (H, W, C) or (C, H, W) as an 8-bit picture.

    Errors: ImageError with the name for another shape, or values that are no pixels.
    """
    if not array.size:
        raise ImageError(f"{name} has no pixels", hint="leave it out")
    if array.ndim == 3 and array.shape[2] not in _CHANNELS and array.shape[0] in _CHANNELS:
        array = np.moveaxis(array, 0, 2)
    if array.ndim != 2 and (array.ndim != 3 or array.shape[2] not in _CHANNELS):
        hint = "give one picture: (H, W), (H, W, 3), (H, W, 4) or (3, H, W)"
        raise ImageError(f"{name} is not a picture", hint=hint)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype == np.bool_:
        array = array * np.uint8(255)
    elif array.dtype.newbyteorder("=") == np.uint16:
        array = to_8_bits(array)
    elif np.issubdtype(array.dtype, np.floating):
        if not ((array >= 0) & (array <= 1)).all():  # NaN is neither
            raise ImageError(f"{name} has values outside 0 to 1", hint=_ARRAY_HINT)
        array = np.rint(array * 255).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise ImageError(f"{name} holds no pixels of a known kind", hint=_ARRAY_HINT)
    return Image.fromarray(np.ascontiguousarray(array))
