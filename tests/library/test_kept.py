"""What is kept for a while: by name, for half an hour after its last use, and not too much."""

import pytest

from mlx_aimv2.library.search import kept
from mlx_aimv2.library.search.kept import KEPT_S, Kept


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_values_are_kept_until_half_an_hour_after_their_last_use() -> None:
    clock = Clock()
    values: Kept[str] = Kept("s", clock=clock)
    first, second = values.put("a"), values.put("b")
    assert (first, second) == ("s1", "s2")
    clock.now = KEPT_S - 1
    assert values.get(first) == "a"
    clock.now = KEPT_S + 1
    assert (values.get(first), values.get(second)) == ("a", None)
    clock.now = 3 * KEPT_S
    assert values.get(first) is None
    assert values.put("c") == "s3"  # a name is never another's


def test_of_too_many_the_one_used_least_lately_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST", 3)
    values: Kept[int] = Kept("p", clock=Clock())
    names = [values.put(number) for number in range(3)]
    assert values.get(names[0]) == 0
    values.put(3)
    assert [values.get(name) for name in names] == [0, None, 2]


def test_large_values_are_fewer_but_the_latest_is_always_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept, "MOST_ITEMS", 10)
    values: Kept[str] = Kept("s", clock=Clock())
    small, large = values.put("a", 5), values.put("b", 50)
    assert (values.get(small), values.get(large)) == (None, "b")
    other = values.put("c", 1)
    assert (values.get(large), values.get(other)) == (None, "c")
