"""``aimv2 models``: the published checkpoints, and which are here."""

from contextlib import suppress
from dataclasses import dataclass

from mlx_aimv2.errors import HubError
from mlx_aimv2.files.path_text import escape
from mlx_aimv2.models.aimv2.published import DEFAULT, LICENCE, LICENCE_TERMS
from mlx_aimv2.models.aria.published import LICENCE as ARIA_LICENCE
from mlx_aimv2.models.published import CHECKPOINTS

from . import info, output
from .options import JSON

EXAMPLES = """
aimv2 models
aimv2 models --json | jq -r 'select(.cached) | .name'
"""

_COLUMNS = ("alias", "name", "pixels", "text", "parameters", "size", "here")

_FACTS = ("name", "repo_id", "revision", "architecture", "side_px", "size_bytes", "licence")


@dataclass(frozen=True)
class Options:
    """What ``aimv2 models`` takes."""

    as_json: bool = JSON()


def models(options: Options) -> None:
    """List the published checkpoints, and the small one in this package, `demo`."""
    from mlx_aimv2.checkpoints import hub  # noqa: PLC0415

    rows = []
    for each in CHECKPOINTS:
        folder = hub.cached(each)
        facts = info.describe_published(each.alias, each)
        rows.append(_row(each.alias, facts | {"folder": escape(str(folder)) if folder else None}))
    with suppress(HubError):  # an installation without it
        rows.append(_row("demo", info.describe("demo")))
    if options.as_json:
        for row in rows:
            output.record(row)
        return
    output.table([_cells(row) for row in rows], _COLUMNS, right=(2, 4, 5))
    output.say(f"licence of Apple's weights: {LICENCE} ({LICENCE_TERMS})")
    output.say(f"licence of Aria's, which answer in texts and make no embeddings: {ARIA_LICENCE}")


def _row(alias: str, facts: info.Facts) -> info.Facts:
    """What is listed of a checkpoint."""
    return {
        "alias": alias,
        **{key: facts[key] for key in _FACTS},
        "has_text": facts["kind"] == "lit",
        "makes_texts": facts["kind"] == "aria",
        "parameters": facts["parameters"]["total"],
        "cached": facts["folder"] is not None,
        "folder": facts["folder"],
    }


def _cells(row: info.Facts) -> tuple[str, ...]:
    return (
        f"{row['alias']} (default)" if row["alias"] == DEFAULT else row["alias"],
        row["name"],
        "any" if row["side_px"] is None else str(row["side_px"]),
        "yes" if row["has_text"] else "answers" if row["makes_texts"] else "",
        f"{row['parameters'] / 1e6:.1f} M",
        output.size(row["size_bytes"]),
        "yes" if row["cached"] else "",
    )
