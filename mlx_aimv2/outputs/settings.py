"""What made an output: its settings, and how those of two runs differ."""

import json
from collections.abc import Mapping
from typing import Any

from mlx_aimv2.files.json_lines import to_json

Settings = Mapping[str, Any]
"""What :meth:`Model.metadata` says: checkpoint, dtype, pooling, preprocessing and so on."""

_UNSAID = {"preprocessing.decode": "exact"}  # what a setting is where a file does not name it


def differences(one: Settings, other: Settings, form: str) -> str:
    """The settings that differ between two runs, in words; empty where none does.

    ``form`` says how one is told, with ``{}`` for its name and for both values.
    """
    ours, theirs = _as_begun(one), _as_begun(other)
    told = []
    for name in ours | theirs:
        values = [each.get(name, _UNSAID.get(name)) for each in (ours, theirs)]
        if values[0] != values[1]:
            told.append(form.format(name, *values))
    return ", ".join(told)


def _as_begun(settings: Settings) -> dict[str, Any]:
    """Settings without what a run itself changes: to float32, where a value is not finite."""
    begun_in = settings.get("widened_from") or settings.get("dtype")
    return _flat(json.loads(to_json({**settings, "dtype": begun_in, "widened_from": None})))


def _flat(settings: Settings, prefix: str = "") -> dict[str, Any]:
    """Settings inside others by names that are joined with points."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
