"""Probes: rates, views, what broken pictures and other runs change, what is kept."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

import mlx_aimv2 as aimv2
from mlx_aimv2.errors import Aimv2Error, NumericsError, UsageError
from mlx_aimv2.evaluation import probe
from mlx_aimv2.evaluation.data_sets.part import Part, read_classes
from mlx_aimv2.evaluation.features import Kept, open_cache
from mlx_aimv2.evaluation.probe_settings import ProbeSettings, completed
from mlx_aimv2.evaluation.views import Views, together
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.inference.model import Model
from tests.support.data_sets import write_classes
from tests.support.makers import random_vision, vision_config, write_checkpoint

TOKENS, WIDTH = 25, 76
Train = Callable[..., list[probe.Run]]
OPTIONS = ImageOptions(pooling="none", as_stored=True)
SHORT = ProbeSettings(rates=(1e-3, 3e-3), decays=(0.1,), epochs=2, batch=4)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("checkpoint")
    write_checkpoint(folder, random_vision(), vision_config())
    return aimv2.load(str(folder))


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("native")
    write_checkpoint(folder, random_vision(native=True), vision_config(native=True))
    return aimv2.load(str(folder))


@pytest.fixture
def part(tmp_path: Path) -> Part:
    return read_classes(write_classes(tmp_path / "data", {"train": {"a": 5, "b": 6}}), "train")


def untold(done: int, total: int) -> None:
    pass


@pytest.fixture
def train(tmp_path: Path) -> Train:
    """``probe.train``, each time in a file of its own."""
    numbers = count()

    def trained(*arguments: object) -> list[probe.Run]:
        return probe.train(*arguments, tmp_path / f"{next(numbers)}.safetensors")

    return trained


def weights(runs: list[probe.Run]) -> list[np.ndarray]:
    return [np.array(run.probe.linear.weight) for run in runs]


def test_the_rate_rises_and_falls_by_half_a_cosine() -> None:
    rate = probe.rate_at(1e-3, 20, 5)
    steps = [float(rate(mx.array(step))) for step in range(21)]
    np.testing.assert_allclose(steps[:6], np.linspace(2e-4, 1e-3, 6), rtol=1e-5)
    cosine = 1e-5 + (1e-3 - 1e-5) * (1 + np.cos(np.pi * np.arange(16) / 15)) / 2
    np.testing.assert_allclose(steps[5:], cosine, rtol=1e-5)
    assert float(probe.rate_at(1e-3, 20, 0)(mx.array(0))) == pytest.approx(1e-3)


def test_settings_of_the_paper() -> None:
    imagenet, others = (completed(ProbeSettings(), name) for name in ("IN-1k", "Pets"))
    assert (imagenet.batch, imagenet.warm_up) == (1024, 5)
    assert (others.batch, others.warm_up) == (512, 0)
    assert len(others.rates) * len(others.decays) == 14
    own = completed(ProbeSettings(batch=3, warm_up=0), "IN-1k")
    assert (own.batch, own.warm_up) == (3, 0)
    with pytest.raises(UsageError, match="rises for 5 of 5 epochs"):
        completed(ProbeSettings(epochs=5), "IN-1k")


def test_plain_views_are_the_models_patches(model: Model, part: Part) -> None:
    grids = model.stream(part.pictures, pooling="none")
    views = Views(part, model, replace(OPTIONS, as_stored=False))
    for (place, features), item in zip(views.plain(range(11)), grids, strict=True):
        assert place == item.index
        grid = np.array(item.embedding).reshape(TOKENS, WIDTH)
        np.testing.assert_allclose(features, grid, atol=1e-5)


def test_views_for_training_follow_from_seed_and_position(model: Model, part: Part) -> None:
    def seen(seed: int, first: int) -> np.ndarray:
        found = Views(part, model, OPTIONS).for_training(range(11), seed, first)
        return np.stack([features for _, features in found])

    first = seen(1, 0)
    assert first.shape == (11, TOKENS, WIDTH)
    np.testing.assert_array_equal(first, seen(1, 0))
    for other in (seen(1, 11), seen(2, 0)):
        assert not (first == other).all(axis=(1, 2)).any()
    later = Views(part, model, OPTIONS).for_training(range(3, 11), 1, 3)
    np.testing.assert_array_equal(first[3:], [features for _, features in later])


def test_runs_do_not_change_each_other(model: Model, part: Part, train: Train) -> None:
    views, places = Views(part, model, OPTIONS), np.arange(11)
    both = weights(train(views, places, 2, SHORT, untold))
    for rate, expected in zip(SHORT.rates, both, strict=True):
        alone = train(views, places, 2, replace(SHORT, rates=(rate,)), untold)
        np.testing.assert_array_equal(weights(alone)[0], expected)
    assert not np.array_equal(*both)


def test_every_picture_is_seen_once_an_epoch(model: Model, part: Part, train: Train) -> None:
    seen: list[int] = []

    class Noted(Views):
        def for_training(self, places, seed, first):
            seen.append((tuple(places), first))
            return super().for_training(places, seed, first)

    told = []
    settings = replace(SHORT, epochs=3, batch=5, rates=(1e-3,))
    train(Noted(part, model, OPTIONS), np.arange(11), 2, settings, lambda *how: told.append(how))
    assert [first for _, first in seen] == [0, 10, 20]  # positions count over all epochs
    assert all(len({*places}) == 10 for places, _ in seen)
    assert len({places for places, _ in seen}) == 3
    assert told == [(step, 6) for step in range(1, 7)]


def test_a_broken_picture_drops_out_of_its_batch(model: Model, part: Part, train: Train) -> None:
    Path(part.pictures[4]).write_bytes(b"no picture")
    views = Views(part, model, OPTIONS)
    settings = replace(SHORT, batch=11)
    runs = train(views, np.arange(11), 2, settings, untold)
    assert list(views.errors) == [4]
    known, best = probe.best_of(runs, views, range(11), untold)
    assert known.tolist() == [place for place in range(11) if place != 4]
    assert [each.shape for each in best] == [(10, 2)] * 2
    for picture in part.pictures:
        Path(picture).write_bytes(b"no picture")
    views = Views(part, model, OPTIONS)
    with pytest.raises(Aimv2Error, match="none of 11 pictures in train could be read"):
        train(views, np.arange(11), 2, settings, untold)
    with pytest.raises(Aimv2Error, match="none of 11 pictures"):
        probe.best_of(runs, views, range(11), untold)


def test_a_run_that_is_not_finite_ends_alone(model: Model, part: Part, train: Train) -> None:
    views, places = Views(part, model, OPTIONS), np.arange(11)
    settings = replace(SHORT, rates=(1e-3, 1e38), epochs=3)
    runs = train(views, places, 2, settings, untold)
    assert [run.rate for run in runs] == [1e-3]
    with pytest.raises(NumericsError, match="no probe stayed finite"):
        train(views, places, 2, replace(settings, rates=(1e38,)), untold)


def test_a_run_that_its_last_step_spoils_has_no_classes(
    model: Model, part: Part, train: Train
) -> None:
    views, places = Views(part, model, OPTIONS), np.arange(11)
    settings = replace(SHORT, rates=(1e-3, 1e38), epochs=1, batch=11)
    runs = train(views, places, 2, settings, untold)
    assert [run.is_finite for run in runs] == [True, True]  # so were the losses before it
    _, best = probe.best_of(runs, views, range(11), untold)
    assert [run.is_finite for run in runs] == [True, False]
    assert best[0].min() == 0
    assert (best[1] == -1).all()
    with pytest.raises(NumericsError, match="no probe stayed finite"):
        probe.best_of(runs[1:], views, range(11), untold)


def test_kept_features_are_those_of_the_middle_and_its_mirror_image(
    model: Model, part: Part, tmp_path: Path
) -> None:
    with open_cache(tmp_path / "cache", {}) as database:
        views = Views(part, model, OPTIONS, Kept(part, database, "<f2"))
        views.fill(untold, is_for_training=True)
        plain = dict(views.plain(range(11)))
        fresh = dict(Views(part, model, OPTIONS).plain(range(11)))
        found = [dict(views.for_training(range(11), 0, 11 * epoch)) for epoch in range(8)]
    for place in range(11):
        np.testing.assert_allclose(plain[place], fresh[place], rtol=1e-3, atol=1e-3)
        kinds = {features[place].tobytes() for features in found}
        assert len(kinds) == 2
        assert plain[place].tobytes() in kinds
    mirrored = model.preprocess(part.pictures[0])[:, ::-1]
    expected = np.array(model.vision.features(mx.array(mirrored)[None])[0])
    other = next(each[0] for each in found if each[0].tobytes() != plain[0].tobytes())
    np.testing.assert_allclose(other, expected, rtol=2e-3, atol=2e-3)


def test_native_pictures_of_several_sizes(native: Model, part: Part, train: Train) -> None:
    views = Views(part, native, OPTIONS)
    seen = [each for each in views.for_training(range(11), 0, 0) if each is not None]
    lengths = [len(features) for _, features in seen]
    assert len({*lengths}) > 1
    places, batch, mask = together(seen)
    assert places.tolist() == [*range(11)]
    assert batch.shape == (11, max(lengths), WIDTH)
    assert np.array(mask).sum(axis=(1, 2, 3)).tolist() == lengths
    runs = train(views, np.arange(11), 2, SHORT, untold)
    known, best = probe.best_of(runs, views, range(11), untold)
    assert len(known) == len(best[0]) == 11


@pytest.mark.parametrize("at", [1, 4, 5])
def test_a_stopped_run_goes_on_with_the_same_bits(
    at: int, model: Model, part: Part, tmp_path: Path, train: Train
) -> None:
    views, places = Views(part, model, OPTIONS), np.arange(11)
    settings = replace(SHORT, epochs=3, rates=(1e-3, 1e38))  # of two steps; one run ends
    whole = train(views, places, 2, settings, untold)
    file = tmp_path / "stopped.safetensors"
    told: list[int] = []

    def stop(done: int, total: int) -> None:
        if done == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        probe.train(views, places, 2, settings, stop, file)
    again = probe.train(views, places, 2, settings, lambda done, _: told.append(done), file)
    assert told == [
        *range(at - (at - 1) % 2, 7)
    ]  # from the beginning of the epoch it was stopped in
    (expected,), (resumed,) = whole, again
    assert expected.state.keys() == resumed.state.keys()
    for name, value in expected.state.items():
        np.testing.assert_array_equal(np.array(value), np.array(resumed.state[name]), name)


def test_a_damaged_file_of_a_stopped_run_counts_as_none(
    model: Model, part: Part, tmp_path: Path, train: Train
) -> None:
    views, places = Views(part, model, OPTIONS), np.arange(11)
    file = tmp_path / "stopped.safetensors"
    file.write_bytes(b"damaged")
    runs = probe.train(views, places, 2, SHORT, untold, file)
    for one, other in zip(
        weights(runs), weights(train(views, places, 2, SHORT, untold)), strict=True
    ):
        np.testing.assert_array_equal(one, other)
