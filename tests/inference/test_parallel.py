"""A batch in parts gives what it gives whole, and the threads of the BLAS are given back."""

import subprocess
import sys

import mlx.core as mx
import numpy as np
import pytest

from mlx_aimv2.cpu import blas
from mlx_aimv2.inference import parallel
from tests.support import networks
from tests.support.commands import PATIENCE_S

CPU = mx.default_device().type == mx.DeviceType.cpu


@pytest.fixture(params=[1, 2, 3, 5])
def cores(request, monkeypatch):
    monkeypatch.setattr(blas, "threads", lambda: request.param)
    return request.param


def double(count):
    """Rows, what doubles a part of them, and the parts that it was asked for."""
    rows = mx.arange(count * 11, dtype=mx.float32).reshape(count, 11)
    mx.eval(rows)  # as weights are: what is not evaluated belongs to its thread
    seen = []

    def compute(part):
        seen.append((part.start, part.stop))
        return rows[part] * 2

    return rows, compute, seen


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7, 12, 13])
def test_shares_are_the_whole_in_order(cores, count):
    rows, compute, seen = double(count)
    assert np.array_equal(parallel.in_shares(compute, count), rows * 2)
    seen.sort()
    assert [start for start, _ in seen] + [count] == [0, *(stop for _, stop in seen)]
    sizes = {stop - start for start, stop in seen}
    assert len(sizes) == 1, "a row's bits follow from the shape it is computed in"
    if CPU and count >= cores > 1:
        assert len(seen) >= cores
    else:
        assert len(seen) == 1


@pytest.mark.parametrize(("count", "needed"), [(1, 1), (2, 2), (3, 1), (7, 7), (12, 5)])
def test_rows_one_by_one_are_the_whole_in_order(cores, count, needed):
    rows, compute, seen = double(count)
    result = np.array(parallel.one_by_one(compute, count, needed))
    assert np.array_equal(result[:needed], rows[:needed] * 2)
    if CPU and count > 1:
        assert sorted(seen) == [(row, row + 1) for row in range(needed)]
    else:
        assert seen == [(0, count)]


@pytest.mark.skipif(not CPU, reason="needs a CPU as the default device")
@pytest.mark.parametrize("native", [False, True])
def test_an_image_has_the_same_bits_in_every_batch(native):
    model = networks.vision(native=native)
    mx.eval(model.parameters())
    some = networks.pixels(9, networks.SIDE, networks.SIDE)

    def features(images):
        mx.eval(images)
        compute = lambda part: model.features(images[part])  # noqa: E731
        return np.array(parallel.one_by_one(compute, len(images)))

    whole = features(some)
    for first, last in ((0, 2), (3, 9), (2, 5)):
        assert np.array_equal(features(some[first:last]), whole[first:last])


@pytest.mark.skipif(not CPU, reason="needs a CPU as the default device")
def test_an_error_in_a_part_gives_the_threads_back(monkeypatch):
    given = []
    monkeypatch.setattr(blas, "_set_threads", given.append)
    monkeypatch.setattr(blas, "threads", lambda: 2)
    with pytest.raises(RuntimeError), blas.one_thread():
        raise RuntimeError
    assert given == [1, 2]

    def compute(part):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        parallel.one_by_one(compute, 4)
    assert given[-1] == 2


def test_each_thread_may_compute():
    code = """
import threading
import mlx_aimv2
from mlx_aimv2.cpu import blas
from mlx_aimv2.inference import parallel
import mlx.core as mx
blas.threads = lambda: 2
sums = []
def work():
    a = mx.ones((64, 64))
    mx.eval(a)
    sums.append(parallel.in_shares(lambda part: a[part] @ a, 64).sum().item())
    mx.clear_streams()
for _ in range(3):
    threads = [threading.Thread(target=work) for _ in range(2)]
    [t.start() for t in threads]
    [t.join() for t in threads]
print(*sums)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert done.stdout.split() == ["262144.0"] * 6
