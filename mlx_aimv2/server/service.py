"""What the routes share: the library as a page sees it."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from mlx_aimv2.files.paths import FilePath
from mlx_aimv2.inference.image_options import Dtype
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.database.vectors import VectorSet
from mlx_aimv2.library.editing.waiting import waiting_path
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.search_model import SearchModel
from mlx_aimv2.library.text_cache import TextCache

from .process.warm_model import WarmModel, no_download
from .roots import ShownRoot, shown_roots

if TYPE_CHECKING:
    from mlx_aimv2.checkpoints.hub import Confirm

_LOOK_S = 2.0  # between two looks whether drives are there
T = TypeVar("T")


class Service(Library):
    """A library that a page shows; every method may be called from any thread.

    ``model`` is the checkpoint of its searches, which is loaded once and kept; it is never fetched.
    """

    def __init__(self, path: FilePath | None = None, *, cache: TextCache | None = None) -> None:
        super().__init__(path, cache=cache)
        self.model = WarmModel()
        self._roots: tuple[object, list[ShownRoot]] = (None, [])

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
                marks.append(f"{stamp.st_mtime_ns:x}.{stamp.st_size:x}")
        return "-".join(marks)

    def roots(self) -> list[ShownRoot]:
        """What was indexed, and whether it is there, as of two seconds ago at most."""
        moment = self.version(), time.monotonic() // _LOOK_S
        known, roots = self._roots
        if known != moment:
            roots = self.look(shown_roots)
            self._roots = moment, roots
        return roots

    def follow_model(self, vectors: VectorSet | None) -> None:
        """Have the checkpoint of these vectors ready for searches, from the background."""
        self.model.follow(vectors, self._warm_up)

    def _warm_up(self, vectors: VectorSet) -> None:
        if vectors.has_text:
            with self._reading() as store:
                self._model_of(store, vectors).load("text")
            self.search("photo", count=1)  # what calibrates scores is at hand from then on

    def _model_of(
        self,
        store: Store,
        vectors: VectorSet,
        *,
        dtype: Dtype | None = None,
        confirm: "Confirm | None" = None,
    ) -> SearchModel:
        towers = self.model.towers(vectors)
        return SearchModel(
            store, vectors, cache=self._cache, dtype=dtype, confirm=confirm or no_download,
            towers=towers,
        )  # fmt: skip
