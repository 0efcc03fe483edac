"""Drawn pictures: the same for a seed, true to what is said of them, at any size."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mlx_aimv2.images.metadata.exif import read_facts
from mlx_aimv2.training.drawings.album import write_album
from mlx_aimv2.training.drawings.captions import (
    Caption,
    Claim,
    caption_of,
    colour_caption,
    generic_caption,
    label_caption,
    place_caption,
    truth,
)
from mlx_aimv2.training.drawings.nouns import COLOURS, GLYPHS, NOUNS
from mlx_aimv2.training.drawings.places import PLACES
from mlx_aimv2.training.drawings.scene import HELD_OUT, KINDS, Box, Kind, Scene, draw, paint, plan
from mlx_aimv2.training.evaluate import measure
from mlx_aimv2.training.examples import Recipe, View, fit_view, make_batch, patches_of

SIDE = 113  # prime
SEEDS = st.integers(0, 2 * HELD_OUT)


def test_enough_to_draw() -> None:
    assert len(NOUNS) >= 40
    assert len(COLOURS) >= 10
    assert len(PLACES) >= 9
    assert not set(NOUNS) & (set(COLOURS) | set(PLACES))
    assert len({glyph.plural for glyph in GLYPHS.values()}) == len(NOUNS)
    assert all(set(glyph.usual) <= set(COLOURS) for glyph in GLYPHS.values())


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_a_seed_is_one_drawing(seed: int) -> None:
    first, second = draw(seed, SIDE), draw(seed, SIDE)
    assert first.image.tobytes() == second.image.tobytes()
    assert (first.objects, first.place, first.captions) == (
        second.objects,
        second.place,
        second.captions,
    )


def test_seeds_mean_the_same_tomorrow() -> None:
    # Albums and figures name their drawings by seed: what a seed shows must never change.
    shown = [plan(HELD_OUT + number) for number in range(4)]
    assert [(scene.place, scene.kinds) for scene in shown] == [
        ("snow", (("rocket", "black"), ("rocket", "red"), ("rocket", "white"))),
        (None, (("pumpkin", "pink"),)),
        (None, (("dog", "black"), ("house", "red"), ("ball", "yellow"), ("lighthouse", "yellow"))),
        ("city", (("pumpkin", "orange"),)),
    ]


def test_different_seeds_differ() -> None:
    pictures = {draw(seed, 41).image.tobytes() for seed in range(97)}
    assert len(pictures) == 97


@pytest.mark.parametrize("size", [(SIDE, SIDE), (131, 67), (67, 131), (640, 480)])
def test_the_scene_is_the_same_at_every_size(size: tuple[int, int]) -> None:
    width, height = size
    for seed in range(5):
        drawing = draw(seed, width, height_px=height)
        assert drawing.image.size == size
        assert drawing.image.mode == "RGB"
        assert drawing.place == draw(seed, SIDE).place
        assert sorted(drawing.kinds) == sorted(draw(seed, SIDE).kinds)


@pytest.mark.parametrize("noun", NOUNS)
def test_every_noun_shows_inside_its_box(noun: str) -> None:
    for seed, kind in ((3, "single"), (5, "counted"), (7, "several")):
        scene = plan(seed, kind=kind, noun=noun)  # type: ignore[arg-type]
        assert scene.things[0].noun == noun
        image, boxes = paint(scene, SIDE, SIDE)
        check_boxes(scene, image, boxes)


def check_boxes(scene: Scene, image: Image.Image, boxes: list[Box]) -> None:
    empty, _ = paint(scene, *image.size, things=False)
    changed = np.any(np.asarray(image) != np.asarray(empty), axis=-1)
    outside = changed.copy()
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= image.width
        assert 0 <= top < bottom <= image.height
        inside = changed[top:bottom, left:right]
        assert inside.mean() > 0.1
        outside[max(0, top - 2) : bottom + 2, max(0, left - 2) : right + 2] = False
    assert not outside.any()  # an outline may reach over by its own width


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(kind: Kind) -> None:
    for seed in range(23):
        nouns = [thing.noun for thing in plan(seed, kind=kind).things]
        different = len(set(nouns))
        if kind == "empty":
            assert not nouns
        elif kind == "single":
            assert len(nouns) == 1
        elif kind == "counted":
            assert different == 1
            assert 2 <= len(nouns) <= 5
        elif kind == "grid":
            assert different == len(nouns) == 4
            assert plan(seed, kind=kind).place is None
        else:
            assert 2 <= different == len(nouns) <= 4


@given(SEEDS, st.sampled_from(list(KINDS)))
@settings(max_examples=60, deadline=None)
def test_captions_are_true(seed: int, kind: Kind) -> None:
    scene = plan(seed, kind=kind)
    captions = [caption_of(scene, random.Random(seed + number)) for number in range(5)]
    assert truth([scene], captions).all()
    for caption in captions:
        words = set(caption.text.replace(",", " ").replace(".", " ").split())
        for claim in caption.claims:
            plural = GLYPHS[claim.noun or ""].plural.split()
            assert words.issuperset((claim.noun or "").split()) or words.issuperset(plural)
            assert claim.colour is None or claim.colour in words


def test_truth() -> None:
    scene = View((("dog", "red"), ("dog", "blue"), ("cat", "red")), "beach")
    captions = [
        (Caption("a dog", (Claim("dog"),)), True),
        (Caption("a bird", (Claim("bird"),)), False),
        (Caption("two dogs", (Claim("dog", None, 2),)), True),
        (Caption("three dogs", (Claim("dog", None, 3),)), False),
        (Caption("a blue dog", (Claim("dog", "blue"),)), True),
        (Caption("a blue cat", (Claim("cat", "blue"),)), False),
        (Caption("something red", (Claim(None, "red"),)), True),
        (Caption("something green", (Claim(None, "green"),)), False),
        (Caption("a dog and a cat", (Claim("dog"), Claim("cat"))), True),
        (Caption("a dog and a bird", (Claim("dog"), Claim("bird"))), False),
        (Caption("a beach", (), "beach"), True),
        (Caption("a dog in the snow", (Claim("dog"),), "snow"), False),
        (Caption("an empty page"), False),
        (Caption("something", generic=True), False),
    ]
    expected = [holds for _, holds in captions]
    assert truth([scene], [caption for caption, _ in captions])[0].tolist() == expected
    assert truth([View((), None)], [Caption("an empty page")]).all()


def test_captions_alone() -> None:
    rng = random.Random(1)
    assert "dog" in label_caption("dog", rng).text
    assert "red" in colour_caption("red", rng).text
    assert "beach" in place_caption("beach", rng).text
    assert generic_caption(rng).generic


def test_training_draws_no_held_out_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []

    def record(seed: int, **options: object) -> Scene:
        used.append(seed)
        return plan(seed, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("mlx_aimv2.training.examples.plan", record)
    for step in (0, 10**6):
        make_batch(Recipe(2**20, 10**7, 3, 28, 14), step, range(3 * step, 3 * step + 3))
    assert len(used) == 6
    assert all(0 <= seed < HELD_OUT for seed in used)


def test_what_a_crop_leaves() -> None:
    image = Image.new("RGB", (200, 100))
    kinds = (("dog", "red"), ("cat", "blue"), ("car", "red"))
    view = View(kinds, None, ((80, 10, 120, 50), (0, 0, 60, 100), (30, 0, 110, 100)))
    fitted, left = fit_view(image, view, 50)
    assert fitted.size == (50, 50)
    assert left.kinds == (
        kinds[0],
        kinds[2],
    )  # only the cat is cut by more than half
    assert left.boxes == ((15, 5, 35, 25), (0, 0, 30, 50))


def test_patches_of_a_box() -> None:
    assert patches_of((0, 0, 28, 14), 42, 14).reshape(3, 3).tolist() == [
        [True, True, False],
        [False, False, False],
        [False, False, False],
    ]
    assert patches_of((41, 41, 42, 42), 42, 14).nonzero()[0].tolist() == [8]
    assert patches_of((12, 13, 30, 29), 42, 14).reshape(3, 3)[1, 1]


def test_a_batch_is_fixed_by_its_number() -> None:
    recipe = Recipe(seed=3, steps=9, batch_size=5, side_px=56, patch_size=14)
    first, again = (make_batch(recipe, 1, range(5, 10)) for _ in range(2))
    assert first.texts == again.texts
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.truth, again.truth)
    assert first.region_masks.shape[2] == 16
    assert first.truth.shape == (5 + len(first.region_rows), len(first.texts))
    assert first.truth[:5].any(axis=1).all()  # something is true of each picture
    assert first.region_masks.any(axis=2).all()
    assert not first.truth[:, first.generic > 0].any()


def test_an_album(tmp_path: Path) -> None:
    files = write_album(tmp_path / "album", 5, first=2, side_px=SIDE)
    entries = json.loads((tmp_path / "album/captions.json").read_text(encoding="utf-8"))
    assert [entry["file"] for entry in entries] == [file.name for file in files]
    for number, (file, entry) in enumerate(zip(files, entries, strict=True)):
        drawing = draw(HELD_OUT + 2 + number, SIDE)
        with Image.open(file) as image:
            assert image.size == (SIDE, SIDE)
        assert entry["place"] == drawing.place
        assert [(o["noun"], o["colour"], tuple(o["box"])) for o in entry["objects"]] == list(
            drawing.objects
        )
    labels = (tmp_path / "album/labels.txt").read_text(encoding="utf-8").split("\n")
    assert labels[:-1] == list(NOUNS)
    with pytest.raises(FileExistsError):
        write_album(tmp_path / "album", 1)


def test_dated_pictures_are_the_same_with_a_day_each(tmp_path: Path) -> None:
    plain = write_album(tmp_path / "plain", 8)
    dated = write_album(tmp_path / "dated", 8, dated=True)
    assert [Image.open(each).tobytes() for each in plain] == [
        Image.open(each).tobytes() for each in dated
    ]
    assert all(read_facts(each).taken_at is None for each in plain)
    days = {read_facts(each).taken_at for each in dated}
    assert len(days) == 8 and all(day and "2024" <= day < "2027" for day in days)


def test_measures_are_perfect_for_a_perfect_encoder() -> None:
    """An encoder that reads the answers: one axis a noun, colour of a noun, place and number."""
    pytest.importorskip("mlx.data", reason="needs mlx-data")
    answers = {draw(HELD_OUT + n, kind=kind).image.tobytes(): draw(HELD_OUT + n, kind=kind)
               for kind in (*KINDS, None) for n in range(140)}  # fmt: skip

    def embed_images(images: list[Image.Image]) -> np.ndarray:
        return np.stack([axes(answers[image.tobytes()]) for image in images])

    def axes(drawing: object) -> np.ndarray:
        vector = np.zeros(2000, np.float32)
        kinds = drawing.kinds  # type: ignore[attr-defined]
        for noun, colour in kinds:
            vector[index(noun)] = 1
            vector[index(f"{colour} {noun}")] = 1
            vector[index(f"{len(kinds)} {noun}")] = 1
        if drawing.place:  # type: ignore[attr-defined]
            vector[index(drawing.place)] = 1  # type: ignore[attr-defined]
        return vector / max(1, np.linalg.norm(vector))

    def embed_texts(texts: list[str]) -> np.ndarray:
        return np.stack([text_axes(text) for text in texts])

    def text_axes(text: str) -> np.ndarray:
        vector = np.zeros(2000, np.float32)
        vector[meaning[strip(text)]] = 1
        return vector

    names: dict[str, int] = {}

    def index(name: str) -> int:
        return names.setdefault(name, len(names))

    def strip(text: str) -> str:
        for start in ("a photo of ", "a drawing of ", "a picture of "):
            text = text.removeprefix(start)
        return text.removeprefix("a ").removeprefix("an ")

    numbers = {2: "two", 3: "three", 4: "four", 5: "five"}
    meaning = {noun: index(noun) for noun in NOUNS}
    meaning |= {f"{c} {noun}": index(f"{c} {noun}") for noun in NOUNS for c in COLOURS}
    meaning |= {strip(place.alone[0]): index(name) for name, place in PLACES.items()}
    meaning |= {
        f"{word} {GLYPHS[noun].plural}": index(f"{count} {noun}")
        for noun in NOUNS
        for count, word in numbers.items()
    }
    figures = measure(embed_images, embed_texts, number=20)
    shares = {k: v for k, v in vars(figures).items() if k not in ("drawings", "nouns")}
    assert all(value == 1 or np.isnan(value) for value in shares.values()), shares
