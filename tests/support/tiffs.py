"""TIFF structures written byte by byte: EXIF data no library would write, pictures, DNG files."""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image


@dataclass(frozen=True)
class Value:
    """A field's value as it is stored: any type, count and bytes, also such as do not fit."""

    type: int
    count: int
    data: bytes


Directory = dict[int, Value]


def text(value: str) -> Value:
    data = value.encode() + b"\0"
    return Value(2, len(data), data)


def numbers(*values: int) -> Value:
    return Value(4, len(values), struct.pack(f"<{len(values)}I", *values))


def shorts(*values: int) -> Value:
    return Value(3, len(values), struct.pack(f"<{len(values)}H", *values))


def octets(*values: int) -> Value:
    return Value(1, len(values), bytes(values))


def rationals(*values: tuple[int, int]) -> Value:
    return Value(5, len(values), b"".join(struct.pack("<II", *value) for value in values))


class Tiff:
    """A little-endian TIFF that grows at its end; the main directory is the last."""

    def __init__(self) -> None:
        self._parts = [b""]
        self._end = 8

    def add(self, data: bytes) -> int:
        """Append data and give its place."""
        place = self._end
        self._parts.append(data + b"\0" * (len(data) % 2))
        self._end += len(self._parts[-1])
        return place

    def add_directory(self, fields: Directory) -> int:
        """Append a directory and give its place."""
        outside = self._end + 2 + 12 * len(fields) + 4
        head, data = struct.pack("<H", len(fields)), b""
        for tag, value in sorted(fields.items()):
            field = value.data.ljust(4, b"\0")
            if len(field) > 4:
                data += b"\0" * (len(data) % 2)
                field = struct.pack("<I", outside + len(data))
                data += value.data
            head += struct.pack("<HHI", tag, value.type, value.count) + field
        return self.add(head + bytes(4) + data)

    def finish(self, fields: Directory) -> bytes:
        """The whole file."""
        main = self.add_directory(fields)
        return b"II*\0" + struct.pack("<I", main) + b"".join(self._parts)


def exif(main: Directory, inner: Directory, gps: Directory) -> bytes:
    """EXIF data as a JPEG holds them; ``main`` may overwrite where the other two are."""
    tiff = Tiff()
    places = {
        int(ExifTags.IFD.Exif): numbers(tiff.add_directory(inner)),
        int(ExifTags.IFD.GPSInfo): numbers(tiff.add_directory(gps)),
    }
    return b"Exif\0\0" + tiff.finish(places | main)


def dng(
    preview: bytes = b"",
    orientation: int = 1,
    inner: Directory | None = None,
    gps: Directory | None = None,
    size: tuple[int, int] = (64, 48),
    packet: bytes = b"",
) -> bytes:
    """A DNG of a sensor of ``size``; ``preview`` is a JPEG, ``packet`` is XMP.

    Source: DNG 1.4, chapter 2.
    """
    width, height = size
    tiff = Tiff()
    sensor = struct.pack(f"<{width * height}H", *(i * 37 % 4096 for i in range(width * height)))
    mosaic = {
        254: numbers(0),
        256: numbers(width),
        257: numbers(height),
        258: shorts(16),
        259: shorts(1),
        262: shorts(32803),  # a colour filter array
        273: numbers(tiff.add(sensor)),
        277: shorts(1),
        278: numbers(height),
        279: numbers(len(sensor)),
        33421: shorts(2, 2),
        33422: octets(0, 1, 1, 2),
        50717: numbers(4095),
    }
    identity = [(int(row == column), 1) for row in range(3) for column in range(3)]
    main = {
        254: numbers(1),
        271: text("Maker"),
        272: text("Camera"),
        274: shorts(orientation),
        330: numbers(tiff.add_directory(mosaic)),
        34665: numbers(tiff.add_directory(inner or {})),
        34853: numbers(tiff.add_directory(gps or {})),
        50706: octets(1, 4, 0, 0),
        50708: text("Maker Camera"),
        50721: Value(10, 9, rationals(*identity).data),
        50778: shorts(21),
        **({700: octets(*packet)} if packet else {}),
    }
    return tiff.finish(main | (_preview(tiff, preview) if preview else {}))


def _preview(tiff: Tiff, jpeg: bytes) -> Directory:
    width, height = Image.open(io.BytesIO(jpeg)).size
    return {
        256: numbers(width),
        257: numbers(height),
        258: shorts(8, 8, 8),
        259: shorts(7),
        262: shorts(6),
        273: numbers(tiff.add(jpeg)),
        277: shorts(3),
        278: numbers(height),
        279: numbers(len(jpeg)),
    }


def picture(
    samples: np.ndarray,
    photometric: int,
    *,
    is_planar: bool = False,
    is_compressed: bool = False,
    extra: int | None = None,
    bits: int | None = None,
) -> bytes:
    """A picture (H, W) or (H, W, C) of any kind of number, in its own byte order.

    ``bits`` are fewer than those of a number: 1, 2, 4 or 12 to a sample of grey. Source: TIFF 6.0.
    """
    order = ">" if samples.dtype.byteorder == ">" else "<"
    height, width, count = np.atleast_3d(samples).shape
    planes = np.moveaxis(samples, 2, 0) if is_planar else [samples]
    strips = [_packed(plane, bits) if bits else plane.tobytes() for plane in planes]
    strips = [zlib.compress(strip) for strip in strips] if is_compressed else strips
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    fields = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [bits or 8 * samples.dtype.itemsize] * count),
        259: (3, [8 if is_compressed else 1]),
        262: (3, [photometric]),
        277: (3, [count]),
        278: (4, [height]),
        284: (3, [2 if is_planar else 1]),
        339: (3, [kind] * count),
        273: (4, [8 + sum(map(len, strips[:number])) for number in range(len(strips))]),
        279: (4, list(map(len, strips))),
        **({} if extra is None else {338: (3, [extra])}),
    }
    body = b"".join(strips)
    start = 8 + len(body)
    head, outside = struct.pack(f"{order}H", len(fields)), b""
    for tag, (type, values) in sorted(fields.items()):
        data = struct.pack(f"{order}{len(values)}{'H' if type == 3 else 'I'}", *values)
        if len(data) > 4:
            place = start + 2 + 12 * len(fields) + 4 + len(outside)
            outside += data
            data = struct.pack(f"{order}I", place)
        head += struct.pack(f"{order}HHI", tag, type, len(values)) + data.ljust(4, b"\0")
    magic = b"MM\0*" if order == ">" else b"II*\0"
    return magic + struct.pack(f"{order}I", start) + body + head + bytes(4) + outside


def _packed(plane: np.ndarray, bits: int) -> bytes:
    shifts = np.arange(bits)[::-1]
    digits = (plane[..., None].astype(int) >> shifts) & 1
    return np.packbits(digits.reshape(len(plane), -1).astype(np.uint8), axis=1).tobytes()
