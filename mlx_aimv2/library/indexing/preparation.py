"""What a run of the index works with: checkpoint, pixels and patterns, by options and library."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.paths import printable
from mlx_aimv2.images.exclusions import Exclusions
from mlx_aimv2.inference.preprocessing import BATCH_TOKENS
from mlx_aimv2.models.aimv2.cost import published_config
from mlx_aimv2.models.aimv2.published import Checkpoint

from ..database.store import Store
from ..search_model import identify, source_of
from .indexer import NATIVE_MAX_PATCHES, Indexer, Pause
from .options import IndexOptions
from .report import Progress

if TYPE_CHECKING:
    from mlx_aimv2.checkpoints.hub import Confirm
    from mlx_aimv2.inference.model import Model
    from mlx_aimv2.models.network import EmbeddingConfig

DEFAULT_MODEL = "lit"


def make_indexer(
    store: Store,
    options: IndexOptions,
    confirm: "Confirm | None",
    progress: Progress | None,
    exclude: Sequence[str],
    missing: Checkpoint | None = None,
    rejects: Callable[[int], bool] | None = None,
    pause: Pause | None = None,
) -> Indexer:
    """What indexes with these options; what they leave open is as the library was made.

    ``missing`` is a published checkpoint that is not here: it is estimated by random weights.
    """
    serving = store.serving()
    source = source_to_index(store, options.model)
    before = serving.settings["preprocessing"] if serving and serving.source == source else {}
    images = replace(
        options.images,
        preset=options.preset or before.get("preset", "hub"),
        decode=options.decode or before.get("decode", "exact"),
        fills_batches=True,
    )
    max_patches = options.max_patches or before.get("max_patches", NATIVE_MAX_PATCHES)
    config: EmbeddingConfig
    if missing is None:
        key, config = identify(source, images.preset, max_patches, images.decode, confirm)
    else:  # all is known of it but what tells its weights apart
        key, config = "", published_config(missing)
    vision = config.vision_config
    if vision.is_native:
        images = replace(images, max_patches=max_patches)
    elif images.batch_size is None:
        # Half a batch of what embedding many takes: one new photo costs a whole one.
        images = replace(images, batch_size=max(1, BATCH_TOKENS // 2 // vision.grid_side**2))

    def load() -> "Model":
        from mlx_aimv2.inference.model import load  # noqa: PLC0415  (MLX)

        from .random_model import stand_in  # noqa: PLC0415

        if missing is not None:
            return stand_in(missing, options.dtype)
        return load(source, tower="image" if config.text_config else None, dtype=options.dtype)

    return Indexer(
        store, key, source, images, load, progress,
        exclude=exclude, reread=options.reread, rejects=rejects, pause=pause,
    )  # fmt: skip


def excluded_patterns(store: Store, options: IndexOptions) -> list[str]:
    """All patterns that are excluded now. Errors: UsageError for one that is none."""
    known, taken_back = store.excluded(), _patterns(options.include)
    for pattern in taken_back:
        if pattern not in known:
            raise UsageError(
                f"{printable(pattern)!r} is not excluded",
                hint="aimv2 library status lists what is",
            )
    patterns = [each for each in known if each not in taken_back]
    patterns += [each for each in _patterns(options.exclude) if each not in patterns]
    Exclusions(patterns)
    return patterns


def _patterns(given: str | Iterable[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def source_to_index(store: Store, model: str | None) -> str:
    serving = store.serving()
    return source_of(model) if model else serving.source if serving else DEFAULT_MODEL
