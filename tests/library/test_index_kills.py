"""An index may be killed at any moment: nothing is lost, nothing is torn, the next one goes on."""

import signal
from pathlib import Path

import pytest

from mlx_aimv2.library.database.segments import Segments
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.indexing import indexer
from mlx_aimv2.library.library import Library
from tests.support.albums import noise, rows_of
from tests.support.kills import compare, kill_often, make_photos

PLACES = ["torn:1", "written:1", "committed:1", "torn:2", "written:1"]
ITEMS = ["item:1", "item:7", "item:3", "item:5", "item:2"]  # on the way to a batch, and after it


def test_kills_at_every_place_and_on_the_way(tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos")
    library = tmp_path / "library.db"
    kills = kill_often(photos, library, [*PLACES, *ITEMS])
    assert [each.problems for each in kills] == [[]] * len(kills)
    assert [each.code for each in kills] == [-signal.SIGKILL] * len(kills)
    assert [each.files for each in kills] == [0, 0, 4, 8, 8, 8, 11, 11, 14, 14]
    assert compare(photos, library, tmp_path)


@pytest.mark.parametrize("place", [(Segments, "append"), (Segments, "_write"), (Store, "commit")])
@pytest.mark.parametrize("is_before", [True, False])
def test_ctrl_c_in_a_commit_keeps_what_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: tuple[type, str], is_before: bool
) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(12):
        noise(tmp_path / "photos" / f"{number:02}.png", number)
    monkeypatch.setattr(indexer, "_COMMIT_FILES", 4)
    kind, name = place
    works, calls = getattr(kind, name), 0

    def interrupted(*arguments: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 3 and is_before:
            raise KeyboardInterrupt
        works(*arguments)
        if calls == 3:
            raise KeyboardInterrupt

    library, calm = Library(tmp_path / "library.db"), Library(tmp_path / "calm.db")
    with monkeypatch.context() as patch:
        patch.setattr(kind, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            library.index([tmp_path / "photos"], model="demo", batch_size=4)
    with Store(library.path) as store:
        vectors = store.serving()
        assert vectors is not None
        assert vectors.row_count == store.counts().files >= 4
    library.index([tmp_path / "photos"], model="demo", batch_size=4)
    calm.index([tmp_path / "photos"], model="demo", batch_size=4)
    assert rows_of(library.path) == rows_of(calm.path)
