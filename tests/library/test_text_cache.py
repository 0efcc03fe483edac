"""Texts are embedded once; and as if there were no cache, whatever has become of its file."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from mlx_aimv2.library import text_cache
from mlx_aimv2.library.text_cache import Floats, TextCache
from tests.support.commands import PATIENCE_S
from tests.support.users import as_ordinary_user

WIDTH = 13


def vector_of(text: str, width: int = WIDTH) -> Floats:
    seed = list(text.encode("utf-8", "surrogatepass"))
    return np.random.default_rng(seed).normal(size=width).astype(np.float32)


class Embedder:
    """Stands for a model, and remembers what it was asked."""

    def __init__(self, width: int = WIDTH) -> None:
        self.calls: list[list[str]] = []
        self._width = width

    def __call__(self, texts: list[str]) -> Floats:
        self.calls.append(texts)
        return np.stack([vector_of(text, self._width) for text in texts])


def no_model(texts: list[str]) -> Floats:
    raise AssertionError(f"the model was asked for {texts}")


@pytest.fixture
def cache(tmp_path: Path) -> TextCache:
    return TextCache(tmp_path / "deep" / "er" / "texts.db")


def rows(cache: TextCache) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(cache.path)) as database:
        query = "SELECT fingerprint, text FROM texts_1 ORDER BY age"
        return [(mark, text.decode()) for mark, text in database.execute(query)]


def check(texts: list[str], vectors: Floats) -> None:
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, np.stack([vector_of(text) for text in texts]))


def test_each_text_is_embedded_once(cache: TextCache) -> None:
    embedder = Embedder()
    texts = ["dog", "cat", "dog", "", "Ä", "a'; DROP TABLE texts_1; --", "a\0b", "\udcff"]
    check(texts, cache.embed(texts, "one", embedder, WIDTH))
    assert embedder.calls == [
        ["dog", "cat", "", "Ä", "a'; DROP TABLE texts_1; --", "a\0b", "\udcff"]
    ]
    check(texts[::-1], cache.embed(texts[::-1], "one", no_model, WIDTH))
    check(texts, TextCache(cache.path).embed(texts, "one", no_model, WIDTH))


def test_only_what_is_missing_is_embedded(cache: TextCache) -> None:
    cache.embed(["dog", "cat"], "one", Embedder(), WIDTH)
    embedder = Embedder()
    texts = ["sun", "cat", "boat", "dog", "sun"]
    check(texts, cache.embed(texts, "one", embedder, WIDTH))
    assert embedder.calls == [["sun", "boat"]]


def test_checkpoints_are_kept_apart(cache: TextCache) -> None:
    cache.embed(["dog"], "one", Embedder(), WIDTH)
    embedder = Embedder()
    cache.embed(["dog"], "two", embedder, WIDTH)
    assert embedder.calls == [["dog"]]
    assert rows(cache) == [("one", "dog"), ("two", "dog")]


def test_many_texts(cache: TextCache) -> None:
    texts = [f"text {number}" for number in range(1007)]
    cache.embed(texts, "one", Embedder(), WIDTH)
    check(texts, cache.embed(texts, "one", no_model, WIDTH))


def test_no_texts(cache: TextCache) -> None:
    assert cache.embed([], "one", no_model, WIDTH).shape == (0, WIDTH)
    assert not cache.path.exists()


def test_another_width_is_embedded_again(cache: TextCache) -> None:
    cache.embed(["dog", "cat"], "one", Embedder(), WIDTH)
    embedder = Embedder(WIDTH + 4)
    assert cache.embed(["dog"], "one", embedder, WIDTH + 4).shape == (1, WIDTH + 4)
    assert cache.embed(["dog"], "one", no_model, WIDTH + 4).shape == (1, WIDTH + 4)
    assert embedder.calls == [["dog"]]


@pytest.mark.parametrize("shape", [(1, WIDTH + 1), (2, WIDTH), (WIDTH,)])
def test_a_model_of_another_width_is_refused(shape: tuple[int, ...], cache: TextCache) -> None:
    with pytest.raises(ValueError, match="embeddings are"):
        cache.embed(["dog"], "one", lambda texts: np.ones(shape, np.float32), WIDTH)
    cache.embed(["dog"], "one", Embedder(), WIDTH)


def test_errors_of_the_model_are_passed_on(cache: TextCache) -> None:
    with pytest.raises(AssertionError, match="dog"):
        cache.embed(["dog"], "one", no_model, WIDTH)
    assert rows(cache) == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_never_stored(value: float, cache: TextCache) -> None:
    def embed(texts: list[str]) -> Floats:
        vectors = Embedder()(texts)
        vectors[0, 3] = value
        return vectors

    cache.embed(["dog", "cat"], "one", embed, WIDTH)
    assert rows(cache) == [("one", "cat")]


@pytest.mark.parametrize("data", [b"", b"\0" * 3, np.full(WIDTH, np.nan, "<f4").tobytes(), 7])
def test_damaged_rows_are_embedded_again(data: object, cache: TextCache) -> None:
    cache.embed(["dog"], "one", Embedder(), WIDTH)
    with closing(sqlite3.connect(cache.path)) as database, database:
        database.execute("UPDATE texts_1 SET vector = ?", (data,))
    check(["dog"], cache.embed(["dog"], "one", Embedder(), WIDTH))
    check(["dog"], cache.embed(["dog"], "one", no_model, WIDTH))


def test_the_oldest_go(cache: TextCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_cache, "MAX_TEXTS", 5)
    for number in range(4):
        cache.embed([f"{number}a", f"{number}b"], "one", Embedder(), WIDTH)
    assert [text for _, text in rows(cache)] == ["1b", "2a", "2b", "3a", "3b"]
    texts = [str(number) for number in range(11)]
    check(texts, cache.embed(texts, "one", Embedder(), WIDTH))
    assert [text for _, text in rows(cache)] == texts[-5:]


def garbage(path: Path) -> None:
    path.write_bytes(b"no database" * 500)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def scrambled(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [garbage, cut, scrambled])
def test_a_damaged_file_is_made_anew(damage: Callable[[Path], None], cache: TextCache) -> None:
    texts = [f"text {number}" for number in range(500)]
    cache.embed(texts, "one", Embedder(), WIDTH)
    damage(cache.path)
    check(texts, cache.embed(texts, "one", Embedder(), WIDTH))
    check(texts, cache.embed(texts, "one", no_model, WIDTH))
    with closing(sqlite3.connect(cache.path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_an_empty_file_and_another_programs_table(cache: TextCache) -> None:
    cache.path.parent.mkdir(parents=True)
    cache.path.touch()
    cache.embed(["dog"], "one", Embedder(), WIDTH)
    check(["dog"], cache.embed(["dog"], "one", no_model, WIDTH))
    with closing(sqlite3.connect(cache.path)) as database, database:
        database.executescript("DROP TABLE texts_1; CREATE TABLE texts_1 (other)")
    check(["dog"], cache.embed(["dog"], "one", Embedder(), WIDTH))


@pytest.fixture
def impossible(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A place where no cache can be."""
    (tmp_path / "file").touch()
    (tmp_path / "folder.db").mkdir()
    yield {
        "below a file": tmp_path / "file" / "texts.db",
        "a folder": tmp_path / "folder.db",
        "too long a name": tmp_path / ("x" * 300),
    }[request.param]
    assert (tmp_path / "folder.db").is_dir()


PLACES = ["below a file", "a folder", "too long a name"]


@pytest.mark.parametrize("impossible", PLACES, indirect=True)
def test_a_place_where_nothing_can_be_written(impossible: Path) -> None:
    for _ in range(2):
        check(["dog"], TextCache(impossible).embed(["dog"], "one", Embedder(), WIDTH))


@as_ordinary_user
def test_a_file_that_may_only_be_read(cache: TextCache) -> None:
    cache.embed(["dog"], "one", Embedder(), WIDTH)
    before = cache.path.read_bytes()
    cache.path.chmod(0o400)
    cache.path.parent.chmod(0o500)
    try:
        check(["dog", "cat"], cache.embed(["dog", "cat"], "one", Embedder(), WIDTH))
        check(["dog"], cache.embed(["dog"], "one", no_model, WIDTH))
        assert cache.path.read_bytes() == before
    finally:
        cache.path.parent.chmod(0o700)


def test_a_file_on_a_disk_that_is_read_only(
    cache: TextCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.embed(["dog"], "one", Embedder(), WIDTH)
    connect = sqlite3.connect

    def connect_to_read(path: Path, timeout: float) -> sqlite3.Connection:
        return connect(f"{path.as_uri()}?mode=ro", timeout=timeout, uri=True)

    with monkeypatch.context() as patch:
        patch.setattr(text_cache.sqlite3, "connect", connect_to_read)
        check(["dog", "cat"], cache.embed(["dog", "cat"], "one", Embedder(), WIDTH))
        check(["dog"], cache.embed(["dog"], "one", no_model, WIDTH))
    assert rows(cache) == [("one", "dog")]


def test_a_locked_file_is_done_without(cache: TextCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_cache, "_WAIT_S", 0.05)
    cache.embed(["dog"], "one", Embedder(), WIDTH)
    with closing(sqlite3.connect(cache.path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        check(["dog", "cat"], cache.embed(["dog", "cat"], "one", Embedder(), WIDTH))
        other.rollback()
    check(["dog"], cache.embed(["dog"], "one", no_model, WIDTH))
    assert rows(cache) == [("one", "dog")]


FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from mlx_aimv2.library.text_cache import TextCache
cache = TextCache(Path(sys.argv[1]))
vector = np.ones(4096, np.float32)
cache.embed(["dog"], "one", lambda texts: vector[None], 4096)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
texts = [str(number) for number in range(50)]
made = cache.embed(texts, "one", lambda texts: np.stack([vector] * len(texts)), 4096)
assert made.shape == (50, 4096)
cache.embed(["dog"], "one", lambda texts: 1 / 0, 4096)
"""


def test_a_full_disk(cache: TextCache) -> None:
    subprocess.run([sys.executable, "-c", FULL_DISK, str(cache.path)], check=True)
    assert rows(cache) == [("one", "dog")]


WRITER = """
import sys
from pathlib import Path
import numpy as np
from mlx_aimv2.library.text_cache import TextCache
cache = TextCache(Path(sys.argv[1]))
for number in range(40):
    texts = [f"{name} {number}" for name in ("shared", sys.argv[2])]
    made = cache.embed(texts, "one", lambda texts: np.ones((len(texts), 7), np.float32), 7)
    assert made.shape == (2, 7)
"""


def test_two_processes_at_once(cache: TextCache) -> None:
    command = [sys.executable, "-c", WRITER, str(cache.path)]
    running = [subprocess.Popen([*command, name]) for name in ("first", "second")]
    assert [process.wait(timeout=PATIENCE_S) for process in running] == [0, 0]
    names = [text for _, text in rows(cache)]
    assert len(names) == len(set(names))
    assert {name.split()[0] for name in names} == {"shared", "first", "second"}


def test_threads_at_once(cache: TextCache) -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for number in range(10):
                check([str(number)], cache.embed([str(number)], "one", Embedder(), WIDTH))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_the_systems_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    path = TextCache().path
    assert path.name == "texts.db"
    assert path.is_relative_to(tmp_path)
    assert not path.parent.exists()


def test_it_imports_neither_mlx_nor_pictures() -> None:
    script = (
        "import sys, mlx_aimv2.library.text_cache;"
        "assert not {'mlx.core', 'PIL', 'platformdirs', 'huggingface_hub'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
