"""A library whose photos are described: the methods of ``Library`` that do so."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast

from mlx_aimv2.errors import (
    Aimv2Error,
    ImageError,
    LockedError,
    NumericsError,
    OutputError,
    TextError,
)
from mlx_aimv2.files.paths import FilePath, printable
from mlx_aimv2.files.stamp import stamp_of

from ..caption_text import clean_caption
from ..database.captions import ORIGINS, Caption, Origin
from ..database.edits import now
from ..database.photos import FileRow
from ..database.store import Store
from ..indexing.photo_reader import hash_file, read_caption_inside
from ..shots import shots_of
from .editable import EditableTags
from .edited import Edited, Sidecars, count_photos, synced
from .photos import Photo, named_photos
from .request import Request, make
from .waiting import keep_waiting

if TYPE_CHECKING:
    from ..sidecars.sidecar import Style

Describe = Callable[[str], str]
"""From a picture's path to what it shows, in words."""

SAYS_NOTHING = (ImageError, TextError, NumericsError)
"""What goes wrong with a single picture; all else, as a model that is not there, ends a run."""

_SHOWN = 60  # letters of a caption in the list of edits


@dataclass(frozen=True)
class Described:
    """A photo with its caption, or the error.

    ``is_new``: it was described just now. ``sidecars`` are those that were changed, each with None
    or its error. ``is_waiting``: another process writes the library, so the caption counts, and
    sidecars can be written, once that has ended.
    """

    path: str
    caption: Caption | None = None
    error: Aimv2Error | None = None
    is_new: bool = False
    sidecars: Sidecars = ()
    is_waiting: bool = False


class EditableCaptions(EditableTags):
    """Captions of photos, by any thread, also while another process writes the library."""

    def edit_caption(
        self, photos: Photo | Iterable[Photo], text: str | None, *, uuid: str | None = None
    ) -> Edited:
        """Say in your own words what photos show, given by paths or ids; it stands for good.

        None takes your words back, and what others said counts again; an empty text says that there
        is to be no caption. All files of a shot are spoken of as one.
        Errors: UsageError where no photo is known; OutputError without a library.
        """
        words = None if text is None else clean_caption(text)
        if uuid and (before := self.asked_before(uuid, photos)):
            return before
        with self._reading() as store:
            named = named_photos(store, photos)
            paths = tuple(sorted(map(os.fsdecode, store.paths_of(named.contents).values())))
        count = named.count
        what = "own words taken back" if words is None else words[:_SHOWN] or "no caption"
        request = Request(
            "caption",
            f"{what}: {count} {'photo' if count == 1 else 'photos'}",
            captions=tuple((hash, "you", words, None, None) for hash in named.hashes),
        )
        return self._make(request, Edited("", paths, named.errors, count=count), uuid)

    def captions(self, photos: Photo | Iterable[Photo]) -> dict[str, Caption]:
        """The captions of photos that have one, by the paths of their files.

        Errors: as :meth:`edit_caption`.
        """
        with self._reading() as store:
            captions = store.captions_of(named_photos(store, photos).contents)
            paths = store.paths_of(captions)
            return {os.fsdecode(paths[id]): each for id, each in captions.items()}

    def describe(
        self,
        photos: Iterable[FilePath],
        describe: Describe,
        *,
        prompt: str | None = None,
        model: str | None = None,
        again: bool = False,
        sidecars: "Style | bool" = False,
    ) -> Iterator[Described]:
        """Give photos captions, one by one as they are done; each is kept before it is given.

        ``describe`` is asked for photos without a caption only, so that a run that was stopped
        goes on; with ``again`` also for those that another ``prompt`` or ``model`` described.
        Captions of yours, and those that photos or their sidecars have of other programs, stand.
        All files of a shot get the caption of the one that is shown. ``sidecars`` writes captions
        into XMP files beside the photos too, named in this style, or with True in that of the last
        time. A run is one edit, which can be undone.
        Errors: OutputError without a library; those of single photos are given with them.
        """
        run = Request("describe", f"captions by {model or 'a model'}", is_part=True)
        style = self._style(sidecars)
        for photo in photos:
            try:
                with self._reading() as store:
                    named = named_photos(store, photo)
                    files = store.files_of(named.contents)
                    file = _shown(store, files, named.contents)
                    known, outside = _known(store, named.contents[file.id], file)
            except Aimv2Error as error:
                yield Described(os.fsdecode(photo), error=error)
                continue
            changes: list[Caption] = [Caption(outside, "file")] if outside is not None else []
            caption = next((known[each] for each in ORIGINS if each in known), None)
            is_new = caption is None or (
                again
                and caption.origin == "program"
                and (caption.prompt, caption.model) != (prompt, model)
            )
            failed: Aimv2Error | None = None
            if is_new:
                try:
                    caption = Caption(said(describe, file.path_str), "program", prompt, model)
                    changes.append(caption)
                except SAYS_NOTHING as reason:
                    failed = reason
            request = replace(
                run,
                captions=tuple(
                    (hash, each.origin, each.text or None, each.prompt, each.model)
                    for each in changes
                    for hash in named.hashes
                ),
                at=now(),
            )
            done, is_waiting = self._keep(request, files.values(), style)
            yield Described(file.path_str, caption, failed, is_new, done, is_waiting)

    def undo_captions(self, number: int | Literal["all"] | None = None) -> Edited:
        """Undo an edit by its number; without one, the last run that described photos.

        ``"all"`` takes back every caption of the program's, and sidecars are as they were before;
        your own words stay. Errors: as :meth:`undo_tags`.
        """
        if number != "all":
            with self._reading() as store:
                number = store.edit_to_undo(number, "describe")
            return self.undo_tags(number)
        with self._writing() as store:
            ids = store.described_files()
            with store.edit("undo", "all captions of the program taken back"):
                store.run("DELETE FROM captions WHERE origin = 'program'")
            store.mark_runs_undone("describe")
            done = synced(store, ids)
            # What has nothing of this library is forgotten, or captions to come would be written.
            query = "DELETE FROM sidecars WHERE file_id = ? AND after = x''"
            store.run_many(query, ((id,) for id in ids))
            return Edited("", count=count_photos(store, ids), sidecars=done)

    def _style(self, sidecars: "Style | bool") -> "Style | None":
        """The style of sidecars' names, which is remembered; those that were moved are found."""
        if not sidecars:
            return None
        from ..tagging.tag_sidecars import follow_sidecars  # noqa: PLC0415  (XML)

        with self._reading() as store:
            remembered = store.setting("sidecar_names") or "full"
        style = cast("Style", remembered if sidecars is True else sidecars)
        with suppress(LockedError), self._writing() as store:
            store.set_setting("sidecar_names", style)
            follow_sidecars(store)
        return style

    def _keep(
        self, request: Request, files: Iterable[FileRow], style: "Style | None"
    ) -> tuple[Sidecars, bool]:
        """Keep captions and write sidecars: what became of these, and whether all that waits."""
        if not (request.captions or style):
            return (), False
        try:
            with self._writing() as store:
                ids = make(store, request).file_ids if request.captions else []
                return (*_write_sidecars(store, files, style), *synced(store, ids)), False
        except LockedError:
            if request.captions:
                keep_waiting(self.path, request)
        self._make_left()  # the other process may have ended just now
        return (), True


def said(describe: Describe, path: str) -> str:
    """What a model says of a picture, as it is kept. Errors: one of ``SAYS_NOTHING``."""
    text = clean_caption(describe(path))
    if not text:
        raise TextError(
            f"the model said nothing of {printable(path)}", options={"prompt": "ask something else"}
        )
    return text


def _shown(store: Store, files: dict[int, FileRow], contents: dict[int, bytes]) -> FileRow:
    """Of the files of one shot that which is shown, as it is on the disk.

    Errors: OutputError where its content is another one than the index has read.
    """
    [*ids] = files
    file = files[shots_of(store, ids[:1]).get(ids[0], (ids[0],))[0]]
    if stamp_of(file.path) != file.stamp and hash_file(file.path) != contents[file.id]:
        raise OutputError(f"{printable(file.path)} has changed", hint="aimv2 index, then again")
    return file


def _known(store: Store, content: bytes, file: FileRow) -> tuple[dict[Origin, Caption], str | None]:
    """The captions of a photo by origin, and what others say of it now, if that is news."""
    from ..sidecars.caption import read_caption  # noqa: PLC0415  (XML)
    from ..sidecars.notes import Owner  # noqa: PLC0415
    from ..sidecars.sidecar import own_sidecars, read_sidecar  # noqa: PLC0415

    owner = Owner(store.setting("library_id") or "")
    outside = ""
    for path in () if file.uuid else own_sidecars(file.path):
        with suppress(OutputError):  # as whoever writes it will say
            outside = outside or read_caption(read_sidecar(path) or b"", owner)
    outside = outside or read_caption_inside(file.path)
    known = store.captions_of_content(content)
    before = known.pop("file").text if "file" in known else ""
    if outside:
        known["file"] = Caption(outside, "file")
    return known, None if outside == before else outside


def _write_sidecars(
    store: Store, files: Iterable[FileRow], style: "Style | None"
) -> Iterator[tuple[str, Aimv2Error | None]]:
    """Write captions beside files, but for those of Apple's Photos; the sidecars that changed."""
    from ..sidecars.sidecar import existing_or_new  # noqa: PLC0415  (XML)
    from ..tagging.tag_sidecars import write_sidecar  # noqa: PLC0415

    for file in files if style else ():
        if file.uuid is None:
            path = os.fsencode(existing_or_new(file.path, style or "full"))
            written = write_sidecar(store, file, path, None, caption=True)
            if written is not None:
                yield os.fsdecode(path), written.error
