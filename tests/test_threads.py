"""A library and a model from several threads at once, and in forked processes."""

import json
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import mlx_aimv2
from mlx_aimv2 import Library
from mlx_aimv2.errors import LockedError, OutputError
from mlx_aimv2.inference import model as models
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.indexing.report import Progress
from tests.support.albums import make_album
from tests.support.commands import PATIENCE_S

THREADS, ROUNDS = 8, 30


pytestmark = pytest.mark.usefixtures("at_home")


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    make_album(tmp_path / "album", 11)
    make_album(tmp_path / "guests", 3, first=11)
    (tmp_path / "album" / "copy.jpg").write_bytes((tmp_path / "album" / "000.jpg").read_bytes())
    with Library(tmp_path / "library.db") as opened:
        opened.index(tmp_path / "album", model="demo")
        yield opened


def at_once(works: list[Callable[[], object]]) -> list[object]:
    """Each work on a thread of its own, all begun together; their results."""
    together = threading.Barrier(len(works))

    def begin(work: Callable[[], object]) -> object:
        together.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(begin, works))


def found(library: Library, words: str) -> list[tuple[bytes, float | None]]:
    return [(hit.file.path, hit.score) for hit in library.search(words, min_score=0.0).hits]


def written(library: Library, target: Path) -> bytes:
    library.export(target, overwrite=True)
    with np.load(target) as file:
        return bytes(file["embeddings"].tobytes())


def tagged(library: Library) -> list[tuple[int, str, float | None]]:
    library.tag()
    with Store(library.path) as store:
        return sorted(store.tags("vocabulary"))


def test_eight_threads_get_the_answers_of_one(library: Library, tmp_path: Path) -> None:
    other = Library(library.path)  # two of one file
    works: list[Callable[[], object]] = [
        lambda: found(library, "a boat"),
        lambda: found(other, "a house"),
        library.duplicates,
        lambda: written(library, tmp_path / "export.npz"),
        lambda: library.index().unchanged,
        lambda: tagged(other),
        lambda: library.prune().files,
        other.counts,
    ]
    assert len(works) == THREADS
    expected = [work() for work in works]
    for _ in range(ROUNDS):
        assert at_once(works) == expected
    other.close()


def test_searches_go_on_while_rows_are_added_and_taken_away(
    library: Library, tmp_path: Path
) -> None:
    def of_the_album() -> list[tuple[bytes, float | None]]:
        # Likeness: how well words fit follows from the mean of all that is there.
        hits = library.search(like=tmp_path / "album" / "001.jpg").hits
        return [(hit.file.path, hit.score) for hit in hits if b"/album/" in hit.file.path]

    def come_and_go() -> None:
        for _ in range(5):
            library.index(tmp_path / "guests")
            library.forget(tmp_path / "guests")  # the rest moves to another folder of vectors

    expected, groups = of_the_album(), library.duplicates()
    is_over = threading.Event()

    def look() -> int:
        count = 0
        while not is_over.is_set() or not count:
            assert of_the_album() == expected
            assert library.duplicates() == groups
            count += 1
        return count

    with ThreadPoolExecutor(3) as pool:
        lookers = [pool.submit(look) for _ in range(3)]
        try:
            come_and_go()
        finally:
            is_over.set()
        assert all(each.result() for each in lookers)


def test_a_library_closed_while_others_read_says_so(library: Library) -> None:
    expected = found(library, "a boat")
    begun = threading.Semaphore(0)

    def look() -> str:
        while True:
            try:
                assert found(library, "a boat") == expected
            except OutputError as error:
                return str(error)
            begun.release()

    with ThreadPoolExecutor(4) as pool:
        lookers = [pool.submit(look) for _ in range(4)]
        for _ in range(8):
            begun.acquire()
        library.close()
        assert {each.result() for each in lookers} == {"the library is closed"}
    with pytest.raises(OutputError, match="closed"):
        library.index()


def test_writing_in_the_midst_of_writing_is_refused_at_once(
    library: Library, tmp_path: Path
) -> None:
    def again(error: object) -> None:
        with pytest.raises(LockedError):
            library.tag()

    report = library.index(tmp_path / "guests", progress=Progress(done=again))
    assert report.embedded == 3


FORKED = """
    import os, signal, sys, threading
    import mlx_aimv2
    from mlx_aimv2.errors import Aimv2Error

    library = mlx_aimv2.Library(sys.argv[1])
    images = [os.path.join(sys.argv[2], name) for name in sorted(os.listdir(sys.argv[2]))]

    def attempt(work):
        try:
            return repr(work())
        except Aimv2Error as error:
            return f"{error}; {error.hint}"

    def in_a_child(work):
        '''What a forked process says, and how it ended; one that hangs is ended by an alarm.'''
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            os.write(writing, attempt(work).encode())
            sys.exit(7)  # in a thread that is the end of the thread only, and so of the process
        os.close(writing)
        with open(reading) as file:
            said = file.read()
        return said, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def search():
        return [hit.file.path for hit in library.search("a boat", min_score=0.0).hits]
"""


def forked(library: Library, album: Path, code: str) -> list[object]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning",  # of forks, where there are threads
         "-c", textwrap.dedent(FORKED) + textwrap.dedent(code), str(library.path), str(album)],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_forked_process_searches_and_ends_as_it_means_to(
    library: Library, tmp_path: Path
) -> None:
    expected, *answers = forked(
        library,
        tmp_path / "album",
        """
        import json
        print(json.dumps(repr(search())))
        print(json.dumps(in_a_child(search)))
        model = mlx_aimv2.load("demo")
        model.embed_images(images)
        print(json.dumps(in_a_child(search)))
        box = []
        thread = threading.Thread(target=lambda: box.append(in_a_child(search)))
        thread.start()
        thread.join()
        print(json.dumps(box[0]))
        print(json.dumps(["" if repr(search()) == attempt(search) else "parent", 7]))
        """,
    )
    assert answers[:3] == [[expected, 7], [expected, 7], [expected, 0]]
    assert answers[3] == ["", 7]


def test_a_forked_process_is_told_where_nothing_can_go_on(library: Library, tmp_path: Path) -> None:
    told = forked(
        library,
        tmp_path / "album",
        """
        import json
        model = mlx_aimv2.load("demo")
        stream = model.stream(images * 9)
        next(stream)
        for work in (
            lambda: model.embed_images(images),
            lambda: model.embed_texts("a boat"),
            lambda: model.preprocess(images[0]),
            lambda: model.classify(images, ["boat"], independent=True),
            lambda: list(stream),
            lambda: mlx_aimv2.load("demo"),
        ):
            print(json.dumps(in_a_child(work)))
        inside, go_on = threading.Event(), threading.Event()
        class Cache(mlx_aimv2.library.text_cache.TextCache):
            def embed(self, *arguments):
                inside.set()
                go_on.wait()
                return super().embed(*arguments)
        busy = mlx_aimv2.Library(library.path, cache=Cache())
        thread = threading.Thread(target=busy.search, args=("a boat",))
        thread.start()
        inside.wait()
        print(json.dumps(in_a_child(search)))
        print(json.dumps(in_a_child(lambda: mlx_aimv2.Library(library.path).index())))
        go_on.set()
        thread.join()
        """,
    )
    for said, code in told:
        assert "does not go on in a forked process" in said
        assert '"spawn"' in said
        assert code == 7
    assert len(told) == 8


def test_a_forked_process_destroys_nothing_of_mlx(library: Library, tmp_path: Path) -> None:
    """A thread of the parent may have had the lock of its memory, or its list half changed."""
    ((said, code),) = forked(
        library,
        tmp_path / "guests",
        """
        import ctypes, gc, json
        import mlx.core as mx
        model = mlx_aimv2.load("demo")
        kept = [model.embed_texts("a boat"), mx.compile(abs)]
        def let_go():
            global model
            before = mx.get_active_memory()
            kept.clear()
            model = None
            gc.collect()
            return before - mx.get_active_memory()
        # What C++ has done at the end; here it would be seen by another exit code.
        libc = ctypes.CDLL(None)
        if hasattr(libc, "on_exit"):
            libc.__cxa_atexit(libc._exit, None, None)
        print(json.dumps(in_a_child(let_go)))
        assert let_go() > 10**6
        sys.stdout.flush()
        os._exit(0)
        """,
    )
    assert (said, code) == ("0", 7)


def test_a_forked_process_takes_no_lock_along(library: Library, tmp_path: Path) -> None:
    (said,) = forked(
        library,
        tmp_path / "guests",
        """
        import json
        from mlx_aimv2.library.indexing.report import Progress
        children = []
        reading, writing = os.pipe()
        def fork(error):
            child = os.fork()
            if child == 0:
                signal.alarm(60)
                os.close(writing)
                os.read(reading, 1)  # until the parent has ended its work
                os._exit(0)
            children.append(child)
        library.index(sys.argv[2], progress=Progress(done=fork))
        before = library.counts()
        library.forget(sys.argv[2])
        os.close(writing)
        codes = [os.waitpid(child, 0)[1] for child in children]
        print(json.dumps([codes, before.files - library.counts().files]))
        """,
    )
    assert said == [[0, 0, 0], 3]


@pytest.mark.parametrize("count", [2, 4, 8])
def test_a_model_answers_every_thread_alike(count: int, tmp_path: Path) -> None:
    model = mlx_aimv2.load("demo")
    paths = make_album(tmp_path / "album", 3)
    expected = np.array(model.embed_images(paths))
    for made in at_once([lambda: np.array(model.embed_images(paths))] * count):
        np.testing.assert_array_equal(made, expected)


def test_searches_for_new_words_load_one_model_for_all(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    load, embed = models.load, models.Model.embed_and_cut

    def note_load(*arguments: object, **options: object) -> models.Model:
        events.append("load")
        return load(*arguments, **options)

    def note_embed(model: models.Model, texts: list[str]) -> object:
        made = embed(model, texts)
        events.append("embed")
        return made

    monkeypatch.setattr(models, "load", note_load)
    monkeypatch.setattr(models.Model, "embed_and_cut", note_embed)
    words = ["a boat", "a house", "a car", "a dog"]
    answers = at_once([partial(found, library, each) for each in words])
    assert events == ["load", *["embed"] * len(words)]
    assert answers == [found(library, each) for each in words]
