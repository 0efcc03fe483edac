"""The public face: ``load`` a checkpoint, and a :class:`Model` that does everything with it."""

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx
import numpy as np

from mlx_aimv2.checkpoints import hub
from mlx_aimv2.checkpoints.embedders import resolve_embedder
from mlx_aimv2.checkpoints.load import Loaded, load_checkpoint
from mlx_aimv2.checkpoints.save import save
from mlx_aimv2.errors import Aimv2Warning, UsageError
from mlx_aimv2.files.paths import FilePath
from mlx_aimv2.images import MAX_PIXELS, colour
from mlx_aimv2.images.source import ImageSource
from mlx_aimv2.models.aimv2.published import DEFAULT, LICENCE, LICENCE_TERMS
from mlx_aimv2.models.network import Tower

from . import mlx_thread, zero_shot
from .embedder import Embedder, evaluated
from .image_options import Decoding, Dtype, ImageOptions
from .locating.locator import TILES, Located, Locator, contributions
from .progress import Progress

_CACHE_LIMIT_BYTES = 1 << 30  # MLX's buffer cache grows with each new shape (mlx issue 3350)


@dataclass(frozen=True)
class ModelOutput:
    """Embeddings and logits, with transformers' names; None for what was not given.

    Shapes: image_embeds (B, P), text_embeds (T, P), logits_per_image (B, T),
    logits_per_text (T, B).
    """

    image_embeds: mx.array | None
    text_embeds: mx.array | None
    logits_per_image: mx.array | None
    logits_per_text: mx.array | None


class Model(Embedder):
    """A checkpoint ready to embed and classify; made by :func:`load`."""

    def __init__(self, loaded: Loaded, resolved: hub.Resolved) -> None:
        super().__init__(loaded, resolved.folder)
        self.source = resolved.source
        self.name = resolved.name
        self.repo_id = resolved.repo_id
        self.revision = resolved.revision
        self.checkpoint = resolved.checkpoint
        self._resolved = resolved
        self._background: zero_shot.Floats | None = None

    def __repr__(self) -> str:
        towers = {"images": self.network.vision, "texts": self.network.text}
        kinds = " and ".join(name for name, encoder in towers.items() if encoder is not None)
        side = self.config.vision_config.image_size
        shown = f"{side} px" if side else "native resolution"
        return f"Model({self.name}, {self.dtype}, {shown}, {kinds})"

    def save(self, folder: FilePath, *, overwrite: bool = False) -> None:
        """Write this checkpoint, its weights as they are now, to a folder that :func:`load` reads.

        Weights keep their dtype, and their bits where they are quantised in memory, as on a GPU;
        on a CPU such weights were unpacked when they were loaded. An empty folder is filled;
        another one must be a checkpoint, and is replaced with ``overwrite`` only.
        The folder is complete or as it was, whenever the process ends.
        Errors: OutputError where the folder holds something or cannot be written; NumericsError
        for a weight that is not finite; UsageError where one tower of two was loaded.
        """
        if self._loaded.tower is not None and self.config.text_config is not None:
            raise UsageError("only one tower is loaded", hint="load it without tower to save it")
        self._evaluate()
        target = Path(os.fsdecode(folder))
        weights, resolved = self.weights, self._resolved
        mlx_thread.run(save, self.network, weights, resolved, target, overwrite=overwrite)

    def classify(
        self,
        images: Iterable[ImageSource] | ImageSource,
        labels: Iterable[str],
        *,
        templates: str | Sequence[str] = "photo",
        independent: bool = False,
        preset: str = "hub",
        max_pixels: int = MAX_PIXELS,
        batch_size: int | None = None,
        threads: int | None = None,
        decode: Decoding = "exact",
        progress: Progress = False,
    ) -> mx.array:
        """How well each label fits each image, zero-shot.

        Softmax over the labels with the checkpoint's scale; with ``independent`` each label is
        scored by itself, from 0 to 1. ``templates`` is a set's name or prompts with "{}".
        Shapes: n images, m labels -> (n, m) float32.
        Errors: UsageError without a text tower, or for labels or templates that do not do;
        ImageError for an image that cannot be read.
        """
        words = self.label_embeddings(labels, templates=templates)
        pictures = self.embed_images(
            images,
            preset=preset,
            max_pixels=max_pixels,
            batch_size=batch_size,
            threads=threads,
            decode=decode,
            progress=progress,
        )
        return self.scores(pictures, words, independent=independent)

    def label_embeddings(
        self, labels: Iterable[str], *, templates: str | Sequence[str] = "photo"
    ) -> mx.array:
        """One unit vector a label, its prompts averaged.

        Shapes: m labels -> (m, P).
        Errors: as :meth:`classify`; UsageError for templates so long that every label is cut off.
        """
        starts = [prompt.partition("{}")[0] for prompt in zero_shot.templates_of(templates)]
        if all(self.tokenizer.count(start) >= self.tokenizer.max_length for start in starts):
            raise UsageError(
                f"the template is too long: every label would be cut off ({starts[0][:40]!r}…)",
                hint="put {} nearer to its beginning",
            )
        return mx.array(zero_shot.label_embeddings(labels, templates, self._unit_texts))

    def scores(
        self, image_embeds: mx.array, label_embeds: mx.array, *, independent: bool = False
    ) -> mx.array:
        """What :meth:`classify` gives, from unit vectors. Shapes: (n, P), (m, P) -> (n, m)."""
        images, labels = np.array(image_embeds), np.array(label_embeds)
        if not independent:
            return mx.array(zero_shot.probabilities(images, labels, self.logit_scale))
        if self._background is None:
            self._background = self._unit_texts(list(zero_shot.BACKGROUND))
        background = self._background
        return mx.array(zero_shot.independent_scores(images, labels, background, self.logit_scale))

    def locate(
        self,
        image: ImageSource,
        texts: Sequence[str] | str,
        *,
        tiles: int = TILES,
        max_pixels: int = MAX_PIXELS,
    ) -> list[Located]:
        """Where in a picture each text fits best, and how well: zero-shot, without any training.

        ``tiles`` are the sizes of what is looked at: 1 the whole, 2 also tiles of half its shorter
        side, 3 also of a third, for smaller things. Every text gets a place; whether it is there
        the score says.
        Errors: UsageError without a text tower or a pooling head, or for an empty text; ImageError
        for a picture that cannot be read.
        """
        return Locator(self, texts, tiles=tiles, max_pixels=max_pixels).find(evaluated(image))

    def contributions(
        self, image: ImageSource, texts: Sequence[str] | str
    ) -> tuple[mx.array, mx.array]:
        """What each patch adds to the cosine of a picture with each text, and what all share.

        They sum to the cosine of ``embed_images`` and ``embed_texts``: a patch that the pooling
        head hardly looks at adds hardly anything, however well it fits.
        Shapes: T texts -> (T, rows, columns) and (T,); the patches are those of
        :meth:`preprocess`, so what its crop leaves out is not there.
        Errors: as :meth:`locate`.
        """
        return contributions(self, evaluated(image), texts)

    def __call__(
        self,
        images: Iterable[ImageSource] | ImageSource | None = None,
        texts: Sequence[str] | str | None = None,
    ) -> ModelOutput:
        """Embeddings of images and texts and, where both are given, their logits."""
        image_embeds = None if images is None else self.embed_images(images)
        text_embeds = None if texts is None else self.embed_texts(texts)
        if image_embeds is None or text_embeds is None:
            return ModelOutput(image_embeds, text_embeds, None, None)
        logits = self.logit_scale * (np.array(image_embeds) @ np.array(text_embeds).T)
        return ModelOutput(image_embeds, text_embeds, mx.array(logits), mx.array(logits.T))

    def metadata(
        self, options: ImageOptions | None = None, *, normalize: bool = True
    ) -> dict[str, object]:
        """What made an output: of images by ``options``, or of texts where there are none."""
        made_by = {
            "tool": "mlx-aimv2",
            "tool_version": version("mlx-aimv2"),
            "checkpoint": self.name,
            "repo_id": self.repo_id,
            "revision": self.revision,
            "fingerprint": self.fingerprint,
            "layout": self.weights.layout,
            "quantization": self.weights.quantization,
            "dtype": self.dtype,
            "widened_from": self.widened_from,
        }
        if options is None:
            if not self.has_text:
                raise self._no_text()
            width = self.config.embedding_width
            return made_by | {"kind": "text", "width": width, "normalize": normalize}
        plan = self.plan(options)
        preprocessing: dict[str, object] = {
            "preset": plan.preset.name,
            "mean": plan.preset.mean,
            "std": plan.preset.std,
            "colours": "as stored" if options.as_stored else colour.RULE,
        }
        if plan.vision.is_native:
            preprocessing["max_patches"] = plan.max_patches
        else:
            preprocessing |= {"side_px": plan.vision.image_size, "tiles": options.tiles}
        if options.decode != "exact":  # outputs made before there was a choice say nothing of it
            preprocessing["decode"] = options.decode
        return made_by | {
            "kind": "image",
            "width": self.width(plan),
            "pooling": plan.pooling,
            "normalize": plan.normalize,
            "preprocessing": preprocessing,
        }

    def _unit_texts(self, texts: list[str]) -> zero_shot.Floats:
        return np.array(self.embed_texts(texts))


def load(
    source: str = DEFAULT,
    *,
    tower: Tower | None = None,
    dtype: Dtype | None = None,
    side_px: int | None = None,
    confirm: Callable[[hub.Download], bool] | None = None,
) -> Model:
    """Load a checkpoint: an alias, a name, a hub id[@revision], a folder, or "demo".

    ``tower`` reads only the image's or the text's tensors; ``dtype`` is chosen by the device
    unless given; ``side_px`` resamples a fixed-size checkpoint's positions for another side.
    ``confirm`` is asked before weights are downloaded; without it they are, with a warning that
    names size and licence.
    Errors: HubError for a source that cannot be found or fetched, CheckpointError for files that
    are not a checkpoint, UsageError for a tower or option it does not have, and for an Aria, which
    makes no embeddings.
    """
    resolved = resolve_embedder(source, confirm=confirm or tell)
    return Model(load_weights(resolved, tower=tower, dtype=dtype, side_px=side_px), resolved)


def load_weights(
    resolved: hub.Resolved,
    *,
    tower: Tower | None = None,
    dtype: Dtype | None = None,
    side_px: int | None = None,
) -> Loaded:
    """A network of any family, with a warning for each thing that a user should know.

    Errors: as :func:`load`.
    """

    def read() -> Loaded:
        mx.set_cache_limit(_CACHE_LIMIT_BYTES)
        return load_checkpoint(resolved.folder, tower=tower, dtype=dtype, side_px=side_px)

    loaded = mlx_thread.run(read)
    for note in loaded.notes:
        warnings.warn(note, Aimv2Warning, stacklevel=3)
    return loaded


def tell(download: hub.Download) -> bool:
    """Agree to a download, with a warning that names its size and licence."""
    terms = f" ({LICENCE_TERMS})" if download.licence == LICENCE else ""
    warnings.warn(
        f"downloading {download.repo_id}, {download.size_bytes / 1e9:.2f} GB, "
        f"licence {download.licence or 'not stated'}{terms}",
        Aimv2Warning,
        stacklevel=2,
    )
    return True
