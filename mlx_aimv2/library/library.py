"""The Python face of a photo library: index, search, and what is in it."""

import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from mlx_aimv2.errors import Aimv2Warning, OutputError, UsageError
from mlx_aimv2.files.paths import FilePath, absolute, several
from mlx_aimv2.images import MAX_PIXELS
from mlx_aimv2.images.source import ImageSource, is_single
from mlx_aimv2.inference.image_options import Decoding, Dtype, ImageOptions
from mlx_aimv2.inference.progress import Counter
from mlx_aimv2.inference.progress import Progress as Counted
from mlx_aimv2.models.aimv2.cost import published_bytes
from mlx_aimv2.texts.truncation import warn_of_cuts

from . import apple_photos
from .database.folders import Root, known_path
from .database.photos import Counts, FileRow
from .database.store import Store
from .database.vectors import VectorSet
from .duplicates.groups import DEFAULT_THRESHOLD, Group, files_to_compare, find_groups
from .indexing.indexer import Pause
from .indexing.misread import warn_of_unread
from .indexing.options import IndexOptions
from .indexing.preparation import excluded_patterns, make_indexer, source_to_index
from .indexing.report import Estimate, Progress, Report
from .search import query
from .search.filters import Filters
from .search.fitting import as_known, check_places
from .search.request import Sort
from .search.searcher import Answer, check_order, newest, search, search_captions
from .search_model import SearchModel, Towers, absent, source_of
from .teaching.teachable import TeachableTags
from .text_cache import TextCache

if TYPE_CHECKING:
    from mlx_aimv2.checkpoints.hub import Confirm

    from .maintenance import Pruned
    from .sidecars.sidecar import Style
    from .tagging.tag_sidecars import Written
    from .tagging.tagger import Tagged

_SAMPLE = 20
T = TypeVar("T")


class Library(TeachableTags):
    """Photos that can be searched, tagged and described.

    They are in one file, with a folder of vectors beside it.

    Every method may be called from any thread, and by several at once. What writes the library
    waits for the other threads that do; another process that writes it is an error.
    """

    def __init__(self, path: FilePath | None = None, *, cache: TextCache | None = None) -> None:
        super().__init__(path)
        self._cache = cache
        self._towers: tuple[object, Towers] = (None, {})  # of which checkpoint and dtype

    def close(self) -> None:
        """Close the file, for good, and let the checkpoint of its searches go."""
        super().close()
        self._towers = (None, {})

    def __repr__(self) -> str:
        return f"Library({str(self.path)!r})"

    def index(
        self,
        folders: FilePath | Iterable[FilePath] = (),
        *,
        exclude: str | Iterable[str] = (),
        include: str | Iterable[str] = (),
        reread: bool = False,
        model: str | None = None,
        preset: str | None = None,
        max_patches: int | None = None,
        max_pixels: int = MAX_PIXELS,
        batch_size: int | None = None,
        threads: int | None = None,
        decode: Decoding | None = None,
        dtype: Dtype | None = None,
        confirm: "Confirm | None" = None,
        rejects: Callable[[int], bool] | None = None,
        progress: Progress | Counted | None = None,
    ) -> Report:
        """Bring the library up to date with folders, files and Photos libraries.

        Without any, with all that were indexed before. ``model`` is the checkpoint; without it
        the one that serves searches, with its preset, decoding and limit of patches, or ``lit``
        for a new library. Only what is new or changed is read. Another checkpoint's vectors serve
        searches once every photo has one. ``progress=True`` shows a bar on stderr; a function is
        called with how many photos are done, and of how many.
        ``exclude`` are patterns of names, or with a / of paths in a folder, that are not indexed
        from now on, in any run; ``include`` takes such patterns back. ``reread`` reads all files,
        also those that look unchanged.
        Keywords of photos and sidecars are read too. Those that this program wrote into a sidecar
        and another one took out are rejected; of more than 20, ``rejects`` is asked with their
        number, and without a yes they are left to the next run.
        Errors: what cannot be read is in the report; OutputError where the library cannot be
        written, or another process writes it.
        """
        images = ImageOptions(max_pixels=max_pixels, batch_size=batch_size, threads=threads)
        options = IndexOptions(
            exclude, include, reread, model, preset, max_patches, images, decode, dtype
        )
        return self.index_with(
            options, folders, confirm=confirm, rejects=rejects, progress=progress
        )

    def index_with(
        self,
        options: IndexOptions,
        folders: FilePath | Iterable[FilePath] = (),
        *,
        confirm: "Confirm | None" = None,
        rejects: Callable[[int], bool] | None = None,
        progress: Progress | Counted | None = None,
    ) -> Report:
        """:meth:`index`, its options given as one."""
        named = _named(folders)
        if not named and not self.path.exists():
            raise _nothing_to_index()
        with self._writing(creates=True) as store, _told(progress) as told:
            roots = named or _roots(store)
            patterns = excluded_patterns(store, options)
            pause = Pause(self._has_waiting, partial(self._make_waiting, store))
            indexer = make_indexer(
                store, options, confirm, told, patterns, rejects=rejects, pause=pause
            )
            if options.exclude or options.include:
                store.set_excluded(patterns)
            return indexer.run(roots)

    def estimate(
        self,
        folders: FilePath | Iterable[FilePath] = (),
        *,
        exclude: str | Iterable[str] = (),
        include: str | Iterable[str] = (),
        reread: bool = False,
        model: str | None = None,
        preset: str | None = None,
        max_patches: int | None = None,
        max_pixels: int = MAX_PIXELS,
        threads: int | None = None,
        decode: Decoding | None = None,
        dtype: Dtype | None = None,
        confirm: "Confirm | None" = None,
        progress: Progress | None = None,
    ) -> Estimate:
        """What ``index`` would take, measured on 20 of the photos; nothing is written.

        A published checkpoint that is not here is not fetched: random weights of its shape take
        its time.
        """
        images = ImageOptions(max_pixels=max_pixels, threads=threads)
        options = IndexOptions(
            exclude, include, reread, model, preset, max_patches, images, decode, dtype
        )
        return self.estimate_with(options, folders, confirm=confirm, progress=progress)

    def estimate_with(
        self,
        options: IndexOptions,
        folders: FilePath | Iterable[FilePath] = (),
        *,
        confirm: "Confirm | None" = None,
        progress: Progress | None = None,
    ) -> Estimate:
        """:meth:`estimate`, its options given as one."""
        with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
            if self.path.exists():
                store = stack.enter_context(self._reading())
            else:
                new = Store(Path(scratch) / "library.db", can_write=True)
                store = stack.enter_context(new)
            roots = _named(folders) or _roots(store)
            missing = absent(source_to_index(store, options.model))
            patterns = excluded_patterns(store, options)
            indexer = make_indexer(store, options, confirm, progress, patterns, missing)
            guess = indexer.estimate(roots, _SAMPLE)
            if missing is None or not guess.count:
                return guess
            return replace(guess, download=missing.repo_id, download_bytes=published_bytes(missing))

    def search(
        self,
        words: str | Sequence[str] = (),
        *,
        like: ImageSource | Iterable[ImageSource] = (),
        count: int = 20,
        min_score: float | None = None,
        filters: Filters | None = None,
        sort: Sort | None = None,
        unique: bool = False,
        captions_only: bool = False,
        model: str | None = None,
        dtype: Dtype | None = None,
        confirm: "Confirm | None" = None,
    ) -> Answer:
        """The photos that fit a query, best first; see ``query.parse`` for its syntax.

        Photos are ranked by their pictures and their captions together; with ``captions_only`` by
        the words of their captions, see ``searcher.search_captions``.

        ``words`` is one text, or the words of a query with ``+`` and ``-`` between them. A text
        whose score line no photo reaches (``search.score``) finds nothing; the answer has the best
        score. ``like`` are pictures as ``embed_images`` takes them; those in the library need no
        model, given by path. With ``filters`` alone the photos that fit come without scores, the
        newest first. ``sort="date"`` has the newest first of all photos that the query finds.
        ``unique`` shows one photo of those that show the same picture, and names the others.
        A warning tells of a text that was cut, and of words that look like more than words.
        Errors: UsageError for a query or filter that means nothing, OutputError without a library.
        """
        given = [words] if isinstance(words, str) else list(words)
        liked = cast("Iterable[ImageSource]", [like] if is_single(like) else like)
        pictures = [os.fsdecode(each) if isinstance(each, os.PathLike) else each for each in liked]
        filters = filters or Filters()
        has_query = bool(given or pictures or filters.is_empty)
        check_order(sort, min_score, has_query=has_query)
        if not has_query:
            return self._of_one_moment(
                lambda store: newest(store, _checked(store, filters), count, unique=unique)
            )
        terms = query.parse(given, pictures)
        for note in query.notes(given, terms):
            warnings.warn(note, Aimv2Warning, stacklevel=2)

        def look(store: Store) -> Answer:
            chosen = _checked(store, filters)
            if captions_only:
                return search_captions(
                    store, terms, count=count, filters=chosen, min_score=min_score,
                    sort=sort or "best", unique=unique,
                )  # fmt: skip
            vectors = _set_of(store, model)
            if vectors is None:
                return Answer((), None, 0)
            if any(term.image is not None for term in terms):
                warn_of_unread(store)
            model_of = self._model_of(store, vectors, dtype=dtype, confirm=confirm)
            answer = search(
                store,
                vectors,
                self._with_tags(store, vectors, terms, model_of),
                model_of,
                count=count,
                filters=chosen,
                min_score=min_score,
                exclude=[known_path(store, each) for each in pictures if isinstance(each, str)],
                sort=sort or "best",
                unique=unique,
            )
            warn_of_cuts(model_of.cuts)
            return answer

        return self._of_one_moment(look)

    def vectors(self, model: str | None = None) -> VectorSet | None:
        """The set that searches use, or the latest by a checkpoint; None in an empty library.

        Errors: UsageError for a checkpoint that the library was not indexed with.
        """
        with self._reading() as store:
            return _set_of(store, model)

    def counts(self) -> Counts:
        """How many files there are, cannot be read, and are missing."""
        with self._reading() as store:
            return store.counts()

    def tag(
        self,
        *,
        vocabulary: FilePath | None = None,
        replace: bool | Callable[[int, int], bool] = False,
        min_confidence: float | None = None,
        limit: int | None = None,
        filters: Filters | None = None,
        dry_run: bool = False,
        sidecars: "Style | bool" = False,
        exiftool: bool = False,
        confirm: "Confirm | None" = None,
        told: "Callable[[Tagged, Written | None], None] | None" = None,
        texts_told: Callable[[int, int], None] | None = None,
    ) -> None:
        """Give photos tags from vocabularies, each tag calibrated on the whole library.

        ``vocabulary`` is a file, which is known by its name from then on, or such a name. Without
        one, all that the library uses give their tags anew; of a library that uses none it is the
        checkpoint's own, where that has one, or ``everyday``, the one in this package. A
        vocabulary replaces the tags that it gave before; those of others stay, but with
        ``replace`` other vocabularies' go: a function is asked first, with how many tags on how
        many photos that are. What the owner rejected is not given.
        ``min_confidence`` and ``limit``, at most so many tags a photo and 0 for any number, are
        remembered with the vocabulary. ``sidecars`` merges the tags into XMP files beside the
        photos too, named in this style, which is remembered, or with True in that of the last
        time; those of Apple's Photos get none. ``exiftool`` gives lines for ExifTool instead.
        ``told`` is called with each photo's tags and what became of its sidecar; ``texts_told``,
        before that, with how many of the vocabulary's texts are embedded, and of how many.
        ``dry_run`` writes nothing, and tells what it would do.
        Taught tags are learnt anew and given too; a checkpoint without texts gives these alone.
        Errors: UsageError for a checkpoint without texts where no tag is taught, a vocabulary that
        is none or a place without photos, OutputError without a library; what went wrong with a
        single sidecar is told.
        """
        from .tagging.run import TagOptions, run  # noqa: PLC0415  (XML: searches start sooner)
        from .teaching.teacher import give  # noqa: PLC0415

        options = TagOptions(
            vocabulary, replace, min_confidence, limit, filters, dry_run, sidecars, exiftool
        )
        with self._writing_unless(dry_run) as store:
            vectors = store.serving()
            if vectors is None:
                raise UsageError("there are no photos to tag", hint="aimv2 index FOLDER")
            encode = self._model_of(store, vectors, confirm=confirm)
            school = cache(lambda: self._school(store, vectors, encode))
            run(
                store, vectors, encode, options, lambda: give(store, school),
                told=told, texts_told=texts_told,
            )  # fmt: skip
            warn_of_cuts(encode.cuts)

    def _model_of(
        self,
        store: Store,
        vectors: VectorSet,
        *,
        dtype: Dtype | None = None,
        confirm: "Confirm | None" = None,
    ) -> SearchModel:
        """The checkpoint behind a set of vectors, loaded when it is needed.

        It is kept for the next search, until that is for another one.
        """
        made_by = vectors.fingerprint, dtype
        if self._towers[0] != made_by:
            self._towers = made_by, {}
        return SearchModel(
            store, vectors, cache=self._cache, dtype=dtype, confirm=confirm, towers=self._towers[1]
        )

    def _with_tags(
        self, store: Store, vectors: VectorSet, terms: Sequence[query.Term], encode: SearchModel
    ) -> Sequence[query.Term]:
        if all(term.tag is None for term in terms):
            return terms
        from .teaching.terms import with_tags  # noqa: PLC0415  (searches start sooner)

        return with_tags(store, cache(lambda: self._school(store, vectors, encode)), terms)

    def duplicates(
        self, *, threshold: float = DEFAULT_THRESHOLD, shots: bool = False
    ) -> list[Group]:
        """Groups of files that show one picture, the best first; see ``duplicates``.

        Files of one shot, as a RAW and its JPEG, are copies of each other only with ``shots``.
        """

        def look(store: Store) -> list[Group]:
            vectors = store.serving()
            if vectors is None:
                return []
            warn_of_unread(store)
            return find_groups(files_to_compare(store, vectors, shots=shots), threshold)

        return self._of_one_moment(look)

    def prune(self, *, dry_run: bool = False) -> "Pruned":
        """Forget files that are gone and vectors that no longer serve; photos are not touched."""
        from .maintenance import prune  # noqa: PLC0415

        if dry_run:
            return self._of_one_moment(lambda store: prune(store, dry_run=True))
        with self._writing() as store:
            return prune(store)

    def forget(self, folder: FilePath) -> "Pruned":
        """Take a folder out of the library, with all photos known there; they are not touched."""
        from .maintenance import forget  # noqa: PLC0415

        with self._writing() as store:
            return forget(store, known_path(store, folder))

    def export(self, target: FilePath, *, model: str | None = None, overwrite: bool = False) -> int:
        """Write vectors and what is known of the photos to a file or folder; says how many.

        ``target``: a file in one of the formats of ``aimv2 embed``, by its extension; a name
        without one is a folder for clip-retrieval.
        """
        from .export import export_vectors  # noqa: PLC0415

        def write(store: Store) -> int:
            vectors = _set_of(store, model)
            if vectors is None:
                raise OutputError("there are no vectors to export", hint="aimv2 index FOLDER")
            return export_vectors(store, vectors, Path(os.fsdecode(target)), overwrite=overwrite)

        return self._of_one_moment(write)

    def errors(self) -> list[FileRow]:
        """The files that could not be read, with the reason."""
        with self._reading() as store:
            return list(store.files("error IS NOT NULL AND missing_since IS NULL"))


@contextmanager
def _told(progress: Progress | Counted | None) -> Iterator[Progress | None]:
    if progress is None or isinstance(progress, Progress):
        yield progress
        return
    counter = Counter(progress, unit=" photos")
    try:
        yield Progress(started=counter.begin, done=lambda error: counter.step())
    finally:
        counter.close()


def _checked(store: Store, filters: Filters) -> Filters:
    check_places(store, filters.named_places)
    return as_known(store, filters)


def _set_of(store: Store, model: str | None) -> VectorSet | None:
    """The set that searches use, or the latest by a checkpoint."""
    if model is None:
        return store.serving()
    wanted = source_of(model)
    for each in reversed(store.sets()):
        if wanted in (each.source, each.settings.get("checkpoint")):
            return each
    raise UsageError(
        f"this library was not indexed with {model}", hint=f"aimv2 index --model {model}"
    )


def _named(folders: FilePath | Iterable[FilePath]) -> list[Root]:
    """The folders, files and Photos libraries that were named, by absolute paths."""
    named = [os.fsencode(absolute(folder)) for folder in several(folders)]
    return [Root(path, apple_photos.is_bundle(path)) for path in named]


def _roots(store: Store) -> list[Root]:
    """The folders that were indexed before. Errors: UsageError where there are none."""
    roots = store.roots()
    if not roots:
        raise _nothing_to_index()
    return roots


def _nothing_to_index() -> UsageError:
    return UsageError("there is nothing to index", hint="aimv2 index FOLDER")
