"""A photo with what the searches' checkpoint sees of a word drawn over it."""

from functools import partial

from mlx_aimv2.errors import UsageError
from mlx_aimv2.images.decode import Picture
from mlx_aimv2.library.database.photos import FileRow
from mlx_aimv2.library.thumbnails.thumbnail import VIEW, to_jpeg

from ..service import Service
from .indexed_file import read_indexed


def draw_located(service: Service, file: FileRow, words: str) -> bytes:
    """The view of a photo, with a word's heat, its box and its point, as a JPEG.

    Errors: UsageError for words that are none and a checkpoint that reads none; those of
    ``read_indexed``.
    """
    from mlx_aimv2.inference.locating.locator import Locator  # noqa: PLC0415  (MLX)
    from mlx_aimv2.outputs.heatmap import draw  # noqa: PLC0415

    vectors = service.look(lambda store: store.serving())
    if vectors is None or not vectors.has_text:
        raise UsageError(
            "the checkpoint of this library reads no texts, only pictures",
            hint="words need another one: aimv2 index --model lit",
        )
    model = service.look(lambda store: service._model_of(store, vectors)).whole()
    locator = Locator(model, [" ".join(words.split())])
    picture = read_indexed(service, file)
    upright = picture.to_srgb(picture.image)
    (found,) = locator.find(upright)
    return to_jpeg(Picture.of(upright), VIEW, partial(draw, found=found))
