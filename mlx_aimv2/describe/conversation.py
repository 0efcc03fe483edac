"""Questions about the same pictures, one after the other."""

from collections.abc import Iterable, Iterator
from itertools import cycle, takewhile

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import UsageError
from mlx_aimv2.images.aria import AriaProcessor
from mlx_aimv2.images.decode import open_rgb
from mlx_aimv2.images.source import ImageSource
from mlx_aimv2.inference import mlx_thread
from mlx_aimv2.inference.embedder import evaluated
from mlx_aimv2.models.aria.network import AriaNetwork
from mlx_aimv2.texts import chat_template
from mlx_aimv2.texts.aria_tokenizer import AriaTokenizer, TextOfTokens

from .answer import Answer
from .generation import generate
from .options import AnswerOptions


class Conversation:
    """What was asked and answered about some pictures, which are looked at once.

    What the network keeps of earlier turns is used again, so that only what is new is read.
    """

    def __init__(
        self,
        network: AriaNetwork,
        processor: AriaProcessor,
        tokenizer: AriaTokenizer,
        images: Iterable[ImageSource],
        options: AnswerOptions,
        history: Iterable[tuple[str, str]] = (),
    ) -> None:
        self._network, self._tokenizer, self._options = network, tokenizer, options
        self._processor = processor
        self._said = [text for question, answer in history for text in (question, answer)]
        self._last: tuple[str, Answer] | None = None
        self._cache = network.make_cache()
        self._known: list[int] = []  # tokens that the cache has read
        self._crops: list[tuple[NDArray[np.uint8], NDArray[np.bool_]]] = []
        self._features: list[mx.array] = []  # of each picture
        self._image_tokens: list[int] = []
        config = network.config
        side_px = config.sides_px[0 if options.fast else -1]
        tokens = config.queries[(side_px // config.vision_config.patch_size) ** 2]
        for image in images:
            pixels, mask = processor(open_rgb(evaluated(image)), side_px, options.split)
            self._crops.append((pixels, mask))
            self._image_tokens.append(len(pixels) * tokens)
            self._check_room(sum(self._image_tokens))

    def ask(self, question: str) -> Answer:
        """The answer, piece by piece; nothing is computed before the first is taken.

        Errors: UsageError where pictures, question and what was said before leave no room for an
        answer; TextError for a question that is no text.
        """
        if self._last is not None:
            asked, answer = self._last
            answer.close()
            self._said += [asked, answer.text]
            self._known = [*self._known, *answer.ids]
            self._last = None
        prompt = self._prompt(question)
        self._check_room(len(prompt))
        text = TextOfTokens(self._tokenizer)
        answer = Answer(self._tokens(prompt), text, self._tokenizer.end_ids)
        self._last = question, answer
        return answer

    def _prompt(self, question: str) -> list[int]:
        """The ids of all that was said, and of the question."""
        images = [{"type": "image"}] * len(self._image_tokens)
        texts = [*self._said, question]
        messages = [
            {"role": role, "content": [{"type": "text", "text": text}]}
            for role, text in zip(cycle(("user", "assistant")), texts, strict=False)
        ]
        messages[0]["content"] = [*images, *messages[0]["content"]]
        return chat_template.render(self._tokenizer, messages, self._image_tokens)

    def _check_room(self, count: int) -> None:
        """Errors: UsageError for a prompt of so many tokens that leaves no room for an answer."""
        most = self._network.config.text_config.max_position_embeddings
        if count + self._options.max_tokens > most:
            raise UsageError(
                f"pictures and words take {count:,} tokens, the answer up to "
                f"{self._options.max_tokens:,}: more than the {most:,} of this checkpoint",
                hint="ask about fewer pictures, or begin a new conversation",
                options={
                    "fast": "look at pictures with fewer pixels",
                    "max_tokens COUNT": "ask for a shorter answer",
                },
            )

    def _tokens(self, prompt: list[int]) -> Iterator[int]:
        """Tokens after a prompt, computed on the thread of MLX."""
        while self._crops:  # one call for each, so that Ctrl-C need not wait for all
            self._features.append(mlx_thread.run(self._encode, *self._crops[0]))
            del self._crops[0]
        tokens = mlx_thread.run(self._begin, prompt)
        while (token := mlx_thread.run(next, tokens, None)) is not None:
            self._known = prompt
            yield token

    def _encode(self, pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> mx.array:
        """Shapes: (C, S, S, 3), (C, S, S) -> (C * Q, D)."""
        normalized = mx.array(self._processor.normalized(pixels))
        features = self._network.encode_images(normalized, mx.array(mask)).flatten(0, 1)
        mx.eval(features)
        return features

    def _begin(self, prompt: list[int]) -> Iterator[int]:
        """Tokens after a prompt, of which the cache keeps what it has read before."""
        network, cache = self._network, self._cache
        pairs = zip(self._known[: cache[0].length], prompt[:-1], strict=False)
        self._known = [known for known, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
        for layer in cache:
            layer.length = len(self._known)
        ids = mx.array([prompt[len(self._known) :]])
        seen = self._known.count(network.config.image_token_index)
        features = mx.concatenate(self._features)[seen:] if self._features else None
        embeddings = network.embed(
            ids, features if features is not None and len(features) else None
        )
        return generate(network, cache, embeddings, self._options)
