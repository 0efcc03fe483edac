"""`aimv2 doctor`: what it finds, and that nothing missing makes it stumble."""

import sys
from importlib.metadata import PackageNotFoundError, version

import pytest

from mlx_aimv2 import install_hints
from mlx_aimv2.cli import doctor
from mlx_aimv2.cpu import blas
from mlx_aimv2.library import text_cache
from mlx_aimv2.library.database import schema
from tests.support.commands import run

CHECKS = [
    "mlx-aimv2", "Python", "system", "mlx", "mlx-data", "numpy", "pillow", "safetensors",
    "huggingface_hub", "tokenizers", "pillow-heif", "device", "BLAS", "memory", "formats",
    "library", "cache", "network", "product",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(doctor, "_SIDE", 97)
    monkeypatch.setattr(blas, "status", lambda: ("libfast.so", None))


def examine():
    return {check.name: check for check in doctor.examine()}


def test_an_installation_that_works():
    outcome = run("doctor")
    assert (outcome.code, outcome.err) == (0, "")
    lines = [line.split() for line in outcome.out.splitlines()]
    assert [line[1] for line in lines] == CHECKS
    assert {line[0] for line in lines} <= {"ok", "note"}


def test_as_json():
    outcome = run("doctor", "--json")
    assert outcome.code == 0
    records = {record["name"]: record for record in outcome.records}
    assert list(records) == CHECKS
    assert all(record["schema"] == 1 for record in records.values())
    assert records["mlx"]["values"] == {"version": version("mlx")}
    assert records["device"]["values"]["default_dtype"] in ("float32", "float16", "bfloat16")
    assert records["memory"]["values"]["total_bytes"] > 1e8
    assert records["network"]["values"]["is_offline"] is True
    assert records["product"]["values"]["relative_error"] < 1e-5


def test_a_needed_part_that_is_missing(monkeypatch):
    def without(name):
        if name == "safetensors":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor, "version", without)
    outcome = run("doctor")
    assert outcome.code == 1
    assert "BROKEN  safetensors      not installed" in outcome.out
    assert f"safetensors: {install_hints.packages('safetensors')}" in outcome.out
    assert not outcome.err


def test_a_part_that_some_things_need(monkeypatch):
    def broken(name):
        if name == "pillow_heif":
            raise OSError("libheif.so.1: cannot open shared object file")
        return sys.modules.get(name)

    monkeypatch.setattr(doctor, "import_module", broken)
    found = examine()["pillow-heif"]
    assert found.status == "note"
    assert "libheif.so.1" in found.detail
    assert found.hint
    assert run("doctor").code == 0


def test_without_mlx_everything_else_is_told(monkeypatch):
    def broken(name):
        if name == "mlx.core":
            raise ImportError("libmlx.so: cannot open shared object file")
        return sys.modules.get(name)

    monkeypatch.setattr(doctor, "import_module", broken)
    monkeypatch.setitem(sys.modules, "mlx.core", None)
    outcome = run("doctor", "--json")
    assert outcome.code == 1
    status = {record["name"]: record["status"] for record in outcome.records}
    assert list(status) == CHECKS
    assert {name for name in status if status[name] == "broken"} >= {"mlx", "device", "product"}
    assert status["cache"] == "ok"
    assert status["BLAS"] in ("ok", "note")
    (mlx,) = (record for record in outcome.records if record["name"] == "mlx")
    assert "libmlx.so" in mlx["detail"]
    assert mlx["hint"]


def test_no_fast_blas_is_a_note_with_what_to_install(monkeypatch):
    monkeypatch.setattr(blas, "status", lambda: (None, "install a fast one"))
    outcome = run("doctor")
    assert outcome.code == 0
    assert "note" in outcome.out
    assert "BLAS: install a fast one" in outcome.out


def test_wrong_products_are_found(monkeypatch):
    monkeypatch.setattr(doctor, "_TOLERANCE", 0)
    found = examine()["product"]
    assert found.status == "broken"
    assert "off by" in found.detail


def test_the_library_and_the_texts_searched_for_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(schema, "default_path", lambda: tmp_path / "library.db")
    monkeypatch.setattr(text_cache, "default_path", lambda: tmp_path / "texts.db")
    assert "(not there yet)" in examine()["library"].detail
    (tmp_path / "library.db").write_bytes(b"12345")
    found = examine()["library"]
    assert found.detail == f"{tmp_path}/library.db (5 B); texts searched for: {tmp_path}/texts.db"
    assert found.values == {
        "library": f"{tmp_path}/library.db",
        "texts": f"{tmp_path}/texts.db",
    }


def test_the_cache_folder_and_its_size(monkeypatch, tmp_path):
    from huggingface_hub import constants  # noqa: PLC0415

    (tmp_path / "models--x").mkdir()
    (tmp_path / "models--x" / "blob").write_bytes(b"1234567")
    (tmp_path / "models--x" / "link").symlink_to("blob")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    values = examine()["cache"].values
    assert values["folder"] == str(tmp_path)
    assert values["size_bytes"] == 7 + len("blob")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "not" / "there"))
    found = examine()["cache"]
    assert found.values["size_bytes"] == 0
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    found = examine()["cache"]
    assert found.status == "note"
    assert "HF_HOME" in found.hint


def test_a_cache_in_a_file_is_not_well(monkeypatch):
    from huggingface_hub import constants  # noqa: PLC0415

    monkeypatch.setattr(constants, "HF_HUB_CACHE", "/dev/null/x")
    monkeypatch.setenv("HF_HUB_CACHE", "/dev/null/x")
    found = examine()["cache"]
    assert found.status == "note"
    assert "/dev/null is not a folder" in found.detail
    assert "HF_HUB_CACHE" in found.hint


def test_the_formats_are_those_that_can_be_read(monkeypatch):
    formats = "JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF"
    assert examine()["formats"].detail == f"{formats}, HEIC"

    def broken(name):
        if name == "pillow_heif":
            raise OSError("libheif.so.1: cannot open shared object file")
        return sys.modules.get(name)

    monkeypatch.setattr(doctor, "import_module", broken)
    assert examine()["formats"].detail == formats


@pytest.mark.parametrize(("is_offline", "known"), [(True, "is set"), (False, "is not set")])
def test_nobody_is_told_of_a_network_that_was_not_tried(monkeypatch, is_offline, known):
    import huggingface_hub  # noqa: PLC0415

    monkeypatch.setattr(huggingface_hub, "is_offline_mode", lambda: is_offline)
    found = examine()["network"]
    assert found.status == "note"
    assert found.detail.startswith("not tried: ")
    assert found.detail.endswith(f"HF_HUB_OFFLINE {known}")
