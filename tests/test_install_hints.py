"""What to type to install something: it works the way this package was installed."""

import json
import re
import shlex
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from mlx_aimv2 import install_hints

ROOT = Path(__file__).parent.parent
CLONE = "a clone"
FOLDER = {"url": "file:///home/me/clone", "dir_info": {}}
WHEEL = {"url": "file:///home/me/mlx_aimv2-0.1.0-py3-none-any.whl", "archive_info": {}}
GIT = {"url": "https://example.org/a.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}
REQUIRES = (
    'Requires-Dist: numpy>=2\nProvides-Extra: raw\nRequires-Dist: rawpy>=0.28; extra == "raw"\n'
    "Requires-Dist: one[x]<2,>=1; sys_platform == \"linux\" and extra == 'openblas'\n"
    "Requires-Dist: two; extra == 'openblas'\n"
)


def installed(folder: Path, patch: pytest.MonkeyPatch, source: object, receipt: str = "") -> None:
    """As if this package had been installed from there, by the tool that leaves the receipt."""
    patch.setattr(install_hints, "_CLONE", folder / "a clone")
    if source == CLONE:
        (folder / "a clone").mkdir()
        (folder / "a clone" / "pyproject.toml").touch()
    info = folder / "mlx_aimv2-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: mlx-aimv2\nVersion: 0.1.0\n{REQUIRES}")
    if source is not None:
        (info / "direct_url.json").write_text(json.dumps(source))
    if receipt:
        (folder / receipt).touch()
    patch.setattr(metadata, "distribution", lambda name: metadata.PathDistribution(info))
    patch.setattr(sys, "prefix", str(folder))
    patch.setenv("VIRTUAL_ENV", str(folder))
    patch.setattr(install_hints, "find_spec", lambda name: object())


@pytest.mark.parametrize(
    ("source", "receipt", "expected"),
    [
        (CLONE, "", ["pip", "install", "-e", "HERE/a clone[openblas]"]),
        (FOLDER, "", ["pip", "install", "one[x]<2,>=1", "two"]),
        (WHEEL, "", ["pip", "install", "one[x]<2,>=1", "two"]),
        (None, "", ["pip", "install", "one[x]<2,>=1", "two"]),
        (FOLDER, "pipx_metadata.json", ["pipx", "inject", "mlx-aimv2", "one[x]<2,>=1", "two"]),
        (
            WHEEL,
            "uv-receipt.toml",
            [
                *("uv", "tool", "install", "--with", "one[x]<2,>=1", "--with", "two"),
                "/home/me/mlx_aimv2-0.1.0-py3-none-any.whl",
            ],
        ),
    ],
)
def test_extras(
    source, receipt: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, monkeypatch, source, receipt)
    found = install_hints.extra("openblas").replace(str(tmp_path), "HERE")
    assert shlex.split(found) == expected


@pytest.mark.parametrize(
    ("source", "receipt", "expected"),
    [
        (CLONE, "", "pip install -e 'HERE/a clone'"),
        (WHEEL, "", "pip install --force-reinstall /home/me/mlx_aimv2-0.1.0-py3-none-any.whl"),
        (GIT, "", "pip install --force-reinstall git+https://example.org/a.git"),
        (FOLDER, "pipx_metadata.json", "pipx reinstall mlx-aimv2"),
        (FOLDER, "uv-receipt.toml", "uv tool upgrade --reinstall mlx-aimv2"),
        (None, "", "install it as you did before"),
    ],
)
def test_again(
    source, receipt: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, monkeypatch, source, receipt)
    assert install_hints.again().replace(str(tmp_path), "HERE") == expected


def test_an_environment_that_is_not_active(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, monkeypatch, WHEEL)
    monkeypatch.delenv("VIRTUAL_ENV")
    assert shlex.split(install_hints.packages("a b")) == [
        *(sys.executable, "-m", "pip", "install", "a b")
    ]
    monkeypatch.setattr(install_hints, "find_spec", lambda name: None)
    assert shlex.split(install_hints.packages("x")) == [
        *("uv", "pip", "install", "--python", sys.executable, "x")
    ]


def test_uv_keeps_what_it_has_installed_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, monkeypatch, FOLDER, "uv-receipt.toml")
    (tmp_path / "uv-receipt.toml").write_text(
        '[tool]\nrequirements = [{ name = "mlx-aimv2", directory = "/home/me/clone" },'
        ' { name = "pyarrow", specifier = ">=26" }]\n'
    )
    assert (
        install_hints.packages("x")
        == "uv tool install --with 'pyarrow>=26' --with x /home/me/clone"
    )


def test_every_extra_here_is_a_command() -> None:
    for name in metadata.metadata("mlx-aimv2").get_all("Provides-Extra"):
        words = shlex.split(install_hints.extra(name))
        assert "install" in words or "inject" in words
        assert re.search(rf"\[{name}\]$", words[-1]) or Requirement(words[-1])


def test_no_text_takes_this_package_from_an_index() -> None:
    from_index = re.compile(
        r"(pip|pipx|uv tool|uv pip|uv) (install|add)( --?[\w-]+)* ['\"]?mlx[-_]aimv2\b(?!-)"
        r"|mlx[-_]aimv2\["
    )
    folders = ("mlx_aimv2", "cli", "benchmarks", "examples", "docs", "tests", ".ci")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    for path in {*files, *ROOT.glob("*.*"), ROOT / "Makefile"} - {Path(__file__)}:
        if path.is_file() and path.suffix in (".py", ".md", ".toml", ".yml", ".txt", ".sh", ""):
            found = from_index.search(path.read_text(encoding="utf-8", errors="replace"))
            assert found is None, f"{path}: {found and found[0]}"
