"""What `aimv2 verify` expects is what transformers makes, here and now."""

import numpy as np
import pytest

from mlx_aimv2.verification.expected import expected

pytest.importorskip("transformers")

from tests.parity.reference_values import reference


@pytest.fixture(scope="module")
def made() -> dict:
    return reference()


@pytest.mark.parametrize("part", ["pixels", "tokens"])
def test_pixels_and_ids(made, part: str) -> None:
    assert made[part] == expected()[part]
    assert len(made[part]) > 10


def test_normalised_numbers(made) -> None:
    np.testing.assert_allclose(made["normalized"], expected()["normalized"], rtol=0, atol=1e-6)


def test_it_says_what_made_it(made) -> None:
    assert made["made_by"].keys() == expected()["made_by"].keys()
    assert made["made_by"]["classes"] == expected()["made_by"]["classes"]
