"""What is kept of one checkpoint that was verified: its tensors' fingerprints and its steps."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from mlx_aimv2.checkpoints import quantize
from mlx_aimv2.checkpoints.hub import Resolved
from mlx_aimv2.checkpoints.load import empty_network
from mlx_aimv2.checkpoints.safetensors_file import DTYPE_NAMES
from mlx_aimv2.checkpoints.weights import Weights, read_weights
from mlx_aimv2.files.path_text import escape
from mlx_aimv2.models.network import Config

from .probe import SUMS
from .tensors import Tensor, block_of, examine
from .trace import Step, trace


@dataclass(frozen=True)
class Opened:
    """A checkpoint whose headers make sense; no value of it is read yet."""

    resolved: Resolved
    weights: Weights
    config: Config

    @classmethod
    def of(cls, resolved: Resolved) -> Self:
        """Errors: CheckpointError, as loading it would raise."""
        weights = read_weights(resolved.folder)
        empty_network(weights)
        return cls(resolved, weights, weights.config)


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

    def to_json(self) -> dict[str, Any]:
        """Plain values for a report."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """What :meth:`to_json` gave.

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
