"""Fixtures of several test files; tests/conftest.py makes them known to all."""

from pathlib import Path

import pytest

from mlx_aimv2.inference import model as models


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home, a cache and a library of the test's own, whose folder is the current one."""
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which checkpoints were loaded."""
    seen: list[str] = []
    load = models.load

    def note(source: str, **options: object) -> models.Model:
        seen.append(source)
        return load(source, **options)

    monkeypatch.setattr(models, "load", note)
    return seen
