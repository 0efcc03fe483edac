"""Data sets as they lie on disk: parts, classes, names, and captions."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from mlx_aimv2.errors import Aimv2Error, UsageError
from mlx_aimv2.evaluation import templates
from mlx_aimv2.evaluation.data_sets.captions import read_captions
from mlx_aimv2.evaluation.data_sets.part import part_of, read_class_names, read_classes
from mlx_aimv2.images.decode import open_rgb
from tests.support.data_sets import write_classes
from tests.support.tars import pair_members, small_picture, write_tar

ALL = {"train": {"b": 2, "a b": 1, "c": 1}, "val": {"c": 2, "b": 1}}


# COCO's captions of one picture, whose file and caption are to be filled in.
COCO = (
    '{"images": [{"id": 1, "file_name": "%s"}], "annotations": [{"image_id": 1, "caption": "%s"}]}'
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_classes(tmp_path / "data", ALL)


def test_classes_are_numbered_by_their_sorted_names(data: Path) -> None:
    (data / "train" / ".hidden").mkdir()
    (data / "train" / "notes.txt").write_text("not a class")
    nested = data / "train" / "c" / "more"
    nested.mkdir()
    (data / "train" / "c" / "0.png").rename(nested / "0.png")
    part = read_classes(data, "train")
    assert part.classes == ("a b", "b", "c")
    assert part.labels.tolist() == [0, 1, 1, 2]
    assert [Path(each).relative_to(data) for each in part.pictures] == [
        Path("train/a b/0.png"),
        Path("train/b/0.png"),
        Path("train/b/1.png"),
        Path("train/c/more/0.png"),
    ]


def test_numbers_of_another_part_are_kept(data: Path) -> None:
    assert read_classes(data, "val", ("a b", "b", "c")).labels.tolist() == [1, 2, 2]
    with pytest.raises(UsageError, match="the class c, which the part train has not"):
        read_classes(data, "val", ("a b", "b"))


def test_one_class_is_nothing_to_tell_apart(tmp_path: Path) -> None:
    data = write_classes(tmp_path / "data", {"test": {"images": 2}})
    with pytest.raises(UsageError, match="has one class only, images"):
        read_classes(data, "test")
    assert read_classes(data, "test", ("cats", "images")).labels.tolist() == [1, 1]


def test_the_part_to_measure_on(data: Path) -> None:
    assert part_of(data) == "val"
    assert part_of(data, "train") == "train"
    (data / "test").mkdir()
    assert part_of(data) == "test"
    with pytest.raises(UsageError, match="has no folder extra"):
        part_of(data, "extra")
    with pytest.raises(UsageError, match="has no folder test or val or validation"):
        part_of(data / "train")
    with pytest.raises(UsageError, match="no pictures in folders of classes"):
        read_classes(data, "test")


def test_names_of_classes(data: Path, tmp_path: Path) -> None:
    part = read_classes(data, "train")
    assert read_class_names(data, part, None) == ["a b", "b", "c"]
    (data / "classnames.txt").write_text("one\ntwo\nthree\n")
    assert read_class_names(data, part, None) == ["one", "two", "three"]
    own = tmp_path / "own.txt"
    own.write_text("x\ny\n")
    with pytest.raises(UsageError, match="has 2 names for 3 classes"):
        read_class_names(data, part, own)
    with pytest.raises(UsageError, match="cannot be read"):
        read_class_names(data, part, tmp_path / "none.txt")


def test_ids_of_wordnet_are_no_names(tmp_path: Path) -> None:
    data = write_classes(tmp_path / "data", {"val": {"n01440764": 1, "n01443537": 1}})
    with pytest.raises(UsageError, match="ids of WordNet") as raised:
        read_class_names(data, read_classes(data, "val"), None)
    assert "--class-names" in raised.value.hint


def test_templates(tmp_path: Path) -> None:
    assert len(templates.read_templates("openai-simple")) == 7
    assert templates.read_templates("a {c}, seen") == ("a {}, seen",)
    assert templates.of_data_set(tmp_path) == "openai-simple"
    own = tmp_path / "zeroshot_classification_templates.txt"
    own.write_text("a photo of {c}.\n\nart of {}\n")
    assert templates.read_templates(templates.of_data_set(tmp_path)) == (
        "a photo of {}.",
        "art of {}",
    )
    for text in ("", "no place\n"):
        own.write_text(text)
        with pytest.raises(UsageError):
            templates.read_templates(str(own))
    with pytest.raises(UsageError, match="no set of templates and no file"):
        templates.read_templates("unknown")


def test_every_set_has_a_place_for_the_class() -> None:
    assert all(text.count("{}") == 1 for texts in templates.SETS.values() for text in texts)


class TestCaptions:
    """In the order of torchvision's CocoCaptions, and of the other files' lines."""

    def test_coco(self, tmp_path: Path) -> None:
        file = tmp_path / "captions.json"
        content = {
            "images": [{"id": 7, "file_name": "b.jpg"}, {"id": 3, "file_name": "a.jpg"},
                       {"id": 9, "file_name": "without.jpg"}],
            "annotations": [
                {"id": 1, "image_id": 7, "caption": "a boat "},
                {"id": 2, "image_id": 3, "caption": "a dog"},
                {"id": 3, "image_id": 7, "caption": "two boats"},
                {"id": 4, "image_id": 7, "caption": " "},
            ],
        }  # fmt: skip
        file.write_text(json.dumps(content))
        part = read_captions(file, None, tmp_path / "pictures")
        assert part.captions == [["a dog"], ["a boat", "two boats"]]
        assert part.pictures == [str(tmp_path / "pictures" / name) for name in ("a.jpg", "b.jpg")]
        assert read_captions(file, None, None).pictures[0] == str(tmp_path / "a.jpg")

    def test_karpathy(self, tmp_path: Path) -> None:
        file = tmp_path / "dataset_coco.json"
        image = {"filepath": "val2014", "sentences": [{"raw": "one"}, {"raw": "two"}]}
        file.write_text(
            json.dumps(
                {
                    "images": [
                        image | {"filename": "a.jpg", "split": "test"},
                        image | {"filename": "b.jpg", "split": "restval"},
                        image | {"filename": "c.jpg", "split": "test"},
                    ]
                }
            )
        )
        part = read_captions(file, None, None)
        assert part.name == "test"
        assert [Path(each).name for each in part.pictures] == ["a.jpg", "c.jpg"]
        assert part.captions == [["one", "two"]] * 2
        assert len(read_captions(file, "restval", None).pictures) == 1
        with pytest.raises(UsageError, match="no captions of the part other"):
            read_captions(file, "other", None)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            "{}",
            '{"images": [{}]}',
            '{"annotations": [{"caption": 1}]}',
            "[" * 9999,
            COCO % ("a.jpg", r"\ud800"),
            COCO % (r"\ud800.jpg", "a dog"),
        ],
    )
    def test_what_cannot_be_understood(self, text: str, tmp_path: Path) -> None:
        file = tmp_path / "captions.json"
        file.write_text(text)
        with pytest.raises(Aimv2Error, match="json cannot be understood"):
            read_captions(file, None, None)

    def test_a_folder_without_captions(self, data: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"has no metadata.jsonl and no shards"):
            read_captions(data, None, None)
        write_tar(data / "val" / "shard.tar", pair_members(0, 2))
        with pytest.raises(UsageError, match="has no captions"):
            read_captions(data, None, None)
        with pytest.raises(UsageError, match="does not exist"):
            read_captions(tmp_path / "none", None, None)

    def test_metadata(self, data: Path) -> None:
        rows = [
            {"file_name": "c/1.png", "text": "one"},
            {"file_name": "b/0.png", "text": ["two", "three"]},
        ]
        file = data / "val" / "metadata.jsonl"
        file.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
        part = read_captions(data, None, None)
        assert part.captions == [["one"], ["two", "three"]]
        assert part.pictures == [str(data / "val" / name) for name in ("c/1.png", "b/0.png")]


@pytest.mark.usefixtures("at_home")
class TestShards:
    """CLIP_benchmark's: ``test/nshards.txt``, ``test/0.tar`` with ``s0000000.webp``, ``.cls``."""

    def write(self, folder: Path, part: str, suffix: str, texts: list[list[str]]) -> Path:
        (folder / part).mkdir(parents=True)
        (folder / part / "nshards.txt").write_text(f"{len(texts)}\n")
        for shard, lines in enumerate(texts):
            members = []
            for number, text in enumerate(lines):
                key = f"s{100 * shard + number:07}"
                members += [(f"{key}.{suffix}", text.encode())]
                members += [(f"{key}.webp", small_picture(100 * shard + number, format="WEBP"))]
            write_tar(folder / part / f"{shard}.tar", members)
        return folder

    def test_classes(self, tmp_path: Path) -> None:
        data = self.write(tmp_path / "wds", "test", "cls", [["2", "0"], ["1", "2", "2\n"]])
        part = read_classes(data, "test")
        assert part.labels.tolist() == [2, 0, 1, 2, 2]
        assert part.classes == ("0", "1", "2")
        names = [picture.name for picture in part.pictures]
        assert names[0] == f"{data}/test/0.tar/s0000000"
        for number, picture in zip((0, 1, 100, 101, 102), part.pictures, strict=True):
            assert picture.read() == small_picture(number, format="WEBP")
            expected = np.asarray(open_rgb(small_picture(number)))
            np.testing.assert_array_equal(np.asarray(open_rgb(picture)).shape, expected.shape)

    def test_names_of_classes(self, tmp_path: Path) -> None:
        data = self.write(tmp_path / "wds", "test", "cls", [["2", "0"]])
        with pytest.raises(UsageError, match=r"has no classnames.txt") as raised:
            read_class_names(data, read_classes(data, "test"), None)
        assert "--class-names" in raised.value.hint
        (data / "classnames.txt").write_text("cat\ndog\nowl\nbat\n")
        part = read_classes(data, "test")
        assert read_class_names(data, part, None) == ["cat", "dog", "owl", "bat"]

    def test_another_part_has_the_same_numbers(self, tmp_path: Path) -> None:
        data = self.write(tmp_path / "wds", "test", "cls", [["2", "0"]])
        assert read_classes(data, "test", ("0", "1", "2", "3")).classes == ("0", "1", "2", "3")
        with pytest.raises(UsageError, match="has the class 2, which the part train has not"):
            read_classes(data, "test", ("0", "1"))

    def test_captions(self, tmp_path: Path) -> None:
        data = self.write(tmp_path / "wds", "test", "txt", [["a dog\n two dogs \n\n"], ["a cat"]])
        part = read_captions(data, None, None)
        assert part.captions == [["a dog", "two dogs"], ["a cat"]]
        assert [picture.key for picture in part.pictures] == ["s0000000", "s0000100"]

    @pytest.mark.parametrize(
        ("breaks", "told"),
        [
            (lambda part: (part / "nshards.txt").write_text("x"), "holds no number of shards"),
            (lambda part: (part / "nshards.txt").write_text("2"), r"1\.tar does not exist"),
            (lambda part: os.truncate(part / "0.tar", 2000), "cut off"),
            (lambda part: write_tar(part / "0.tar", [("a.cls", b"x"), ("a.png", b"x")]),
             "'x' is no number of a class"),
            (lambda part: write_tar(part / "0.tar", [("a.cls", b"9" * 9), ("a.png", b"x")]),
             "'999999999' is no number of a class"),
            (lambda part: write_tar(part / "0.tar", [("a.png", b"x")]), "has no class"),
            (lambda part: write_tar(part / "0.tar", [("a.cls", b"1")]), "has no picture"),
            (lambda part: write_tar(part / "0.tar", [("a.cls", b"\xff"), ("a.png", b"x")]),
             "is not UTF-8"),
            (lambda part: (part.parent / "dataset_type.txt").write_text("multilabel\n"),
             "several classes for a picture"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_named(self, breaks: object, told: str, tmp_path: Path) -> None:
        data = self.write(tmp_path / "wds", "test", "cls", [["0", "1"]])
        breaks(data / "test")
        with pytest.raises(Aimv2Error, match=told):
            read_classes(data, "test")
