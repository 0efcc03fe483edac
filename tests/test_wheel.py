"""The built wheel, installed away from the tree."""

import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.wheels import ROOT, build_wheel, run


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def test_it_holds_the_package_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"mlx_aimv2"}
    for expected in (
        "py.typed",
        "cli/app.py",
        "bench/conditions.py",
        "training/demo.py",
        "demo/model.safetensors",
        "demo/tags.txt",
        "server/static/index.html",
        "server/static/main.js",
        "server/static/vendor/preact.LICENSE",
        "evaluation/paper.json",
        "verification/expected.json",
        "verification/golden/lit.safetensors",
        "verification/references/demo.json",
    ):
        assert f"mlx_aimv2/{expected}" in names
    assert wheel.stat().st_size < 14e6


def test_it_holds_no_module_that_is_gone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("mlx_aimv2/")}
    tracked = run("git", "-c", "safe.directory=*", "-C", str(ROOT), "ls-tree", "-r", "--name-only",
                  "HEAD", "mlx_aimv2", "cli", cwd=ROOT).splitlines()  # fmt: skip
    tracked.remove("mlx_aimv2/cli")  # the link
    assert held == {f"mlx_aimv2/{name}" if name.startswith("cli/") else name for name in tracked}


def test_it_works_outside_the_tree(wheel, tmp_path):
    site = tmp_path / "site"
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "-t", str(site), str(wheel),
        cwd=tmp_path)  # fmt: skip
    where = "import mlx_aimv2.cli.app as app; print(app.__file__)"
    found = run(sys.executable, "-c", where, cwd=tmp_path, PYTHONPATH=str(site))
    assert Path(found.strip()).is_relative_to(site)
    command = "import sys; from mlx_aimv2.cli.app import main; sys.exit(main())"
    out = run(
        sys.executable, "-c", command, "embed", "--text", "a dog", "--model", "demo", "--out", "-",
        cwd=tmp_path, PYTHONPATH=str(site),
    )  # fmt: skip
    assert "embedding" in out
