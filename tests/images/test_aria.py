"""Crops for Aria: by the table of both publishers' rules, and what holds for every picture."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mlx_aimv2.errors import CheckpointError
from mlx_aimv2.images.aria import AriaProcessor
from mlx_aimv2.images.presets import AriaSplit
from tests.support import tiny_aria

PUBLISHED = AriaProcessor()
SMALL = AriaProcessor((28, 56), 19)
TOKENS = {490: 128, 980: 256}
CASES: list[dict[str, Any]] = json.loads(
    (tiny_aria.FOLDER / "image-processor.json").read_text(encoding="utf-8")
)
SPLITS: list[AriaSplit | None] = [None, "rhymes", "transformers"]
RULE_OF: Mapping[str, AriaSplit] = {"original": "rhymes", "transformers": "transformers"}


def name_of(case: Mapping[str, Any]) -> str:
    kind = "split" if case["split_image"] else "whole"
    return f"{case['width']}x{case['height']}-{case['max_image_size']}-{kind}"


def plain(width: int, height: int, colour: tuple[int, int, int] = (200, 100, 30)) -> Image.Image:
    return Image.new("RGB", (width, height), colour)


@pytest.mark.parametrize("rule", RULE_OF)
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_the_table_of_both_publishers(case: Mapping[str, Any], rule: str) -> None:
    side = case["max_image_size"]
    image = plain(case["width"], case["height"])
    split = RULE_OF[rule] if case["split_image"] else None
    pixels, mask = PUBLISHED(image, side, split)
    expected = case[rule]
    assert pixels.shape == (expected["crops"], side, side, 3)
    assert pixels.dtype == np.uint8
    assert len(pixels) * TOKENS[side] == expected["image_tokens"]
    rows_and_columns = [[int(crop.any(1).sum()), int(crop.any(0).sum())] for crop in mask]
    assert rows_and_columns == expected["real_height_width"]
    assert mask.sum((1, 2)).tolist() == expected.get(
        "mask_sums", [rows * columns for rows, columns in rows_and_columns]
    )


@settings(deadline=None)
@given(
    width=st.integers(1, 500),
    height=st.integers(1, 500),
    side=st.sampled_from(SMALL.sides_px),
    split=st.sampled_from(SPLITS),
)
def test_any_size(width: int, height: int, side: int, split: AriaSplit | None) -> None:
    pixels, mask = SMALL(plain(width, height), side, split)
    count = len(pixels)
    assert pixels.shape == (count, side, side, 3)
    assert mask.shape == (count, side, side)
    for crop, real in zip(pixels, mask, strict=True):
        rows, columns = real.any(1).sum(), real.any(0).sum()
        assert max(rows, columns) == side
        assert min(rows, columns) >= SMALL.min_side_px
        assert real[:rows, :columns].all()
        assert (crop[~real] == 0).all()
        if split != "transformers":  # whose tiles hold black margins too
            assert (crop[real] == [200, 100, 30]).all()
    expected = {None: range(1, 2), "rhymes": range(3, 10), "transformers": range(1, 9)}
    assert count in expected[split]


def test_pixels_are_where_they_were() -> None:
    image = plain(40, 20)
    image.paste((0, 0, 255), (20, 0, 40, 20))
    (crop,), (real,) = PUBLISHED(image, 490)
    assert crop[5, 5].tolist() == [200, 100, 30]
    assert crop[5, 485].tolist() == crop[330, 485].tolist() == [0, 0, 255]
    assert real.any(1).sum() == 336  # half of 490 would be less than the least side


def test_normalised_pixels_are_from_minus_1_to_1() -> None:
    levels = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    found = PUBLISHED.normalized(levels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 1], np.arange(256) / 127.5 - 1, rtol=0, atol=1e-6)


def test_the_whole_picture_comes_before_its_tiles() -> None:
    image = plain(60, 30)
    image.paste((0, 0, 255), (30, 0, 60, 30))
    whole, left, right = SMALL(image, 28, "rhymes")[0]
    np.testing.assert_array_equal(whole, SMALL(image, 28)[0][0])
    assert left[9, 9].tolist() == [200, 100, 30]
    assert right[9, 9].tolist() == [0, 0, 255]


def test_the_tiles_are_those_of_the_picture_stretched_to_the_grid() -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (49, 64, 3), np.uint8))
    parts = list(SMALL.parts(image, 28, "rhymes"))[1:]
    rows = [np.concatenate(parts[start : start + 3], axis=1) for start in (0, 3)]
    stretched = image.resize((3 * 28, 2 * 28), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(np.concatenate(rows), stretched)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 9000), (9000, 1), (7, 700)])
@pytest.mark.parametrize("split", SPLITS)
def test_strips_and_points(width: int, height: int, split: AriaSplit | None) -> None:
    pixels, mask = SMALL(plain(width, height), 56, split)
    assert pixels.any((1, 2, 3)).all()
    assert mask.any((1, 2)).all()


def write(folder: Path, **stated: object) -> Path:
    (folder / "preprocessor_config.json").write_text(json.dumps(stated))
    return folder


def test_the_published_file(tmp_path: Path) -> None:
    stated = {
        "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "max_image_size": 980, "resample": 3,
        "min_image_size": 336, "do_convert_rgb": True, "do_normalize": True, "split_image": False,
    }  # fmt: skip
    assert AriaProcessor.from_folder(write(tmp_path, **stated)) == PUBLISHED


def test_a_file_with_other_numbers(tmp_path: Path) -> None:
    write(tmp_path, min_image_size=20, image_std=[0.25, 0.5, 1])
    processor = AriaProcessor.from_folder(tmp_path, (56, 112))
    assert processor == AriaProcessor((56, 112), 20, std=(0.25, 0.5, 1.0))
    pixels = processor.normalized(processor(plain(9, 9), 56)[0])
    expected = (np.array([200, 100, 30]) / 255 - 0.5) / [0.25, 0.5, 1]
    np.testing.assert_allclose(pixels[0, 9, 9], expected, atol=1e-6)


def test_no_file_is_the_published_one_in_proportion(tmp_path: Path) -> None:
    assert AriaProcessor.from_folder(tmp_path) == PUBLISHED
    assert AriaProcessor.from_folder(tmp_path, (56, 112)).min_side_px == 38


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("min_image_size", 0),
        ("min_image_size", "336"),
        ("min_image_size", 491),
        ("image_std", [0, 1, 1]),
        ("image_mean", None),
        ("resample", 2),
        ("do_normalize", False),
    ],
)
def test_a_file_that_asks_for_other_pixels(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(CheckpointError, match=r"preprocessor_config\.json cannot be used"):
        AriaProcessor.from_folder(write(tmp_path, **{key: value}))
