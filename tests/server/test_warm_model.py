"""The checkpoint of searches: loaded once, in the background, and kept; never fetched."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlx_aimv2.checkpoints.snapshot import Download
from mlx_aimv2.errors import HubError
from mlx_aimv2.inference import model as models
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from mlx_aimv2.server.process import warm_model
from mlx_aimv2.server.service import Service
from tests.support.albums import make_album
from tests.support.commands import PATIENCE_S
from tests.support.synthetic import add_photo, add_set, fill


def until(what: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def settled(service: Service) -> str:
    """The state of the model, once it is not being loaded any more."""
    service.overview()
    until(lambda: service.model.state.state != "loading")
    return service.model.state.state


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("warm")
    make_album(place / "album", 5)
    Library(place / "library.db").index(place / "album", model="demo")
    return place / "library.db"


def test_it_is_loaded_once_for_all_searches(library: Path, loads: list[str]) -> None:
    with Service(library) as service:
        assert settled(service) == "ready"
        assert (service.model.state.name, service.model.state.texts) == ("demo", True)
        for words in ("a red car", "a blue house", "two dogs", "a boat"):
            assert service.search(words, min_score=0).hits
        for _ in range(5):
            service.overview()
    assert loads == ["demo"]


def test_without_photos_there_is_none(tmp_path: Path, loads: list[str]) -> None:
    Store(tmp_path / "library.db", can_write=True).close()
    with Service(tmp_path / "library.db") as service:
        assert settled(service) == "none"
    with Service(tmp_path / "nowhere.db") as service:
        assert settled(service) == "none"
    assert not loads


def serve(path: Path, source: str, *, has_text: bool = True) -> None:
    with Store(path, can_write=True) as store:
        photo = add_photo(store, "/photos/a.jpg")
        vectors = fill(store, add_set(store, 4, source, has_text=has_text), [[1, 0, 0, 0]], [photo])
        store.serve(vectors.id)


def test_a_checkpoint_without_texts_is_not_loaded(tmp_path: Path, loads: list[str]) -> None:
    serve(tmp_path / "library.db", "large", has_text=False)
    with Service(tmp_path / "library.db") as service:
        assert settled(service) == "ready"
        assert not service.model.state.texts
    assert not loads


def test_one_that_cannot_be_loaded_says_why_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def load(source: str, **options: Any) -> models.Model:
        tried.append(options["confirm"])
        raise HubError("it is not here", hint="aimv2 models")

    monkeypatch.setattr(models, "load", load)
    serve(tmp_path / "library.db", "lit")
    with Service(tmp_path / "library.db") as service:
        assert settled(service) == "failed"
        assert (service.model.state.message, service.model.state.hint) == (
            "it is not here", "aimv2 models"
        )  # fmt: skip
        service.overview()
        assert len(tried) == 1
        monkeypatch.setattr(warm_model, "_AGAIN_S", 0)
        service.model._again_s = 0
        assert settled(service) == "failed"
        assert len(tried) == 2
    assert not tried[0](Download("apple/x", "main", 1, ""))


def test_what_goes_wrong_otherwise_is_told_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(source: str, **options: Any) -> models.Model:
        raise RuntimeError("no memory")

    monkeypatch.setattr(models, "load", load)
    serve(tmp_path / "library.db", "lit")
    with Service(tmp_path / "library.db") as service:
        assert settled(service) == "failed"
        assert "no memory" in service.model.state.message
