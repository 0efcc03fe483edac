"""One checkpoint: its files, its tensors, its blocks, and what it is held against."""

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from mlx_aimv2.checkpoints import hub
from mlx_aimv2.device import backend
from mlx_aimv2.models.aimv2.published import Checkpoint

from .check import BLOCK, NOT_FULL, REPORT_HINT, Check, judged, skipped
from .compare import FETCH_HINT, compare, logical, same_shapes, told
from .preprocessing import examine_inputs
from .published_values import published_values
from .report import Opened, Record, references
from .tensors import SAME, Tensor, difference, order, placed

FLOAT16_LARGEST = 65504
WEIGHED = ("file", "reference", "against")  # the checks that hold weights against known ones
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Against:
    """What a checkpoint is held against: those of a report, or another copy, which is opened."""

    name: str
    records: Sequence[Record]
    opened: Opened | None = None


def examine_checkpoint(
    opened: Opened, record: Record, against: Against | None, *, is_full: bool
) -> Iterator[Check]:
    """Every check of one checkpoint; ``is_full`` tells whether float32 products are."""
    file = _file(opened)
    compared = [*_references(record), *_against(opened, record, against)]
    is_known = any(check.status == "ok" for check in (file, *compared))
    checks = [
        file,
        _tensors(record, is_known=is_known),
        *_steps(record, is_full=is_full),
        *examine_inputs(opened, _known_inputs(record, against)),
        *compared,
    ]
    if not compared:
        checks.append(skipped("reference", "none for these weights: --against takes another copy"))
    if isinstance(opened.resolved.checkpoint, Checkpoint):
        checks += published_values(opened.resolved.checkpoint)
    for check in checks:
        yield replace(check, checkpoint=record.name)


def recognised(record: Record) -> Record | None:
    """The reference of which this is a copy: the same sizes, and most values the same."""
    shapes = {name: record.tensors[name].shape for name in logical(record)}
    for reference in references():
        if not same_shapes(shapes, reference):
            continue
        pairs = [(record.tensors[name], reference.tensors[name]) for name in shapes]
        equal = sum(one.sha256 == other.sha256 for one, other in pairs)
        if 2 * equal >= sum(one.dtype == other.dtype for one, other in pairs) and equal:
            return reference
    return None


def _references(record: Record) -> Iterator[Check]:
    reference = recognised(record)
    if reference is not None:
        yield told("reference", "this package's reference", compare(record, reference))


def _known_inputs(record: Record, against: Against | None) -> Opened | None:
    """The copy whose tokenizer and preprocessing this one's should be."""
    if against and against.opened:
        return against.opened
    reference = recognised(record)
    if reference is None or reference.name != hub.DEMO:
        return None
    return Opened.of(hub.resolve(hub.DEMO))


def _file(opened: Opened) -> Check:
    """Large files of the hub's cache are named by their SHA-256."""
    files = sorted({header.file for header in opened.weights.headers()})
    named = {file: file.resolve().name for file in files}
    if not all(map(_SHA256.fullmatch, named.values())):
        return skipped("file", "only files in the hub's cache carry their SHA-256")
    wrong = []
    for file, name in named.items():
        with file.open("rb") as content:
            if hashlib.file_digest(content, "sha256").hexdigest() != name:
                wrong.append(f"{file.name}: another SHA-256 than the hub's")
    return judged(
        "file",
        not wrong,
        f"{len(files) - len(wrong)} of {len(files)} have the SHA-256 that the hub gave them",
        "remove it from the cache and fetch it again",
        findings=wrong,
    )


def _tensors(record: Record, *, is_known: bool) -> Check:
    """What is wrong with the values by themselves; in weights known to be right it is only told."""
    odd = [
        (placed(name), defect, defect != SAME or _is_matrix(name, tensor))
        for name, tensor in sorted(record.tensors.items(), key=lambda item: order(item[0]))
        for defect in tensor.defects
    ]
    is_right = is_known or not any(is_wrong for *_, is_wrong in odd)
    listed = "".join(f"{name} {record.tensors[name].sha256}\n" for name in sorted(record.tensors))
    fingerprint = hashlib.sha256(listed.encode()).hexdigest()
    stored = record.dtype
    if record.quantization:
        stored = f"{record.quantization['bits']} bits and {stored}"
    detail = f"{len(record.tensors)} stored as {stored}, fingerprint {fingerprint[:12]}"
    detail += f", {len(odd)} with odd values" if odd else ", finite, none of it empty"
    if odd and is_known:
        detail += ", as in the copy that is known"
    return judged(
        "tensors",
        is_right,
        detail,
        f"{FETCH_HINT}, or hold it against a copy: --against",
        findings=[f"{place}: {defect}" for place, defect, _ in odd],
        values={"fingerprint": fingerprint},
    )


def _is_matrix(name: str, tensor: Tensor) -> bool:
    """Whether it is a product's weight; norms, biases and tables may start as one value."""
    return name.endswith(".weight") and len(tensor.shape) > 1


def _steps(record: Record, *, is_full: bool) -> Iterator[Check]:
    """What running it shows, of a family whose blocks are known here."""
    if not record.steps:
        yield skipped("blocks", "no formula is known for this family of networks")
        return
    yield _blocks(record, is_full=is_full)
    yield _device(record, is_full=is_full)
    yield _float16(record)


def _blocks(record: Record, *, is_full: bool) -> Check:
    """This package's blocks against the formula, with these weights."""
    endless = [f"{s.name}: the result is not finite" for s in record.steps if not s.is_finite]
    if endless:
        detail = "the features are not finite"
        return judged("blocks", False, detail, FETCH_HINT, findings=endless[:1])
    if not is_full:
        return skipped("blocks", NOT_FULL)
    return _near("blocks", "the formula", {step.name: step.to_formula for step in record.blocks})


def _device(record: Record, *, is_full: bool) -> Check:
    """Each step on the default device against the CPU."""
    if backend() == "CPU":
        return skipped("device", "the CPU is the device")
    if not is_full:
        return skipped("device", NOT_FULL)
    differences = {step.name: step.to_cpu for step in record.steps}
    return _near(f"{backend()} against CPU", "the CPU", differences)


def _near(name: str, what: str, differences: dict[str, float | None]) -> Check:
    """``differences`` by step, None where the result of one of the two is not finite."""
    sizes = {step: math.inf if d is None else d for step, d in differences.items()}
    far = [f"{step}: off by {size:.1e} of its largest value"
           for step, size in sizes.items() if not size <= BLOCK]  # fmt: skip
    detail = f"{len(sizes)} steps at most {max(sizes.values()):.0e} from {what}"
    return judged(
        name,
        not far,
        f"{detail} (limit {BLOCK:.0e})",
        REPORT_HINT,
        findings=far,
        values=differences,
    )


def _float16(record: Record) -> Check:
    """Whether float16 holds every activation; where it does not, computing goes on in float32."""
    largest = [
        (value, f"{place} of {step.name}")
        for step in record.blocks
        for place, value in step.largest.items()
        if value is not None
    ]
    if not largest or not all(step.is_finite for step in record.steps):
        return skipped("float16", "the features are not finite")
    value, where = max(largest)
    over = [f"{place}: {size:.4g}" for size, place in largest if size > FLOAT16_LARGEST]
    detail = f"activations up to {value:.4g} ({where}) of {FLOAT16_LARGEST}"
    if over:
        detail += ": use bfloat16 or float32 (float16 falls back to it by itself)"
    values = {
        step.name: max((v for v in step.largest.values() if v is not None), default=None)
        for step in record.blocks
    }
    return judged("float16", True, detail, findings=over, values=values)


def _against(opened: Opened, record: Record, against: Against | None) -> Iterator[Check]:
    if against is None:
        return
    shapes, copy = opened.weights.logical_shapes(), against.opened
    fitting = [other for other in against.records if copy or same_shapes(shapes, other)]
    if not fitting:
        yield skipped("against", f"{against.name} has no checkpoint of these sizes")
        return
    explain = partial(difference, opened.weights, copy.weights) if copy else None
    compared = [compare(record, other, explain) for other in fitting]
    best = max(range(len(fitting)), key=lambda i: len(compared[i].equal))
    name = fitting[best].name if copy else f"{fitting[best].name} of {against.name}"
    yield told("against", name, compared[best])
