"""What docs/training.md says can be typed, and its arithmetic is right."""

import re
from pathlib import Path

import pytest

from mlx_aimv2.models.aimv2.cost import image_flops, published_config, text_flops
from mlx_aimv2.models.aimv2.published import find
from mlx_aimv2.training.runs.presets import PRESETS
from tests.support.commands import free_port
from tests.support.documents import Home, has_worked, read

pytest.importorskip("mlx.data", reason="needs mlx-data")

PAGE = read("docs/training.md")
GUIDE = PAGE.path.read_text(encoding="utf-8")
TFLOPS, NIGHT_S = 6.5, 8 * 3600
_FEW = "--set steps=2 --set warm_up_steps=1 --set checkpoint_every=1"


def shortened(line: str) -> str:
    """A line with fewer drawings and steps, and ports that no other test takes."""
    line = line.replace("--count 12", "--count 2").replace("=40", "=5").replace("=16", "=5")
    line = line.replace("mlx.launch -n 2", f"mlx.launch -n 2 -p {free_port()}")
    if not line.startswith("aimv2 train") or "--data" not in line or "steps=" in line:
        return line
    size = "batch_tokens=128" if " native " in line else "batch_size=4"
    return f"{line.replace('drawings:20000', 'drawings:9')} {_FEW} --set {size}"


def test_its_commands_work_in_their_order(tmp_path: Path) -> None:
    home = Home(tmp_path)
    # Two processes share the cores: neither waits for the other's threads.
    home.environment["OPENBLAS_NUM_THREADS"] = "1"
    for line in PAGE.lines:
        done = home.type(shortened(line))
        assert has_worked(done), (line, done.stdout, done.stderr)
    assert "steps = 1500000" in (tmp_path / "L.toml").read_text()
    for name in ("my-lit", "toy", "toy-168", "toy-native", "toy-lit", "toy-probe", "two"):
        assert (tmp_path / name / "model.safetensors").is_file(), name


def block_flops(width: int, mlp_width: int, blocks: int, tokens: int) -> int:
    """Multiplications and additions of a transformer, forwards."""
    products = (4 * width**2 + 3 * width * mlp_width) * tokens + 2 * tokens**2 * width
    return 2 * blocks * products


def pretraining_flops(encoder: tuple[int, ...], decoder: tuple[int, ...], words: int) -> int:
    """Of a picture and its caption, forwards and twice as much backwards."""
    width, mlp_width, blocks, patches = encoder
    inner, inner_mlp, inner_blocks, tokens = decoder
    heads = width * inner * patches + 588 * inner * patches + words * inner * tokens
    forwards = block_flops(width, mlp_width, blocks, patches) + 2 * 588 * width * patches
    forwards += block_flops(inner, inner_mlp, inner_blocks, patches + tokens) + 2 * heads
    return 3 * forwards


def test_its_table_is_division() -> None:
    large, lit = (published_config(find(name)) for name in ("large", "lit"))
    head = 2 * 2 * 256 * large.hidden_size**2
    decoder = tuple(
        PRESETS["pretraining"]["L"].values[f"decoder_{key}"]
        for key in ("width", "mlp_width", "blocks")
    )
    small = pretraining_flops((384, 1024, 12, 256), (384, 1024, 6, 64), 8000)
    flops = [
        image_flops(large, 256),
        3 * (text_flops(lit) + head),
        small,
        pretraining_flops((1024, 2816, 24, 256), (*decoder, 77), 32_000),
        pretraining_flops((1024, 2816, 24, 576), (*decoder, 77), 32_000),
    ]
    rows = re.findall(
        r"^\| .+? \| ([\d,]+) \| ([\d.]+) \| ([\d.]+) ([kM]) \|$", GUIDE, re.MULTILINE
    )
    assert len(rows) == len(flops)
    for (billions, rate, night, unit), value in zip(rows, flops, strict=True):
        each_s = TFLOPS * 1e12 / value
        assert float(billions.replace(",", "")) == pytest.approx(value / 1e9, rel=0.01)
        assert float(rate) == pytest.approx(each_s, rel=0.02)
        in_a_night = each_s * NIGHT_S / {"k": 1e3, "M": 1e6}[unit]
        assert float(night) == pytest.approx(in_a_night, rel=0.05)
    years = 12e9 / (TFLOPS * 1e12 / flops[3]) / 86400 / 365
    assert f"are {years:.0f} years" in GUIDE
    features_min = 100_000 / (TFLOPS * 1e12 / flops[0]) / 60
    assert f"the features {features_min:.0f} minutes" in GUIDE
    assert f"then {NIGHT_S * TFLOPS * 1e12 / flops[1] / 100_000:.0f} epochs" in GUIDE


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", GUIDE):
        assert target.startswith("https://") or (PAGE.path.parent / target).exists(), target
