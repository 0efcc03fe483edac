"""Words in pictures: where they point, on the upright original, and what is refused."""

import json
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from PIL import ExifTags, Image

import mlx_aimv2 as aimv2
from mlx_aimv2.checkpoints.hub import resolve
from mlx_aimv2.errors import Aimv2Warning, ImageError, UsageError
from mlx_aimv2.files.checkpoint_files import TEXT_FILES
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.inference.locating.heat import heat_of, place_of
from mlx_aimv2.inference.locating.windows import windows_of
from mlx_aimv2.training.contrastive import pool_masks
from mlx_aimv2.training.drawings.scene import HELD_OUT, draw
from tests.support import makers

SUM = 1e-5  # a cosine put together from as many parts as there are patches


@pytest.fixture(scope="module")
def demo() -> aimv2.Model:
    return aimv2.load("demo", dtype="float32")


@pytest.fixture(scope="module")
def drawing():
    return draw(HELD_OUT + 3_000_011, 336, kind="several")


def random_checkpoint(folder: Path, *, native: bool = False, head: bool = True) -> aimv2.Model:
    """A small LiT with random weights and the demo's words."""
    demo = resolve("demo").folder
    end = json.loads((demo / "config.json").read_bytes())["text_config"]["eos_token_id"]
    text = makers.TEXT | {"vocab": end + 1, "positions": 29}
    tensors = makers.random_lit(text=text)
    config = makers.lit_config(text=text)
    config["text_config"]["eos_token_id"] = end
    if native:
        del tensors["image_encoder.preprocessor.pos_embed"]
        del config["vision_config"]["image_size"]
        config["vision_config"]["is_native"] = True
    if not head:
        tensors = {name: one for name, one in tensors.items() if ".head." not in name}
    makers.write_checkpoint(folder, tensors, config)
    (folder / TEXT_FILES[0]).write_bytes((demo / TEXT_FILES[0]).read_bytes())
    return aimv2.load(str(folder), dtype="float32")


def is_in(point, box) -> bool:
    return box[0] <= point[0] < box[2] and box[1] <= point[1] < box[3]


def test_things_of_a_drawing_are_found_where_they_are(demo, drawing):
    nouns = [noun for noun, _, _ in drawing.objects]
    found = demo.locate(drawing.image, nouns)
    assert [each.text for each in found] == nouns
    for each, (_, _, box) in zip(found, drawing.objects, strict=True):
        assert is_in(each.point, box)
        assert is_in(each.point, each.box)
        assert each.size == drawing.image.size
        heat = np.array(each.heat)
        assert (heat.min(), heat.max()) == (0, 1)
    one = demo.locate(drawing.image, nouns[0])
    assert [each.box for each in one] == [found[0].box]  # beside other words or alone
    assert repr(one[0]).startswith(f"Located({nouns[0]!r}, 0.")


def test_words_in_groups_are_as_together(demo, drawing, monkeypatch):
    words = ["boat", "truck", "camera", "sun", "guitar"]
    together = demo.locate(drawing.image, words)
    monkeypatch.setattr("mlx_aimv2.inference.locating.locator._TOGETHER", 2)
    for one, other in zip(demo.locate(drawing.image, words), together, strict=True):
        assert (one.text, one.box) == (other.text, other.box)
        np.testing.assert_allclose(np.array(one.heat), np.array(other.heat), atol=1e-4)


def test_a_box_goes_around_all_that_touches_the_maximum():
    """A spiral of heat, beside which another thing is."""
    heat = np.zeros((11, 13), np.float32)
    heat[1:10, 1] = heat[9, 1:9] = heat[3:10, 8] = heat[3, 3:9] = heat[3:7, 3] = 0.5
    heat[6, 3], heat[5, 11] = 1, 0.9
    place = place_of(heat, (13, 11))
    assert (place.box, place.point) == ((1, 1, 9, 10), (3, 6))


@pytest.mark.filterwarnings("ignore:.*strip only the middle")
@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (1, 100), (100, 1), (2, 3), (1, 3301)])
def test_the_smallest_pictures_have_a_place(size, native, demo, tmp_path):
    model = random_checkpoint(tmp_path, native=True) if native else demo
    for tiles in (1, 3) if max(size) < 100 else (1,):
        (found,) = model.locate(Image.new("RGB", size, (9, 200, 30)), "dog", tiles=tiles)
        left, top, right, bottom = found.box
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]
        assert is_in(found.point, found.box)
        assert 0 <= found.score <= 1
        assert np.isfinite(np.array(found.heat)).all()
        assert found.heat.size < 2**21  # of a strip too


def test_what_a_centre_crop_leaves_out_is_found(demo, drawing):
    """The drawing at the end of a strip three times as wide: the middle square is empty."""
    side = drawing.image.width
    noun, _, box = drawing.objects[1]
    for turned in (False, True):
        wide = Image.new("RGB", (3 * side, side), (250, 250, 250))
        wide.paste(drawing.image, (2 * side, 0))
        moved = (box[0] + 2 * side, box[1], box[2] + 2 * side, box[3])
        if turned:
            wide = wide.transpose(Image.Transpose.TRANSPOSE)
            drawn = draw(HELD_OUT + 3_000_011, side, kind="several").image
            wide.paste(drawn, (0, 2 * side))
            moved = (box[0], box[1] + 2 * side, box[2], box[3] + 2 * side)
        (found,) = demo.locate(wide, [noun])
        assert is_in(found.point, moved)


def test_boxes_are_those_of_the_upright_picture(demo, drawing, tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    lying = drawing.image.crop((0, 0, 336, 224)).transpose(Image.Transpose.ROTATE_90)
    lying.save(tmp_path / "photo.png", exif=exif)
    noun = drawing.objects[1][0]
    (upright,) = demo.locate(drawing.image.crop((0, 0, 336, 224)), [noun])
    (found,) = demo.locate(tmp_path / "photo.png", [noun])
    assert found.size == (336, 224)
    assert (found.box, found.point) == (upright.box, upright.point)


def test_tiles_are_more_looks(demo, drawing):
    shapes = [demo.locate(drawing.image, "dog", tiles=tiles)[0].heat.shape for tiles in (1, 2, 3)]
    assert shapes == [(32, 32), (64, 64), (96, 96)]
    for tiles in (0, 4, True + 0.5):
        with pytest.raises(UsageError, match="cannot tile"):
            demo.locate(drawing.image, "dog", tiles=tiles)


def test_a_flat_picture_and_a_single_pixel_point_somewhere(demo):
    for size in ((1, 1), (1, 31), (80, 3), (97, 89)):
        (found,) = demo.locate(Image.new("RGB", size, (120, 130, 140)), ["dog"])
        assert is_in(found.point, found.box)
        assert is_in(found.point, (0, 0, *size))
        assert found.box[2] <= size[0]
        assert found.box[3] <= size[1]
        assert np.isfinite(found.score)


def test_of_a_strip_it_says_that_only_the_middle_is_searched(demo):
    with pytest.warns(Aimv2Warning, match=r"1×70 strip only the middle is searched"):
        (found,) = demo.locate(Image.new("RGB", (1, 70)), ["dog"], tiles=1)
    assert found.size == (1, 70)


@pytest.mark.parametrize("size", [(97, 97), (131, 97), (97, 389), (1000, 50)])
@pytest.mark.parametrize("tiles", [1, 2, 3])
def test_windows_reach_every_edge_and_overlap(demo, size, tiles):
    plan = demo.plan(ImageOptions(pooling="none"))
    sizes = windows_of(size, plan, tiles)
    assert len(sizes) == tiles
    for parts, windows in enumerate(sizes, 1):
        side = min(size) / parts
        for axis in (0, 1):
            starts = sorted({round(window[axis], 6) for window in windows})
            assert starts[0] == 0
            assert starts[-1] == pytest.approx(size[axis] - side)
            assert max(np.diff(starts), default=0) <= side / 2 + 1e-6
        assert all(w[2] - w[0] == pytest.approx(side) == w[3] - w[1] for w in windows)


def test_a_native_checkpoint_sees_the_picture_in_its_own_shape(tmp_path):
    model = random_checkpoint(tmp_path / "native", native=True)
    patch = model.vision.config.patch_size
    (found,) = model.locate(Image.new("RGB", (40 * patch, 9 * patch)), ["dog"])
    rows, columns = found.heat.shape
    assert columns / rows == pytest.approx(40 / 9, rel=0.02)
    plan = model.plan(ImageOptions(pooling="none"))
    assert windows_of((400, 90), plan, 2)[1][:3] == [
        (0, 0, 200, 45), (100, 0, 300, 45), (200, 0, 400, 45),
    ]  # fmt: skip


def test_the_box_is_what_is_high_around_the_maximum():
    heat = np.zeros((6, 8), np.float32)
    heat[1:3, 1:3], heat[2, 2] = 0.5, 1
    heat[4:6, 4:8] = 0.9  # higher and larger, and does not touch
    place = place_of(heat, (80, 120))
    assert place.point == (25, 50)
    assert place.box == (10, 20, 30, 60)
    assert (heat_of(np.full((3, 5), 7, np.float32)) == 0).all()
    np.testing.assert_allclose(heat_of(np.array([[1, 2, 6]], np.float32)), [[0, 0, 1]])


# the pooling head


def test_each_patch_alone_is_what_a_mask_of_it_gives(demo, drawing):
    """``pool_masks`` of one patch each, which training uses, is another way to the same."""
    head = demo.vision.head
    features = demo.vision.features(demo.preprocess(drawing.image)[None])
    count = features.shape[1]
    masks = mx.eye(count).astype(mx.bool_)[None]
    difference = mx.abs(head.each(features) - pool_masks(head, features, masks)).max()
    assert difference.item() < SUM


def test_contributions_sum_to_the_cosine(demo, drawing, tmp_path):
    native = random_checkpoint(tmp_path / "native", native=True)
    texts = ["a boat", "a red dog"]
    for model in (demo, native):
        parts, rest = model.contributions(drawing.image, texts)
        assert parts.ndim == 3
        cosines = np.array(model.embed_images(drawing.image)) @ np.array(model.embed_texts(texts)).T
        total = np.array(parts).sum(axis=(1, 2)) + np.array(rest)
        np.testing.assert_allclose(total, cosines[0], atol=SUM)


# what is refused


def test_words_that_are_none(demo, drawing):
    for words in ([], [""], ["dog", " "]):
        with pytest.raises(UsageError, match="a word is missing or empty"):
            demo.locate(drawing.image, words)
    with pytest.raises(UsageError, match="a word is of type int"):
        demo.locate(drawing.image, [3])


def test_checkpoints_that_cannot(tmp_path, drawing):
    headless = random_checkpoint(tmp_path / "headless", head=False)
    for ask in (headless.locate, headless.contributions):
        with pytest.raises(UsageError, match="no pooling head, whose values tell"):
            ask(drawing.image, ["dog"])
    fixed = makers.write_kind("head", tmp_path / "head")
    with pytest.raises(UsageError, match="reads no texts, only pictures"):
        aimv2.load(str(fixed)).locate(drawing.image, ["dog"])
    with pytest.raises(UsageError, match="only the text tower is loaded"):
        aimv2.load("demo", tower="text").locate(drawing.image, ["dog"])


def test_pictures_that_are_broken(demo, tmp_path):
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much")
    for broken in (tmp_path / "cut.jpg", tmp_path / "nothing.jpg", None):
        with pytest.raises(ImageError):
            demo.locate(broken, ["dog"])
    with pytest.raises(ImageError, match="over the limit"):
        demo.locate(Image.new("RGB", (31, 31)), ["dog"], max_pixels=900)
