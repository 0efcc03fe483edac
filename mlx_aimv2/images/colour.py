"""Colours as a file means them, to sRGB: by its ICC profile, or by what its container says.

Files without either, and those whose colours are sRGB's within rounding, are left alone.
"""

import io
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

RULE = "srgb"  # what an output says of its pixels' colours; those made before say nothing

_MAX_PROFILE_BYTES = 8 << 20  # a phone's has 500 bytes, a printer's two million
_ROUNDING = 2  # levels of 255: nearer than this to sRGB a profile is sRGB's
_STEPS = 17  # of each channel, where a profile is tried
# Black ink is no black light: a print's darkest becomes black.
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_SPACES = {"CMYK": "CMYK", "L": "GRAY", "LA": "GRAY", "1": "GRAY"}
_WITHOUT_COLOURS = {"LAB", "I", "F"}  # converted by Pillow, or scaled by their range
_MODES = {"GRAY": "L", "CMYK": "CMYK", "RGB": "RGB"}

_NOT_USED = "the colour profile is {reason}, and is not used"

Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]
Point = tuple[float, float]


@dataclass(frozen=True)
class Colour:
    """A way from a file's colours to sRGB. ``mode`` is Pillow's, of what it takes."""

    mode: str
    transform: ImageCms.ImageCmsTransform

    def to_srgb(self, image: Image.Image) -> Image.Image:
        """An RGB image (grey as three equal channels), or one of ``mode``, in sRGB."""
        return self.transform.apply(image.getchannel(0) if self.mode == "L" else image)


Found = tuple[Colour | None, str | None]
"""How to convert, or None; and a note where there is a profile that is not used."""


def colour_of(image: Image.Image, mode: str) -> Found:
    """What an image says of its colours; ``mode`` is the one that it was decoded to.

    Of a PNG cICP comes before an ICC profile, of AVIF and HEIF an ICC profile before nclx, as
    their standards have it. A PNG's cHRM and gAMA count together, and last.
    """
    info = image.info
    if mode in _WITHOUT_COLOURS:
        return None, None
    coded = _coded(info.get("nclx_profile"))
    if coded is not None and (image.format == "PNG" or not info.get("icc_profile")):
        return _converting(coded, mode)
    if "icc_profile" in info:
        return _converting(info["icc_profile"], mode)
    if "srgb" not in info and "chromaticity" in info and "gamma" in info:
        return _converting(_measured(info["chromaticity"], info["gamma"]), mode)
    return None, None


def _converting(profile: object, mode: str) -> Found:
    if profile is _SRGB:
        return None, None
    if not isinstance(profile, bytes):
        return None, _NOT_USED.format(reason="damaged")
    if len(profile) > _MAX_PROFILE_BYTES:
        return None, _NOT_USED.format(reason="too large")
    return _known(profile, _SPACES.get(mode, "GRAY" if mode.startswith("I;16") else "RGB"))


@lru_cache(maxsize=16)
def _known(profile: bytes, space: str) -> Found:
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        own = opened.profile.xcolor_space.strip()
        if own != space and not (own == "RGB" and space == "GRAY"):
            return None, _NOT_USED.format(reason=f"one for {own}")
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        mode = _MODES[own]
        colour = Colour(
            mode, ImageCms.ImageCmsTransform(opened, srgb, mode, "RGB", _INTENT, flags=_FLAGS)
        )
        tried = _tried(mode)
        made = np.asarray(colour.to_srgb(tried), int)
    except Exception:  # whatever is in it
        return None, _NOT_USED.format(reason="damaged")
    if not _is_plausible(made[0]):
        return None, _NOT_USED.format(reason="damaged")
    is_srgb = (
        mode != "CMYK" and abs(made - np.asarray(tried.convert("RGB"), int)).max() <= _ROUNDING
    )
    return (None if is_srgb else colour), None


def _tried(mode: str) -> Image.Image:
    """The colours that a profile is tried with: its greys in the first row, its white first."""
    levels = np.linspace(255, 0, _STEPS).round().astype(np.uint8)
    if mode == "L":
        return Image.fromarray(levels[None])
    if mode == "CMYK":
        inks = np.zeros((1, _STEPS, 4), np.uint8)
        inks[0, :, 3] = levels[::-1]
        return Image.fromarray(inks, "CMYK")
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1)
    greys = np.repeat(levels[:, None], 3, axis=1)
    return Image.fromarray(np.concatenate([greys[None], grid.reshape(-1, _STEPS, 3)]))


def _is_plausible(greys: NDArray[np.int_]) -> bool:
    """Whether white is light, black is dark, and what is between lies between."""
    luma = greys.mean(axis=1)
    return bool(luma[0] > 200 and luma[-1] < 64 and 16 < luma[_STEPS // 2] < 240)


# Source: ITU-T H.273, tables 2 and 3. Red, green, blue, white.
_D65, _C = (0.3127, 0.3290), (0.310, 0.316)
_BT709 = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65)
_BT601 = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65)
_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
_PRIMARIES: dict[int, tuple[Point, ...]] = {
    1: _BT709,
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: _BT601,
    7: _BT601,
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: (*_P3, (0.314, 0.351)),
    12: (*_P3, _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}


def _srgb(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def _pq(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """SMPTE ST 2084; what is brighter than a white page (203 nits, BT.2408) becomes white."""
    root = signal ** (1 / 78.84375)
    light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (
        1 / 0.1593017578125
    )
    return np.minimum(light * 10_000 / 203, 1)


def _hlg(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """BT.2100 on a screen of 1000 nits; a white page is a signal of 0.75."""

    def light(values: NDArray[np.float64]) -> NDArray[np.float64]:
        bright = (np.exp((values - 0.55991073) / 0.17883277) + 0.28466892) / 12
        return np.where(values <= 0.5, values**2 / 3, bright) ** 1.2

    return np.minimum(light(signal) / light(np.array(0.75)), 1)


# The curves of video (BT.709 and its kin) are shown on the screens that sRGB describes.
_CURVES: dict[int, Curve] = {
    **dict.fromkeys((1, 2, 6, 7, 11, 12, 13, 14, 15), _srgb),
    4: lambda signal: signal**2.2,
    5: lambda signal: signal**2.8,
    8: lambda signal: signal,
    16: _pq,
    18: _hlg,
}
_SRGB = object()  # what needs no profile


def _coded(nclx: object) -> object:
    """Colours by their numbers in H.273, as a profile; None where they are not told."""
    if not isinstance(nclx, Mapping):
        return None
    primaries, transfer = nclx.get("color_primaries"), nclx.get("transfer_characteristics")
    if primaries not in _PRIMARIES or transfer not in _CURVES:
        return None
    if _PRIMARIES[primaries] == _BT709 and _CURVES[transfer] is _srgb:
        return _SRGB
    return coded_profile(primaries, transfer)


@lru_cache(maxsize=16)
def coded_profile(primaries: int, transfer: int) -> bytes:
    """The ICC profile of colours by their numbers in ITU-T H.273; Display P3 is 12, 13."""
    return make_profile(_PRIMARIES[primaries], _CURVES[transfer])


def _measured(chromaticity: object, gamma: object) -> object:
    """PNG's cHRM (white, red, green, blue) and gAMA, as a profile."""
    try:
        white, red, green, blue = np.reshape(np.array(chromaticity, float), (4, 2)).tolist()
        exponent = 1 / float(gamma)  # type: ignore[arg-type]
        given = np.array([red, green, blue, white])
        if abs(given - _BT709).max() < 0.01 and abs(exponent - 2.2) < 0.05:
            return _SRGB
        return make_profile(given.tolist(), lambda signal: signal**exponent)
    except (TypeError, ValueError, ArithmeticError, np.linalg.LinAlgError):
        return None


def make_profile(points: Any, curve: Curve) -> bytes:
    """An ICC profile of red, green, blue and white (x, y) and a curve from signal to light.

    Source: ICC.1:2001-04, a three-component matrix-based input profile.
    """
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in points]).T
    matrix, white = columns[:, :3], columns[:, 3]
    matrix = _to_d50(white) @ (matrix * np.linalg.solve(matrix, white))
    samples = np.rint(curve(np.linspace(0, 1, 4096)) * 65535).astype(">u2")
    table = b"curv" + bytes(4) + struct.pack(">I", len(samples)) + samples.tobytes()
    tags = {
        f"{name}XYZ": b"XYZ " + bytes(4) + np.rint(column * 65536).astype(">i4").tobytes()
        for name, column in zip("rgb", matrix.T, strict=True)
    }
    start = 128 + 4 + 12 * 6
    entries, body = b"", b""
    for name, data in {**tags, "curve": table}.items():
        for tag in ("rTRC", "gTRC", "bTRC") if name == "curve" else (name,):
            entries += tag.encode() + struct.pack(">II", start + len(body), len(data))
        body += data
    d50 = struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)
    head = struct.pack(
        ">II4s4s4s4s", start + len(body), 0, b"\2\x40\0\0", b"mntr", b"RGB ", b"XYZ "
    )
    head = (head + bytes(12) + b"acsp").ljust(68, b"\0") + d50
    return head.ljust(128, b"\0") + struct.pack(">I", 6) + entries + body


def _to_d50(white: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bradford's adaptation of XYZ of that white to D50, which profiles are in."""
    cones = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )
    d50 = np.array([0.9642, 1.0, 0.8249])
    return np.linalg.inv(cones) @ np.diag((cones @ d50) / (cones @ white)) @ cones
