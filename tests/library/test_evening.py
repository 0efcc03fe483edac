"""The evening of the guide: its commands, in their order, on fewer pictures."""

from pathlib import Path

import pytest

from mlx_aimv2.library.library import Library
from tests.support.commands import run


def test_nothing_of_the_owners_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("skimage", reason="needs scikit-image")
    from tests.support.evening import REFUSED, Evening, commands  # noqa: PLC0415

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    evening = Evening(tmp_path, 40, 16)
    for words in commands():
        outcome = run(*words[1:])
        assert outcome.code == (2 if words[1:] in REFUSED else 0), (words, outcome.err)
        assert "nothing new" not in outcome.err, words
        evening.check(words)
    own = {each.tag: each.origins["you"] for each in Library().tags() if "you" in each.origins}
    assert own == {"Summer house": 4, "Trips|Norway": 2, "Vehicles|Boat": 2, "Vehicles|Train": 1}
    tags = {each.tag: each.rejected for each in Library().tags() if each.rejected}
    assert tags == {
        "Animals|Dog": 1, "Music|Guitar": 1, "Vehicles|Rocket": 1, "Summer house": 2,
    }  # fmt: skip
