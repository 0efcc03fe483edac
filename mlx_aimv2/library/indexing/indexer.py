"""Bringing a library up to date: what is new is read and embedded, what was moved is recognised."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.files.paths import is_gone
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.inference.preprocessing import Plan

from ..database.folders import Root, under
from ..database.photos import FileRow
from ..database.segments import Halves, Segments
from ..database.store import Store
from ..database.vectors import VectorSet
from ..shots import share_words
from ..thumbnails.store import LIMIT_BYTES, Thumbnails
from .misread import UNREAD, forget_misread
from .moves import Moves, respelled
from .photo_reader import Reading, hash_file, read_photo
from .report import Estimate, Progress, Report
from .roots import forget_doubles, remember_roots, usable_roots
from .scan import Scan
from .scan_results import Candidate, FoundPhotos, found_photos

if TYPE_CHECKING:
    from mlx_aimv2.inference.model import Model
    from mlx_aimv2.inference.records import Sample

# What a kill may cost: so many pictures, or so many seconds of work.
_COMMIT_FILES, _COMMIT_S = 256, 5.0
NATIVE_MAX_PATCHES = 1024
_ESTIMATE_BATCH = 5
_ROW_BYTES = 1000  # of the database for a photo: measured, paths of 60 bytes


@dataclass(frozen=True)
class Pause:
    """What others wait for is done between two photos, where it is due: the edits of a person."""

    is_due: Callable[[], bool] = lambda: False
    act: Callable[[], None] = lambda: None


class Indexer:
    """One run over some roots, for one set of vectors.

    ``key`` tells this way of making vectors from all others; the model is loaded only when a
    picture has to be embedded. ``exclude`` are patterns of what is passed over; with ``reread``
    every file is read, and embedded if its content is new. ``rejects``: see ``look``. ``pause`` is
    asked for between photos, and between the steps of a run.
    """

    def __init__(
        self,
        store: Store,
        key: str,
        source: str,
        options: ImageOptions,
        load: Callable[[], "Model"],
        progress: Progress | None = None,
        *,
        exclude: Sequence[str] = (),
        reread: bool = False,
        rejects: Callable[[int], bool] | None = None,
        pause: Pause | None = None,
    ) -> None:
        self._store = store
        self._pause = pause or Pause()
        self._exclude, self._rereads = exclude, reread
        self._rejects = rejects
        self._key = key
        self._source = source
        self._options = options
        self._load = load
        self._progress = progress or Progress()
        self._report = Report()
        self._rows: list[Halves] = []
        self._thumbnails = Thumbnails(store.path)
        self._small: list[tuple[bytes, bytes]] = []
        self._waiting: deque[tuple[Candidate, bytes | None]] = deque()
        self._uncommitted, self._committed_s = 0, 0.0

    def run(self, roots: Sequence[Root]) -> Report:
        """Index what is new or changed in the roots.

        Stopped by Ctrl-C or an error, what was done is kept, and the next run goes on.
        """
        store, report = self._store, self._report
        with store.transaction():
            forget_doubles(store)
            roots, report.errors = usable_roots(store, roots)
            # Now: a run that is stopped is gone on with without naming them.
            remember_roots(store, roots, self._exclude)
        store.remove_strays()
        for each in store.sets():
            store.segments(each).cut()
        report.recoloured = sum(forget_misread(store, root.path) for root in roots)
        report.colours_unread = store.count(UNREAD)
        with closing(self._thumbnails), found_photos(store) as found:
            self._update(roots, found)
        self._pause_if_due()
        from .look import look  # noqa: PLC0415  (XML: searches start sooner)

        folders = [root.path for root in roots]
        report.unsettled, report.keywords_edit = look(store, folders, self._rejects)
        share_words(store)
        report.had_photos = any(next(store.files(*under(root.path)), None) for root in roots)
        return report

    def _update(self, roots: Sequence[Root], found: FoundPhotos) -> None:
        """Walk the roots, give known photos their new names, embed the rest, mark what is gone."""
        store, report = self._store, self._report
        vectors = store.set_with_key(self._key)
        set_id = vectors.id if vectors else None
        scan = self._scan = Scan(store, found, roots, self._exclude, report)
        scan.walk(self._count_one)
        store.move_files(
            [(file.id, path, file.stamp, file.uuid) for file, path in respelled(store)]
        )
        moves = Moves(store, roots, scan.keep_away)
        moved = moves.settle(found, set_id, rereads=self._rereads)
        total = found.count_to_read(set_id)
        if vectors is not None:
            report.recognised = sum(store.row_of(vectors.id, each) is not None for each in moved)
        report.unchanged = found.count("NOT is_away") - total - report.recognised
        if total:
            model = self._load()
            self._set = vectors = vectors or self._new_set(model)
            self._segments = store.segments(vectors)
            self._segments.cut()
            self._counted = self._segments.row_count
            self._progress.started(total)
            self._embed_all(model, found.to_read(set_id))
        scan.mark_missing()
        scan.tell_away()
        report.found = found.count()
        if vectors is not None:
            with store.transaction():
                report.left = store.unembedded(vectors.id)
                if report.left:
                    store.build(vectors.id)
                else:
                    store.serve(vectors.id)
                report.is_serving = store.set_with_id(vectors.id).is_serving

    def estimate(self, roots: Sequence[Root], sample: int) -> Estimate:
        """What a run over the roots would read, measured on some of it, evenly spread."""
        store, vectors = self._store, self._store.set_with_key(self._key)
        set_id = vectors.id if vectors else None
        with found_photos(store) as found:
            Scan(store, found, roots, self._exclude, Report()).walk(self._progress.counted)
            for file, path in respelled(store):
                store.run("UPDATE found SET path = ? WHERE path = ?", file.path, path)
            count = found.count_to_read(set_id, rereads=self._rereads)
            chosen = {number * count // sample for number in range(sample)}
            candidates = enumerate(found.to_read(set_id, rereads=self._rereads))
            paths = [os.fsdecode(each.path) for number, each in candidates if number in chosen]
        if not count:
            return Estimate(0, 0, 0.0, 0)
        model = self._load()
        options = replace(self._options, fills_batches=False, batch_size=_ESTIMATE_BATCH)
        plan = model.plan(options)
        deque(model.samples(plan, paths[:_ESTIMATE_BATCH]), 0)  # the first is slower
        started_s, thumbnail_bytes = time.perf_counter(), 0
        with closing(self._thumbnails):
            for each in model.samples(plan, paths, self._reader(plan)):
                thumbnail_bytes += len(each.facts.thumbnail or b"") if each.facts else 0
            room = max(0, LIMIT_BYTES - self._thumbnails.size_bytes)
        share = count / len(paths)
        seconds = (time.perf_counter() - started_s) * share
        row_bytes = 2 * model.width(plan) + _ROW_BYTES
        size_bytes = count * row_bytes + min(room, round(thumbnail_bytes * share))
        return Estimate(count, len(paths), seconds, size_bytes)

    def _new_set(self, model: "Model") -> VectorSet:
        with self._store.transaction():
            return self._store.add_set(
                self._key,
                self._source,
                model.metadata(self._options),
                has_text=model.config.text_config is not None,
                logit_scale=model.logit_scale if model.config.text_config else None,
            )

    def _embed_all(self, model: "Model", candidates: Iterator[Candidate]) -> None:
        plan = model.plan(self._options)
        self._committed_s = time.monotonic()
        self._store.begin()
        try:
            waiting = self._to_embed(candidates)
            for sample in model.samples(plan, waiting, self._reader(plan)):
                self._place_known()
                candidate, _ = self._waiting.popleft()
                self._place_sample(candidate, sample)
            self._place_known()
        except KeyboardInterrupt:
            if self._store.is_writing:  # else it came just after a commit
                self._commit()
            raise
        except BaseException:
            self._store.roll_back()
            raise
        self._commit()

    def _reader(self, plan: Plan) -> Callable[["Sample"], None]:
        return partial(read_photo, plan, self._thumbnails)

    def _to_embed(self, candidates: Iterator[Candidate]) -> Iterator[str]:
        """The paths of pictures whose content is new; the others wait for their turn."""
        for candidate in candidates:
            hash = self._known_hash(candidate)
            self._waiting.append((candidate, hash))
            if hash is None:
                yield os.fsdecode(candidate.path)
            else:
                self._place_known()

    def _known_hash(self, candidate: Candidate) -> bytes | None:
        """The content's hash where the set has its vector; None where it must be embedded."""
        if candidate.is_unchanged and candidate.known is not None:
            hash = candidate.known.hash
        elif self._store.has_size(candidate.stamp.size_bytes):
            try:
                hash = candidate.hash or hash_file(candidate.path)
            except Aimv2Error:
                return None  # embedding it will say the same, in its turn
        else:
            return None
        if hash is None or self._store.row_of_hash(self._set.id, hash) is None:
            return None
        return hash

    def _place_known(self) -> None:
        while self._waiting and self._waiting[0][1] is not None:
            candidate, hash = self._waiting.popleft()
            assert hash is not None
            twins = self._store.files_with_hash(hash)
            twin = next((each for each in twins if each.facts is not None), None)
            row = self._store.row_of_hash(self._set.id, hash)
            if row is None or twin is None or twin.facts is None:
                continue  # its twin has changed meanwhile: the next run embeds it
            facts = replace(twin.facts, taken_at=None) if twin.is_dated_by_sidecar else twin.facts
            reading = Reading(hash, facts, twin.signature or b"")
            self._place(candidate, reading, row)
            self._report.recognised += 1
            self._finish_one(None)

    def _place_sample(self, candidate: Candidate, sample: "Sample") -> None:
        error = sample.error
        if error is not None:
            known, scan = candidate.known, self._scan
            if scan.was_deleted(candidate.path) or scan.keep_away(candidate.path, known, error):
                self._finish_one(None)
                return
            self._store.add_file(
                candidate.path,
                candidate.stamp,
                uuid=candidate.uuid,
                error=str(error),
                error_hint=error.hint,
            )
            if known is not None:
                self._store.remove_vectors(known.id)
            self._report.failed += 1
            self._report.errors.append(error)
            self._finish_one(error)
            return
        reading: Reading = sample.facts
        row = self._store.row_of_hash(self._set.id, reading.hash)
        if row is None:
            row = self._counted + len(self._rows)
            self._rows.append(np.asarray(sample.embedding, np.float16))
        if reading.thumbnail is not None:
            self._small.append((reading.hash, reading.thumbnail))
        self._place(candidate, reading, row)
        if sample.note:
            self._report.notes.setdefault(sample.note, []).append(os.fsdecode(candidate.path))
        self._report.embedded += 1
        self._finish_one(None)

    def _place(self, candidate: Candidate, reading: Reading, row: int) -> None:
        store, known = self._store, candidate.known
        moved = self._moved_from(candidate, reading.hash)
        if moved is not None:
            store.move_file(moved.id, candidate.path, candidate.stamp, candidate.uuid)
            file_id = moved.id
        else:
            if known is not None and known.hash != reading.hash:
                store.remove_vectors(known.id)
                former = store.last_hash(known.id)
                # What is another photo's content already has its own word, and is no edit of this.
                if former is not None and not store.files_with_hash(reading.hash):
                    store.content_changed(former, reading.hash)
            file_id = store.add_file(
                candidate.path,
                candidate.stamp,
                hash=reading.hash,
                facts=reading.facts,
                uuid=candidate.uuid,
                signature=reading.signature,
            )
            if reading.keywords is not None:
                from .look import keep_keywords  # noqa: PLC0415  (XML, as above)

                keep_keywords(store, file_id, reading.hash, reading.keywords)
        store.set_vector(self._set.id, file_id, row)

    def _moved_from(self, candidate: Candidate, hash: bytes) -> FileRow | None:
        """The file of this content that is gone from where it was, if this path is new."""
        if candidate.known is not None:
            return None
        gone = [file for file in self._store.files_with_hash(hash) if is_gone(file.path)]
        name = candidate.path.rpartition(b"/")[2]
        return min(gone, key=lambda file: file.path.rpartition(b"/")[2] != name, default=None)

    def _finish_one(self, error: Aimv2Error | None) -> None:
        self._progress.done(error)
        self._uncommitted += 1
        late = time.monotonic() - self._committed_s > _COMMIT_S
        if self._uncommitted >= _COMMIT_FILES or late or self._pause.is_due():
            self._commit()
            self._pause_if_due()
            self._store.begin()

    def _count_one(self) -> None:
        self._progress.counted()
        self._pause_if_due()

    def _pause_if_due(self) -> None:
        if self._pause.is_due():
            self._pause.act()

    def _commit(self) -> None:
        """The vectors down to the disk, and only then what says that they are there."""
        if self._rows:
            self._segments.row_count = self._counted  # an interrupted commit is done again
            self._segments.append(np.stack(self._rows))
            self._store.set_row_count(self._set.id, self._segments.row_count)
        self._store.commit()
        self._counted, self._rows = self._segments.row_count, []
        self._uncommitted, self._committed_s = 0, time.monotonic()
        small, self._small = self._small, []
        self._thumbnails.put(small)

    _scan: Scan
    _set: VectorSet
    _segments: Segments
    _counted: int  # rows that are committed
