"""The families of networks: the one list of them, and which of them a checkpoint is."""

from collections.abc import Collection, Mapping
from typing import Any, cast

from mlx_aimv2.errors import CheckpointError, UsageError

from .aimv2.family import AIMV2
from .aria.family import ARIA
from .family import Family
from .layout import Layout
from .network import Config, EmbeddingConfig, EmbeddingNetwork, Network, Tower

FAMILIES: tuple[Family, ...] = (AIMV2, ARIA)

_MODELS_HINT = "the published checkpoints are listed by: aimv2 models"


def recognise(tensor_names: Collection[str], config: Mapping[str, Any]) -> tuple[Family, Layout]:
    """The family of a checkpoint, and the layout of it whose rules fit most of its tensors.

    The ``model_type`` of ``config``, its ``config.json``, decides the family where a family has it;
    else the names of the tensors do. Layouts are told by names alone: the same
    ``model.safetensors`` was published in two.
    Errors: CheckpointError where no layout fits at all.
    """
    stated = config.get("model_type")
    families = [family for family in FAMILIES if stated in family.model_types] or FAMILIES
    fits = [
        (sum(1 for name in tensor_names if layout.match(name)), family, layout)
        for family in families
        for layout in family.all_layouts
    ]
    count, family, layout = max(fits, key=lambda fit: fit[0])
    for part, model in family.foreign.items():
        if any(part in name for name in tensor_names):
            raise CheckpointError(
                f"this is {model}: it is not {family.with_article} checkpoint",
                hint="use one of the published checkpoints: aimv2 models",
            )
    if not count:
        known = " or ".join(family.name for family in families)
        first = next(iter(tensor_names), "none")
        raise CheckpointError(
            f"no {known} tensor among {len(tensor_names)}: the first is {first}", hint=_MODELS_HINT
        )
    return family, layout


def build(config: Config, tower: Tower | None = None) -> Network:
    """A network of these sizes, or one tower of it, its weights not set yet.

    Errors: UsageError for a tower that there is not.
    """
    if tower is not None and embedding_config(config).text_config is None and tower == "text":
        raise UsageError(
            "this checkpoint reads no texts, only pictures",
            hint="texts need a checkpoint that reads them, like lit",
        )
    return family_of(config).network(config, tower)


def check_embeds(model_type: object) -> None:
    """Errors: UsageError for the ``model_type`` of a family that makes no embeddings."""
    for family in FAMILIES:
        if model_type in family.model_types and not family.embeds:
            raise UsageError(
                f"{family.with_article} checkpoint tells in words what a picture shows: "
                "it makes no embeddings",
                hint='ask it: aimv2 ask PHOTO "QUESTION", or aimv2 describe; embeddings are made '
                "by lit and the others of: aimv2 models",
            )


def embedding_config(config: Config) -> EmbeddingConfig:
    """The same sizes. Errors: UsageError for a family that makes no embeddings."""
    check_embeds(config.model_type)
    return cast(EmbeddingConfig, config)


def embedding_network(network: Network) -> EmbeddingNetwork:
    """The same network. Errors: UsageError for a family that makes no embeddings."""
    embedding_config(network.config)
    return cast(EmbeddingNetwork, network)


def family_of(config: Config) -> Family:
    """The family that a configuration belongs to."""
    return next(family for family in FAMILIES if config.model_type in family.model_types)
