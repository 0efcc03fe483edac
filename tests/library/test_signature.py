"""Signatures: copies of a picture stay like it, look-alikes do not, whatever the picture."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from mlx_aimv2.library.signature import (
    SIGNATURE_BYTES,
    coarse_vectors,
    is_signature,
    make_signature,
    similarity,
    stack,
)
from mlx_aimv2.training.drawings.nouns import COLOURS, NOUNS
from mlx_aimv2.training.drawings.scene import HELD_OUT, Scene, paint, plan
from tests.support.copies import cropped, recompressed, resized

SIDE_PX = 389
SEEDS = [HELD_OUT + number for number in (3, 5, 8, 21, 34, 55)]
LIKE = 0.5


def scene(seed: int) -> Scene:
    return plan(seed, kind="single")


def after(names: Sequence[str], name: str) -> str:
    return names[(names.index(name) + 1) % len(names)]


def picture(seed: int) -> Image.Image:
    return paint(scene(seed), SIDE_PX, SIDE_PX)[0]


def alike(first: Image.Image, second: Image.Image) -> float:
    one, other = (stack([make_signature(image)]) for image in (first, second))
    return float(similarity(one, other)[0])


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half as large": lambda image: resized(image, 0.5),
    "three quarters as large": lambda image: resized(image, 0.75),
    "twice as large": lambda image: resized(image, 2),
    "quality 40": lambda image: recompressed(image, 40),
    "quality 80": lambda image: recompressed(image, 80),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.04),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.93),
    "cropped at a side": lambda image: cropped(image, 0.05, 0, 0, 0),
    "cropped all round": lambda image: cropped(image, 0.04, 0.04, 0.04, 0.04),
    "cropped, smaller": lambda image: resized(cropped(image, 0.01, 0.03, 0.02, 0), 0.6),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_alike(name: str) -> None:
    originals = [picture(seed) for seed in SEEDS]
    copies = [COPIES[name](image) for image in originals]
    one, other = (stack([make_signature(image) for image in some]) for some in (originals, copies))
    assert similarity(one, other).min() > LIKE
    assert ((coarse_vectors(one) * coarse_vectors(other)).sum(axis=1) > 0.9).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_look_alikes_are_not(seed: int) -> None:
    original = scene(seed)
    (thing,) = original.things
    image = picture(seed)
    for changed in (
        replace(thing, noun=after(NOUNS, thing.noun)),
        replace(thing, colour=after(list(COLOURS), thing.colour)),
        replace(thing, x=1 - thing.x, y=1 - thing.y, size=thing.size * 0.7),
    ):
        other = paint(replace(original, things=(changed,)), SIDE_PX, SIDE_PX)[0]
        assert alike(image, other) < LIKE


def test_unlike_pictures_are_not() -> None:
    signatures = stack([make_signature(picture(seed)) for seed in SEEDS])
    first, second = np.triu_indices(len(SEEDS), 1)
    assert (similarity(signatures[first], signatures[second]) < LIKE).all()


def test_a_picture_is_like_itself_and_order_does_not_matter() -> None:
    signatures = stack([make_signature(picture(seed)) for seed in SEEDS])
    np.testing.assert_allclose(similarity(signatures, signatures), 1, atol=1e-3)
    forth = similarity(signatures, signatures[::-1])
    np.testing.assert_allclose(forth, similarity(signatures[::-1], signatures), atol=1e-6)


def test_batch_mates_change_nothing() -> None:
    originals = [picture(seed) for seed in SEEDS]
    one = stack([make_signature(image) for image in originals])
    other = stack([make_signature(cropped(image, 0.03, 0, 0.02, 0.01)) for image in originals])
    together = similarity(one, other)
    alone = [similarity(one[[k]], other[[k]])[0] for k in range(len(SEEDS))]
    np.testing.assert_allclose(together, alone, atol=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (1, 997), (997, 1), (7, 5), (48, 48), (1999, 101)])
def test_every_size_has_a_signature(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    signature = make_signature(Image.fromarray(noise))
    assert len(signature) == SIGNATURE_BYTES <= 300
    assert is_signature(signature)
    assert similarity(stack([signature]), stack([signature]))[0] == pytest.approx(1, abs=1e-3)


def test_plain_pictures() -> None:
    white, pale, black = (
        Image.new("RGB", (211, 157), grey) for grey in ("#fff", "#f4f4f4", "#000")
    )
    assert alike(white, pale) > LIKE
    assert alike(white, black) < LIKE
    assert alike(white, Image.new("RGB", (211, 157), "#f00")) < LIKE
    vectors = coarse_vectors(stack([make_signature(white), make_signature(pale)]))
    assert vectors[0] @ vectors[1] > 0.99
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_little_text_on_white_pages() -> None:
    pages = [Image.new("RGB", (400, 560), "white") for _ in range(2)]
    for page, top in zip(pages, (60, 300), strict=True):
        page.paste("black", (50, top, 350, top + 6))
        page.paste("black", (50, top + 20, 300, top + 26))
    assert alike(*pages) < LIKE
    assert alike(pages[0], recompressed(resized(pages[0], 0.5), 40)) > LIKE


def test_what_is_no_signature() -> None:
    signature = make_signature(picture(SEEDS[0]))
    assert not is_signature(None)
    assert not is_signature(b"")
    assert not is_signature(signature[:-1])
    assert not is_signature(b"\xff" + signature[1:])
    with pytest.raises(ValueError, match="reshape"):
        stack([signature[:-1]])


def test_many_pairs_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    signatures = stack([make_signature(picture(seed)) for seed in SEEDS])
    first, second = np.triu_indices(len(SEEDS))
    whole = similarity(signatures[first], signatures[second])
    monkeypatch.setattr("mlx_aimv2.library.signature._PAIRS_AT_ONCE", 4)
    np.testing.assert_allclose(similarity(signatures[first], signatures[second]), whole, atol=1e-4)
    assert len(similarity(signatures[:0], signatures[:0])) == 0
