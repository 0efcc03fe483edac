"""JSON on one line, in UTF-8 whatever is in it: every line of data this package writes."""

import json
from collections.abc import Mapping
from typing import Any

SCHEMA = 1  # of a JSON line; it changes when a field changes its meaning


def to_json(value: Any, *, ascii_only: bool = False) -> str:
    """JSON without lone surrogates; names in it have to be escaped before, to come back.

    Errors: ValueError for NaN or infinity.
    """
    return json.dumps(_writable(value), ensure_ascii=ascii_only, allow_nan=False)


def _writable(value: Any) -> Any:
    """The same without lone surrogates, which UTF-8 cannot hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_writable(key): _writable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_writable(item) for item in value]
    return value
