"""A picture, from wherever it comes, decoded, upright, in sRGB."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, cast

import numpy as np
from PIL import ExifTags, Image, ImageFile, PngImagePlugin, TiffImagePlugin

from mlx_aimv2.errors import ImageError
from mlx_aimv2.files.paths import blaming_the_disk

from . import MAX_PIXELS
from .arrays import array_to_image, stretch, to_8_bits
from .colour import Colour, colour_of
from .formats.avif import read_nclx
from .formats.header import closed, read_header, undecodable
from .formats.png import read_cicp, scale_transparency
from .formats.raw import is_raw, open_preview
from .formats.tiff import Levels, read_levels
from .orientation import ORIENTATIONS, Orientation
from .source import ImageSource, describe, is_array, open_source, to_array

_DRAFTS = (8, 4, 2)  # by what a JPEG decoder divides both sides, if it is asked to
_SPARE = 2  # times the size it is resized to, at least, is what a decoder must leave of a picture

_CODES = {"AVIF": read_nclx, "PNG": read_cicp}

# One PIL image may be given twice, and be loaded by two threads at once.
_LOAD_LOCKS = tuple(threading.Lock() for _ in range(61))


Shrink = Callable[[int, int], float]
"""How many times smaller a picture of that width and height will be made."""

Box = tuple[float, float, float, float]
"""A part of a picture: left, top, right, bottom, in pixels."""


@dataclass(frozen=True)
class Picture:
    """An upright RGB picture of ``size``, held in an image that may be smaller.

    The image has one pixel for ``reduction`` x ``reduction`` of the picture, which starts at
    ``origin`` in it: a picture that is no multiple of that leaves a part of a pixel over. Its
    colours are the file's own: ``colour``, if there is one, makes them sRGB, which costs least
    where the picture has been made small.
    Units: size in pixels, origin in pixels of the image; x, y.
    """

    image: Image.Image
    size: tuple[int, int]
    reduction: int = 1
    origin: tuple[float, float] = (0.0, 0.0)
    colour: Colour | None = None
    note: str | None = None

    @classmethod
    def of(cls, image: "Image.Image | Picture") -> "Picture":
        """A picture held at its own size, if it is not one already."""
        return image if isinstance(image, Picture) else cls(image, image.size)

    def resize(self, size: tuple[int, int], box: Box) -> Image.Image:
        """What is in a box of the picture, resized (bicubic), in sRGB."""
        held = (self.origin[k % 2] + edge / self.reduction for k, edge in enumerate(box))
        resized = self.image.resize(size, Image.Resampling.BICUBIC, cast(Box, tuple(held)))
        return self.to_srgb(resized)

    def to_srgb(self, part: Image.Image) -> Image.Image:
        """What was made of the image, its colours turned into sRGB's."""
        return part if self.colour is None else self.colour.to_srgb(part)


def open_picture(
    source: ImageSource,
    *,
    max_pixels: int = MAX_PIXELS,
    shrink: Shrink | None = None,
    as_stored: bool = False,
) -> Picture:
    """``open_rgb``, or sooner where the picture will be made smaller than it is: see ``shrink``.

    The decoder of a JPEG file then leaves out what is finer than half a pixel of the result: it
    divides the sides by 2, 4 or 8, as long as at least twice the size remains that the picture is
    resized to. Anything else, a PIL image too, is decoded exactly.
    ``as_stored``: as published evaluations read pictures, by Pillow's ``convert("RGB")`` alone:
    colours are not converted, nothing is turned upright, and alpha is dropped.
    """
    name = describe(source)
    if isinstance(source, Image.Image):
        return _decode(source, name, max_pixels, as_stored=as_stored)
    if is_array(source):
        return _decode(array_to_image(to_array(source, name), name), name, max_pixels)
    file, file_name = open_source(source, name)
    with file, blaming_the_disk(file, name):
        return decode_file(
            file, file_name, name, max_pixels=max_pixels, shrink=shrink, as_stored=as_stored
        )


def decode_file(
    file: IO[bytes],
    path: str,
    name: str,
    *,
    max_pixels: int = MAX_PIXELS,
    shrink: Shrink | None = None,
    as_stored: bool = False,
) -> Picture:
    """The picture in an open file, read from its start; by its path a RAW file is known.

    Errors: as ``open_picture``.
    """
    image = open_preview(path, file) if is_raw(path) else read_header(file, name)
    picture = _decode(image, name, max_pixels, shrink, as_stored=as_stored)
    if hasattr(picture.image, "fp"):
        picture.image.fp = None  # the reader's file, or its buffer of decoded pixels
    return picture


def open_rgb(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode a picture, turn it upright (EXIF orientation) and convert it to sRGB.

    Colours are converted by the ICC profile of a file or a PIL image, or by the colours' numbers
    in AVIF, HEIF and PNG (see ``colour``); without any of these they are taken for sRGB's. 8-bit
    pictures become exactly what transformers' CLIPImageProcessorPil makes of them, so what is
    transparent is laid on white. 16-bit grey is divided by 257; of 32-bit integers and floats the
    lowest value becomes black and the highest white (NaN is black, a flat picture black). Of files
    with several pictures the first is taken, of RAW files (known by their names) the largest
    preview in them, with rawpy. Arrays are (H, W), or (H, W, C) or (C, H, W) of 1, 3 or 4
    channels, the last where both would do: uint8, bool, uint16 (divided by 257), or floats from 0
    to 1.

    The result may be the very image given: read it, do not change it.

    Errors: ImageError with the source's name for everything that keeps it from being read,
    among them more than ``max_pixels`` pixels, which is known before they are decoded.
    """
    picture = open_picture(source, max_pixels=max_pixels)
    return picture.to_srgb(picture.image)


def pillow_differs(source: ImageSource) -> bool:
    """Whether Pillow alone would make another picture of a file: its colours are other than sRGB's,
    or it is a kind of TIFF that Pillow reads wrong. No pixel is decoded.

    Errors: ImageError for what cannot be opened or is no picture.
    """
    name = describe(source)
    file, file_name = open_source(source, name)
    with file, blaming_the_disk(file, name):
        image = open_preview(file_name, file) if is_raw(file_name) else read_header(file, name)
        _read_codes(image)
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            try:
                if read_levels(image, name) != Levels():
                    return True
            except ImageError:
                return True
        return colour_of(image, image.mode)[0] is not None


def _decode(
    image: Image.Image,
    name: str,
    max_pixels: int,
    shrink: Shrink | None = None,
    *,
    as_stored: bool = False,
) -> Picture:
    if isinstance(image, ImageFile.ImageFile) and image.tile and image.fp is None:
        raise closed(name)  # at the end of a with block, before it was decoded
    width, height = image.size
    if not width * height:
        raise ImageError(f"{name} has no pixels ({width}×{height})", hint="leave it out")
    if width * height > max_pixels:
        raise ImageError(
            f"{name} has {width}×{height} pixels, over the limit of {max_pixels:,}",
            hint="shrink it",
            options={"max_pixels": "raise the limit of pixels"},
        )
    try:
        reduction = _draft(image, shrink) if shrink is not None else 1
        levels = Levels()
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            levels = read_levels(image, name)
        colour = note = None
        if as_stored:
            _load(image)
            upright, orientation = _without_alpha(image), ORIENTATIONS[1]
        else:
            upright, orientation = _upright(image)
            colour, note = colour_of(image, upright.mode)
        if colour is not None and colour.mode == "CMYK":
            upright, colour = colour.to_srgb(upright), None
        rgb = _to_rgb(upright, levels, name)
    except ImageError:
        raise
    except Exception as error:  # decoders of damaged files raise whatever there is
        raise undecodable(name, image.format or image.mode, error) from error
    if reduction == 1:
        return Picture(rgb, rgb.size, colour=colour, note=note)
    size = (height, width) if orientation.swaps_sides else (width, height)
    over = [held - exact / reduction for held, exact in zip(rgb.size, size, strict=True)]
    left = over[0] if orientation.from_right else 0.0
    top = over[1] if orientation.from_below else 0.0
    return Picture(rgb, size, reduction, (left, top), colour, note)


def _draft(image: Image.Image, shrink: Shrink) -> int:
    """Ask a JPEG's decoder for a smaller picture; by what it will divide the sides."""
    if image.format != "JPEG":
        return 1
    width, height = image.size
    most = shrink(width, height) / _SPARE
    reduction = next((each for each in _DRAFTS if each <= most), 1)
    if reduction == 1 or image.draft(None, (width // reduction, height // reduction)) is None:
        return 1
    return reduction


def _upright(image: Image.Image) -> tuple[Image.Image, Orientation]:
    """Decode and apply the EXIF orientation; the TIFF and HEIF readers do that themselves."""
    orientation = ORIENTATIONS.get(_load(image), ORIENTATIONS[1])
    upright = image if orientation.turn is None else image.transpose(orientation.turn)
    return upright, orientation


def _load(image: Image.Image) -> int:
    """Decode; the number of the EXIF orientation."""
    with _LOAD_LOCKS[id(image) % len(_LOAD_LOCKS)]:
        if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tile:
            _give_memory(image)
        if isinstance(image, PngImagePlugin.PngImageFile) and image.tile:
            scale_transparency(image)
        _read_codes(image)
        try:
            image.load()
        except (ValueError, SyntaxError):
            # Of a PNG the pixels can be there, and only a text behind them cannot be read.
            if not isinstance(image, PngImagePlugin.PngImageFile) or image.tile:
                raise
            Image.Image.load(image)  # raises again where the image was closed
        try:
            return int(image.getexif().get(ExifTags.Base.Orientation, 1))
        except Exception:  # damaged EXIF is no reason to refuse the picture
            return 1


def _read_codes(image: Image.Image) -> None:
    """Keep what an AVIF or a PNG says of its colours by numbers as pillow-heif keeps a HEIF's.

    Of an image that was decoded before it was given, this can no longer be known.
    """
    file = getattr(image, "fp", None)
    if image.format not in _CODES or file is None or not getattr(image, "tile", None):
        return
    stood = file.tell()
    if codes := _CODES[image.format](file):
        image.info["nclx_profile"] = codes
    file.seek(stood)


def _give_memory(tiff: TiffImagePlugin.TiffImageFile) -> None:
    """Keep ``load`` from warning of a large TIFF, whose size was checked: it does so if it must
    find the memory itself."""
    size = tiff.tag_v2[ExifTags.Base.ImageWidth], tiff.tag_v2[ExifTags.Base.ImageLength]
    tiff.im = Image.new(tiff.mode, size).im


def _to_rgb(image: Image.Image, levels: Levels, name: str) -> Image.Image:
    if image.mode.startswith("I;16"):
        values = np.asarray(image)
        grey = to_8_bits(values, levels.most)
        if isinstance(clear := image.info.get("transparency"), int):
            grey[values == clear] = 255
        image = Image.fromarray(255 - grey if levels.is_inverted else grey)
    elif image.mode in {"I", "F"}:
        values = np.asarray(image)
        grey = stretch(values.view(np.uint32) if levels.is_unsigned else values, name)
        image = Image.fromarray(255 - grey if levels.is_inverted else grey)
    elif image.mode in {"RGBA", "LA", "PA"} or image.info.get("transparency") is not None:
        image = _lay_on_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _without_alpha(image: Image.Image) -> Image.Image:
    """What Pillow's ``convert("RGB")`` takes of an 8-bit picture with transparent parts."""
    if image.mode.startswith("I;16") or image.mode in {"I", "F"}:
        return image
    if "transparency" in image.info:  # of which Pillow would warn
        image = image.copy()
        del image.info["transparency"]
    return image.convert("RGB")


def _lay_on_white(image: Image.Image) -> Image.Image:
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    if rgba.getchannel("A").getextrema() == (255, 255):  # the same pixels, for less memory
        return rgba
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
