"""What docs/scaling.md says can be typed, and its arithmetic is right."""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

from benchmarks.readme_table import OTHERS
from mlx_aimv2.models.aimv2.cost import image_flops, published_config
from mlx_aimv2.models.aimv2.published import find
from tests.support.documents import Home, has_worked, read

PAGE = read("docs/scaling.md")
DOCS = PAGE.path.parent
GUIDE = PAGE.path.read_text(encoding="utf-8")
PATCH = 14


def test_its_commands_work_in_their_order(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for line in PAGE.lines:
        if "--hostfile" in line or ("ray_embed" in line and find_spec("ray") is None):
            continue  # other machines; a package of its own, which `make examples` tries
        if "mini/" in line:
            for number, machine in enumerate(("mini", "studio"), 1):
                (tmp_path / machine).mkdir()
                shutil.copy(tmp_path / f"photos.npz.shard-{number}-of-2", tmp_path / machine)
        done = home.type(line)
        assert has_worked(done), (line, done.stdout, done.stderr)
    whole = (tmp_path / "photos.npz").read_bytes()
    assert (tmp_path / "all.npz").read_bytes() == whole
    assert len(list(tmp_path.glob("launched.npz.shard-*-of-2"))) == 2
    assert home.type("aimv2 merge launched.npz").returncode == 0
    assert (tmp_path / "launched.npz").read_bytes() == whole


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
