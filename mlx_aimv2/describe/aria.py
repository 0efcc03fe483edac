"""Aria: pictures described in words, and questions about them answered."""

import os
import warnings
from collections.abc import Callable, Iterable
from typing import cast

import mlx.core as mx

from mlx_aimv2.checkpoints import hub
from mlx_aimv2.checkpoints.load import Loaded, check_published
from mlx_aimv2.errors import Aimv2Warning, UsageError
from mlx_aimv2.images.aria import AriaProcessor
from mlx_aimv2.images.presets import AriaSplit
from mlx_aimv2.images.source import ImageSource, is_single
from mlx_aimv2.images.source import describe as name_of
from mlx_aimv2.inference import mlx_thread
from mlx_aimv2.inference.image_options import Dtype
from mlx_aimv2.inference.model import load_weights, tell
from mlx_aimv2.models.aria.config import AriaConfig
from mlx_aimv2.models.aria.network import AriaNetwork
from mlx_aimv2.models.published import find
from mlx_aimv2.texts.aria_tokenizer import AriaTokenizer

from . import prompts
from .answer import Answer
from .conversation import Conversation
from .options import AnswerOptions

ALIAS = "aria"


class Aria:
    """A checkpoint that answers; made by :meth:`load`, or by ``aimv2.load``.

    Every method may be called from any thread.
    """

    def __init__(self, loaded: Loaded, resolved: hub.Resolved) -> None:
        """Errors: UsageError for a checkpoint that does not answer."""
        if not isinstance(loaded.network, AriaNetwork):
            raise _no_answers(resolved.name)
        self.network = loaded.network
        self.folder = resolved.folder
        self.source, self.name = resolved.source, resolved.name
        self.repo_id, self.revision = resolved.repo_id, resolved.revision
        self.fingerprint = loaded.weights.fingerprint()
        self.dtype = loaded.dtype
        self.processor = AriaProcessor.from_folder(resolved.folder, self.config.sides_px)
        self.tokenizer = AriaTokenizer.from_folder(
            resolved.folder,
            vocab_size=self.config.text_config.vocab_size,
            image_id=self.config.image_token_index,
        )

    @classmethod
    def load(
        cls,
        source: str | os.PathLike[str] = ALIAS,
        *,
        dtype: Dtype | None = None,
        confirm: Callable[[hub.Download], bool] | None = None,
    ) -> "Aria":
        """Load "aria", a name, a hub id[@revision], or a folder.

        ``dtype`` is chosen by the device unless given; ``confirm`` is asked before weights are
        downloaded.
        Errors: HubError for a source that cannot be found or fetched, CheckpointError for files
        that are not a checkpoint, UsageError for a checkpoint that does not answer.
        """
        published = find(source) if isinstance(source, str) else None
        if published and published.model_type != AriaConfig.model_type:
            raise _no_answers(published.name)  # before it is downloaded
        check_published(source, dtype)
        resolved = hub.resolve(source, confirm=confirm or tell)
        return cls(load_weights(resolved, dtype=dtype), resolved)

    def __repr__(self) -> str:
        return f"Aria({self.name}, {self.dtype})"

    @property
    def config(self) -> AriaConfig:
        """The sizes of the network, with transformers' names."""
        return self.network.config

    def ask(
        self,
        images: Iterable[ImageSource] | ImageSource,
        question: str,
        *,
        max_tokens: int = 500,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        fast: bool = False,
        split: AriaSplit | None = None,
        history: Iterable[tuple[str, str]] = (),
    ) -> Answer:
        """The answer to a question about pictures, piece by piece as it is made.

        ``history`` are questions and answers that came before, about the same pictures. Without a
        ``temperature`` the likeliest token is taken each time; with it the same ``seed`` gives the
        same answer. ``fast`` looks at pictures with half the pixels a side, ``split`` at tiles of
        each too.
        Errors: ImageError for a picture that cannot be read, UsageError for options that mean
        nothing or for more than the checkpoint takes at once, both before anything is computed;
        NumericsError while it is, where the network's numbers are not finite.
        """
        options = AnswerOptions(max_tokens, fast, split, temperature, top_p, seed)
        return self.chat(images, options, history=history).ask(question)

    def chat(
        self,
        images: Iterable[ImageSource] | ImageSource,
        options: AnswerOptions | None = None,
        *,
        history: Iterable[tuple[str, str]] = (),
    ) -> Conversation:
        """Several questions about the same pictures, which are looked at once.

        Errors: as :meth:`ask`.
        """
        several = cast("Iterable[ImageSource]", [images] if is_single(images) else images)
        return Conversation(
            self.network,
            self.processor,
            self.tokenizer,
            several,
            options or AnswerOptions(),
            history,
        )

    def describe(
        self,
        image: ImageSource,
        prompt: str | None = None,
        *,
        max_tokens: int = 500,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        fast: bool = False,
        split: AriaSplit | None = None,
    ) -> str:
        """What a picture shows, in the words of the ``prompt``'s answer: by default a caption.

        A description that is cut off after ``max_tokens`` comes with a warning.
        Errors: as :meth:`ask`.
        """
        answer = self.ask(
            [image], prompt or prompts.read(prompts.CAPTION), max_tokens=max_tokens,
            temperature=temperature, top_p=top_p, seed=seed, fast=fast, split=split,
        )  # fmt: skip
        text = "".join(answer).strip()
        if answer.is_cut:
            warnings.warn(
                f"{name_of(image)}: cut off after {max_tokens} tokens", Aimv2Warning, stacklevel=2
            )
        return text

    def forward(
        self,
        input_ids: mx.array,
        pixel_values: mx.array | None = None,
        pixel_mask: mx.array | None = None,
        attention_mask: mx.array | None = None,
    ) -> mx.array:
        """Logits of the token after each, with transformers' names, for comparison.

        Shapes: (B, L), (C, 3, S, S), (C, S, S), (B, L) -> (B, L, V) float32.
        Units: normalised RGB, as transformers' processor gives it.
        Errors: as the methods of ``network``: ImageError, TextError, UsageError.
        """
        given = (input_ids, pixel_values, pixel_mask, attention_mask)
        mx.eval([each for each in given if each is not None])

        def compute() -> mx.array:
            logits = self.network.forward(*given).astype(mx.float32)
            mx.eval(logits)
            return logits

        return mlx_thread.run(compute)


def _no_answers(name: str) -> UsageError:
    return UsageError(
        f"{name} makes embeddings: it answers no questions", hint=f"one that does: {ALIAS}"
    )
