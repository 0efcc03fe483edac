"""What programs make of a picture that is kept twice."""

import io

from PIL import Image


def resized(image: Image.Image, share: float) -> Image.Image:
    width, height = (round(length * share) for length in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def recompressed(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def cropped(image: Image.Image, *shares: float) -> Image.Image:
    """Without these shares of the left, top, right and bottom."""
    width, height = image.size
    left, top, right, bottom = shares
    box = (left * width, top * height, width - right * width, height - bottom * height)
    return image.crop(tuple(round(edge) for edge in box))  # type: ignore[arg-type]
