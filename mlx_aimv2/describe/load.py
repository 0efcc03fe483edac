"""``aimv2.load``: a checkpoint of any family, to embed pictures or to tell what they show."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, overload

from mlx_aimv2.checkpoints import hub
from mlx_aimv2.checkpoints.load import check_published
from mlx_aimv2.inference.image_options import Dtype
from mlx_aimv2.inference.model import Model, load_weights, tell
from mlx_aimv2.models.aimv2.published import DEFAULT
from mlx_aimv2.models.aria.network import AriaNetwork
from mlx_aimv2.models.network import Tower

if TYPE_CHECKING:
    from .aria import Aria

AriaName = Literal["aria", "aria-chat", "aria-sequential", "aria-base-64k", "aria-base-8k"]
Confirm = Callable[[hub.Download], bool]


@overload  # an alias is a str too, and is taken by the first signature that fits
def load(  # type: ignore[overload-overlap]
    source: AriaName, *, dtype: Dtype | None = None, confirm: Confirm | None = None
) -> "Aria": ...
@overload
def load(
    source: str = DEFAULT,
    *,
    tower: Tower | None = None,
    dtype: Dtype | None = None,
    side_px: int | None = None,
    confirm: Confirm | None = None,
) -> Model: ...
def load(
    source: str = DEFAULT,
    *,
    tower: Tower | None = None,
    dtype: Dtype | None = None,
    side_px: int | None = None,
    confirm: Confirm | None = None,
) -> "Model | Aria":
    """Load a checkpoint: an alias, a name, a hub id[@revision], a folder, or "demo".

    A checkpoint of Aria comes as an ``Aria``, any other as a ``Model``. A type checker tells them
    apart by the alias only: where a folder holds an Aria, ``Aria.load`` has the type.
    ``tower`` reads only the image's or the text's tensors; ``dtype`` is chosen by the device
    unless given; ``side_px`` resamples a fixed-size checkpoint's positions for another side.
    ``confirm`` is asked before weights are downloaded; without it they are, with a warning that
    names size and licence.
    Errors: HubError for a source that cannot be found or fetched, CheckpointError for files that
    are not a checkpoint, UsageError for a tower or option it does not have.
    """
    check_published(source, dtype)
    resolved = hub.resolve(source, confirm=confirm or tell)
    loaded = load_weights(resolved, tower=tower, dtype=dtype, side_px=side_px)
    if isinstance(loaded.network, AriaNetwork):
        from .aria import Aria  # noqa: PLC0415  (a model that embeds needs none of it)

        return Aria(loaded, resolved)
    return Model(loaded, resolved)
