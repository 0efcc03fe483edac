"""``aimv2 models``: the published checkpoints, and which are here."""

from dataclasses import dataclass
from typing import Any

from mlx_aimv2.errors import HubError
from mlx_aimv2.files.path_text import escape
from mlx_aimv2.models.aimv2.published import (
    CHECKPOINTS,
    DEFAULT,
    LICENCE,
    LICENCE_TERMS,
    Checkpoint,
)

from . import info, output
from .options import JSON

EXAMPLES = """
aimv2 models
aimv2 models --json | jq -r 'select(.cached) | .name'
"""

_COLUMNS = ("alias", "name", "pixels", "text", "parameters", "size", "here")


@dataclass(frozen=True)
class Options:
    """What ``aimv2 models`` takes."""

    as_json: bool = JSON()


def models(options: Options) -> None:
    """List the published checkpoints, and the small one in this package, `demo`."""
    rows = [_published(checkpoint) for checkpoint in CHECKPOINTS] + _demo()
    if options.as_json:
        for row in rows:
            output.record(row)
        return
    output.table([_cells(row) for row in rows], _COLUMNS, right=(2, 4, 5))
    output.say(f"licence of Apple's weights: {LICENCE} ({LICENCE_TERMS})")


def _published(checkpoint: Checkpoint) -> dict[str, Any]:
    from mlx_aimv2.checkpoints import hub  # noqa: PLC0415
    from mlx_aimv2.models.aimv2 import cost  # noqa: PLC0415

    folder = hub.cached(checkpoint)
    return {
        "alias": checkpoint.alias,
        "name": checkpoint.name,
        "repo_id": checkpoint.repo_id,
        "revision": checkpoint.revision,
        "architecture": checkpoint.architecture,
        "side_px": checkpoint.side_px,
        "has_text": checkpoint.has_text,
        "parameters": cost.parameters(cost.published_config(checkpoint)).total,
        "size_bytes": cost.published_bytes(checkpoint),
        "licence": checkpoint.licence,
        "cached": folder is not None,
        "folder": escape(str(folder)) if folder else None,
    }


def _demo() -> list[dict[str, Any]]:
    try:
        facts = info.describe("demo")
    except HubError:
        return []  # an installation without it
    same = ("name", "repo_id", "revision", "architecture", "side_px", "size_bytes", "licence")
    return [
        {
            "alias": "demo",
            **{key: facts[key] for key in same},
            "has_text": facts["kind"] == "lit",
            "parameters": facts["parameters"]["total"],
            "cached": True,
            "folder": facts["folder"],
        }
    ]


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{row['alias']} (default)" if row["alias"] == DEFAULT else row["alias"],
        row["name"],
        "any" if row["side_px"] is None else str(row["side_px"]),
        "yes" if row["has_text"] else "",
        f"{row['parameters'] / 1e6:.1f} M",
        output.size(row["size_bytes"]),
        "yes" if row["cached"] else "",
    )
