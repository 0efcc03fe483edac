"""The real ExifTool."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.commands import PATIENCE_S

_FIELDS = {
    "Subject": "XMP-dc:Subject",
    "HierarchicalSubject": "XMP-lr:HierarchicalSubject",
    "TagsList": "XMP-digiKam:TagsList",
    "Keywords": "IPTC:Keywords",
}


def exiftool(*arguments: str | bytes | Path, cwd: Path | None = None) -> bytes:
    """What ExifTool prints; it has to succeed without a warning."""
    if not shutil.which("exiftool"):
        pytest.skip("needs ExifTool")
    done = subprocess.run(
        ["exiftool", *arguments], capture_output=True, check=False, cwd=cwd, timeout=PATIENCE_S
    )
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode(errors="replace")
    return done.stdout


def read_back(paths: Sequence[Path]) -> list[dict[str, list[str]]]:
    """The keywords of files as ExifTool reads them, by the name of the field."""
    names = [os.fsencode(path) for path in paths]
    options = ["-json", "-struct", *(f"-{field}" for field in _FIELDS.values())]
    found = json.loads(exiftool(*options, "-q", *names))
    assert len(found) == len(paths)
    return [{field: _listed(facts.get(field)) for field in _FIELDS} for facts in found]


def _listed(value: object) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]
