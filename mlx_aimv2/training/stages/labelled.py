"""Pictures in a folder for each class, as torchvision's ImageFolder has them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.paths import absolute, printable
from mlx_aimv2.images.walk import find_images

from ..data.pair import Pair

_TRAIN = "train"


class LabelledPairs:
    """Pictures and the names of their classes, by number; ``labels`` (n,) are the classes'.

    Classes are the sorted names of the folders in ``data``, or in its folder ``train``.
    Errors: UsageError where there are no such folders, or fewer than two with pictures.
    """

    notes: Sequence[str] = ()

    def __init__(self, data: Path) -> None:
        root = Path(absolute(data / _TRAIN if (data / _TRAIN).is_dir() else data))
        folders = sorted(
            (each for each in root.iterdir() if each.is_dir() and not each.name.startswith("."))
            if root.is_dir()
            else ()
        )
        found = [[each.path for each in find_images(folder)] for folder in folders]
        self.classes = tuple(folder.name for folder in folders)
        if (count := sum(map(bool, found))) < 2:
            raise UsageError(
                f"{printable(root)} has pictures of one class only"
                if count
                else f"{printable(root)} has no folders of classes with pictures",
                hint="each class is a folder: train/cat/1.jpg, train/dog/1.jpg",
            )
        self._files = [file for files in found for file in files]
        self.labels: NDArray[np.int64] = np.repeat(np.arange(len(found)), list(map(len, found)))

    def __len__(self) -> int:
        return len(self._files)

    def read(self, number: int) -> Pair:
        """A picture by its number, and the name of its class."""
        file = self._files[number]
        return Pair(printable(file), file, (self.classes[int(self.labels[number])],))
