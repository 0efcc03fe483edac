"""Commands in the documents that are not typed as a whole: their options and modules are there."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.commands import run
from tests.support.documents import ROOT, read

NAMES = (
    "docs/benchmarks.md", "docs/metal.md", "CONTRIBUTING.md", "docs/tagging.md", "docs/locating.md",
)  # fmt: skip
LINES = [line for name in NAMES for line in read(name).lines]


@pytest.mark.parametrize("line", LINES)
def test_a_command_has_what_it_names(line: str) -> None:
    program, *words = shlex.split(line, comments=True)
    if program == "aimv2":
        known = run(words[0], "--help").out
        for option in (word for word in words if word.startswith("-")):
            assert re.search(rf"(^|[ ,]){option}\b", known, re.MULTILINE), option
    elif program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(words) <= set(targets)
    elif words[:1] == ["-m"]:
        assert find_spec(words[1])
    else:
        assert program == "pip"


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/**/*.md")), ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        assert target.startswith("https://") or (path.parent / target).exists(), target
