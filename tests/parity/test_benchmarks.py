"""The scripts that measure beside torch each have a small run."""

import pytest

from tests.support.small_runs import WITH_TORCH, check_run


@pytest.mark.parametrize("name", sorted(WITH_TORCH))
def test_a_small_run(name: str) -> None:
    check_run(name, WITH_TORCH[name])
