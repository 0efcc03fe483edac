"""Settings: presets as published, files and words checked, each mistake told with the way out."""

import tomllib
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from mlx_aimv2.errors import UsageError
from mlx_aimv2.training.runs.presets import PRESETS
from mlx_aimv2.training.runs.settings import STAGES, Stage
from mlx_aimv2.training.runs.settings_file import make_settings, to_toml

ALL = [(stage, name) for stage, presets in PRESETS.items() for name in presets]


@pytest.mark.parametrize(("stage", "name"), ALL)
def test_presets_are_settings_with_a_source(stage: Stage, name: str) -> None:
    preset = PRESETS[stage][name]
    settings = make_settings(stage, None, [f"preset={name}"])
    assert settings.preset == name
    assert preset.source
    assert {key: getattr(settings, key) for key in preset.values} == dict(preset.values)


# Source: AIMv2 paper, table A1: peak rate; width, heads and MLP width.
TABLE_A1 = {
    "L": (1e-3, 1024, 8, 2816),
    "H": (8e-4, 1536, 12, 4096),
    "1B": (8e-4, 2048, 16, 5632),
    "3B": (4e-4, 3072, 24, 8192),
}


@pytest.mark.parametrize("name", TABLE_A1)
def test_pretraining_is_table_a1(name: str) -> None:
    of = asdict(make_settings("pretraining", None, [f"preset={name}"]))
    assert (of["peak_rate"], of["width"], of["heads"], of["mlp_width"]) == TABLE_A1[name]
    assert of["blocks"] == 24
    assert (of["beta1"], of["beta2"], of["weight_decay"], of["clip_norm"]) == (0.9, 0.95, 1e-4, 1)
    assert (of["batch_size"], of["steps"], of["warm_up_steps"]) == (8192, 1_500_000, 12_500)
    assert (of["last_rate"], of["pixel_weight"], of["side_px"]) == (1e-5, 0.4, 224)
    decoder = (
        of["decoder_width"],
        of["decoder_blocks"],
        of["decoder_heads"],
        of["decoder_mlp_width"],
    )
    assert decoder == (1024, 12, 8, 2816)


def test_later_stages_do_not_decay() -> None:
    for stage in ("high-resolution", "native"):
        assert make_settings(stage, None, ["preset=L"]).weight_decay == 0


@pytest.mark.parametrize(("stage", "name"), ALL)
def test_what_is_printed_is_read_again(stage: Stage, name: str, tmp_path: Path) -> None:
    settings = make_settings(stage, None, [f"preset={name}", "seed=3", "peak_rate=2e-5"])
    file = tmp_path / "settings.toml"
    file.write_text(to_toml(settings))
    assert make_settings(stage, file, []) == settings
    assert tomllib.loads(file.read_text()).keys() == asdict(settings).keys()


def test_words_stand_over_the_file_and_the_file_over_the_preset(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('\ufeffpreset = "L"\nsteps = 70_000\nseed = 5\nrecompute = true\n')
    settings = make_settings("pretraining", file, ["seed=6", "tokenizer=demo"])
    assert (settings.steps, settings.seed, settings.recompute) == (70_000, 6, True)
    assert asdict(settings)["tokenizer"] == "demo"
    assert asdict(settings)["width"] == 1024


def test_a_run_goes_on_with_its_own() -> None:
    before = asdict(make_settings("lit", None, ["steps=77", "seed=4"]))
    after = asdict(make_settings("lit", None, ["seed=5"], before))
    assert after == before | {"seed": 5}


def test_a_run_of_another_version_is_told() -> None:
    before = asdict(make_settings("lit", None, [])) | {"warmth": 3}
    with pytest.raises(UsageError, match=r"settings that are none of lit: .*warmth"):
        make_settings("lit", None, [], before)


@pytest.mark.parametrize(
    ("word", "message", "hint"),
    [
        ("peek_rate=1", "has no setting 'peek_rate'", "did you mean peak_rate?"),
        ("qqq=1", "has no setting 'qqq'", "one of: preset, steps"),
        ("steps", "'steps' is no setting", "write --set key=value"),
        ("steps=many", "steps is 'many', not a whole number", ""),
        ("steps=1.5", "steps is 1.5, not a whole number", ""),
        ("steps=true", "steps is True, not a whole number", ""),
        ("peak_rate=fast", "peak_rate is 'fast', not a number", ""),
        ("recompute=1", "recompute is 1, not true or false", ""),
        ("tokenizer=7", "tokenizer is 7, not a text", ""),
        ("precision=float64", "precision is 'float64'", "one of: auto, float32, bfloat16"),
        ("preset=XL", "has no preset 'XL'", "one of: L, H, 1B, 3B, toy"),
        ("steps=0", "steps is 0: it must be above 0", ""),
        ("peak_rate=nan", "peak_rate is nan: it must be above 0", ""),
        ("beta2=1", "beta2 is 1.0: it must be below 1", ""),
        ("warm_up_steps=600", "no step is left", "set fewer"),
        ("peak_rate=inf", "peak_rate is inf: that is too large", ""),
        ("peak_rate=1e300", "that is too large", ""),
        (f"seed={2**64}", "that is too large", ""),
        ("width=191", "width is 191: it must be a multiple of heads, 3", ""),
        ("decoder_heads=5", "it must be a multiple of decoder_heads, 5", ""),
        ("steps=1\nwidth=3", "not a whole number", ""),
    ],
)
def test_a_mistake_is_told_with_the_way_out(word: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        make_settings("pretraining", None, [word])
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"steps 7", "is no TOML"), (b"\xff", "is no TOML"), (b"stepz = 1", "mine.toml: .*stepz")],
)
def test_a_file_that_cannot_be_used_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        make_settings("pretraining", file, [])
    with pytest.raises(UsageError, match="cannot be read"):
        make_settings("pretraining", tmp_path / "absent.toml", [])


@pytest.mark.parametrize("stage", STAGES)
def test_every_setting_says_what_it_is(stage: Stage) -> None:
    for each in fields(STAGES[stage]):
        assert each.metadata["help"].endswith("."), each.name
