"""Sources for whoever needs embeddings: one that makes none is refused before it is fetched."""

import os

from mlx_aimv2.models.published import find
from mlx_aimv2.models.registry import check_embeds

from .hub import Confirm, Resolved, resolve
from .weights import read_config_file


def resolve_embedder(source: str | os.PathLike[str], *, confirm: Confirm | None = None) -> Resolved:
    """As :func:`hub.resolve`. Errors: its own; UsageError for what makes no embeddings."""
    name = source.partition("@")[0] if isinstance(source, str) else ""
    if published := find(name):
        check_embeds(published.model_type)
    resolved = resolve(source, confirm=confirm)
    check_embeds(read_config_file(resolved.folder).get("model_type"))
    return resolved
