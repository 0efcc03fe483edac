"""Values that a ``config.json`` states, and what the tensors say, held against each other."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from mlx_aimv2.errors import CheckpointError

Shapes = Mapping[str, tuple[int, ...]]

_ABSURD = 1e15


def shape_of(shapes: Shapes, name: str, dimensions: int) -> tuple[int, ...]:
    """The shape of a tensor. Errors: CheckpointError where it is missing or has other axes."""
    if name not in shapes:
        raise CheckpointError(f"the tensor {name} is missing")
    if len(shapes[name]) != dimensions:
        raise CheckpointError(f"the tensor {name} has the shape {shapes[name]}")
    return shapes[name]


def blocks_of(shapes: Shapes, start: str) -> range:
    """Numbers of the blocks whose tensors' names begin so. Errors: CheckpointError for a gap."""
    blocks = {int(name[len(start) :].split(".")[0]) for name in shapes if name.startswith(start)}
    if not blocks or blocks != set(range(len(blocks))):
        raise CheckpointError(f"{start}* has the blocks {sorted(blocks)}: some are missing")
    return range(len(blocks))


def usual(sizes: list[int], stated: object) -> int:
    """The size of most blocks, or the stated one where a block has it."""
    # One mis-shaped tensor must not decide the sizes: the strict load then names it.
    return stated if stated in sizes else Counter(sizes).most_common(1)[0][0]


def part_of(stated: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """An object in a ``config.json``; empty where there is none."""
    part = stated.get(key) or {}
    if not isinstance(part, Mapping):
        raise CheckpointError(f"config.json: {key} is not an object")
    return part


def integer(stated: Mapping[str, Any], key: str, default: int) -> int:
    """A whole number. Errors: CheckpointError for anything else."""
    value = number(stated, key, default)
    if value != int(value):
        raise CheckpointError(f"config.json: {key} is {value!r}, not a whole number")
    return int(value)


def number(stated: Mapping[str, Any], key: str, default: float) -> float:
    """A finite number. Errors: CheckpointError for anything else."""
    value = default if stated.get(key) is None else stated[key]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not abs(value) < _ABSURD:  # NaN is not below anything
        raise CheckpointError(f"config.json: {key} is {value!r}, not a number")
    return value


def agree(stated: Mapping[str, Any], key: str, actual: object, tensor: str) -> None:
    """Errors: CheckpointError where a ``config.json`` says otherwise than the tensors."""
    if stated.get(key) not in (None, actual):
        raise CheckpointError(
            f"config.json says {key} = {stated[key]!r}, the weights say {actual!r} ({tensor})",
            hint="use the config.json that belongs to these weights, or remove it",
        )
