"""What a page lists is what the command finds: the same photos, scores and order, then more."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlx_aimv2.library.database.captions import Caption
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.search import listing as module
from mlx_aimv2.library.search.catalogue import make_catalogue
from mlx_aimv2.library.search.filters import Filters
from mlx_aimv2.library.search.listing import Listing, Order, list_by_score
from mlx_aimv2.library.search.query import Term
from mlx_aimv2.library.search.score import make_query
from mlx_aimv2.library.search.searcher import added_by_captions, search
from mlx_aimv2.library.shots import shots_of
from tests.support.queries import Vectors
from tests.support.synthetic import add_photo, add_set, facts, fill, unit

WIDTH = 7


def encoder(seed: int) -> Vectors:
    """Texts have vectors of their own, the same for the same text."""

    def texts(texts: list[str]) -> np.ndarray:
        seeds = [[seed, *text.encode()] for text in texts]
        return unit([np.random.default_rng(each).standard_normal(WIDTH) for each in seeds])

    return Vectors(texts, lambda images: np.zeros((len(images), WIDTH), np.float32))


def make(path: Path, seed: int, size: int) -> None:
    """A library with copies in one row, shots, captions, tags and missing files."""
    rng = np.random.default_rng(seed)
    with Store(path, can_write=True) as store, store.transaction():
        vectors = add_set(store, WIDTH)
        files = []
        for number in range(size):
            month = 1 + number % 12
            taken_at = f"2024-{month:02}-01T00:00:00" if number % 5 else None
            name = f"/p/IMG_{number // 2}.{'cr2' if number % 2 else 'jpg'}"
            if number % 3 == 0:
                name = f"/q/{number}.jpg"
            files.append(add_photo(store, name, facts=facts(taken_at=taken_at)))
        rows = unit(rng.standard_normal((size, WIDTH)))
        rows[size // 2 :: 7] = rows[0]  # equal ones
        fill(store, vectors, rows, files)
        for number in range(0, size, 11):  # two files of one row
            store.set_vector(vectors.id, files[number], 0)
        for number in range(0, size, 4):
            store.caption(store.last_hash(files[number]), Caption("a red boat", "you"))
        store.add_tags("vocabulary v", [(file, "Sea", 0.9) for file in files[::2]])
        store.set_missing(files[::13], "2024-01-01T00:00:00+00:00")


def listed(store: Store, terms: list[Term], encode: Vectors, filters: Filters, order: Order,
           excluded: set[int] = frozenset()) -> Listing:  # fmt: skip
    vectors = store.serving()
    query = make_query(store, vectors, terms, encode)
    return list_by_score(
        store, vectors, make_catalogue(store, vectors, shots_of(store)), query, filters, order,
        added=added_by_captions(store, terms, query), excluded=excluded,
    )  # fmt: skip


TERMS = (
    [Term(1.0, "red boat", None)],
    [Term(1.0, "sea", None), Term(2.0, "boat", None), Term(-1.0, "night", None)],
    [Term(1.0, "sea", None), Term(-0.5, "red", None), Term(-2.0, "night", None)],
)
FILTERS = (Filters(), Filters(tags="Sea"), Filters(since="2024-06"), Filters(places="/q"))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**16),
    size=st.sampled_from([1, 2, 13, 97]),
    terms=st.sampled_from(TERMS),
    filters=st.sampled_from(FILTERS),
    order=st.builds(
        Order,
        min_score=st.sampled_from([None, 0.0, 0.3, 0.9, 1.0]),
        sort=st.sampled_from([None, "best", "date"]),
    ),
)
def test_a_listing_is_what_a_search_finds(
    seed: int, size: int, terms: list[Term], filters: Filters, order: Order
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "l.db", seed, size)
        with Store(Path(folder) / "l.db") as store:
            encode = encoder(seed)
            answer = search(
                store, store.serving(), terms, encode, count=1000, filters=filters,
                min_score=order.min_score, sort=order.sort or "best",
            )  # fmt: skip
            whole = search(
                store, store.serving(), terms, encode, count=1000, filters=filters, min_score=0
            )
            found = listed(store, terms, encode, filters, order)
    expected = [(hit.file.id, hit.score) for hit in answer.hits]
    ids, scores = zip(*found.part(0, found.found), strict=True) if found.found else ((), ())
    assert list(ids) == [id for id, _ in expected]
    np.testing.assert_allclose(scores, [score for _, score in expected], rtol=1e-6, atol=1e-7)
    assert found.best == answer.best
    assert found.line == answer.line == 0.5
    rest = {hit.file.id for hit in whole.hits} - set(ids)
    assert set(found.ids[found.found :].tolist()) == rest


def test_below_the_line_come_the_best_of_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "l.db", 3, 97)
    monkeypatch.setattr(module, "BELOW", 5)
    with Store(tmp_path / "l.db") as store:
        encode, terms = encoder(3), list(TERMS[1])
        found = listed(store, terms, encode, Filters(), Order(0.7))
        whole = search(store, store.serving(), terms, encode, count=1000, min_score=0)
    assert 0 < found.found < 80
    assert len(found.ids) == found.found + 5
    assert found.ids.tolist() == [hit.file.id for hit in whole.hits][: found.found + 5]


def test_of_likeness_alone_the_nearest_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "l.db", 3, 97)
    monkeypatch.setattr(module, "BELOW", 11)
    with Store(tmp_path / "l.db") as store:
        vectors = store.serving()
        liked = store.segments(vectors).take(np.array([5]))[0].astype(np.float32)
        terms = [Term(1.0, None, None, vector=liked)]
        found = listed(store, terms, encoder(0), Filters(), Order())
        scores = [score for _, score in found.part(0, 100)]
        assert (found.found, len(found.ids), found.line) == (11, 11, None)
        assert scores == sorted(scores, reverse=True)
        assert scores[0] == pytest.approx(1, abs=2e-3)
        first = int(found.ids[0])
        others = listed(store, terms, encoder(0), Filters(), Order(), excluded={first})
        assert first not in others.ids
        least = (scores[0] + scores[1]) / 2
        some = listed(store, terms, encoder(0), Filters(), Order(least))
        assert some.found == sum(score >= least for score in scores)


def test_of_photos_that_show_one_picture_the_first_is_listed(tmp_path: Path) -> None:
    with Store(tmp_path / "l.db", can_write=True) as store, store.transaction():
        vectors = add_set(store, WIDTH)
        same = {"hash": b"1" * 16}
        files = [add_photo(store, f"/p/{number}.jpg", **same) for number in range(3)]
        files.append(add_photo(store, "/p/other.jpg"))
        fill(store, vectors, unit(np.eye(WIDTH)[[0, 0, 0, 0]] + 0.01), files)
    with Store(tmp_path / "l.db") as store:
        terms = [Term(1.0, "x", None)]
        every = listed(store, terms, encoder(1), Filters(), Order(0.0))
        once = listed(store, terms, encoder(1), Filters(), Order(0.0, unique=True))
    assert every.ids.tolist() == files
    assert (once.ids.tolist(), once.found) == ([files[0], files[3]], 2)


def test_an_empty_set_lists_nothing(tmp_path: Path) -> None:
    with Store(tmp_path / "l.db", can_write=True) as store:
        add_set(store, WIDTH)
        store.segments(store.serving()).cut()
    with Store(tmp_path / "l.db") as store:
        found = listed(store, list(TERMS[0]), encoder(1), Filters(), Order())
    assert (len(found.ids), found.found, found.best) == (0, 0, None)
