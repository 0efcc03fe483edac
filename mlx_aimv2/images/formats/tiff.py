"""The kinds of TIFF that Pillow reads wrong without a word: put right, or refused."""

from dataclasses import dataclass

from PIL.TiffImagePlugin import TiffImageFile

from mlx_aimv2.errors import ImageError

_HINT = "save it as 8-bit or 16-bit RGB, or as PNG"
_RAW = "a camera's RAW file"
_RAW_HINT = "give it by a path that ends as its camera named it, like .dng or .nef"

# Source: TIFF 6.0, and DNG 1.4 for the last three.
_BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANAR, _FORMAT = 258, 259, 262, 277, 284, 339
_SUBFILE, _SUBDIRECTORIES, _SUBSAMPLING, _DNG_VERSION = 254, 330, 530, 50706
_WHITE_IS_ZERO, _YCBCR = 0, 6
_WEBP = 50001  # which Pillow knows, but not its decoder
_JPEG = {6, 7}  # their decoder makes RGB of YCbCr
_UNSIGNED, _SIGNED = 1, 2


@dataclass(frozen=True)
class Levels:
    """What Pillow does not tell of a TIFF's grey values.

    ``most`` is the highest of 16 bits or less; ``is_unsigned`` of 32 bits, which Pillow takes for
    signed.
    """

    is_inverted: bool = False
    is_unsigned: bool = False
    most: int = 65535


def read_levels(image: TiffImageFile, name: str) -> Levels:
    """How to take the values that Pillow decodes.

    Errors: ImageError for a kind that Pillow would make another picture of.
    """
    tags = image.tag_v2
    bits = max(tags.get(_BITS, (1,)))
    is_unsigned = tags.get(_FORMAT, (_UNSIGNED,))[0] == _UNSIGNED
    is_white_zero = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    if what := _misread(image, bits):
        raise unread(name, what)
    return Levels(
        # 8 bits and less Pillow inverts itself.
        is_inverted=is_white_zero and image.mode[0] in "IF",
        is_unsigned=is_unsigned and bits == 32,
        most=(1 << bits) - 1 if image.mode.startswith("I;16") else 65535,
    )


def unread(name: str, what: str = "", format: str = "TIFF") -> ImageError:
    """The error for a picture of a kind that is not read."""
    kind = f" ({what})" if what else ""
    hint = _RAW_HINT if what == _RAW else _HINT
    return ImageError(f"{name} is a {format} of a kind that is not read here{kind}", hint=hint)


def is_unknown(reason: str) -> bool:
    """Whether Pillow gave up because it knows no such kind: it says so, or the compression."""
    says_so = reason.lower().startswith(("cannot handle", "unsupported"))
    return says_so or reason.endswith(("pixel mode", "image mode")) or reason.isdigit()


def _misread(image: TiffImageFile, bits: int) -> str:
    """The kind of TIFF that Pillow reads wrong; empty for one that it reads right."""
    tags = image.tag_v2
    samples, compression = tags.get(_SAMPLES, 1), tags.get(_COMPRESSION, 1)
    is_planar = tags.get(_PLANAR) == 2 and samples > 1
    is_thumbnail = tags.get(_SUBFILE, 0) & 1 and _SUBDIRECTORIES in tags
    is_subsampled = tuple(tags.get(_SUBSAMPLING, (2, 2))) != (1, 1)
    is_ycbcr = tags.get(_PHOTOMETRIC) == _YCBCR and compression not in _JPEG
    is_swapped = tags.prefix == b"MM" and compression != 1 and image.mode in {"I", "F"}
    kinds = {
        _RAW: _DNG_VERSION in tags or is_thumbnail,
        "16 bits, not compressed, each colour by itself": (
            is_planar and bits == 16 and compression == 1
        ),
        "grey and alpha, each by itself": is_planar and samples == 2,
        "signed 8 bits": bits == 8 and tags.get(_FORMAT, (_UNSIGNED,))[0] == _SIGNED,
        f"{bits} bits, big-endian and compressed": is_swapped,
        "YCbCr with fewer samples of colour": is_ycbcr and is_subsampled,
        "compressed as WebP": compression == _WEBP,
    }
    return next((what for what, is_so in kinds.items() if is_so), "")
