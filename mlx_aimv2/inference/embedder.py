"""A loaded checkpoint that turns many images or texts into embeddings."""

import warnings
from collections.abc import Iterable, Iterator, Sequence, Sized
from functools import cached_property, partial
from typing import Literal, TypedDict, Unpack, cast, overload

import mlx.core as mx
import numpy as np

from mlx_aimv2.errors import Aimv2Warning, UsageError
from mlx_aimv2.images import MAX_PIXELS
from mlx_aimv2.images.source import ImageSource, describe, is_single
from mlx_aimv2.texts.tokenizer import Tokenizer
from mlx_aimv2.texts.truncation import Cut, warn_of_cuts

from . import mlx_thread
from .batching import Floats, stream_fixed, stream_native
from .encoder import Encoder, normalized
from .image_options import Decoding, ImageOptions, Pooling
from .prefetch import Read
from .preprocessing import Plan, check_count, make_plan
from .progress import Progress, follow
from .records import Embedded, Failed, Item, Sample

_TEXT_BATCH = 64


class ImageChoices(TypedDict, total=False):
    """What :meth:`Embedder.embed_images` takes beside ``pooling``."""

    normalize: bool
    preset: str
    tiles: int
    max_patches: int | None
    max_pixels: int
    batch_size: int | None
    threads: int | None
    decode: Decoding
    on_error: Literal["raise", "skip"]
    progress: Progress


class Embedder(Encoder):
    """Images and texts to embeddings, by one checkpoint.

    Every method may be called from any thread; results are evaluated float32 arrays.
    """

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, read from the checkpoint's folder when it is first needed."""
        config = self.text.config
        return Tokenizer.from_folder(
            self.folder,
            max_length=config.max_position_embeddings,
            eos_token_id=config.eos_token_id,
            vocab_size=config.vocab_size,
        )

    def plan(self, options: ImageOptions) -> Plan:
        """What these options mean for this checkpoint.

        Errors: UsageError for options that do not fit it or each other.
        """
        return make_plan(options, self.vision.config, self.folder)

    def width(self, plan: Plan) -> int:
        """Length of an image embedding under this plan."""
        return self.config.embedding_width if plan.pooling == "head" else plan.vision.hidden_size

    @overload
    def preprocess(
        self, images: ImageSource, *, preset: str = "hub", max_patches: int | None = None
    ) -> mx.array: ...
    @overload
    def preprocess(
        self, images: Iterable[ImageSource], *, preset: str = "hub", max_patches: int | None = None
    ) -> mx.array | list[mx.array]: ...
    def preprocess(
        self,
        images: Iterable[ImageSource] | ImageSource,
        *,
        preset: str = "hub",
        max_patches: int | None = None,
    ) -> mx.array | list[mx.array]:
        """One image, or several, as the encoder takes them.

        Shapes: (S, S, 3) for a fixed-size checkpoint, (H, W, 3) of whole patches for a native one;
        of n images (n, S, S, 3), and of a native checkpoint a list of n arrays.
        Units: normalised RGB, float32.
        Errors: ImageError for an image that cannot be read.
        """
        mlx_thread.check()
        plan = self.plan(ImageOptions(preset=preset, max_patches=max_patches))
        fitted = []
        for image in _as_list(images):
            pixels, note = plan.fit(plan.open(evaluated(image)))
            _warn(note, image)
            fitted.append(pixels)

        is_one, side = is_single(images), plan.vision.image_size
        if side and not is_one:
            fitted = [np.array(fitted, np.uint8).reshape(-1, side, side, 3)]

        def compute() -> list[mx.array]:
            arrays = [normalized(mx.array(pixels), plan.preset) for pixels in fitted]
            mx.eval(arrays)
            return arrays

        made = mlx_thread.run(compute)
        return made[0] if side or is_one else made

    def tokenize(self, texts: Sequence[str] | str) -> mx.array:
        """Ids of texts, each ending with the end token, padded with it to the longest.

        A text that is too long is cut, with a warning that shows where.
        Shapes: n texts -> (n, N) int32. Errors: TextError for what is not a text.
        """
        ids, cuts = self.tokenizer.encode_and_cut([texts] if isinstance(texts, str) else texts)
        warn_of_cuts(cuts)
        return mx.array(ids)

    @overload
    def embed_images(
        self,
        images: Iterable[ImageSource] | ImageSource,
        *,
        pooling: Literal["head", "mean"] | None = None,
        **choices: Unpack[ImageChoices],
    ) -> mx.array: ...
    @overload
    def embed_images(
        self,
        images: Iterable[ImageSource] | ImageSource,
        *,
        pooling: Literal["none"],
        **choices: Unpack[ImageChoices],
    ) -> list[mx.array]: ...
    def embed_images(
        self,
        images: Iterable[ImageSource] | ImageSource,
        *,
        normalize: bool = True,
        pooling: Pooling | None = None,
        preset: str = "hub",
        tiles: int = 1,
        max_patches: int | None = None,
        max_pixels: int = MAX_PIXELS,
        batch_size: int | None = None,
        threads: int | None = None,
        decode: Decoding = "exact",
        on_error: Literal["raise", "skip"] = "raise",
        progress: Progress = False,
    ) -> mx.array | list[mx.array]:
        """Embeddings of images: by the head and projection, or the mean over patches.

        ``pooling``: "head" is a LiT checkpoint's default, "mean" every other's; "none" returns
        a list of patch grids, not normalised. ``tiles`` encodes an image at 2 x 2 or 3 x 3 times
        the side. ``decode="fast"`` lets the decoder of a large JPEG leave out detail that is finer
        than what is seen. ``on_error="skip"`` leaves out, with a warning, what cannot be read:
        where it matters which images those were, use :meth:`stream`. ``progress=True`` shows a bar
        on stderr; a function is called with how many images are done, and of how many (None where
        that is not known).
        Shapes: (n, P) with the head, (n, D) with the mean; "none": n of (rows, columns, D).
        Errors: the first image's error, unless skipped; UsageError for options that do not fit.
        """
        if on_error not in ("raise", "skip"):
            raise UsageError(f"on_error is {on_error!r}", hint="'raise' or 'skip'")
        options = ImageOptions(
            normalize=normalize,
            pooling=pooling,
            preset=preset,
            tiles=tiles,
            max_patches=max_patches,
            max_pixels=max_pixels,
            batch_size=batch_size,
            threads=threads,
            decode=decode,
        )
        plan = self.plan(options)
        embeddings = []
        for sample in follow(self.samples(plan, images), progress, _count(images)):
            if sample.error is not None and on_error == "raise":
                raise sample.error
            if sample.embedding is None:
                warnings.warn(f"skipped: {sample.error}", Aimv2Warning, stacklevel=2)
            else:
                embeddings.append(sample.embedding)
                _warn(sample.note, sample.source)
        if plan.pooling == "none":
            return [mx.array(grid) for grid in embeddings]
        return _table(embeddings, self.width(plan))

    def stream(
        self,
        images: Iterable[ImageSource],
        *,
        normalize: bool = True,
        pooling: Pooling | None = None,
        preset: str = "hub",
        tiles: int = 1,
        max_patches: int | None = None,
        max_pixels: int = MAX_PIXELS,
        batch_size: int | None = None,
        threads: int | None = None,
        decode: Decoding = "exact",
        progress: Progress = False,
    ) -> Iterator[Item]:
        """Items in the order of the images, as they are done; memory stays flat over any number.

        An image that cannot be read becomes an item with an error; nothing is raised for it.
        Options as for :meth:`embed_images`. Errors: UsageError for options that do not fit.
        """
        options = ImageOptions(
            normalize=normalize,
            pooling=pooling,
            preset=preset,
            tiles=tiles,
            max_patches=max_patches,
            max_pixels=max_pixels,
            batch_size=batch_size,
            threads=threads,
            decode=decode,
        )
        return follow(self.stream_with(options, images), progress, _count(images))

    def stream_with(self, options: ImageOptions, images: Iterable[ImageSource]) -> Iterator[Item]:
        """:meth:`stream`, its options given as one."""
        # The plan is made here, so that a wrong option is told before the first item is asked for.
        return map(_item, self.samples(self.plan(options), images))

    def samples(
        self,
        plan: Plan,
        images: Iterable[ImageSource] | ImageSource,
        read: Read | None = None,
    ) -> Iterator[Sample]:
        """The images' samples, each with its embedding or its error, in order.

        ``read`` reads a sample on a thread instead of ``plan.read``.
        """
        self._evaluate()
        stream = stream_native if plan.vision.is_native else stream_fixed
        return stream(_as_list(images), plan, read or plan.read, partial(self._start, plan=plan))

    def embed_texts(
        self, texts: Sequence[str] | str, *, normalize: bool = True, batch_size: int = _TEXT_BATCH
    ) -> mx.array:
        """Embeddings of texts, in the space of the images'.

        Texts that are too long are cut, with one warning that shows where.
        Shapes: n texts -> (n, P) float32.
        Errors: UsageError without a text tower, TextError for what is not a text.
        """
        vectors, cuts = self.embed_and_cut(texts, normalize=normalize, batch_size=batch_size)
        warn_of_cuts(cuts)
        return vectors

    def embed_and_cut(
        self, texts: Sequence[str] | str, *, normalize: bool = True, batch_size: int = _TEXT_BATCH
    ) -> tuple[mx.array, list[Cut | None]]:
        """:meth:`embed_texts` without its warning, and where each text was cut, if it was."""
        check_count("batch_size", batch_size)
        if not self.has_text:
            raise self._no_text()
        self._evaluate()
        texts = [texts] if isinstance(texts, str) else list(texts)
        rows: list[Floats] = []
        cuts: list[Cut | None] = []
        for start in range(0, len(texts), batch_size):
            ids, of_batch = self.tokenizer.encode_and_cut(texts[start : start + batch_size])
            rows += mlx_thread.run(self._encode_texts, ids, normalize)
            cuts += of_batch
        return _table(rows, self.config.embedding_width), cuts


def _item(sample: Sample) -> Item:
    if sample.embedding is not None:
        return Embedded(sample.index, sample.source, mx.array(sample.embedding), sample.note)
    assert sample.error is not None
    return Failed(sample.index, sample.source, sample.error, sample.note)


def _as_list(images: Iterable[ImageSource] | ImageSource) -> Iterable[ImageSource]:
    several = [images] if is_single(images) else images
    return map(evaluated, cast("Iterable[ImageSource]", several))


def _count(images: Iterable[ImageSource] | ImageSource) -> int | None:
    """Number of images, or None where they come one by one."""
    if is_single(images):
        return 1
    return len(images) if isinstance(images, Sized) else None


def evaluated(image: ImageSource) -> ImageSource:
    """An array of MLX's with its values, which only the thread that made it can compute."""
    if isinstance(image, mx.array):
        image = image.astype(mx.float32) if image.dtype == mx.bfloat16 else image
        mx.eval(image)
    return image


def _table(rows: list[Floats], width: int) -> mx.array:
    return mx.array(np.stack(rows) if rows else np.zeros((0, width), np.float32))


def _warn(note: str | None, source: ImageSource) -> None:
    if note:
        warnings.warn(f"{describe(source)}: {note}", Aimv2Warning, stacklevel=3)
