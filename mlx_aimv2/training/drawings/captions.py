"""What can be said of a drawing, and whether it is true."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .nouns import COLOURS, GLYPHS, NOUNS
from .places import PLACES

NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}

# {a} is the subject with its article, {the} with "the" instead; the first ones are the commonest.
FRAMES = (
    "{a}",
    "{bare}",
    "a photo of {a}",
    "a drawing of {a}",
    "a picture of {a}",
    "a photo of {a}.",
    "an image of {a}",
    "a photo of the {bare}",
    "a drawing of the {bare}.",
    "a photo of {bare}",
    "a good photo of {a}.",
    "a bad photo of the {bare}.",
    "a photo of my {bare}.",
    "a photo of the large {bare}.",
    "a photo of the small {bare}.",
    "{a} in a video game.",
    "art of the {bare}.",
    "an origami {bare}.",
    "itap of {a}.",
    "itap of my {bare}.",
    "a close-up of {a}",
    "a cartoon of {a}",
    "a sketch of {a}",
    "an illustration of {a}",
    "this is {a}",
    "there is {a}",
    "the {bare}",
    "a colourful picture of {a}",
    "a photo of one {bare}.",
    "a photo of many {bare}.",
    "a bright photo of {a}.",
    "a dark photo of {a}.",
    "a close-up photo of {a}.",
    "a photo containing {a}",
)

# What fits any picture: said of everything, and less fitting than what is really there.
GENERIC = (
    "something",
    "an object",
    "a thing",
    "a scene",
    "a photo",
    "a picture",
    "a drawing",
    "an image",
    "a photo of something",
    "a drawing of something",
    "a picture of a thing",
    "a photo of an object",
)
PLAIN_FRAMES = 5


class Shown(Protocol):
    """What a caption needs to know of a drawing."""

    @property
    def kinds(self) -> tuple[tuple[str, str], ...]:
        """Noun and colour of every object."""

    @property
    def place(self) -> str | None:
        """The place, None on plain paper."""


@dataclass(frozen=True)
class Claim:
    """That something is in a drawing: of a noun, a colour or both; ``count`` says how many."""

    noun: str | None
    colour: str | None = None
    count: int | None = None


@dataclass(frozen=True)
class Caption:
    """A text and what it claims."""

    text: str
    claims: tuple[Claim, ...] = ()
    place: str | None = None
    generic: bool = False


def with_article(words: str) -> str:
    """The words after "a" or "an"."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def caption_of(drawing: Shown, rng: random.Random) -> Caption:
    """One true caption of the drawing, in one of many styles."""
    objects = list(drawing.kinds)
    if not objects or (drawing.place is not None and rng.random() < 0.08):
        return place_caption(drawing.place, rng)
    place = drawing.place if rng.random() < 0.4 else None
    nouns = list(dict.fromkeys(noun for noun, _ in objects))
    rng.shuffle(nouns)
    named = nouns[: rng.choice([1, 1, 2, 3])]
    claims = tuple(_claim_for(noun, objects, rng) for noun in named)
    return say(claims, place, rng)


def label_caption(noun: str, rng: random.Random) -> Caption:
    """The noun alone, in any frame: what a zero-shot label or a search word looks like."""
    plural = rng.random() < 0.12
    words = GLYPHS[noun].plural if plural else noun
    return Caption(_framed(words if plural else with_article(words), words, rng), (Claim(noun),))


def colour_caption(colour: str, rng: random.Random) -> Caption:
    """A colour alone: true where any object has it."""
    words = rng.choice([colour, f"something {colour}", f"{colour} thing", f"{colour} object"])
    plain = words.startswith("something") or (words == colour and rng.random() < 0.5)
    article = words if plain else with_article(words)
    return Caption(_framed(article, words, rng), (Claim(None, colour),))


def place_caption(place: str | None, rng: random.Random) -> Caption:
    """A place alone; plain paper where there is none."""
    if place is None:
        return Caption(rng.choice(["an empty page", "blank paper", "a plain background"]))
    words = rng.choice([place, with_article(place), *PLACES[place].alone])
    bare = words.removeprefix("a ").removeprefix("the ").removeprefix("an ")
    return Caption(_framed(words, bare, rng), (), place)


def generic_caption(rng: random.Random) -> Caption:
    """A text that fits any picture: ``truth`` calls it false, the objective does not."""
    return Caption(rng.choice(GENERIC), generic=True)


def say(claims: tuple[Claim, ...], place: str | None, rng: random.Random) -> Caption:
    """The claims as one text, in a style chosen at random."""
    phrases = [_phrase(claim) for claim in claims]
    if len(phrases) == 1:
        article, bare = phrases[0]
    else:
        last = rng.choice([" and ", " and ", " with ", " next to "])
        article = ", ".join(text for text, _ in phrases[:-1]) + last + phrases[-1][0]
        bare = ", ".join(text for _, text in phrases[:-1]) + last + phrases[-1][1]
    if place is not None:
        where = rng.choice(PLACES[place].where)
        article, bare = f"{article} {where}", f"{bare} {where}"
    return Caption(_framed(article, bare, rng), claims, place)


def truth(drawings: Sequence[Shown], captions: Sequence[Caption]) -> np.ndarray:
    """Which caption is true of which drawing.

    A caption is true when the place is right and each claim holds: a claim without a count
    needs one such object, one with a count exactly so many. A generic caption claims nothing
    and is not true of anything in particular.

    Shapes: B drawings, T captions -> (B, T) bool.
    """
    nouns = {noun: index for index, noun in enumerate(NOUNS)}
    colours = {colour: index for index, colour in enumerate(COLOURS)}
    shown = np.zeros((len(drawings), len(nouns), len(colours)), np.int32)
    for row, drawing in enumerate(drawings):
        for noun, colour in drawing.kinds:
            shown[row, nouns[noun], colours[colour]] += 1
    by_noun, by_colour = shown.sum(2), shown.sum(1)
    places = np.array([drawing.place or "" for drawing in drawings])
    empty = shown.sum((1, 2)) == 0
    result = np.empty((len(drawings), len(captions)), bool)
    for column, caption in enumerate(captions):
        holds = np.full(len(drawings), not caption.generic)
        if caption.place is not None:
            holds &= places == caption.place
        elif not caption.claims:
            holds &= empty & (places == "")
        for claim in caption.claims:
            if claim.noun is None:
                there = by_colour[:, colours[claim.colour or ""]]
            elif claim.colour is None:
                there = by_noun[:, nouns[claim.noun]]
            else:
                there = shown[:, nouns[claim.noun], colours[claim.colour]]
            holds &= there > 0 if claim.count is None else there == claim.count
        result[:, column] = holds
    return result


def _claim_for(noun: str, objects: list[tuple[str, str]], rng: random.Random) -> Claim:
    seen = [colour for name, colour in objects if name == noun]
    colour = seen[0] if len(set(seen)) == 1 and rng.random() < 0.5 else None
    count = len(seen) if len(seen) > 1 and rng.random() < 0.7 else None
    return Claim(noun, colour, count)


def _phrase(claim: Claim) -> tuple[str, str]:
    noun = claim.noun or "thing"
    colour = f"{claim.colour} " if claim.colour else ""
    if claim.count is not None and claim.count > 1:
        words = f"{NUMBERS[claim.count]} {colour}{GLYPHS[noun].plural}"
        return words, words
    words = f"{colour}{noun}"
    return with_article(words), words


def _framed(article: str, bare: str, rng: random.Random) -> str:
    frames = FRAMES[:PLAIN_FRAMES] if rng.random() < 0.6 else FRAMES
    return rng.choice(frames).format(a=article, bare=bare)
