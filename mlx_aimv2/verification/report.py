"""The report of a verification: what is kept of each checkpoint, as JSON to contribute."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from mlx_aimv2.checkpoints import quantize
from mlx_aimv2.checkpoints.hub import Resolved
from mlx_aimv2.checkpoints.load import empty_network
from mlx_aimv2.checkpoints.safetensors_file import DTYPE_NAMES
from mlx_aimv2.checkpoints.weights import Weights, read_weights
from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.json_lines import SCHEMA
from mlx_aimv2.files.path_text import escape
from mlx_aimv2.files.paths import printable
from mlx_aimv2.files.whole_file import write_whole
from mlx_aimv2.models.network import EmbeddingConfig
from mlx_aimv2.models.registry import embedding_config

from .check import Check
from .probe import SUMS
from .tensors import Tensor, block_of, examine
from .trace import Step, trace

KIND = "aimv2 verify"
_FOLDER = Path(__file__).parent / "references"
_HINT = "make one there: aimv2 verify --out report.json"


@dataclass(frozen=True)
class Opened:
    """A checkpoint whose headers make sense; no value of it is read yet."""

    resolved: Resolved
    weights: Weights
    config: EmbeddingConfig

    @classmethod
    def of(cls, resolved: Resolved) -> Self:
        """Errors: CheckpointError, as loading would raise; UsageError for what does not embed."""
        weights = read_weights(resolved.folder)
        empty_network(weights)
        return cls(resolved, weights, embedding_config(weights.config))


@dataclass(frozen=True)
class Record:
    """A checkpoint as a report holds it; ``tensors`` have our names."""

    name: str
    repo_id: str | None
    revision: str | None
    layout: str
    dtype: str
    quantization: Mapping[str, Any] | None
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    steps: Sequence[Step]

    @classmethod
    def of(cls, opened: Opened) -> Self:
        """Read every tensor, then run every block."""
        weights, resolved = opened.weights, opened.resolved
        return cls(
            escape(resolved.name),
            resolved.repo_id,
            resolved.revision,
            weights.layout,
            DTYPE_NAMES[weights.dtype],
            weights.quantization,
            opened.config.to_dict(),
            dict(examine(weights)),
            list(trace(weights)),
        )

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """A record from its fields in a report.

        Errors: LookupError, TypeError, ValueError or AttributeError for anything else.
        """
        record = cls(
            str(content["name"]),
            content["repo_id"],
            content["revision"],
            str(content["layout"]),
            str(content["dtype"]),
            _quantization(content["quantization"]),
            dict(content["config"]),
            {str(name): _tensor(tensor) for name, tensor in content["tensors"].items()},
            [_step(step) for step in content["steps"]],
        )
        blocks = {block for name in record.tensors if (block := block_of(name))}
        if missing := blocks - {step.name for step in record.steps}:
            raise ValueError(f"no step of {min(missing)}")
        return record

    @property
    def blocks(self) -> list[Step]:
        """The steps that are blocks."""
        return [step for step in self.steps if step.largest]


def write_report(
    target: Path, conditions: Mapping[str, Any], checks: Sequence[Check], records: Sequence[Record]
) -> None:
    """Write a report, whole or not at all.

    Errors: OutputError where it cannot be written.
    """
    content = {
        "schema": SCHEMA,
        "kind": KIND,
        "passed": not any(check.status == "FAILED" for check in checks),
        "conditions": dict(conditions),
        "checks": [asdict(check) for check in checks],
        "checkpoints": [asdict(record) for record in records],
    }
    write_whole(target, json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_report(file: Path) -> list[Record]:
    """The checkpoints of a report.

    Errors: UsageError for a file that is none.
    """
    try:
        content = json.loads(file.read_bytes())
        if content["kind"] != KIND or content["schema"] != SCHEMA:
            raise ValueError(f"kind {content['kind']!r}, schema {content['schema']!r}")
        return [Record.from_json(record) for record in content["checkpoints"]]
    except OSError as error:
        raise UsageError(
            f"{printable(file)} cannot be read: {error.strerror}", hint=_HINT
        ) from error
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(
            f"{printable(file)} is no report of aimv2 verify ({reason})", hint=_HINT
        ) from error


@cache
def references() -> tuple[Record, ...]:
    """The checkpoints whose right values this package knows."""
    return tuple(record for file in sorted(_FOLDER.glob("*.json")) for record in read_report(file))


def _quantization(content: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if content is not None and not quantize.is_record(content):
        raise ValueError(f"quantization {content!r}")
    return content


def _tensor(content: Mapping[str, Any]) -> Tensor:
    return Tensor(
        str(content["dtype"]),
        tuple(int(length) for length in content["shape"]),
        str(content["sha256"]),
        float(content["largest"]),
        tuple(str(defect) for defect in content["defects"]),
    )


def _step(content: Mapping[str, Any]) -> Step:
    if len(content["sums"]) != SUMS:
        raise ValueError(f"{len(content['sums'])} sums in a step")
    return Step(
        str(content["name"]),
        str(content["digest"]),
        [_number(total) for total in content["sums"]],
        _number(content["length"]),
        {str(place): _number(value) for place, value in content["largest"].items()},
        _number(content["to_formula"]),
        _number(content["to_cpu"]),
    )


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if not math.isfinite(number := float(value)):
        raise ValueError(f"{number} in a step")
    return number
