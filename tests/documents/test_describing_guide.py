"""What docs/describing.md says can be typed, with a tiny Aria, and its table is arithmetic."""

import re
from pathlib import Path

import pytest

from mlx_aimv2.models.aria.cost import PUBLISHED, cache_bytes, image_flops, parameters
from mlx_aimv2.models.aria.cost import token_parameters as read_for_a_token
from mlx_aimv2.training.drawings.album import write_album
from tests.support.albums import save
from tests.support.commands import run
from tests.support.documents import Home, has_worked, read
from tests.support.talking_aria import write_aria

GUIDE = read("docs/describing.md")
TEXT = GUIDE.path.read_text(encoding="utf-8")
ANSWERING = re.compile(r"\baimv2 (ask|describe)(?! --undo)")


def typed(line: str, aria: Path) -> str:
    """A line with the tiny checkpoint in the place of the published one, and short answers."""
    line = line.replace("--hf-path aria", f"--hf-path {aria} --q-group-size 32")
    if "--caption " in line:
        return line
    named = "" if "--model" in line else f" --model {aria}"
    return ANSWERING.sub(rf"aimv2 \1{named} --max-tokens 9", line)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path, photos=5)
    write_album(tmp_path / "Pictures/2024", 4)
    write_album(tmp_path / "site/images", 3)
    for number, name in enumerate(["photo.jpg", "receipt.jpg", "before.jpg", "after.jpg"]):
        save(tmp_path / name, number)
    for number in range(3):
        save(tmp_path / f"pages/page-{number}.png", number)
    (tmp_path / "page.txt").write_text("What is on this page?")
    return made


def test_its_commands_work_in_their_order(home: Home) -> None:
    aria = write_aria(home.folder / "aria")
    printed = {}
    for line in GUIDE.lines:
        done = home.type(typed(line, aria))
        assert has_worked(done), (line, done.stdout, done.stderr)
        printed[line] = done.stderr
    (first,) = (line for line in printed if line.endswith("2024 --write library"))
    assert printed[first].endswith("4 photos: 4 described\n")
    assert "1 photo stands" in printed[next(line for line in printed if "--caption " in line)]
    again = next(line for line in printed if line.endswith("--again"))
    assert "4 photos: 3 described, 1 had a caption, 4 sidecars written" in printed[again]
    left = [path.read_text() for path in (home.folder / "Pictures/2024").glob("*.xmp")]
    assert len(left) == 1
    assert "Luna at the lake" in left[0]
    assert len((home.folder / "alt.csv").read_text().splitlines()) == 4
    assert len((home.folder / "pages.jsonl").read_text().splitlines()) == 3
    (code,) = GUIDE.python
    home.type(f"aimv2 index --model demo {home.folder}/photo.jpg")
    code = code.replace('"aria"', f'"{aria}"').replace('changed?"', 'changed?", max_tokens=9')
    # It never ends by itself, of which it warns.
    done = home.run_python(f"import warnings\nwarnings.simplefilter('ignore')\n{code}")
    assert done.returncode == 0, done.stderr
    assert "Luna at the lake" in done.stdout.splitlines()[-1]


def test_its_table_is_division() -> None:
    """Weights of 4 and 8 bits have half a bit more each, for a scale and a bias of 64 of them."""
    lines = [line.split("|")[1:-1] for line in TEXT.splitlines() if line.startswith("|")]
    rows = {
        name.strip(" *"): [re.sub(r"[^\d.]", "", cell) for cell in cells] for name, *cells in lines
    }
    count, read_once = parameters(PUBLISHED), read_for_a_token(PUBLISHED)
    text = PUBLISHED.text_config
    routers = text.num_hidden_layers * (text.moe_num_experts + 2) * text.hidden_size
    packed = count.text - routers - text.hidden_size
    kept = 2 * (count.image + count.joint + routers + text.hidden_size)
    bits = (4.5, 8.5, 16)
    weights = [packed * each / 8 + kept for each in bits]
    assert [f"{each / 1e9:.1f}" for each in weights] == rows["weights, GB"]
    cache = cache_bytes(text, 8192, 2)
    for at_work, own in zip(next(row for name, row in rows.items() if "8,192" in name), weights,
                            strict=True):  # fmt: skip
        assert float(at_work) == pytest.approx((own + cache) / 1e9, abs=1.5)
    bounds = {name: row for name, row in rows.items() if "GB/s" in name}
    assert len(bounds) == 4
    for name, row in bounds.items():
        speed = float(re.findall(r"\((\d+) GB/s\)", name)[0]) * 1e9
        for shown, each in zip(row, bits, strict=True):
            if shown:
                assert float(shown) == pytest.approx(speed / (read_once * each / 8), rel=0.02)
    for side, tflop in ((980, "7.1"), (490, "1.2")):
        assert f"{image_flops(PUBLISHED, (side // 14) ** 2) / 1e12:.1f}" == tflop
        assert f"{tflop}" in TEXT
    assert f"{cache_bytes(text, 1, 2) / 1e6:.2f} MB" in TEXT
    assert f"{cache_bytes(text, 100 * 256, 2) / 1e9:.1f} GB beside" in TEXT


def test_options_in_its_text_are_there() -> None:
    helps = "".join(run(name, "--help").out for name in ("ask", "describe", "search"))
    prose = re.sub(r"^```.*?^```$", "", TEXT, flags=re.DOTALL | re.MULTILINE)
    named = {
        option
        for quoted in re.findall(r"`([^`]*)`", prose)
        for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", quoted)
    }
    assert len(named) > 5
    for option in named:
        assert re.search(rf"(^|[ ,]){option}\b", helps, re.MULTILINE), option
