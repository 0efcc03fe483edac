"""A library whose tags can be taught: the methods of ``Library`` that do so."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Literal

from mlx_aimv2.errors import Aimv2Error, Aimv2Warning, UsageError
from mlx_aimv2.inference.image_options import Dtype
from mlx_aimv2.texts.truncation import warn_of_cuts

from ..database.store import Store
from ..database.vectors import VectorSet
from ..editing.duplicates import EditableDuplicates
from ..editing.edited import Edited, count_photos
from ..editing.photos import Photo, photos_in
from ..search_model import SearchModel

if TYPE_CHECKING:
    from mlx_aimv2.checkpoints.hub import Confirm

    from .lessons import Album, School
    from .review import Review
    from .teacher import Question, Taught


class TeachableTags(EditableDuplicates):
    """Tags that are learnt from photos, by any thread."""

    _album: "Album | None" = None  # of the last lesson: the photos are the same in the next

    def teach(
        self,
        tag: str,
        *,
        yes: Photo | Iterable[Photo] = (),
        no: Photo | Iterable[Photo] = (),
        words: str | Literal[False] | None = None,
        confirm: "Confirm | None" = None,
        skipped: Callable[[Aimv2Error], None] | None = None,
    ) -> "Taught | None":
        """Teach a tag of your own by photos with it and without it, and give it to the others.

        The answers are kept, and outlive other checkpoints; all that teach a tag are used each
        time. ``words`` say what it looks like: at first its name, False for examples only. The
        tag is given to photos that have it more likely than not, and taken from those that do
        not any more; ``yes`` photos have it and ``no`` photos never get it. One edit, which can
        be undone. This is no face recognition: two dogs that look alike will be confused.
        None while another process writes the library: the answers are kept, and count once that
        has ended; the tag is given at the next :meth:`teach` or :meth:`tag`. ``skipped`` is told of
        photos that the library does not know, while it knows others; without it they are errors.
        Errors: UsageError for a photo that the library does not know, OutputError without one.
        """
        return self._teach(tag, photos_in(yes), photos_in(no), words, confirm, skipped, None)[1]

    def teach_once(
        self,
        tag: str,
        *,
        yes: Photo | Iterable[Photo] = (),
        no: Photo | Iterable[Photo] = (),
        words: str | Literal[False] | None = None,
        uuid: str,
    ) -> Edited:
        """:meth:`teach` as an edit: the same ``uuid`` again changes nothing and answers the same.

        Photos that the library does not know are among the errors of what was done.
        """
        has, has_not = photos_in(yes), photos_in(no)
        unknown: list[Aimv2Error] = []
        if before := self.asked_before(uuid, [*has, *has_not]):
            return before
        edited, _ = self._teach(tag, has, has_not, words, None, unknown.append, uuid)
        return replace(edited, errors=tuple(unknown))

    def taught(self, tag: str, *, confirm: "Confirm | None" = None) -> "Taught":
        """How far a taught tag is. Errors: UsageError for a tag that is not taught."""
        from . import teacher  # noqa: PLC0415  (searches start sooner)

        def look(store: Store) -> "Taught":
            school = self._school_of(store, confirm)
            return teacher.status(store, school, teacher.known(store, tag))

        return self._of_one_moment(look)

    def questions(
        self, tag: str, count: int = 12, *, confirm: "Confirm | None" = None
    ) -> "list[Question]":
        """The photos of which it helps most to know whether they have a taught tag.

        Of a tag that is not taught yet, by its name. Answer them with :meth:`teach`.
        Errors: UsageError where nothing is known of the tag, or the count is below 1.
        """
        from . import teacher  # noqa: PLC0415  (searches start sooner)

        def look(store: Store) -> "list[Question]":
            taught = teacher.named(store, tag, None)
            return teacher.ask(store, self._school_of(store, confirm), taught, count)

        return self._of_one_moment(look)

    def review(self, tag: str) -> "Review":
        """The photos of a tag, to be looked through. Errors: UsageError for one not known."""
        from ..editing.known_tags import must_find_tag  # noqa: PLC0415  (searches start sooner)
        from .review import review  # noqa: PLC0415

        def look(store: Store) -> "Review":
            name = must_find_tag(store, tag)
            return review(store, cache(lambda: self._school_of(store, None)), name)

        return self._of_one_moment(look)

    def _teach(
        self,
        tag: str,
        yes: list[Photo],
        no: list[Photo],
        words: str | Literal[False] | None,
        confirm: "Confirm | None",
        skipped: Callable[[Aimv2Error], None] | None,
        uuid: str | None,
    ) -> "tuple[Edited, Taught | None]":
        from . import teacher  # noqa: PLC0415  (searches start sooner)

        with self._reading() as store:
            has_text = _serving(store).has_text
            taught = teacher.named(store, tag, words)
            request = teacher.request(store, taught, yes, no, has_text=has_text, skipped=skipped)
            ids = store.files_with_contents(hash for hash, _, _ in request.verdicts)
            count = count_photos(store, ids)
        if words and not has_text:
            note = "this library's checkpoint reads no texts, so the words do not count yet"
            warnings.warn(f"{note}: aimv2 index --model lit", Aimv2Warning, stacklevel=3)
        found: list[Taught] = []

        def renew(store: Store) -> None:
            vectors = _serving(store)
            encode = self._model_of(store, vectors, confirm=confirm)
            found.append(teacher.renew(store, self._school(store, vectors, encode), taught))
            warn_of_cuts(encode.cuts)

        edited = self._make(request, Edited(taught.tag, count=count), uuid, renew)
        return edited, next(iter(found), None)

    def _school_of(self, store: Store, confirm: "Confirm | None") -> "School":
        vectors = _serving(store)
        return self._school(store, vectors, self._model_of(store, vectors, confirm=confirm))

    def _school(self, store: Store, vectors: VectorSet, encode: SearchModel) -> "School":
        """What the library teaches now; its photos are read once, until they change."""
        from .lessons import Album, School, mark_of  # noqa: PLC0415  (searches start sooner)

        album = self._album
        if album is None or album.mark != mark_of(store, vectors):
            album = self._album = Album(store, vectors)
        return School(store, vectors, encode.texts, album)

    def _model_of(
        self,
        store: Store,
        vectors: VectorSet,
        *,
        dtype: Dtype | None = None,
        confirm: "Confirm | None" = None,
    ) -> SearchModel:
        """The checkpoint behind a set of vectors."""
        raise NotImplementedError


def _serving(store: Store) -> VectorSet:
    """The set that searches use. Errors: UsageError where there is none yet."""
    vectors = store.serving()
    if vectors is None:
        raise UsageError("there are no photos to learn from", hint="aimv2 index FOLDER")
    return vectors
