"""A conversation as Aria reads it: turns between markers, pictures as runs of one token."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlx_aimv2.errors import UsageError

from .aria_tokenizer import TURN_END, TURN_START, AriaTokenizer
from .tokenizer import checked

ROLES = ("system", "user", "assistant")


def render(
    tokenizer: AriaTokenizer, messages: Sequence[Mapping[str, Any]], image_tokens: Sequence[int]
) -> list[int]:
    """Ids of a conversation up to where the assistant's next turn begins.

    A message is ``{"role": "user", "content": …}``; its content is a text, or a list of
    ``{"type": "text", "text": …}`` and ``{"type": "image"}``. ``image_tokens`` are the tokens of
    each picture, in the order of the messages. Markers in what somebody wrote are spelled out, so
    that they end no turn, begin none and are no picture.
    Errors: UsageError for another message, and for other pictures than ``image_tokens`` counts;
    TextError for what is no text.
    Source: the chat template in the published tokenizer_config.json.
    """
    prompt = _Prompt(tokenizer)
    pictures = iter(image_tokens)
    for message in messages:
        if message.get("role") not in ROLES:
            raise UsageError(f"a message is of {message.get('role')!r}", hint=", ".join(ROLES))
        prompt.add(f"{TURN_START}{message['role']}\n")
        for text in _contents(message):
            if text is not None:
                prompt.add_spelled(text)
            elif (count := next(pictures, None)) is not None:
                prompt.add_image(count)
            else:
                raise UsageError("the messages have more pictures than were given")
        prompt.add(f"{TURN_END}\n")
    if next(pictures, None) is not None:
        raise UsageError("the messages have fewer pictures than were given")
    prompt.add(f"{TURN_START}assistant\n")
    return prompt.ids()


def _contents(message: Mapping[str, Any]) -> Iterator[str | None]:
    """The texts of a message, None for each picture; a marker may lie across two texts."""
    content = message["content"]
    text = ""
    for item in [{"type": "text", "text": content}] if isinstance(content, str) else content:
        if item.get("type") == "image":
            yield text
            yield None
            text = ""
        elif item.get("type") == "text":
            text += checked([item["text"]])[0]
        else:
            raise UsageError(
                f"a message holds {item!r:.60}", hint='{"type": "image"} or {"type": "text", …}'
            )
    yield text


class _Prompt:
    """Ids so far, and text that is not yet cut in pieces: pieces go over the markers' ends."""

    def __init__(self, tokenizer: AriaTokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._text = ""

    def add(self, text: str) -> None:
        self._text += text

    def add_spelled(self, text: str) -> None:
        for number, part in enumerate(self._tokenizer.split_markers(text)):
            if number % 2:
                self.ids().extend(self._tokenizer.spell(part))
            else:
                self.add(part)

    def add_image(self, count: int) -> None:
        tokenizer = self._tokenizer
        image = [tokenizer.image_id] * count
        self.ids().extend([tokenizer.image_start_id, *image, tokenizer.image_end_id])

    def ids(self) -> list[int]:
        """Everything that was added."""
        self._ids += self._tokenizer.encode(self._text)
        self._text = ""
        return self._ids
