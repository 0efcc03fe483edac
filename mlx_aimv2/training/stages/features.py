"""Features of a frozen encoder, kept on the disk: each picture goes through it once."""

import os
import zlib
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from mlx_aimv2 import device
from mlx_aimv2.errors import Aimv2Error, NumericsError
from mlx_aimv2.files.paths import unwritable
from mlx_aimv2.models.aimv2.vision import VisionEncoder

from ..data.batches import Batches, Broken, LeftOut
from ..data.captions import Captions
from ..data.steps import EqualSteps
from ..data.view import DRAWS, View
from ..data_loader import Arrays
from ..runs.settings import LitSettings, ProbeSettings
from ..runs.work import NUMBERS
from .beginning import Beginning

_COUNT_BYTES = _CHECK_BYTES = 4
_TOGETHER = 16  # always as many: a picture has the same bits whichever are beside it
_STILL = np.zeros(DRAWS)  # draws of a view that does not augment


class FeatureFile:
    """Features by the numbers of pictures, in float16; each row is whole or is not there.

    A row is there for the picture of its ``mark`` alone: not once another one has its number.
    Shapes: a row has room for (N, D), and holds (n, D) of a picture of n patches.
    Errors: OutputError where the file cannot be made.
    """

    def __init__(self, path: Path, shape: tuple[int, int]) -> None:
        self._path, self._width = path, shape[1]
        self._row_bytes = _COUNT_BYTES + 2 * shape[0] * shape[1] + _CHECK_BYTES
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise unwritable(path, error) from error

    def get(self, number: int, mark: int) -> NDArray[np.float16] | None:
        """A picture's features, or None. Shapes: (n, D)."""
        row = os.pread(self._file, self._row_bytes, number * self._row_bytes)
        content, check = row[:-_CHECK_BYTES], row[-_CHECK_BYTES:]
        if len(row) < self._row_bytes or zlib.crc32(content, mark).to_bytes(_CHECK_BYTES) != check:
            return None
        count = int.from_bytes(content[:_COUNT_BYTES], "little")
        features = np.frombuffer(content, np.float16, count * self._width, _COUNT_BYTES)
        return features.reshape(count, self._width)

    def put(self, number: int, mark: int, features: NDArray[np.float16]) -> None:
        """Keep a picture's features. Errors: OutputError, of a full disk too."""
        content = len(features).to_bytes(_COUNT_BYTES, "little") + features.tobytes()
        content = content.ljust(self._row_bytes - _CHECK_BYTES, b"\0")
        row = content + zlib.crc32(content, mark).to_bytes(_CHECK_BYTES)
        try:
            if os.pwrite(self._file, row, number * self._row_bytes) < len(row):
                raise OSError(28, os.strerror(28))
        except OSError as error:
            hint = "make room and go on with --resume, or keep none: --set cache=false"
            raise unwritable(self._path, error, full=hint) from error

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def batches_of(
    settings: LitSettings | ProbeSettings,
    beginning: Beginning,
    encoder: VisionEncoder,
    view: View,
    captions: Captions | None,
) -> "Batches | KeptFeatures":
    """A rank's batches: with the features of each picture where these are kept, or its pixels."""
    is_kept = settings.cache and not settings.augment
    ranks = beginning.ranks
    room = settings.max_patches if encoder.config.is_native else None
    batches = Batches(
        beginning.pairs,
        EqualSteps(settings.batch_size, room),
        settings.seed,
        None if is_kept else view,
        captions,
        rank=ranks.rank,
        ranks=ranks.size,
        tell=beginning.tell,
    )
    file = beginning.folder / f"features-{ranks.rank}.f16"
    return KeptFeatures(batches, encoder, view, beginning, file, room) if is_kept else batches


def encoded(encoder: VisionEncoder, arrays: Arrays) -> dict[str, mx.array]:
    """What an encoder makes of a batch's pictures.

    ``features`` (B, N, D), and of native resolution ``mask`` (B, 1, 1, N), False for padding.
    """
    if "pixels" in arrays:
        return {"features": encoder.features(mx.array(arrays["pixels"]))}
    grids = [(rows, columns) for rows, columns in arrays["grids"].tolist()]
    features, mask = encoder.encode_patches(mx.array(arrays["patches"]), grids)
    return {"features": features} if mask is None else {"features": features, "mask": mask}


class KeptFeatures:
    """Batches with the ``features`` (B, N, D) of each picture, from the file or made now.

    Of native resolution, where N is ``room``, they have a ``mask`` (B, 1, 1, N) too. Pictures that
    cannot be read drop out, as in the batches themselves.
    """

    def __init__(
        self,
        batches: Batches,
        encoder: VisionEncoder,
        view: View,
        beginning: Beginning,
        file: Path,
        room: int | None,
    ) -> None:
        self._batches, self._encoder, self._view = batches, encoder, view
        self._beginning, self._room = beginning, room
        self._patches = room or encoder.config.grid_side**2
        self._file = FeatureFile(file, (self._patches, encoder.config.hidden_size))
        self._left_out = LeftOut(len(beginning.pairs), beginning.tell)

    @property
    def skipped(self) -> int:
        """How many pairs dropped out."""
        return self._batches.skipped + self._left_out.count

    def from_step(self, step: int = 0) -> Generator[Arrays]:
        """The batches from a step on, once: the file is closed after them.

        Errors: Aimv2Error where no picture can be read; see ``LeftOut``.
        """
        with ThreadPoolExecutor(device.available_cores()) as threads, closing(self._file):
            for arrays in self._batches.from_step(step):
                features = self._features_of(
                    arrays[NUMBERS].tolist(), arrays["marks"].tolist(), threads
                )
                broken = [each for each in features if isinstance(each, Broken)]
                whole = [row for row, each in enumerate(features) if not isinstance(each, Broken)]
                self._left_out.add(broken, len(whole))
                kept = {name: array[whole] for name, array in arrays.items()}
                yield kept | self._stacked([features[row] for row in whole])

    def _features_of(
        self, numbers: Sequence[int], marks: Sequence[int], threads: ThreadPoolExecutor
    ) -> list[NDArray[np.float16] | Broken]:
        found: dict[int, NDArray[np.float16] | Broken] = {}
        missing = []
        mark_of = dict(zip(numbers, marks, strict=True))
        for number, mark in mark_of.items():
            if (features := self._file.get(number, mark)) is None:
                missing.append(number)
            else:
                found[number] = features
        seen = []
        for number, pixels in zip(missing, threads.map(self._see, missing), strict=True):
            if isinstance(pixels, Broken):
                found[number] = pixels
            else:
                seen.append((number, pixels))
        for first in range(0, len(seen), _TOGETHER):
            part = seen[first : first + _TOGETHER]
            for (number, _), features in zip(part, self._encoded(part), strict=True):
                if not np.isfinite(features).all():
                    name = self._beginning.pairs.read(number).key
                    raise NumericsError(f"{name}: its features are not finite")
                self._file.put(number, mark_of[number], features)
                found[number] = features
        return [found[number] for number in numbers]

    def _encoded(self, part: Sequence[tuple[int, Arrays]]) -> Iterator[NDArray[np.float16]]:
        batch = self._view.room(_TOGETHER, self._room)
        if "grids" in batch:
            batch["grids"][:] = 1  # what is not there needs a patch too
        for row, (_, seen) in enumerate(part):
            for name, array in seen.items():
                batch[name][row] = array
        made = encoded(self._encoder, batch)
        features = np.array(made["features"].astype(mx.float16))
        counts = batch["grids"].prod(axis=1) if "grids" in batch else [self._patches] * _TOGETHER
        return (each[:count] for each, count in zip(features[: len(part)], counts, strict=False))

    def _see(self, number: int) -> Arrays | Broken:
        """A picture's row of what an encoder takes."""
        try:
            image = self._beginning.pairs.read(number).image
            if self._room is None:
                return {"pixels": self._view.pixels(image, _STILL)}
            patches, grid = self._view.patches(image, _STILL, self._room)
        except Aimv2Error as error:
            return Broken(number, str(error))
        padding = (0, self._room - len(patches)), (0, 0)
        return {"patches": np.pad(patches, padding), "grids": np.array(grid)}

    def _stacked(self, rows: Sequence[Any]) -> Arrays:
        features = np.zeros(
            (len(rows), self._patches, self._encoder.config.hidden_size), np.float16
        )
        for row, each in zip(features, rows, strict=True):
            row[: len(each)] = each
        if self._room is None:
            return {"features": features}
        counts = np.array([len(each) for each in rows], np.int64)
        mask = np.arange(self._patches) < counts[:, None]
        return {"features": features, "mask": mask[:, None, None]}
