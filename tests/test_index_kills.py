"""An index may be killed at any moment: nothing is lost, nothing is torn, the next one goes on."""

import signal
from pathlib import Path

from tests.kills import PHOTOS, compare, kill_often, make_photos, random_moments

PLACES: list[str | float] = ["torn:1", "written:1", "committed:1", "torn:2", "written:1"]


def test_kills_at_every_place_and_at_any_moment(tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos")
    library = tmp_path / "library.db"
    kills = kill_often(photos, library, [*PLACES, *random_moments(5, 5, 0.4)])
    assert [each.problems for each in kills] == [[]] * len(kills)
    assert [each.code for each in kills[: len(PLACES)]] == [-signal.SIGKILL] * len(PLACES)
    assert [each.files for each in kills[:5]] == [0, 0, 4, 8, 8]
    assert sum(each.code == -signal.SIGKILL for each in kills) > len(PLACES)
    assert all(each.files <= PHOTOS for each in kills)
    assert compare(photos, library, tmp_path)
