"""Colour profiles and wide-gamut pictures, computed here from the standards' numbers alone.

A copy in a wide space is made in float64 from the sRGB picture: to light, by the matrices of the
two spaces, back to a signal by the wide space's own curve.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mlx_aimv2.training.drawings.scene import paint, plan

Floats = np.ndarray


@dataclass(frozen=True)
class Space:
    """Red, green, blue and white as x, y, and the curve from signal to light and back."""

    points: tuple[tuple[float, float], ...]
    to_light: Callable[[Floats], Floats]
    to_signal: Callable[[Floats], Floats]

    def matrix(self) -> Floats:
        """From light of red, green and blue to XYZ."""
        xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in self.points]).T
        return xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3])


def _srgb_to_light(signal: Floats) -> Floats:
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def _srgb_to_signal(light: Floats) -> Floats:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def gamma(exponent: float) -> tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]:
    return lambda signal: signal**exponent, lambda light: light ** (1 / exponent)


_D65, _D50 = (0.3127, 0.3290), (0.3457, 0.3585)
_D50_XYZ = (0.9642, 1.0, 0.8249)
_SRGB_CURVE = (_srgb_to_light, _srgb_to_signal)
# Sources: IEC 61966-2-1; SMPTE EG 432-1; Adobe RGB (1998); ROMM RGB (its short toe left out);
# ITU-R BT.2020.
SRGB = Space(((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65), *_SRGB_CURVE)
P3 = Space(((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65), *_SRGB_CURVE)
ADOBE = Space(((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), _D65), *gamma(563 / 256))
PROPHOTO = Space(((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), _D50), *gamma(1.8))
BT2020 = Space(((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65), *_SRGB_CURVE)
WIDE = {"p3": P3, "adobe": ADOBE, "prophoto": PROPHOTO}


def adaptation(white: Floats, to: Floats) -> Floats:
    """Bradford's."""
    cones = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )
    return np.linalg.inv(cones) @ np.diag((cones @ to) / (cones @ white)) @ cones


def in_space(picture: Image.Image, space: Space, bits: int = 8) -> Floats:
    """The sRGB picture's pixels in another space. Shapes: (H, W, 3)."""
    light = SRGB.to_light(np.asarray(picture, float) / 255)
    ones = np.ones(3)
    adapted = adaptation(SRGB.matrix() @ ones, space.matrix() @ ones)
    matrix = np.linalg.inv(space.matrix()) @ adapted @ SRGB.matrix()
    most = (1 << bits) - 1
    wide = space.to_signal(np.clip(light @ matrix.T, 0, 1))
    return np.rint(wide * most).astype(np.uint8 if bits == 8 else np.uint16)


def wide_picture(picture: Image.Image, space: Space) -> Image.Image:
    return Image.fromarray(in_space(picture, space))


def to_srgb(pixels: Floats, space: Space) -> Floats:
    """8-bit pixels of a space, as sRGB from 0 to 255, not rounded. Shapes: (H, W, 3)."""
    light = space.to_light(np.asarray(pixels, float) / 255)
    ones = np.ones(3)
    adapted = adaptation(space.matrix() @ ones, SRGB.matrix() @ ones)
    matrix = np.linalg.inv(SRGB.matrix()) @ adapted @ space.matrix()
    return 255 * SRGB.to_signal(np.clip(light @ matrix.T, 0, 1))


def icc(space: Space, *, kind: bytes = b"RGB ", major: int = 2) -> bytes:
    """The profile of a space, or with ``kind`` GRAY of its curve. Source: ICC.1:2001-04."""
    d50 = np.array([0.9642, 1.0, 0.8249])
    curve = np.rint(space.to_light(np.linspace(0, 1, 1024)) * 65535).astype(">u2").tobytes()
    curve = b"curv" + bytes(4) + struct.pack(">I", 1024) + curve
    tags = {b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"made\0" + bytes(79)}
    tags[b"wtpt"] = _xyz(d50)
    if kind == b"GRAY":
        tags[b"kTRC"] = curve
    else:
        matrix = adaptation(space.matrix() @ np.ones(3), d50) @ space.matrix()
        for letter, column in zip(b"rgb", matrix.T, strict=True):
            tags[bytes([letter]) + b"XYZ"] = _xyz(column)
            tags[bytes([letter]) + b"TRC"] = curve
    table, body = b"", b""
    for name, data in tags.items():
        padded = data + bytes(-len(data) % 4)
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += padded
    size = 132 + len(table) + len(body)
    head = struct.pack(">I4sBBH4s4s4s", size, b"test", major, 0x20, 0, b"mntr", kind, b"XYZ ")
    head = (head + bytes(12) + b"acsp").ljust(68, b"\0") + _xyz(d50)[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def cmyk_icc(inks: dict[tuple[int, int, int, int], tuple[float, float, float]]) -> bytes:
    """A printer's profile: the Lab of each of the 16 prints of full inks, between them a mixture.

    Source: ICC.1:2001-04, lut8Type.
    """
    corners = np.array([inks[key] for key in sorted(inks)]) * (2.55, 1, 1) + (0, 128, 128)
    line = bytes(range(256))
    matrix = np.rint(np.eye(3) * 65536).astype(">i4").tobytes()
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + line * 4
    table += np.rint(corners).astype(np.uint8).tobytes() + line * 3
    size = 144 + len(table)
    head = struct.pack(">I4sBBH4s4s4s", size, b"test", 2, 0x20, 0, b"prtr", b"CMYK", b"Lab ")
    head = (head + bytes(12) + b"acsp").ljust(68, b"\0") + _xyz(np.array(_D50_XYZ))[8:]
    return head.ljust(128, b"\0") + struct.pack(">I4sII", 1, b"A2B0", 144, len(table)) + table


def lab_to_srgb(lab: tuple[float, float, float]) -> Floats:
    """Lab (D50) as sRGB from 0 to 255. Source: CIE 15."""
    y = (lab[0] + 16) / 116
    f = np.array([y + lab[1] / 500, y, y - lab[2] / 200])
    xyz = np.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2) * _D50_XYZ
    adapted = adaptation(np.array(_D50_XYZ), SRGB.matrix() @ np.ones(3))
    light = np.linalg.inv(SRGB.matrix()) @ adapted @ xyz
    return 255 * SRGB.to_signal(np.clip(light, 0, 1))


def _xyz(values: Floats) -> bytes:
    return b"XYZ " + bytes(4) + np.rint(values * 65536).astype(">i4").tobytes()


def drawing(number: int, side_px: int = 96) -> Image.Image:
    """A square drawing, in sRGB."""
    return paint(plan(number), side_px, side_px)[0]


def wide_copy(path: Path, number: int, name: str) -> Path:
    """A drawing in a wide space, with its profile."""
    space = WIDE[name]
    wide_picture(drawing(number, 256), space).save(path, "PNG", icc_profile=icc(space))
    return path
