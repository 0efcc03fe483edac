"""Labels in plain words: prompts, their embeddings, and how well images fit them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import UsageError

Floats = NDArray[np.float32]

# Prompts for one label; a set's embeddings are averaged. "{}" takes the label.
TEMPLATES: dict[str, tuple[str, ...]] = {
    "plain": ("{}",),
    "photo": ("a photo of a {}.",),
    "drawing": ("a drawing of a {}.",),
    "ensemble": (
        "a photo of a {}.",
        "a picture of a {}.",
        "a close-up photo of a {}.",
        "a photo of the {}.",
        "a photo of one {}.",
        "a photo of many {}.",
        "a bright photo of a {}.",
        "a dark photo of a {}.",
        "a drawing of a {}.",
        "{}",
    ),
}
# What a picture is compared with when a label is scored by itself.
BACKGROUND = ("something", "an object", "a thing", "a scene")


def templates_of(templates: str | Sequence[str]) -> tuple[str, ...]:
    """The prompts of a named set, or one's own, each with one "{}".

    Errors: UsageError for an unknown set, an empty list or a prompt without "{}".
    """
    if isinstance(templates, str) and "{}" in templates:
        templates = [templates]
    if isinstance(templates, str):
        if templates not in TEMPLATES:
            raise UsageError(
                f"unknown template set {templates!r}", hint=f"one of: {', '.join(TEMPLATES)}"
            )
        return TEMPLATES[templates]
    own = tuple(templates)
    if not own or any(template.count("{}") != 1 for template in own):
        raise UsageError(
            f"each template needs one {{}} for the label: {list(own)}",
            hint='like "a photo of a {}"',
        )
    return own


def label_embeddings(
    labels: Iterable[str],
    templates: str | Sequence[str],
    embed_texts: Callable[[list[str]], Floats],
) -> Floats:
    """One unit vector a label: the mean of its prompts' unit vectors, at unit length again.

    ``embed_texts`` gives unit vectors. Shapes: n labels -> (n, P).
    Errors: UsageError for no labels, or one that is empty or no string.
    """
    words = checked(labels, "label")
    prompts = templates_of(templates)
    texts = [prompt.replace("{}", word) for word in words for prompt in prompts]
    vectors = embed_texts(texts).reshape(len(words), len(prompts), -1).mean(axis=1)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(norms, np.finfo(np.float32).tiny)


def checked(labels: Iterable[str], noun: str) -> list[str]:
    """A list of words, none of them empty; ``noun`` is what messages call one of them.

    Errors: UsageError for anything else.
    """
    if isinstance(labels, str | bytes) or not isinstance(labels, Iterable):
        raise UsageError(f"{noun}s must be a list", hint=f"write [{labels!r}]")
    words = list(labels)
    for word in words:
        if not isinstance(word, str):
            raise UsageError(
                f"a {noun} is of type {type(word).__name__}, not a string",
                hint='give words like "dog", "beach"',
            )
    if not words or not all(word.strip() for word in words):
        raise UsageError(f"a {noun} is missing or empty", hint='give words like "dog", "beach"')
    return words


def probabilities(images: Floats, labels: Floats, logit_scale: float) -> Floats:
    """Softmax over the labels with the checkpoint's scale. Shapes: (n, P), (m, P) -> (n, m)."""
    logits = logit_scale * (images @ labels.T)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def independent_scores(
    images: Floats, labels: Floats, background: Floats, logit_scale: float
) -> Floats:
    """Each label against prompts that fit anything, without regard to the other labels.

    The score is the softmax's share of the label beside the mean background prompt: 0.5 where
    the picture fits both alike.
    Shapes: (n, P), (m, P), (b, P) -> (n, m).
    """
    fits = images @ labels.T
    fits_anything = (images @ background.T).mean(axis=1, keepdims=True)
    scores: Floats = logistic(logit_scale * (fits - fits_anything))
    return scores


def logistic(logits: Any) -> Any:
    """1 / (1 + exp(-x)) of a number or an array, by tanh: it cannot overflow. Shapes: kept."""
    chance = np.tanh(0.5 * logits)
    chance *= 0.5
    chance += 0.5
    return chance
