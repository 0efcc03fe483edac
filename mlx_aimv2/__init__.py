"""Apple's AIMv2 vision encoders on a Mac, with MLX.

import mlx_aimv2 as aimv2

model = aimv2.load("lit")
model.embed_images(["a.jpg"])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .cpu import blas

if TYPE_CHECKING:
    from .describe.aria import Aria as Aria
    from .describe.load import load as load
    from .errors import Aimv2Error as Aimv2Error
    from .errors import Aimv2Warning as Aimv2Warning
    from .images.source import ImageSource as ImageSource
    from .images.walk import find_images as find_images
    from .inference.locating.locator import Located as Located
    from .inference.model import Model as Model
    from .inference.model import ModelOutput as ModelOutput
    from .inference.records import Embedded as Embedded
    from .inference.records import Failed as Failed
    from .inference.records import Item as Item
    from .library.library import Library as Library
    from .library.search.filters import Filters as Filters
    from .models.aimv2.layers import EncoderOutput as EncoderOutput

blas.preload()

# Where each public name lives; imported when it is first used, so that `aimv2 --help` is quick.
_PUBLIC = {
    "Aria": "describe.aria",
    "Aimv2Error": "errors",
    "Aimv2Warning": "errors",
    "Embedded": "inference.records",
    "EncoderOutput": "models.aimv2.layers",
    "Failed": "inference.records",
    "Filters": "library.search.filters",
    "ImageSource": "images.source",
    "Item": "inference.records",
    "Library": "library.library",
    "Located": "inference.locating.locator",
    "Model": "inference.model",
    "ModelOutput": "inference.model",
    "find_images": "images.walk",
    "load": "describe.load",
}
__all__ = [*_PUBLIC]  # noqa: PLE0604  (names from the table)

if TYPE_CHECKING:
    __version__: str
else:  # a checker that saw this would take any name, a misspelt one too

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version  # noqa: PLC0415

            return version("mlx-aimv2")
        if name not in _PUBLIC:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC, "__version__"])
