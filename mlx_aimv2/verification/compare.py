"""Two checkpoints, tensor by tensor and block by block: where they part."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlx_aimv2.checkpoints import quantize

from .check import FEATURES, PACKED_FEATURES, ROUNDED_FEATURES, Check, finite, judged, skipped
from .report import Record
from .tensors import PACKED, order, placed

FETCH_HINT = "fetch the checkpoint again"
_COARSE = "quantised weights that are wrong can lie within it, --against a quantised copy tells"
_DECISIVE = ("num_attention_heads", "rms_norm_eps", "eos_token_id", "max_logit_scale")

# One step adds little to what order of summation has made of the steps before it.
_GROWTH, _NOISE = 10, 1e-7

Explain = Callable[[str], str | None]  # how the values of a tensor differ, None if they do not


@dataclass
class Comparison:
    """What is equal and what is not; ``findings`` are lines for a person, in the model's order.

    ``rounded`` are tensors equal in the narrower of two precisions, ``untold`` those of which a
    report cannot tell. ``distance`` is the largest of the features, in lengths of a token;
    ``parts_at`` is where it is more than machines differ, ``moves_at`` where it first grows: only
    between weights of one precision, else it is where rounding begins. ``is_coarse`` tells that
    features were all there was to tell of quantised weights, and that is little.
    """

    findings: list[str] = field(default_factory=list)
    equal: list[str] = field(default_factory=list)
    rounded: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    distance: float = 0.0
    parts_at: str | None = None
    moves_at: str | None = None
    is_coarse: bool = False

    @property
    def is_same(self) -> bool:
        """Whether nothing was found that differs."""
        return not self.findings and self.parts_at is None


def compare(ours: Record, theirs: Record, explain: Explain | None = None) -> Comparison:
    """Hold a checkpoint against another; without ``explain`` only fingerprints can tell."""
    result = Comparison([*_config_findings(ours.config, theirs.config)])
    where = {tensor.sha256: name for name, tensor in theirs.tensors.items()}
    for name in sorted(logical(ours) | logical(theirs), key=order):
        _compare_tensor(result, ours, theirs, name, where, explain)
    if not any("shape" in finding for finding in result.findings):
        _compare_steps(result, ours, theirs)
    return result


def told(name: str, other: str, comparison: Comparison) -> Check:
    """A comparison as a check; ``other`` is the copy that was held against it."""
    found = comparison.findings
    parts, far = comparison.parts_at or comparison.moves_at, f"{comparison.distance:.0e}"
    features = f"features within {far} of their length" if comparison.distance else "features too"
    if parts and (comparison.parts_at or found):
        features = f"features part at {parts}, by up to {far} of their length"
    detail = f"{_counted(other, comparison)}; {features}"
    values = {"differences": len(found), "parts_at": parts, "distance": finite(comparison.distance)}
    if comparison.is_same and comparison.is_coarse:
        return skipped(name, f"{detail}: {_COARSE}", values=values)
    hint = f"{FETCH_HINT}, or convert it again from its source"
    if not found and not comparison.untold:
        hint = "this machine computes otherwise: open an issue with this report"
    return judged(name, comparison.is_same, detail, hint, findings=found, values=values)


def _counted(other: str, comparison: Comparison) -> str:
    rounded, untold = len(comparison.rounded), len(comparison.untold)
    total = len(comparison.equal) + rounded + untold + len(comparison.findings)
    text = f"{len(comparison.equal)} of {total} tensors equal to {other}"
    if rounded:
        text += f", {rounded} more in the narrower precision"
    if untold:
        text += f", {untold} stored in another precision, of which only features tell"
    return text


def logical(record: Record) -> set[str]:
    """The tensors a checkpoint has whatever its precision: without the scales."""
    return {name for name in record.tensors if not quantize.is_scale(name)}


def same_shapes(one: Mapping[str, tuple[int, ...]], record: Record) -> bool:
    """Whether tensors of these names and shapes, as before quantisation, are those of a record."""
    return one == {name: record.tensors[name].shape for name in logical(record)}


def _config_findings(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    """What no tensor tells and changes every feature."""
    for key in sorted(ours.keys() & theirs.keys()):
        here, there = ours[key], theirs[key]
        if isinstance(here, Mapping) and isinstance(there, Mapping):
            yield from (f"{key}.{found}" for found in _config_findings(here, there))
        elif key in _DECISIVE and here != there:
            yield f"{key} is {here!r} here, {there!r} there"


def _compare_tensor(
    result: Comparison,
    ours: Record,
    theirs: Record,
    name: str,
    where: Mapping[str, str],
    explain: Explain | None,
) -> None:
    here, there = ours.tensors.get(name), theirs.tensors.get(name)
    if here is None or there is None:
        result.findings.append(f"{placed(name)} is only {'there' if here is None else 'here'}")
    elif here.shape != there.shape:
        result.findings.append(
            f"{placed(name)} has the shape {here.shape} here, {there.shape} there"
        )
    elif _fingerprints(ours, name) == _fingerprints(theirs, name):
        result.equal.append(name)
    elif here.sha256 in where and here.dtype != PACKED:
        result.findings.append(f"{placed(name)} is {placed(where[here.sha256])} of the other")
    elif explain is not None:
        how = explain(name)
        if how is None:
            result.rounded.append(name)
        else:
            result.findings.append(f"{placed(name)} {how}")
    elif here.dtype == there.dtype:
        result.findings.append(f"{placed(name)} is not what the report has")
    else:
        result.untold.append(name)


def _fingerprints(record: Record, name: str) -> list[str]:
    """Those of a tensor and of the scales that belong to it."""
    return [record.tensors[part].sha256 for part in quantize.group(name, record.tensors)]


def _compare_steps(result: Comparison, ours: Record, theirs: Record) -> None:
    names, others = ([step.name for step in record.steps] for record in (ours, theirs))
    if names != others:
        result.findings.append(f"its {len(names)} steps are not the {len(others)} of the other")
    is_rounded = bool(result.rounded or result.untold)
    is_packed = ours.quantization != theirs.quantization
    result.is_coarse = is_packed and bool(result.untold)
    tolerance = ROUNDED_FEATURES if is_rounded else FEATURES
    if is_packed:
        packed = [record.quantization for record in (ours, theirs) if record.quantization]
        tolerance = PACKED_FEATURES[min(each["bits"] for each in packed)]
    for name, distance in _distances(ours, theirs):
        if distance > _GROWTH * max(result.distance, _NOISE) and not (
            is_rounded or result.moves_at
        ):
            result.moves_at = name
        result.distance = max(result.distance, distance)
        if distance > tolerance and result.parts_at is None:
            result.parts_at = name


def _distances(ours: Record, theirs: Record) -> Iterator[tuple[str, float]]:
    """How far each step's features are apart, in lengths of a token; infinite if not a number."""
    for here, there in zip(ours.steps, theirs.steps, strict=False):  # told above
        if here.digest == there.digest:
            continue
        sums = [*zip(here.sums, there.sums, strict=True)]  # a report's were counted
        gaps = [abs(a - b) for a, b in sums if a is not None and b is not None]
        if here.length is None or there.length is None or len(gaps) < len(sums):
            yield here.name, float("inf")
        else:
            yield here.name, max(gaps) / max(there.length, 1e-30)
