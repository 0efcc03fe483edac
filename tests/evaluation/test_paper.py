"""The paper's figures: those that are known elsewhere too, and which are shown beside which run."""

import json
from importlib.resources import files

import pytest

from mlx_aimv2.errors import UsageError
from mlx_aimv2.evaluation import paper
from mlx_aimv2.models.aimv2.published import CHECKPOINTS

# Source: the README of apple/ml-aim at bd9e068, attentive probe on ImageNet-1k.
README = {
    "large-patch14-224": 86.6, "huge-patch14-224": 87.5, "1B-patch14-224": 88.1,
    "3B-patch14-224": 88.5, "large-patch14-336": 87.6, "huge-patch14-336": 88.2,
    "1B-patch14-336": 88.7, "3B-patch14-336": 89.2, "large-patch14-448": 87.9,
    "huge-patch14-448": 88.6, "1B-patch14-448": 89.0, "3B-patch14-448": 89.5,
    "large-patch14-native": 87.3,
}  # fmt: skip
RECORD = {
    "data_set": "CIFAR-10", "protocol": "probe", "n": 10_000, "trained_on": 50_000, "classes": 10,
    "preprocessing": {"preset": "ml-aim"},
}  # fmt: skip


def test_imagenet_as_in_the_readme() -> None:
    for name, percent in README.items():
        assert paper.published("probe", f"aimv2-{name}", "IN-1k") == pytest.approx(percent / 100)
    assert paper.published("zero-shot", "aimv2-large-patch14-224-lit", "IN-1k") == 0.77


def test_only_published_checkpoints_and_known_data_sets() -> None:
    content = json.loads((files("mlx_aimv2.evaluation") / "paper.json").read_bytes())
    names = {checkpoint.name for checkpoint in CHECKPOINTS}
    tables = content["probe"] | content["zero-shot"]
    assert {name.partition(" at ")[0] for name in tables} <= names
    assert all({*row} <= {*content["data_sets"]} for row in tables.values())
    assert sum(map(len, content["probe"].values())) == 12 * 14 + 1 + 2


def test_another_side_has_its_own_figure() -> None:
    """Source: AIMv2 paper, table 6."""
    for side_px, other_px, percent in ((224, 448, 84.8), (448, 224, 78.9)):
        name = f"aimv2-large-patch14-{side_px} at {other_px} px"
        assert paper.published("probe", name, "IN-1k") == pytest.approx(percent / 100)


@pytest.mark.parametrize(
    ("folder", "name"),
    [("imagenet", "IN-1k"), ("ImageNet-1k", "IN-1k"), ("wds_imagenet1k", "IN-1k"),
     ("IN-1k", "IN-1k"), ("cifar-100", "CIFAR-100"), ("Oxford-IIIT Pet", "Pets"),
     ("my photos", None), ("imagenette", None)],
)  # fmt: skip
def test_data_sets_by_the_names_of_folders(folder: str, name: str | None) -> None:
    assert paper.data_set_named(folder) == name


def test_none_where_the_paper_has_none() -> None:
    assert paper.published("knn", "aimv2-large-patch14-224", "IN-1k") is None
    assert paper.published("probe", "demo", "IN-1k") is None
    assert paper.published("probe", "aimv2-large-patch14-224", None) is None
    with pytest.raises(UsageError, match="no data set 'other'"):
        paper.require_data_set("other")


def test_what_differs_is_said() -> None:
    assert paper.differences(RECORD) == []
    changed = {
        "n": 9_999,
        "trained_on": 45_000,
        "classes": 9,
        "preprocessing": {"preset": "hub"},
        "protocol": "zero-shot",
        "deviations": ["one seed"],
    }
    said = paper.differences(RECORD | changed)
    words = ["9,999 pictures", "45,000 pictures to learn", "9 classes", "Hub", "templates", "seed"]
    assert len(said) == len(words)
    assert all(word in line for word, line in zip(words, said, strict=True))
