"""What the routes share: the library as a page sees it."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from mlx_aimv2.errors import OutputError
from mlx_aimv2.files.paths import FilePath, printable
from mlx_aimv2.inference.image_options import Dtype
from mlx_aimv2.library.browsing.asked import Asked
from mlx_aimv2.library.browsing.browsable import BrowsableLibrary
from mlx_aimv2.library.browsing.cells import Cell, cells_of
from mlx_aimv2.library.database.photos import Counts
from mlx_aimv2.library.database.schema import index_command
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.database.vectors import VectorSet
from mlx_aimv2.library.editing.edited import Sidecars
from mlx_aimv2.library.editing.later import Later
from mlx_aimv2.library.editing.waiting import waiting_path
from mlx_aimv2.library.search_model import SearchModel
from mlx_aimv2.library.teaching.review import Review
from mlx_aimv2.library.text_cache import TextCache
from mlx_aimv2.library.thumbnails.store import Thumbnails

from .process.index_process import IndexProcess
from .process.warm_model import WarmModel, no_download
from .roots import ShownRoot, photos_of_roots, place_of, shown_roots

if TYPE_CHECKING:
    from mlx_aimv2.checkpoints.hub import Confirm

_LOOK_S = 2.0  # between two looks whether drives are there
_SIDECARS = 16  # in a turn: edits wait for one at most
T = TypeVar("T")
Hit = tuple[int, str, float | None, str | None, int, int]


@dataclass(frozen=True)
class Overview:
    """The library at a glance; ``photos`` are counted by the path of a root.

    ``waiting``: edits that wait until another process has ended that writes. ``problem`` is why
    the library cannot be shown, and the way out.
    """

    counts: Counts
    photos: dict[bytes, int]
    waiting: int
    serving: VectorSet | None
    problem: dict[str, str] | None


class Service(BrowsableLibrary):
    """A library that a page shows; every method may be called from any thread.

    ``model`` is the checkpoint of its searches, which is loaded once and kept; it is never fetched.
    ``index_process`` is the index that the page may start, which ends with it.
    """

    def __init__(self, path: FilePath | None = None, *, cache: TextCache | None = None) -> None:
        super().__init__(path, cache=cache)
        self.model = WarmModel()
        self.thumbnails = Thumbnails(self.path)
        self.index_process = IndexProcess(self.path)
        self._sidecars = Later(partial(self.write_sidecars_behind, _SIDECARS))
        self.reviews: dict[str, tuple[str, Review]] = {}  # by tag, of a version
        self._seen: tuple[str, Overview] | None = None  # by version
        self._roots: tuple[float, list[ShownRoot]] = (-1.0, [])  # by the time of the look

    def close(self) -> None:
        """End the index that runs beside the page, then close the library."""
        self.index_process.close()
        self.thumbnails.close()
        super().close()

    def without_folder(self, text: str) -> str:
        """A message that may name the library, without the folder that it is in.

        Hints keep the path, as it was given: else the command in them would make another library.
        """
        return text.replace(printable(self.path), printable(self.path.name))

    def _synced(self, store: Store, ids: list[int]) -> Sidecars:
        """Sidecars are written after an edit is answered, by few, and after a kill by the next one.

        What is to be written stands in the library, in the same transaction as the edit.
        """
        if ids and store.sidecars_behind(1):
            self._sidecars.wake()
        return ()

    def look(self, question: Callable[[Store], T]) -> T:
        """The answer to a question about the library as it is at one moment."""
        return self._of_one_moment(question)

    def version(self) -> str:
        """Another text after every change of the library, by whatever process."""
        marks = []
        for path in (
            self.path,
            self.path.with_name(f"{self.path.name}-wal"),
            waiting_path(self.path),
        ):
            with suppress(FileNotFoundError):
                stamp = path.stat()
                if stamp.st_size:  # else a journal that a reader has made, and nothing is in it
                    marks.append(f"{stamp.st_mtime_ns:x}.{stamp.st_size:x}")
        return "-".join(marks)

    def overview(self) -> Overview:
        """The library at a glance, counted once for each version.

        Each time the checkpoint of its searches is loaded in the background, if it is another.
        """
        version = self.version()
        if self._seen is None or self._seen[0] != version or self._seen[1].problem:
            self._seen = version, self._look_over()
        seen = self._seen[1]
        self.model.follow(seen.serving, self._warm_up)
        return seen

    def _look_over(self) -> Overview:
        try:
            counts, photos, serving = self.look(
                lambda store: (store.counts(), photos_of_roots(store), store.serving())
            )
            waiting = self.waiting_edits()
        except OutputError as error:  # it is not there, or not of this version
            problem = {"message": self.without_folder(str(error)), "hint": error.hint}
            return Overview(Counts(0, 0, 0, 0), {}, 0, None, problem)
        if counts.files:
            return Overview(counts, photos, waiting, serving, None)
        message, hint = "there are no photos in the library yet", index_command(self.path)
        return Overview(counts, photos, waiting, serving, {"message": message, "hint": hint})

    def roots(self) -> list[ShownRoot]:
        """What was indexed, and whether it is there, as of two seconds ago at most.

        Errors: OutputError where there is no library of this version.
        """
        looked_s, roots = self._roots
        now_s = time.monotonic()
        if not 0 <= now_s - looked_s < _LOOK_S:
            roots = self.look(shown_roots)
            self._roots = now_s, roots
        return roots

    def cells(self, store: Store, ids: Sequence[int]) -> list[Cell]:
        """Photos as cells of a grid, in their order."""
        roots = self.roots()

        def is_away(path: bytes) -> bool:
            root, _ = place_of(path, roots)
            return root is not None and not root.is_online

        return cells_of(store, ids, None if all(each.is_online for each in roots) else is_away)

    def hits(self, store: Store, found: Iterable[tuple[int, float | None]]) -> list[Hit]:
        """Photos, given by ids and scores, as lists of the page have them."""
        scores = dict(found)
        return [
            (
                cell.id,
                f"{cell.version:08x}",
                (score := scores[cell.id]) and round(score, 6),
                cell.day,
                cell.ratio,
                cell.flags,
            )
            for cell in self.cells(store, list(scores))
        ]

    def _warm_up(self, vectors: VectorSet) -> None:
        if vectors.has_text:
            with self._reading() as store:
                self._model_of(store, vectors).load("text")
            # What calibrates scores, and what is searched, are at hand from then on.
            self.ask(Asked("photo"))

    def _model_of(
        self,
        store: Store,
        vectors: VectorSet,
        *,
        dtype: Dtype | None = None,
        confirm: "Confirm | None" = None,
    ) -> SearchModel:
        return super()._model_of(store, vectors, dtype=dtype, confirm=confirm or no_download)
