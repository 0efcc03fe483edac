"""What docs/evaluation.md says can be typed works in its order."""

import json
from pathlib import Path

import pytest

from tests.support.documents import Home, has_worked, read

PAGE = read("docs/evaluation.md")


def test_its_commands_work_in_their_order(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    home = Home(tmp_path)
    for line in PAGE.lines:
        done = home.type(line)
        assert has_worked(done), (line, done.stdout, done.stderr)
    record = json.loads((tmp_path / "probe.json").read_text())
    assert record["n"] == 100
