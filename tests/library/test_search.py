"""Searching: the right photos in the right order, whatever the filters, ties and sizes."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mlx_aimv2.errors import UsageError
from mlx_aimv2.inference import model as models
from mlx_aimv2.inference.zero_shot import BACKGROUND
from mlx_aimv2.library.database import segments as segments_module
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.database.vectors import VectorSet
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.search import ranking
from mlx_aimv2.library.search.filters import Filters
from mlx_aimv2.library.search.nearest import nearest
from mlx_aimv2.library.search.query import Term, parse
from mlx_aimv2.library.search.searcher import Answer, newest, search
from mlx_aimv2.library.signature import make_signature
from mlx_aimv2.training.drawings.scene import HELD_OUT, draw
from tests.support.albums import make_album, rows_of
from tests.support.queries import Vectors, constant, image, text
from tests.support.synthetic import add_photo, add_set, facts, fill, make_library, segments_of, unit

Rows = NDArray[np.float32]


# Exact search


def ranked(stored: Rows, query: Rows, rows: Sequence[int], count: int) -> list[int]:
    """The first so many rows by brute force, and all that equal the last."""
    products = stored.astype(np.float16).astype(np.float32) @ query
    order = sorted(rows, key=lambda row: (-products[row], row))
    return [row for row in order if products[row] >= products[order[min(count, len(order)) - 1]]]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 97),
    distinct=st.integers(1, 97),
    width=st.sampled_from([1, 2, 7, 64]),
    count=st.integers(1, 120),
    part=st.none() | st.floats(0.05, 1),
)
def test_nearest_is_brute_force(
    seed: int, size: int, distinct: int, width: int, count: int, part: float | None
) -> None:
    rng = np.random.default_rng(seed)
    stored = unit(rng.standard_normal((distinct, width)))[rng.integers(0, distinct, size)]
    query = unit(rng.standard_normal(width)) * np.float32(rng.uniform(0.1, 2))
    among = None if part is None else np.flatnonzero(rng.random(size) < part)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments_module, "ROWS_PER_SEGMENT", 31)
        segments = segments_of(Path(folder) / "set", stored)
        rows, products = nearest(segments, query, count, among)
    looked_at = list(range(size)) if among is None else among.tolist()
    exact = stored.astype(np.float16).astype(np.float32) @ query
    np.testing.assert_allclose(products, exact[rows], atol=1e-6)
    assert (np.diff(products) <= 0).all()
    expected = ranked(stored, query, looked_at, count) if looked_at else []
    if rows.tolist() != expected:  # sums in another order: only what is all but equal may differ
        assert len(rows) >= min(count, len(looked_at))
        np.testing.assert_allclose(
            exact[rows][:count], exact[expected][:count], atol=1e-6, err_msg="not the nearest"
        )


def test_what_float16_cannot_tell_apart_is_ranked_in_float32(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    centre = unit(rng.standard_normal(7))
    stored = unit(centre + 0.03 * rng.standard_normal((4001, 7))).astype(np.float32)
    query = unit(centre + 1e-3)
    rows, _ = nearest(segments_of(tmp_path / "set", stored), query, 10)
    products = stored.astype(np.float16).astype(np.float64) @ query.astype(np.float64)
    assert set(rows.tolist()) >= set(np.flatnonzero(products > np.sort(products)[-10] + 1e-6))
    assert products[rows[:10]].min() >= np.sort(products)[-10] - 1e-6


def test_all_that_are_equal_are_found(tmp_path: Path) -> None:
    stored = unit(np.repeat(np.eye(3), [5, 300, 9], axis=0))
    rows, products = nearest(segments_of(tmp_path / "set", stored), np.eye(3, dtype="f")[1], 2)
    assert rows.tolist() == list(range(5, 305))
    assert set(products.tolist()) == {1.0}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("has_unwanted", [False, True])
def test_equal_vectors_are_equal_wherever_they_stand(
    tmp_path: Path, seed: int, has_unwanted: bool
) -> None:
    """BLAS sums the last rows of a matrix in another order than those before."""
    rng = np.random.default_rng(seed)
    axes = unit(rng.standard_normal((2, 768)))
    row = unit(axes[0] + 0.5 * axes[1] + 0.01 * rng.standard_normal(768))
    paths = [f"/p/{letter}.jpg" for letter in "gfedcba"]
    make_library(tmp_path / "library.db", paths, np.repeat(row[None], 7, axis=0))
    by_word = dict(zip("xy", axes, strict=True))
    embed = Vectors(lambda words: np.stack([by_word.get(w, 0 * axes[0]) for w in words]), along)
    terms = [text("x"), text("y", -1.0)][: 1 + has_unwanted]
    with Store(tmp_path / "library.db") as store:
        found = search(store, serving(store), terms, embed, min_score=0)
    assert names(found) == list("abcdefg")


def test_nothing_is_near_in_an_empty_set(tmp_path: Path) -> None:
    rows, products = nearest(
        segments_of(tmp_path / "set", np.zeros((0, 5), np.float32)), np.ones(5, np.float32), 3
    )
    assert rows.shape == products.shape == (0,)
    stored = segments_of(tmp_path / "other", np.eye(5, dtype=np.float32))
    rows, _ = nearest(stored, np.ones(5, np.float32), 3, np.zeros(0, np.int64))
    assert rows.shape == (0,)


# Which photos

PHOTOS: dict[str, dict[str, object]] = {
    "/p/a/one.jpg": {"taken_at": "2023-12-31T23:59:59"},
    "/p/a/two.heic": {"taken_at": "2024-01-01T00:00:00", "format": "HEIF", "width_px": 30},
    "/p/a/deep/three.png": {"taken_at": "2024-02-29T12:00:00", "format": "PNG", "width_px": 20},
    "/p/ab/four.JPG": {"taken_at": "2024-12-31T23:59:59"},
    "/p/ab/[five].tif": {"format": "TIFF"},
    "/p/üb%_/six.jpg": {"taken_at": "2025-01-01T00:00:00"},
}
TAGS = {
    "one": ["Dog", "Ärger"],
    "two": ["Animals|Dog"],
    "three": ["Animals|Dog|Poodle", "100%"],
    "four": ["Hot dog"],
    "six": ["1000"],
}


def stem(path: str | bytes) -> str:
    return os.fsdecode(path).rpartition("/")[2].partition(".")[0].strip("[]")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    path = tmp_path_factory.mktemp("filters") / "library.db"
    with Store(path, can_write=True) as opened:
        ids = {}
        for name, known in PHOTOS.items():
            uuid = "1-2" if "one" in name else None
            ids[name] = add_photo(opened, name, facts=facts(**known), uuid=uuid)
        rows = unit(np.eye(6) + 0.5)
        fill(opened, add_set(opened, 6), rows, list(ids.values()))
        tagged = [(ids[name], tag, None) for name in ids for tag in TAGS.get(stem(name), [])]
        with opened.transaction():
            opened.add_tags("ours", tagged)
        yield opened


def serving(store: Store) -> VectorSet:
    vectors = store.serving()
    assert vectors is not None
    return vectors


def find(store: Store, filters: Filters | None = None, count: int = 20) -> Answer:
    ones = constant(np.ones(serving(store).width))
    return search(
        store, serving(store), [text("x")], ones, count=count, filters=filters, min_score=0
    )


def names(answer: Answer) -> list[str]:
    return [stem(hit.file.path) for hit in answer.hits]


ALL = ["one", "two", "three", "four", "five", "six"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, "one two three four five six"),
        ({"places": ["/p/a"]}, "one two three"),
        ({"places": ["/p/a/"]}, "one two three"),
        ({"places": ["/p/a/../ab"]}, "four five"),
        ({"places": ["/p/a/one.jpg"]}, "one"),
        ({"places": ["/p/a/deep", "/p/ab"]}, "three four five"),
        ({"places": ["/p/%"]}, ""),
        ({"places": ["/p/üb%_"]}, "six"),
        ({"places": ["*.jpg"]}, "one four six"),
        ({"places": ["*.TIF"]}, "five"),
        ({"places": ["/P/a/*.HEIC"]}, "two"),
        ({"places": ["/p/a/*"]}, "one two three"),
        ({"places": ["/p/a?/*"]}, "four five"),
        ({"places": ["*.heic", "/p/ab"]}, "two four five"),
        ({"places": ["t[wh]*"]}, "two three"),
        ({"since": "2024"}, "two three four six"),
        ({"until": "2024"}, "one two three four"),
        ({"since": "2024", "until": "2024"}, "two three four"),
        ({"since": "2023-12", "until": "2024-01"}, "one two"),
        ({"since": "2024-02", "until": "2024-02"}, "three"),
        ({"until": "2023-12-31"}, "one"),
        ({"since": "2024-12-31", "until": "2024-12-31"}, "four"),
        ({"since": "9999-12-31", "until": "9999"}, ""),
        ({"until": "9999-12"}, "one two three four six"),
        ({"tags": ["Dog"]}, "one two three"),
        ({"tags": ["dOG"]}, "one two three"),
        ({"tags": ["animals"]}, "two three"),
        ({"tags": ["Animals|Dog"]}, "two three"),
        ({"tags": ["dog|poodle"]}, "three"),
        ({"tags": ["animals|poodle"]}, ""),
        ({"tags": ["hot dog"]}, "four"),
        ({"tags": ["ärger"]}, "one"),
        ({"tags": ["100%"]}, "three"),
        ({"tags": ["100_"]}, ""),
        ({"tags": ["'; DROP TABLE files; --"]}, ""),
        ({"tags": ["Dog", "Animals"]}, "two three"),
        ({"not_tags": ["dog"]}, "four five six"),
        ({"not_tags": "Animals|Dog"}, "one four five six"),
        ({"not_tags": [" dog | POODLE "]}, "one two four five six"),
        ({"not_tags": ["A\u0308RGER", "100"]}, "two three four five six"),
        ({"not_tags": ["1000", "hot dog"]}, "one two three five"),
        ({"tags": ["Dog", "Animals"], "not_tags": ["Poodle", "Cat"]}, "two"),
        ({"tags": "Dog", "not_tags": "Dog"}, ""),
        ({"shape": "landscape"}, "one four five six"),
        ({"shape": "portrait"}, "three"),
        ({"shape": "square"}, "two"),
        ({"formats": ["jpg"]}, "one four six"),
        ({"formats": [".JPEG"]}, "one four six"),
        ({"formats": ["heic"]}, "two"),
        ({"formats": ["heif", "tif"]}, "two five"),
        ({"formats": "jpg"}, "one four six"),
        ({"formats": ["mpo", " tiff "]}, "one four five six"),
        ({"formats": ["nef"]}, ""),
        ({"tags": "Dog"}, "one two three"),
        ({"tags": [" animals |  Dog "]}, "two three"),
        ({"tags": ["a\u0308rger"]}, "one"),
        ({"places": "/p/a"}, "one two three"),
        ({"places": Path("/p/a")}, "one two three"),
        ({"places": [Path("/p/a"), b"/p/ab"]}, "one two three four five"),
        ({"places": ["/p/u\u0308b%_/*"]}, "six"),
        ({"is_in_photos": True}, "one"),
        ({"places": ["*.jpg"], "since": "2025", "formats": ["jpg"]}, "six"),
    ],
    ids=str,
)
def test_filters(store: Store, filters: dict[str, object], expected: str) -> None:
    answer = find(store, Filters(**filters))  # type: ignore[arg-type]
    assert sorted(names(answer), key=ALL.index) == expected.split()
    assert answer.searched == len(expected.split())


def test_a_rejected_tag_is_none_and_an_added_one_is_one(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    make_library(path, ["/p/a.jpg", "/p/b.jpg", "/p/c.jpg"], np.eye(3))
    with Store(path, can_write=True) as store, store.transaction():
        store.add_tags("file", [(1, "Animals|Dog", None), (2, "Animals|Dog", None)])
        a, _, c = store.files()
        store.say(a.hash or b"", "ANIMALS|dog", "rejected")
        store.say(c.hash or b"", "Animals|Dog", "added")
    with Store(path) as store:
        for tag in ("Dog", "animals", "Animals|Dog"):
            assert sorted(names(find(store, Filters(tags=tag)))) == ["b", "c"]
            assert names(find(store, Filters(not_tags=tag))) == ["a"]
            assert names(newest(store, Filters(not_tags=tag))) == ["a"]


def test_a_shot_has_the_tags_of_each_of_its_files(tmp_path: Path) -> None:
    """A tag in the JPEG alone: without it the RAW is not found in its place."""
    path = tmp_path / "library.db"
    paths = ["/p/1.jpg", "/p/1.dng", "/p/2.jpg", "/p/2.dng", "/p/3.jpg"]
    make_library(path, paths, np.eye(5), facts=facts(taken_at="2024-01-01T00:00:00"))
    with Store(path, can_write=True) as store, store.transaction():
        store.add_tags("file", [(1, "Luna", None), (4, "Luna", None), (5, "Sea", None)])
        store.add_tags("sidecar", [(2, "Sea", None)])
    with Store(path) as store:
        both = Filters(tags=("luna", "sea"))
        assert names(find(store, both)) == names(newest(store, both)) == ["1"]
        assert names(find(store, Filters(tags="luna", not_tags="sea"))) == ["2"]
        without = Filters(not_tags="luna")
        assert names(find(store, without)) == names(newest(store, without)) == ["3"]
        assert sorted(names(find(store, Filters(tags="luna")))) == ["1", "2"]


def test_a_folder_whose_name_is_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "[ab]*").mkdir()
    inside = [f"{tmp_path}/[ab]*/x.jpg", f"{tmp_path}/a/y.jpg"]
    make_library(tmp_path / "library.db", inside, np.eye(2))
    with Store(tmp_path / "library.db") as store:
        assert names(find(store, Filters((f"{tmp_path}/[ab]*",)))) == ["x"]


@pytest.mark.parametrize(
    "filters",
    [
        {"since": "yesterday"},
        {"since": "2024-13"},
        {"until": "2023-02-29"},
        {"until": "0000"},
        {"since": "2024-1-1"},
        {"since": "\udcff"},
        {"tags": ["\udcff"]},
        {"formats": ["\udcff"]},
        {"formats": ["nothing"]},
        {"formats": [""]},
        {"tags": [""]},
        {"tags": [" "]},
        {"tags": ["Animals|"]},
        {"not_tags": [" "]},
        {"not_tags": ["|Dog"]},
        {"shape": "tall"},
    ],
    ids=str,
)
def test_filters_that_mean_nothing(store: Store, filters: dict[str, object]) -> None:
    with pytest.raises(UsageError) as raised:
        find(store, Filters(**filters))  # type: ignore[arg-type]
    assert raised.value.hint


def test_a_pattern_fits_names_in_either_normal_form(tmp_path: Path) -> None:
    paths = ["/p/cafe\u0301.jpg", "/p/caf\u00e9.png", "/p/cafe.jpg"]
    make_library(tmp_path / "library.db", paths, np.eye(3))
    with Store(tmp_path / "library.db") as store:
        for pattern in ("*cafe\u0301*", "*CAF\u00c9*", "/p/caf\u00e9.*"):
            found = find(store, Filters((pattern,)))
            assert {hit.file.path.decode() for hit in found.hits} == set(paths[:2])


def test_a_pattern_in_a_folder_whose_name_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "[ab]*"
    here.mkdir()
    inside = [f"{here}/in/x.jpg", f"{here}/in/y.png", f"{tmp_path}/a/in/z.jpg"]
    make_library(tmp_path / "library.db", inside, np.eye(3))
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(here))
    with Store(tmp_path / "library.db") as store:
        for pattern in ("in/*.jpg", "./i*/x*", "in/../in/?.jpg", "~/in/*.jpg"):
            assert names(find(store, Filters((pattern,)))) == ["x"], pattern


# In which order


def test_equal_photos_come_by_path(tmp_path: Path) -> None:
    paths = [f"/p/{letter}.jpg" for letter in "hgfedcba"]
    rows = unit([[1, 0], [0, 1]] * 4)
    make_library(tmp_path / "library.db", paths, rows)
    with Store(tmp_path / "library.db") as store:
        vectors = serving(store)
        for count in (1, 3, 4):
            answer = search(store, vectors, [text("x")], constant([1, 0]), count=count)
            assert names(answer) == ["b", "d", "f", "h"][:count]


def test_copies_share_a_row_and_are_all_found(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    make_library(path, ["/p/c.jpg", "/p/x.jpg"], unit([[1, 0], [0.6, 0.8]]))
    with Store(path, can_write=True) as store, store.transaction():
        for name in ("/p/b.jpg", "/p/a.jpg", "/q/a.jpg"):
            store.set_vector(1, add_photo(store, name), 0)
    with Store(path) as store:
        found = search(store, serving(store), [text("x")], constant([1, 0]), count=3)
        assert names(found) == ["a", "b", "c"]
        only = Filters(("/q", "/p/x.jpg"))
        found = search(store, serving(store), [text("x")], constant([1, 0]), filters=only)
        assert [hit.file.path for hit in found.hits] == [b"/q/a.jpg", b"/p/x.jpg"]


def test_more_are_asked_for_than_there_are(store: Store) -> None:
    assert len(find(store, count=10_000).hits) == 6
    assert len(find(store, count=6).hits) == 6
    assert len(find(store, count=5).hits) == 5
    with pytest.raises(UsageError):
        find(store, count=0)


def test_what_is_gone_is_not_found(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    rows = unit(np.eye(40) + np.linspace(1, 0, 40)[:, None] * 3)
    make_library(path, [f"/p/{number:02}.jpg" for number in range(40)], rows)
    with Store(path, can_write=True) as store, store.transaction():
        store.set_missing(range(1, 39), "2026-01-01")
    with Store(path) as store:
        answer = find(store, count=3)
        assert sorted(names(answer)) == ["38", "39"]
        assert answer.searched == 2
    with Store(path, can_write=True) as store, store.transaction():
        store.set_missing(range(1, 41), "2026-01-01")
    with Store(path) as store:
        assert find(store) == Answer((), None, 0, line=0.5)


def test_an_empty_library(tmp_path: Path) -> None:
    path = tmp_path / "library.db"
    with Store(path, can_write=True):
        pass
    assert Library(path).search("a dog") == Answer((), None, 0)
    with Store(path, can_write=True) as store:
        add_set(store, 5)
    with Store(path) as store:
        assert find(store) == Answer((), None, 0, line=0.5)
        both = [text("x"), image("/p/a.jpg")]
        assert search(store, serving(store), both, constant(np.ones(5))).hits == ()


# Queries

SIDES = unit(np.eye(3))
NAMES = ["/p/x.jpg", "/p/y.jpg", "/p/z.jpg", "/p/xy.jpg", "/p/xz.jpg"]


@pytest.fixture
def geometry(tmp_path: Path) -> Iterator[Store]:
    rows = unit([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1]])
    make_library(tmp_path / "library.db", NAMES, rows)
    with Store(tmp_path / "library.db") as store:
        yield store


def along(axes: list[str]) -> Rows:
    """A text's or picture's vector by its name; what fits anything points nowhere."""
    by_name = dict(zip("xyz", SIDES, strict=True))
    return np.stack([by_name.get(Path(axis).stem, np.zeros(3, np.float32)) for axis in axes])


AXES = Vectors(along, along)


def ask(store: Store, *terms: Term, **options: object) -> Answer:
    return search(store, serving(store), terms, AXES, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("terms", "best"),
    [
        ([text("x")], ["x", "xy", "xz"]),
        ([text("x"), text("y")], ["xy"]),
        ([text("x"), text("z", -0.5)], ["x", "xy"]),
        ([text("x"), text("z", 0.1)], ["x", "xz", "xy"]),
        ([text("x", 0.1), text("z")], ["z", "xz", "x"]),
        ([text("x"), text("y"), text("x", -1)], ["y", "xy"]),
        ([image("x.jpg")], ["x", "xy", "xz"]),
        ([image("x.jpg"), image("z.jpg")], ["xz"]),
        ([text("z"), text("x", -2.0)], ["z", "y", "xz"]),
        ([image("z.jpg"), image("x.jpg", -4.0)], ["z", "y", "xz"]),
    ],
    ids=str,
)
def test_terms_and_weights_rank(geometry: Store, terms: list[Term], best: list[str]) -> None:
    assert names(ask(geometry, *terms, min_score=-1))[: len(best)] == best


def test_words_of_a_command_line_rank(geometry: Store) -> None:
    assert names(ask(geometry, *parse(["x", "+", "2:y"])))[:2] == ["xy", "y"]
    assert names(ask(geometry, *parse(["x", "-", "0.5:y"])))[:2] == ["x", "xz"]


def test_pictures_beside_words_lose_what_all_have(tmp_path: Path) -> None:
    common = np.array([3, 0, 0, 0], np.float32)
    rows = unit(common + np.array([[0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]]))
    make_library(tmp_path / "library.db", [f"/p/{n}.jpg" for n in ("a", "b", "ab", "c")], rows)
    words = constant([0, 0, 0.2, 0])
    mixed = Vectors(words.texts, lambda _: rows[:1])
    with Store(tmp_path / "library.db") as store:
        found = search(store, serving(store), [text("b"), image("a.jpg")], mixed, min_score=0)
        assert names(found)[0] == "ab"


def test_where_nothing_fits_the_best_is_told(geometry: Store) -> None:
    answer = search(geometry, serving(geometry), [text("?")], constant([-1, -1, -1]))
    assert answer.hits == ()
    assert answer.best is not None
    assert answer.best < 0.5
    assert answer.searched == 5
    seen = search(
        geometry, serving(geometry), [text("?")], constant([-1, -1, -1]), min_score=answer.best
    )
    assert {hit.score for hit in seen.hits} == {answer.best}


def test_half_is_where_a_text_fits_no_better_than_any(geometry: Store) -> None:
    answer = ask(geometry, text("y"), min_score=0)
    scores = {stem(hit.file.path): hit.score for hit in answer.hits}
    assert scores["x"] == scores["z"] == 0.5
    assert scores["y"] == pytest.approx(1 / (1 + np.exp(-10)), abs=1e-4)
    assert names(ask(geometry, text("y")))[:2] == ["y", "xy"]
    assert names(ask(geometry, text("y"), min_score=0.6)) == ["y", "xy"]


def test_the_line_is_the_librarys_product_with_the_background(geometry: Store) -> None:
    anything = np.array([0.1, 0.4, 0.2], np.float32)

    def texts(texts: list[str]) -> Rows:
        return np.stack([anything if text in BACKGROUND else along([text])[0] for text in texts])

    hits = search(geometry, serving(geometry), [text("x")], Vectors(texts, along), min_score=0).hits
    rows = unit([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1]])
    products = dict(zip(("x", "y", "z", "xy", "xz"), rows[:, 0], strict=True))
    line = float((rows @ anything).mean())
    for hit in hits:
        expected = 1 / (1 + np.exp(-10 * (products[stem(hit.file.path)] - line)))
        assert hit.score == pytest.approx(expected, abs=2e-3)


def test_pictures_score_as_cosines_without_a_least(geometry: Store) -> None:
    hits = ask(geometry, image("x.jpg"), exclude=[b"/p/x.jpg"]).hits
    assert [stem(hit.file.path) for hit in hits] == ["xy", "xz", "y", "z"]
    assert [hit.score for hit in hits] == pytest.approx([0.7071, 0.7071, 0, 0], abs=1e-3)


def test_weights_far_apart_stay_finite(geometry: Store) -> None:
    for words in (["1e6:x", "+", "1e-6:y"], ["1e-6:x"], ["1e-6:x", "-", "1e6:z"]):
        answer = ask(geometry, *parse(words), min_score=-1e9)
        assert all(np.isfinite(hit.score) for hit in answer.hits)
        assert names(answer)[0] == "x" or len(words) == 3


def test_what_is_left_out_is_not_counted(geometry: Store) -> None:
    every = [os.fsencode(path) for path in NAMES]
    answer = ask(geometry, image("x.jpg"), exclude=[*every[:2], every[0], b"/elsewhere.jpg"])
    assert (len(answer.hits), answer.searched, answer.excluded) == (3, 3, 2)
    one = Filters(("*y.jpg",))
    answer = ask(geometry, image("y.jpg"), exclude=every[:2], filters=one)
    assert (names(answer), answer.searched, answer.excluded) == (["xy"], 1, 1)
    assert ask(geometry, image("y.jpg"), exclude=every) == Answer((), None, 0, 5)


def test_words_need_a_text_tower(tmp_path: Path) -> None:
    with Store(tmp_path / "library.db", can_write=True) as store:
        vectors = fill(
            store, add_set(store, 3, has_text=False), SIDES[:1], [add_photo(store, "/x")]
        )
        with pytest.raises(UsageError, match="reads pictures only"):
            search(store, vectors, [text("x")], AXES)
        assert len(search(store, vectors, [image("x.jpg")], AXES).hits) == 1


# The newest, and one photo of each picture


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 61),
    count=st.integers(1, 70),
    least=st.sampled_from([None, 0.0, 0.45, 0.5, 0.6, 1.0]),
    has_unwanted=st.booleans(),
)
def test_by_date_come_the_newest_of_those_that_fit(
    seed: int, size: int, count: int, least: float | None, has_unwanted: bool
) -> None:
    rng = np.random.default_rng(seed)
    terms = [text("x"), text("y", -1.0)][: 1 + has_unwanted]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "_AT_ONCE", 7)
        with Store(Path(folder) / "library.db", can_write=True) as store:
            dates = [
                f"20{day:02}-01-01T00:00:00" if day else None for day in rng.integers(0, 9, size)
            ]
            ids = [
                add_photo(store, f"/p/{number:02}.jpg", facts=facts(taken_at=taken_at))
                for number, taken_at in enumerate(dates)
            ]
            fill(store, add_set(store, 3), unit(rng.standard_normal((size, 3))), ids)
            every = ask(store, *terms, min_score=least, count=99)
            found = ask(store, *terms, min_score=least, count=count, sort="date")
    by_path = sorted(every.hits, key=lambda hit: hit.file.path)
    expected = sorted(
        by_path, key=lambda hit: (hit.file.facts and hit.file.facts.taken_at) or "", reverse=True
    )
    assert found.hits == tuple(expected[:count])
    assert (found.best, found.searched, found.line) == (every.best, every.searched, 0.5)


def test_pictures_alone_by_date_need_a_lowest_score(geometry: Store) -> None:
    with pytest.raises(UsageError, match="a lowest score"):
        ask(geometry, image("x.jpg"), sort="date")
    hits = ask(geometry, image("x.jpg"), sort="date", min_score=0.5).hits
    assert [stem(hit.file.path) for hit in hits] == ["x", "xy", "xz"]


def test_the_line_is_told_where_there_are_texts(geometry: Store) -> None:
    assert ask(geometry, text("x"), min_score=0).line == ask(geometry, text("x")).line == 0.5
    assert ask(geometry, text("x"), image("y.jpg")).line == 0.5
    assert ask(geometry, image("x.jpg")).line is None
    assert newest(geometry, Filters("*")).line is None


PICTURES = 9


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Nine drawings, so many times each as they are before: from 1 to 9 near copies."""
    drawings = [draw(HELD_OUT + number, 96, kind="single").image for number in range(PICTURES)]
    signatures = [make_signature(each) for each in drawings]
    path = tmp_path_factory.mktemp("copied") / "library.db"
    with Store(path, can_write=True) as opened:
        numbers = [number for number in range(PICTURES) for _ in range(number + 1)]
        rng = np.random.default_rng(3)
        rows = np.eye(PICTURES)[numbers] + 0.02 * rng.standard_normal((len(numbers), PICTURES))
        ids = [
            add_photo(
                opened, f"/p/{number}-{at:02}.jpg", signature=signatures[number],
                facts=facts(taken_at=f"20{10 + at % 7}-01-01T00:00:00"),
            )
            for at, number in enumerate(numbers)
        ]  # fmt: skip
        fill(opened, add_set(opened, PICTURES), unit(rows), ids)
        yield opened


@pytest.mark.parametrize("sort", ["best", "date"])
def test_one_of_each_picture_is_found_and_the_others_are_named(copied: Store, sort: str) -> None:
    terms = constant(np.linspace(1, 2, PICTURES))
    plain = search(copied, serving(copied), [text("x")], terms, count=99, min_score=0, sort=sort)  # type: ignore[arg-type]
    order = [hit.path for hit in plain.hits]
    assert len(order) == 45
    firsts = list({stem(path)[0]: path for path in reversed(order)}.values())
    firsts.sort(key=order.index)
    for count in (1, 2, 5, PICTURES, 50):
        found = search(
            copied, serving(copied), [text("x")], terms, count=count, min_score=0, sort=sort,
            unique=True,
        )  # type: ignore[arg-type]  # fmt: skip
        assert [hit.path for hit in found.hits] == firsts[:count]
        for hit in found.hits:
            assert {stem(copy)[0] for copy in hit.copies} <= {stem(hit.path)[0]}
    assert sorted(path for hit in found.hits for path in (hit.path, *hit.copies)) == sorted(order)


def test_lists_by_filters_have_one_of_each_picture_too(copied: Store) -> None:
    found = newest(copied, Filters("*"), count=PICTURES, unique=True)
    assert len({stem(hit.path)[0] for hit in found.hits}) == PICTURES
    assert found.searched == 45


def test_without_vectors_and_signatures_exact_copies_are_collapsed(tmp_path: Path) -> None:
    with Store(tmp_path / "library.db", can_write=True) as store:
        for name, hash in (("a", b"1"), ("b", b"2"), ("c", b"1")):
            add_photo(store, f"/p/{name}.jpg", hash=hash)
        found = newest(store, Filters("*"), unique=True)
    assert [(hit.path, hit.copies) for hit in found.hits] == [
        ("/p/a.jpg", ("/p/c.jpg",)),
        ("/p/b.jpg", ()),
    ]


# With the checkpoint of this package


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("album")
    make_album(folder / "in", 5)
    make_album(folder / "out", 1, first=77)
    Library(folder / "library.db").index([folder / "in"], model="demo")
    return folder


def test_one_is_one_and_not_its_letters(album: Path, tmp_path: Path) -> None:
    for folder in (album / "in", str(album / "in"), bytes(album / "in")):
        library = Library(tmp_path / "one.db")
        assert library.estimate(folder, model="demo").count == 5
    report = Library(tmp_path / "one.db").index(str(album / "in" / "000.jpg"), model="demo")
    assert report.found == 1
    with Library(album / "library.db") as library:
        for like in (album / "in" / "002.jpg", str(album / "in" / "002.jpg")):
            assert len(library.search(like=like).hits) == 4


def test_scores_that_mean_nothing(album: Path) -> None:
    with Library(album / "library.db") as library:
        with pytest.raises(UsageError, match="nan is no score"):
            library.search("x", min_score=float("nan"))
        with pytest.raises(UsageError, match="there are no scores"):
            library.search(filters=Filters("*"), min_score=0.9)
        with pytest.raises(UsageError, match="there are no scores"):
            library.search(filters=Filters("*"), sort="best")
        with pytest.raises(UsageError, match="'worst' is no order"):
            library.search("x", sort="worst")  # type: ignore[arg-type]
        dated = library.search(filters=Filters("*"), sort="date")
        assert dated == library.search(filters=Filters("*"))


def no_model(*_: object, **__: object) -> None:
    pytest.fail("a model was loaded")


def test_like_a_photo_of_the_library_needs_no_model(
    album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "load", no_model)
    with Library(album / "library.db") as library:
        hits = library.search(like=[album / "in" / "002.jpg"]).hits
    assert len(hits) == 4
    assert b"002.jpg" not in b" ".join(hit.file.path for hit in hits)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_like_a_photo_that_has_changed_reads_it_again(
    album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = album / "in" / "003.jpg"
    status = changed.stat()
    os.utime(changed, ns=(1, 1))
    monkeypatch.setattr(models, "load", no_model)
    with Library(album / "library.db") as library, pytest.raises(pytest.fail.Exception):
        library.search(like=[changed])
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_like_a_file_from_outside(album: Path) -> None:
    (outside,) = (album / "out").iterdir()
    with Library(album / "library.db") as library:
        hits = library.search(like=[outside]).hits
        assert len(hits) == 5
        loaded = models.load("demo")
        expected = np.array(loaded.embed_images([outside]))[0]
        for hit in hits:
            own = np.array(loaded.embed_images([os.fsdecode(hit.file.path)]))[0]
            assert hit.score == pytest.approx(float(own @ expected), abs=2e-3)


def test_a_text_and_a_picture(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with Library(album / "library.db") as library:
        answer = library.search("a red circle", like=[album / "in" / "000.jpg"], min_score=0)
    assert len(answer.hits) == 4
    assert all(0 <= hit.score <= 1 for hit in answer.hits)


def test_the_checkpoint_is_loaded_once_for_all_searches_of_a_library(
    album: Path, loads: list[str], at_home: None
) -> None:
    with Library(album / "library.db") as library:
        for words in ("a red circle", "words that are new", "others that are new"):
            library.search(words)
        assert len(loads) == 1
        library.search("once more, other words", dtype="float16")
        assert len(loads) == 2  # of two kinds the latest is kept
    with Library(album / "library.db") as library:
        library.search("still other words")
    assert len(loads) == 3


def test_a_search_harms_no_vector_made_after_it(album: Path, tmp_path: Path) -> None:
    """Whatever library scans vectors, MLX computes the same before and after it."""
    with Library(album / "library.db") as library:
        library.search(like=[album / "in" / "000.jpg"])
    again = Library(tmp_path / "again.db")
    again.index([album / "in"], model="demo")
    assert rows_of(again.path) == rows_of(album / "library.db")
