"""What the paper says of a checkpoint on a data set, and what differs from a run here."""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mlx_aimv2.errors import UsageError

_FILE = Path(__file__).with_name("paper.json")


def data_set_named(folder: str) -> str | None:
    """The paper's name for a data set, by the name of its folder; None for another one."""
    name = re.sub("[^a-z0-9]", "", folder.lower()).removeprefix("wds")
    for paper_s, facts in _paper()["data_sets"].items():
        if name in (*facts["names"], re.sub("[^a-z0-9]", "", paper_s.lower())):
            return str(paper_s)
    return None


def require_data_set(name: str) -> str:
    """The paper's name for a data set. Errors: UsageError for one that the paper has not."""
    if found := data_set_named(name):
        return found
    known = ", ".join(_paper()["data_sets"])
    raise UsageError(f"the paper has no data set {name!r}", hint=f"it has {known}")


def published(protocol: str, checkpoint: str | None, data_set: str | None) -> float | None:
    """The paper's top-1 accuracy, from 0 to 1, or None where it has none."""
    value = _paper().get(protocol, {}).get(checkpoint, {}).get(data_set)
    return None if value is None else round(value / 100, 4)


def differences(record: Mapping[str, Any]) -> list[str]:
    """What of a run differs from how the paper measured, or is not known of the paper."""
    facts = _paper()["data_sets"][record["data_set"]]
    found = []
    for name, here in (("test", record["n"]), ("train", record.get("trained_on"))):
        if here is not None and here != facts[name]:
            noun = "pictures to learn from" if name == "train" else "pictures"
            found.append(f"{here:,} {noun}, the paper has {facts[name]:,}")
    if record["classes"] != facts["classes"]:
        found.append(f"{record['classes']} classes, the paper has {facts['classes']}")
    if record["preprocessing"]["preset"] != "ml-aim":
        found.append(
            "pixels as on the Hub; Apple's accuracies are measured with --preset ml-aim "
            "(1/0.875 of the side, then the middle; ImageNet's mean and deviation)"
        )
    if record["protocol"] == "zero-shot":
        found.append("the paper does not state its templates and class names")
    return found + list(record.get("deviations", ()))


@cache
def _paper() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(_FILE.read_bytes())
    return content
