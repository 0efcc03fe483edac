"""What ``aimv2 embed`` takes: images or texts, found one by one and embedded in order."""

import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from io import BufferedReader
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import numpy as np

from mlx_aimv2.errors import Aimv2Error, ImageError, NumericsError, TextError, UsageError
from mlx_aimv2.files.paths import printable
from mlx_aimv2.files.stamp import Stamp, stamp_of
from mlx_aimv2.images.walk import find_images
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.inference.records import Sample
from mlx_aimv2.texts.truncation import Cut, cut_note

from . import lists, output
from .output import STDIN

if TYPE_CHECKING:
    from mlx_aimv2.inference.model import Model

Input = tuple[bytes, Aimv2Error | None]
"""A path or a text; with an error where it needs no trying."""

_TEXT_CHUNK = 256


class Images:
    """Pictures in files and folders, or in a list of them on stdin."""

    noun: ClassVar[Literal["image", "text"]] = "image"

    def __init__(
        self,
        paths: Sequence[str],
        is_null: bool,
        options: ImageOptions,
        exclude: Sequence[str] = (),
    ) -> None:
        self._paths = paths
        self._is_null = is_null
        self._options = options
        self._walk = find_images(self._expand(), exclude)

    def find(self) -> Iterator[Input]:
        """Every picture, in the order of the walk."""
        for found in self._walk:
            yield os.fsencode(found.path), found.error

    def left_out(self) -> Mapping[str, int]:
        """How many of each kind of thing in folders were skipped."""
        return self._walk.skipped

    def nothing(self) -> Aimv2Error:
        """The error to raise where there is nothing to embed."""
        hint = "in folders pictures are known by their names: .jpg, .png, .heic and so on"
        return ImageError("there are no pictures", hint=hint)

    def stamp(self, name: bytes) -> Stamp | None:
        """By what a change of the file is seen."""
        return stamp_of(name)

    def settings(self, model: "Model") -> dict[str, object]:
        """What makes the embeddings what they are."""
        return model.metadata(self._options)

    def embed(
        self, model: "Model", names: Iterable[bytes], together: int | None = None
    ) -> Iterator[Sample]:
        """A sample for each name, in order.

        Batches have the shape of those of a whole run of ``together`` images, so that each gets
        the same bits in a shard or after a stop; a native checkpoint's follow the images' sizes.
        """
        plan = model.plan(self._options)
        if together is not None and not plan.vision.is_native:
            batch = plan.images_per_batch((plan.vision.grid_side * self._options.tiles) ** 2)
            size = max(1, min(batch, together))
            plan = model.plan(replace(self._options, batch_size=size, fills_batches=True))
        return model.samples(plan, map(os.fsdecode, names))

    def _expand(self) -> Iterator[str | bytes]:
        for path in self._paths:
            if path == STDIN:
                yield from lists.paths(_stdin(), is_null=self._is_null)
            else:
                yield path


class Texts:
    """Texts from options, and from the lines of a file."""

    noun: ClassVar[Literal["image", "text"]] = "text"

    def __init__(
        self, texts: Sequence[str], file: str | None, normalize: bool, batch_size: int | None
    ) -> None:
        self._texts = texts
        self._file = file
        self._options: dict[str, Any] = {"normalize": normalize}
        if batch_size:
            self._options["batch_size"] = batch_size
        self._blank = 0

    def find(self) -> Iterator[Input]:
        """Every text, those of options first."""
        for name in self._lines():
            if name.strip():
                yield name, _text_error(name)
            else:
                self._blank += 1

    def left_out(self) -> Mapping[str, int]:
        """How many lines without a text were skipped."""
        return {"blank line": self._blank} if self._blank else {}

    def nothing(self) -> Aimv2Error:
        """The error to raise where there is nothing to embed."""
        return TextError("there are no texts", hint="write one text on each line")

    def stamp(self, name: bytes) -> Stamp:
        """A text does not change."""
        return Stamp(0, 0)

    def settings(self, model: "Model") -> dict[str, object]:
        """What makes the embeddings what they are."""
        return model.metadata(normalize=self._options["normalize"])

    def embed(
        self, model: "Model", names: Iterator[bytes], together: int | None = None
    ) -> Iterator[Sample]:
        """A sample for each name, in order; batches follow the texts' lengths, in any run.

        After the last, one note tells of the texts that were cut.
        """
        first, count = None, 0
        while chunk := [name.decode() for name in islice(names, _TEXT_CHUNK)]:
            for sample, cut in self._embed(model, chunk):
                if cut is not None:
                    first, count = first or cut, count + 1
                yield sample
        if first is not None:
            output.note(cut_note(first, count))

    def _embed(self, model: "Model", texts: list[str]) -> Iterator[tuple[Sample, Cut | None]]:
        try:
            vectors, cuts = model.embed_and_cut(texts, **self._options)
        except (TextError, NumericsError) as error:
            if len(texts) == 1:
                yield Sample(0, texts[0], error=error), None
            else:
                for text in texts:  # one of them: then each by itself
                    yield from self._embed(model, [text])
            return
        for text, vector, cut in zip(texts, np.array(vectors), cuts, strict=True):
            note = None if cut is None else str(cut)
            yield Sample(0, text, embedding=vector, note=note), cut

    def _lines(self) -> Iterator[bytes]:
        for text in self._texts:
            yield text.encode("utf-8", "surrogateescape")
        if self._file == STDIN:
            yield from lists.lines(_stdin(), "stdin")
        elif self._file is not None:
            try:
                with Path(self._file).open("rb") as file:
                    yield from lists.lines(file, printable(self._file))
            except OSError as error:
                reason = f"{printable(self._file)} cannot be read: {error.strerror}"
                hint = "--texts-from takes a file, one text a line"
                raise UsageError(reason, hint=hint) from error


Source = Images | Texts


def require_any(source: Source) -> Iterator[Input]:
    """What is found, at least one. Errors: what the source says where there is nothing."""
    inputs = source.find()
    first = next(inputs, None)
    if first is None:
        output.left_out(source.left_out())
        raise source.nothing()
    return chain([first], inputs)


def in_order(source: Source, model: "Model", inputs: Iterator[Input]) -> Iterator[Sample]:
    """A sample for each input, in order, as they are done."""
    waiting: deque[Input] = deque()

    def names() -> Iterator[bytes]:
        for one in inputs:
            waiting.append(one)
            if one[1] is None:
                yield one[0]

    def failed() -> Iterator[Sample]:
        while waiting and waiting[0][1] is not None:
            name, error = waiting.popleft()
            yield Sample(0, name.decode("utf-8", "surrogateescape"), error=error)

    for sample in source.embed(model, names()):
        yield from failed()
        waiting.popleft()
        yield sample
    yield from failed()


def _stdin() -> BufferedReader:
    return cast(BufferedReader, sys.stdin.buffer)


def _text_error(name: bytes) -> TextError | None:
    try:
        name.decode()
    except UnicodeDecodeError:
        hint = "save the list as UTF-8 text"
        return TextError(f"the text {printable(name)} is not UTF-8", hint=hint)
    if b"\0" in name:  # the end of a name in NumPy's arrays
        reason = f"the text {printable(name)} holds a NUL character"
        return TextError(reason, hint="write one text on each line")
    return None
