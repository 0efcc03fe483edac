"""The checks of `aimv2 verify`: each says ok, why it is skipped, or what is wrong."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from PIL import Image

from mlx_aimv2.checkpoints import hub
from mlx_aimv2.checkpoints.hub import Resolved
from mlx_aimv2.errors import UsageError
from mlx_aimv2.images import decode, presets
from mlx_aimv2.images.orientation import ORIENTATIONS
from mlx_aimv2.models.aimv2 import layers
from mlx_aimv2.models.aimv2.published import find
from mlx_aimv2.texts.tokenizer import Tokenizer
from mlx_aimv2.verification import arithmetic, checkpoint, expected, golden, published_values
from mlx_aimv2.verification.check import Check
from mlx_aimv2.verification.checkpoint import Against, examine_checkpoint, recognised
from mlx_aimv2.verification.report import Opened, Record, read_report, references, write_report
from mlx_aimv2.verification.run import examine_port
from tests.support.makers import random_vision, vision_config, write_checkpoint


def opened_in(folder: Path, **tensors: np.ndarray) -> Opened:
    return Opened.of(
        hub.resolve(write_checkpoint(folder, random_vision() | tensors, vision_config()))
    )


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return opened_in(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def record(opened: Opened) -> Record:
    return Record.of(opened)


def checks_of(opened: Opened, record: Record | None = None, **options) -> dict[str, Check]:
    options = {"against": None, "is_full": True} | options
    against = options.pop("against")
    made = examine_checkpoint(opened, record or Record.of(opened), against, **options)
    return {check.name: check for check in made}


# The port


def test_the_port_is_right_here() -> None:
    checks = list(examine_port())
    assert {check.name for check in checks if check.status == "ok"} >= {
        "precision", "pixels", "tokens", *(f"golden {name}" for name in golden.SHA256)
    }  # fmt: skip
    assert not [check for check in checks if check.status == "FAILED"]


def test_products_of_few_bits_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    class Rounding:
        """Products of numbers that keep 10 bits, as TF32 has them."""

        @staticmethod
        def array(values: np.ndarray) -> np.ndarray:
            return (values.view(np.uint32) & 0xFFFFE000).view(np.float32)

    monkeypatch.setattr(arithmetic, "mx", Rounding)
    check = arithmetic.float32_products()
    assert check.status == "FAILED"
    assert "TF32" in check.detail
    assert "MLX_ENABLE_TF32=0" in check.hint
    assert golden.activations("lit", is_full=False).status == "skipped"


def test_pixels_of_turned_pictures_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    swapped = ORIENTATIONS | {6: ORIENTATIONS[8], 8: ORIENTATIONS[6]}
    monkeypatch.setattr(decode, "ORIENTATIONS", swapped)
    check = expected.pixels()
    assert check.status == "FAILED"
    assert {finding.split(",")[0] for finding in check.findings[:-1]} == {
        "upright", "exif 6", "exif 8"
    }  # fmt: skip
    assert check.findings[-1] == "and 1 more"


@pytest.mark.parametrize(("name", "wrong"), [("crop_fraction", "hub"), ("half_to_even", "ml-aim")])
def test_pixels_of_another_crop_are_seen(
    monkeypatch: pytest.MonkeyPatch, name: str, wrong: str
) -> None:
    values = {"crop_fraction": 0.9, "half_to_even": False}
    monkeypatch.setitem(
        presets.PRESETS, wrong, replace(presets.PRESETS[wrong], **{name: values[name]})
    )
    check = expected.pixels()
    assert check.status == "FAILED"
    assert all(f", {wrong} " in finding for finding in check.findings[:12])


def test_another_normalisation_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = (np.array(expected.expected()["normalized"]) + 1e-3).tolist()
    monkeypatch.setitem(expected.expected(), "normalized", numbers)
    assert expected.pixels().findings == ["wide, normalised: not what is expected"]


def test_other_ids_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Tokenizer.encode

    def without_lower_case(self: Tokenizer, texts: list[str]) -> np.ndarray:
        return right(self, [text.upper() + "!" if "cat" in text else text for text in texts])

    monkeypatch.setattr(Tokenizer, "encode", without_lower_case)
    check = expected.tokens()
    assert (check.status, len(check.findings)) == ("FAILED", 1)
    assert check.findings[0].startswith("'a photo of a cat'")


@pytest.mark.parametrize("name", golden.SHA256)
def test_a_wrong_computation_is_no_golden_one(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    right = layers.SwiGLU.__call__
    monkeypatch.setattr(layers.SwiGLU, "__call__", lambda self, x: right(self, x) * 1.001)
    check = golden.activations(name, is_full=True)
    assert check.status == "FAILED"
    assert check.hint
    if name == "vision-fixed":
        assert [finding.split(":")[0] for finding in check.findings] == [
            "block 0", "block 1", "block 2", "features"
        ]  # fmt: skip


def test_a_damaged_golden_file_is_no_wrong_computation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytearray((golden.FOLDER / "lit.safetensors").read_bytes())
    content[-100] ^= 1
    (tmp_path / "lit.safetensors").write_bytes(content)
    monkeypatch.setattr(golden, "FOLDER", tmp_path)
    for name in ("lit", "vision-fixed"):  # one damaged, one missing
        check = golden.activations(name, is_full=True)
        assert "missing or damaged" in check.detail
        assert "install the package again" in check.hint


def test_not_a_number_fails_and_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"block 0": 1e-7, "block 1": float("nan")}
    monkeypatch.setattr(golden, "differences", lambda *_: found)
    check = golden.activations("lit", is_full=True)
    assert (check.status, check.findings) == ("FAILED", ["block 1: off by nan"])
    assert check.values == {"block 0": 1e-7, "block 1": None}

    class Nothing:
        @staticmethod
        def array(values: np.ndarray) -> np.ndarray:
            return np.full_like(values, np.nan)

    monkeypatch.setattr(arithmetic, "mx", Nothing)
    precision = arithmetic.float32_products()
    assert (precision.status, precision.values) == ("FAILED", {"relative_error": None})
    write_report(tmp_path / "report.json", {}, [check, precision], [])
    assert read_report(tmp_path / "report.json") == []


# Fused attention, on a backend that this machine has not


class Kernels:
    """Attention as a GPU's kernels would compute it, with what a test makes of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
        self._right = mx.fast.scaled_dot_product_attention
        monkeypatch.setattr(arithmetic, "backend", lambda: backend)
        monkeypatch.setattr(mx.fast, "scaled_dot_product_attention", self)

    def __call__(self, q, k, v, *, scale, mask, force_fused):
        assert force_fused
        return self.compute(q, k, v, scale, mask)

    def compute(self, q, k, v, scale, mask):
        return self._right(q, k, v, scale=scale, mask=mask)


def test_right_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    Kernels(monkeypatch, "Metal")
    check = arithmetic.attention()
    assert (check.status, check.findings) == ("ok", [])
    assert check.detail.startswith("15 of 15 ")


@pytest.mark.parametrize("ignored", ["causal", "boolean"])
def test_a_kernel_that_ignores_a_mask(monkeypatch: pytest.MonkeyPatch, ignored: str) -> None:
    class Wrong(Kernels):
        def compute(self, q, k, v, scale, mask):
            is_ignored = (mask == ignored) if isinstance(mask, str) else ignored == "boolean"
            return super().compute(q, k, v, scale, None if is_ignored else mask)

    Wrong(monkeypatch, "Metal")
    check = arithmetic.attention()
    assert check.status == "FAILED"
    assert all(ignored in finding for finding in check.findings)
    assert len(check.findings) == (3 if ignored == "causal" else 6)


@pytest.mark.parametrize(("backend", "status"), [("CUDA", "ok"), ("Metal", "FAILED")])
def test_what_a_backend_refuses_to_fuse(
    monkeypatch: pytest.MonkeyPatch, backend: str, status: str
) -> None:
    class Halves(Kernels):
        def compute(self, q, k, v, scale, mask):
            if q.dtype == mx.float32:
                raise ValueError("force_fused=True but no fused kernel is available")
            return super().compute(q, k, v, scale, mask)

    Halves(monkeypatch, backend)
    check = arithmetic.attention()
    assert check.status == status
    assert len(check.findings) == 5
    assert all("no fused kernel is available" in finding for finding in check.findings)


def test_a_backend_that_fuses_nothing_is_not_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing(Kernels):
        def compute(self, q, k, v, scale, mask):
            raise RuntimeError("no fused kernel")

    Nothing(monkeypatch, "CUDA")
    assert arithmetic.attention().status == "FAILED"


# A checkpoint


def test_a_sound_checkpoint(opened: Opened, record: Record) -> None:
    checks = checks_of(opened, record)
    assert {name: check.status for name, check in checks.items()} == {
        "file": "skipped",
        "tensors": "ok",
        "blocks": "ok",
        "device": "skipped",
        "float16": "ok",
        "preprocessing": "ok",
        "reference": "skipped",
    }
    assert checks["device"].detail == "the CPU is the device"
    assert "--against" in checks["reference"].detail
    assert all(check.checkpoint == record.name for check in checks.values())


def test_not_a_number_is_found_twice(tmp_path: Path) -> None:
    name = "trunk.blocks.1.mlp.fc2.weight"
    damaged = random_vision()[name].copy()
    damaged[3, 5] = np.nan
    checks = checks_of(opened_in(tmp_path, **{name: damaged}))
    assert checks["tensors"].status == checks["blocks"].status == "FAILED"
    assert "NaN or infinite, first at [3, 5]" in checks["tensors"].findings[0]
    assert checks["tensors"].findings[0].startswith("block 1: mlp.fc2.weight: ")
    assert checks["blocks"].findings == ["block 1: the result is not finite"]
    assert checks["float16"].status == "skipped"


@pytest.mark.parametrize("value", [np.inf, -3e38])
def test_infinite_and_huge_values_end_in_words(
    tmp_path: Path, opened: Opened, value: float
) -> None:
    name = "trunk.blocks.1.mlp.fc2.weight"
    damaged = random_vision()[name].copy()
    damaged[3, 5] = value
    wrong = opened_in(tmp_path, **{name: damaged})
    record = Record.of(wrong)
    checks = checks_of(wrong, record, against=Against("copy", [Record.of(opened)], opened))
    assert checks["tensors"].findings[0].startswith("block 1: mlp.fc2.weight: ")
    assert "(first at [3, 5]; " in checks["against"].findings[0]
    assert "part at block 1" in checks["against"].detail
    checks = checks_of(wrong, record, against=Against("r", [record]))  # as wrong as itself
    assert checks["against"].findings == []
    write_report(tmp_path / "report.json", {}, list(checks.values()), [record])
    assert read_report(tmp_path / "report.json") == [record]


def test_fresh_norms_and_tables_fail_nothing_and_an_empty_product_does(tmp_path: Path) -> None:
    fresh = {
        "trunk.blocks.0.norm_1.weight": np.ones(76, np.float32),
        "preprocessor.pos_embed": np.zeros((1, 25, 76), np.float32),
    }
    check = checks_of(opened_in(tmp_path / "fresh", **fresh))["tensors"]
    assert check.status == "ok"
    assert check.findings == [
        "model: preprocessor.pos_embed: all values are the same",
        "block 0: norm_1.weight: all values are the same",
    ]
    empty = {"trunk.blocks.0.attn.proj.weight": np.zeros((76, 76), np.float32)}
    assert checks_of(opened_in(tmp_path / "empty", **empty))["tensors"].status == "FAILED"


def test_activations_too_large_for_float16(tmp_path: Path) -> None:
    name = "trunk.blocks.2.mlp.fc2.weight"
    checks = checks_of(opened_in(tmp_path, **{name: random_vision()[name] * 1e5}))
    check = checks["float16"]
    assert check.status == "ok"
    assert "use bfloat16" in check.detail
    assert {finding.split(":")[0] for finding in check.findings} == {
        "hidden state of block 2", "mlp of block 2"
    }  # fmt: skip


def test_differences_to_the_formula_and_to_the_cpu(
    opened: Opened, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "backend", lambda: "Metal")
    steps = [replace(step, to_cpu=1e-6) for step in record.steps]
    checks = checks_of(opened, replace(record, steps=steps))
    assert checks["Metal against CPU"].status == "ok"
    steps[2] = replace(steps[2], to_cpu=0.03, to_formula=0.04)
    checks = checks_of(opened, replace(record, steps=steps))
    assert checks["Metal against CPU"].findings == ["block 1: off by 3.0e-02 of its largest value"]
    assert checks["blocks"].findings == ["block 1: off by 4.0e-02 of its largest value"]
    steps[3] = replace(steps[3], to_cpu=None, to_formula=None)  # not finite on one of the two
    checks = checks_of(opened, replace(record, steps=steps))
    assert len(checks["Metal against CPU"].findings) == 2
    assert len(checks["blocks"].findings) == 2
    checks = checks_of(opened, replace(record, steps=steps), is_full=False)
    assert checks["device"].status == checks["blocks"].status == "skipped"


# Its file in the hub's cache


def cached(folder: Path, *, flip: bool = False, tensors: dict | None = None) -> Opened:
    """A snapshot whose weights are a link to a blob named by its SHA-256."""
    made = opened_in(folder / "made", **(tensors or {}))
    content = bytearray((made.resolved.folder / "model.safetensors").read_bytes())
    blob = folder / hashlib.sha256(content).hexdigest()
    if flip:
        content[-2] ^= 1
    blob.write_bytes(content)
    (made.resolved.folder / "model.safetensors").unlink()
    (made.resolved.folder / "model.safetensors").symlink_to(blob)
    return made


def test_a_file_with_the_hubs_hash(tmp_path: Path) -> None:
    check = checks_of(cached(tmp_path))["file"]
    assert (check.status, check.detail[:6]) == ("ok", "1 of 1")


def test_a_file_that_changed_in_the_cache(tmp_path: Path) -> None:
    check = checks_of(cached(tmp_path, flip=True))["file"]
    assert check.status == "FAILED"
    assert check.findings == ["model.safetensors: another SHA-256 than the hub's"]


def test_odd_values_are_no_failure_where_they_were_published(tmp_path: Path) -> None:
    name = "trunk.blocks.0.mlp.fc1.weight"
    empty = random_vision()[name].copy()
    empty[7] = 0
    assert checks_of(opened_in(tmp_path / "local", **{name: empty}))["tensors"].status == "FAILED"
    check = checks_of(cached(tmp_path, tensors={name: empty}))["tensors"]
    assert check.status == "ok"
    assert check.findings == ["block 0: mlp.fc1.weight: 1 of 101 rows are all zero"]
    other = opened_in(tmp_path / "copy", **{name: empty})
    copy = Against("copy", [Record.of(other)], other)
    assert checks_of(other, against=copy)["tensors"].status == "ok"


# What it is held against


def test_equal_and_different_copies(tmp_path: Path, opened: Opened, record: Record) -> None:
    same = opened_in(tmp_path / "same")
    check = checks_of(opened, record, against=Against("copy", [Record.of(same)], same))["against"]
    assert check.status == "ok"
    assert check.detail.startswith(f"{len(record.tensors)} of {len(record.tensors)} tensors equal")
    name = "trunk.blocks.2.attn.qkv.weight"
    other = random_vision()[name].copy()
    other[100, 4] += 1
    wrong = opened_in(tmp_path / "wrong", **{name: other})
    check = checks_of(opened, record, against=Against("copy", [Record.of(wrong)], wrong))["against"]
    assert check.status == "FAILED"
    assert "features part at block 2" in check.detail
    assert re.fullmatch(
        r"block 2: attn.qkv.weight differs in 1 of 17,328 values \(first at \[100, 4\]; .*\)",
        check.findings[0],
    )
    reported = Against("theirs.json", [record, Record.of(wrong)])
    check = checks_of(opened, record, against=reported)["against"]  # the one that fits best
    assert check.status == "ok"
    assert check.detail.endswith("features too")


def test_many_differences_are_cut_short(tmp_path: Path, opened: Opened, record: Record) -> None:
    made = write_checkpoint(tmp_path, random_vision(seed=1), vision_config())
    other = Record.of(Opened.of(hub.resolve(made)))
    check = checks_of(opened, record, against=Against("r", [other]))["against"]
    assert check.findings[-1] == f"and {len(record.tensors) - 12} more"
    assert len(check.findings) == 13


def test_equal_weights_and_other_features_are_the_machines(opened: Opened, record: Record) -> None:
    steps = [
        replace(step, digest="", sums=[total + 1 for total in step.sums])
        if step.name == "block 1"
        else step
        for step in record.steps
    ]
    theirs = Against("r", [replace(record, steps=steps)])
    check = checks_of(opened, record, against=theirs)["against"]
    assert check.status == "FAILED"
    assert "features part at block 1" in check.detail
    assert "this machine computes otherwise" in check.hint


def test_a_report_without_these_sizes_is_skipped(opened: Opened, record: Record) -> None:
    check = checks_of(opened, record, against=Against("r.json", [*references()]))["against"]
    assert check.status == "skipped"


@pytest.mark.parametrize("kept", [slice(0), slice(0, 2), slice(0, -1)])
def test_a_report_with_fewer_steps(
    tmp_path: Path, opened: Opened, record: Record, kept: slice
) -> None:
    cut = replace(record, steps=record.steps[kept])
    write_report(tmp_path / "report.json", {}, [], [cut])
    if kept != slice(0, -1):
        with pytest.raises(UsageError, match="no step of block"):
            read_report(tmp_path / "report.json")
        return
    theirs = Against("r", read_report(tmp_path / "report.json"))
    check = checks_of(opened, record, against=theirs)["against"]
    assert check.status == "FAILED"
    assert "steps are not the" in check.findings[-1]


# References


@pytest.mark.parametrize("name", ["demo", *golden.SHA256])
def test_references_are_of_what_this_package_ships(tmp_path: Path, name: str) -> None:
    if name in golden.SHA256:
        golden.load_golden(name, tmp_path)
        source = str(tmp_path / name)
    else:
        source = name
    made = Opened.of(hub.resolve(source))
    record = Record.of(made)
    known = recognised(record)
    assert known is not None
    assert known.name == name
    assert checks_of(made, record)["reference"].status == "ok"


def test_other_weights_of_the_same_sizes_are_not_recognised() -> None:
    (demo,) = (record for record in references() if record.name == "demo")
    tensors = {name: replace(tensor, sha256="0") for name, tensor in demo.tensors.items()}
    assert recognised(replace(demo, tensors=tensors)) is None
    few = dict(list(tensors.items())[:20])
    assert recognised(replace(demo, tensors=demo.tensors | few)) is demo


# Published values


def published_check(alias: str) -> Check:
    (check,) = published_values.published_values(find(alias))
    return check


def test_published_values_need_a_picture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(published_values.PICTURE_VARIABLE, raising=False)
    check = published_check("large")
    assert check.status == "skipped"
    assert "AIMV2_COCO_PICTURE=FILE" in check.detail
    monkeypatch.setenv(published_values.PICTURE_VARIABLE, str(tmp_path / "missing.jpg"))
    assert published_check("native").status == "FAILED"
    Image.new("RGB", (64, 48)).save(tmp_path / "other.png")
    monkeypatch.setenv(published_values.PICTURE_VARIABLE, str(tmp_path / "other.png"))
    check = published_check("lit")
    assert check.status == "FAILED"
    assert "64×48" in check.detail
    assert list(published_values.published_values(find("3B"))) == []


def test_published_values_are_held_against_the_features(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Image.new("RGB", published_values.PICTURE_PX).save(tmp_path / "picture.png")
    monkeypatch.setenv(published_values.PICTURE_VARIABLE, str(tmp_path / "picture.png"))

    class Encoder:
        def __init__(self, off: float) -> None:
            self.off = off

        def preprocess(self, file: Path) -> mx.array:
            assert file == tmp_path / "picture.png"
            return mx.zeros((3,))

        def vision(self, pixels: mx.array) -> mx.array:
            features = np.zeros((1, 9, 8), np.float32)
            features[0, :7, :4] = np.array(published_values.FEATURES["large"]) + self.off
            return mx.array(features)

    for off, status in ((5e-4, "ok"), (2e-3, "FAILED")):
        monkeypatch.setattr(published_values.model, "load", lambda *_, off=off, **__: Encoder(off))
        assert published_check("large").status == status


def test_a_published_checkpoint_is_asked_for_them(opened: Opened, record: Record) -> None:
    resolved = Resolved("large", opened.resolved.folder, "x", "apple/x", "0" * 40, find("large"))
    assert "published values" in checks_of(replace(opened, resolved=resolved), record)
