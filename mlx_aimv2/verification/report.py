"""The report of a verification, as JSON to contribute, and the reports this package ships."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from mlx_aimv2.errors import OutputError, UsageError
from mlx_aimv2.files.json_lines import SCHEMA
from mlx_aimv2.files.paths import no_folder, printable, unwritable

from .check import Check
from .record import Record

KIND = "aimv2 verify"
_FOLDER = Path(__file__).parent / "references"
_HINT = "make one there: aimv2 verify --out report.json"


def write_report(
    target: Path,
    conditions: Mapping[str, Any],
    checks: Sequence[Check],
    records: Sequence[Record],
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
        "checkpoints": [record.to_json() for record in records],
    }
    partial = target.with_name(f".{target.name}.partial")
    try:
        text = json.dumps(content, indent=1, allow_nan=False)
        partial.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise unwritable(target, error) from error


def check_target(target: Path) -> None:
    """Errors: OutputError where a report of this name exists, or its folder takes none."""
    if target.exists() or target.is_symlink():
        raise OutputError(
            f"{printable(target)} exists already", hint="choose another name, or remove it first"
        )
    if not target.parent.is_dir():
        raise no_folder(target.parent)
    try:
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise unwritable(target, error) from error


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
