"""What docs/scaling.md says can be typed, and its arithmetic is right."""

import re
import shlex
from pathlib import Path

import pytest

from benchmarks.readme_table import OTHERS
from mlx_aimv2.checkpoints import find
from mlx_aimv2.cost import image_flops, published_config
from tests.commands import run

DOCS = Path(__file__).parent.parent / "docs"
GUIDE = (DOCS / "scaling.md").read_text(encoding="utf-8")
SHELL = "\n".join(re.findall(r"^```sh\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE))
COMMANDS = [found[1] for found in re.finditer(r"aimv2 ((embed|merge) .*)", SHELL)]
PATCH = 14


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_have_the_options_it_uses(command: str) -> None:
    name, *rest = shlex.split(command, comments=True)
    known = run(name, "--help").out
    for option in (word for word in rest if word.startswith("-")):
        assert re.search(rf"^  (-\w, )?{option}\b", known, re.MULTILINE), option


def figure(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}"


def test_its_table_is_division() -> None:
    found = 0
    for chip, *cells in re.findall(r"^\| (Apple [\w ]+) \|" + r" ([\d.]+) \|" * 5, GUIDE, re.M):
        expected = [OTHERS[chip]]
        for alias in ("large", "3B-448"):
            checkpoint = find(alias)
            tokens = (checkpoint.side_px // PATCH) ** 2
            rate = OTHERS[chip] * 1e12 / image_flops(published_config(checkpoint), tokens)
            expected += [rate, 100_000 / rate / 3600]
        assert cells[0] == str(OTHERS[chip])
        assert cells[1:] == [figure(value) for value in expected[1:]]
        found += 1
    assert found == 4


def test_its_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", GUIDE)
    assert targets
    for target in targets:
        assert target.startswith("https://") or (DOCS / target).exists(), target
