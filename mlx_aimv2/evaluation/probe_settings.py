"""How attentive probes are trained: table A2 of the paper, and what may be chosen."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlx_aimv2.errors import UsageError
from mlx_aimv2.options import option


@dataclass(frozen=True)
class ProbeSettings:
    """How probes are trained: every rate with every decay.

    Source: AIMv2 paper, table A2; IN-1k has batches of 1024 and five epochs of warm-up.
    """

    rates: Sequence[float] = (5e-5, 1e-4, 2e-4, 3e-4, 5e-4, 1e-3, 2e-3)
    decays: Sequence[float] = (0.05, 0.1)
    epochs: int = option(
        100, help="Number of times that all pictures are seen.", min=1, metavar="COUNT"
    )
    batch: int | None = option(
        help="Number of pictures in a step.",
        min=1,
        metavar="COUNT",
        show_default="512, with ImageNet 1024",
    )
    warm_up: int | None = option(
        help="Number of epochs in which the rate rises.",
        min=0,
        metavar="COUNT",
        show_default="0, with ImageNet 5",
    )
    seed: int = option(
        0, help="Seed of the first weights, the order and the views.", min=0, metavar="NUMBER"
    )


def completed(settings: ProbeSettings, data_set: str | None) -> ProbeSettings:
    """What was left open, as the paper has it for a data set.

    Errors: UsageError where all epochs are of the warm-up.
    """
    batch, warm_up = (1024, 5) if data_set == "IN-1k" else (512, 0)
    if settings.warm_up is not None:
        warm_up = settings.warm_up
    if warm_up >= settings.epochs:
        raise UsageError(
            f"the rate rises for {warm_up} of {settings.epochs} epochs: none is left",
            hint="fewer with --warm-up, like a tenth of the epochs",
        )
    return replace(settings, batch=settings.batch or batch, warm_up=warm_up)
