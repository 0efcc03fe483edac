"""Pairs named in tables: Hugging Face's imagefolder in its three forms, and open_clip's CSV."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.images.decode import open_rgb
from mlx_aimv2.training.data.options import PairOptions
from mlx_aimv2.training.data.pair import PairError, Pairs
from mlx_aimv2.training.data.source import open_pairs
from tests.support.tars import pair_members, small_picture, write_tar

Rows = Sequence[dict[str, Any]]


def write_lines(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_table(path: Path, rows: Rows, separator: str = ",") -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)


def write_parquet(path: Path, rows: Rows) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)


WRITERS: dict[str, Callable[[Path, Rows], None]] = {
    "jsonl": write_lines,
    "csv": write_table,
    "parquet": write_parquet,
}


def outcomes(pairs: Pairs) -> list[str]:
    """Each pair's captions, or what is wrong with it."""
    found = []
    for number in range(len(pairs)):
        try:
            found.append(" | ".join(pairs.read(number).captions))
        except PairError as error:
            found.append(str(error))
    return found


def rows_of(folder: Path, names: Sequence[str]) -> Rows:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(small_picture(number))
    return [{"file_name": name, "text": f"Bild „{name}“,\nhier", "more": 7} for name in names]


@pytest.mark.parametrize("kind", WRITERS)
def test_an_imagefolder(tmp_path: Path, kind: str) -> None:
    rows = rows_of(tmp_path, ["a.png", "in/ü.png"])
    WRITERS[kind](tmp_path / f"metadata.{kind}", rows)
    pairs = open_pairs(str(tmp_path))
    assert outcomes(pairs) == [row["text"] for row in rows]
    assert pairs.read(1).key == "in/ü.png"
    assert open_rgb(pairs.read(1).image).size == open_rgb(small_picture(1)).size


@pytest.mark.parametrize("kind", WRITERS)
def test_only_the_split_for_training_is_taken(tmp_path: Path, kind: str) -> None:
    for split in ("train", "test"):
        rows = rows_of(tmp_path / split, [f"{split}.png"])
        WRITERS[kind](tmp_path / split / f"metadata.{kind}", rows)
    assert [open_pairs(str(tmp_path)).read(0).key] == ["train.png"]
    rows = rows_of(tmp_path, ["test/test.png", "train/train.png", "validation/x.png"])
    WRITERS[kind](tmp_path / f"metadata.{kind}", rows)
    pairs = open_pairs(str(tmp_path))
    assert [pairs.read(number).key for number in range(len(pairs))] == ["train/train.png"]
    assert "2 rows of other splits are left out" in pairs.notes[0]


def test_lines_that_are_broken_are_pairs_that_are_broken(tmp_path: Path) -> None:
    (tmp_path / "metadata.jsonl").write_bytes(
        b'{"file_name": "a.png", "text": ["one", "", "two"]}\n'
        b"{\n\n"
        b'{"file_name": "b.png", "text": "caf\xe9"}\n'
        b"[7]\n"
        b'{"file_name": "c.png", "text": "\\ud800"}\n'
        b'{"file_name": "d.png", "text": null}\n'
        b'{"file_name": "e.png"}\n'
        b'{"file_name": 7, "text": "seven"}\n'
        b'{"text": "no name"}\n' + b"[" * 100_000  # no line end, and deeper than a parser goes
    )
    table = tmp_path / "metadata.jsonl"
    assert outcomes(open_pairs(str(tmp_path))) == [
        "one | two",
        f"{table}, line 2 is no JSON object in UTF-8",
        f"{table}, line 4 is no JSON object in UTF-8",
        f"{table}, line 5 is no JSON object in UTF-8",
        "c.png: its caption is not UTF-8",
        "d.png has no caption",
        "e.png has no caption",
        f"{table}, row 8 names no picture",
        f"{table}, row 9 names no picture",
        f"{table}, line 11 is no JSON object in UTF-8",
    ]


def test_a_csv_as_open_clip_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(small_picture(1))
    rows = [
        {"filepath": "a.png", "title": 'one "quoted"\nin two lines'},
        {"filepath": str(tmp_path / "a.png"), "title": "two\tand more"},
        {"filepath": "a.png", "title": ""},
    ]
    write_table(tmp_path / "pairs.csv", rows, "\t")
    pairs = open_pairs("pairs.csv")
    assert outcomes(pairs) == [rows[0]["title"], rows[1]["title"], "a.png has no caption"]
    for number in (0, 1):
        assert open_rgb(pairs.read(number).image)
    (tmp_path / "pairs.csv").write_bytes(
        b"title;url;image\ncaf\xe9;u;a.png\nshort\n\nlong;u;a.png;more;and more\n" + b"x" * 200_000
    )
    options = PairOptions(image_key="image", caption_key="title", separator=";")
    assert outcomes(open_pairs("pairs.csv", options)) == [
        "a.png: its caption is not UTF-8",
        "pairs.csv, row 2 names no picture",
        "long",
        "pairs.csv, line 6: field larger than field limit (131072)",
    ]


@pytest.mark.parametrize(
    ("name", "content", "options", "message", "hint"),
    [
        ("a.csv", "filepath,title\na,b\n", {}, "it has 'filepath,title'", "--separator"),
        ("a.csv", "filepath\tcaption\na\tb\n", {}, "no column 'title'", "name the column"),
        ("a.csv", "a,b\nc,d\n", {"separator": "ab"}, "no separator", "one character"),
        ("a.csv", "a,b\nc,d\n", {"separator": "\n"}, "no separator", "one character"),
        ("a.csv", "a,b\nc,d\n", {"separator": '"'}, "no separator", "one character"),
        ("a.csv", "", {}, "holds no pairs", ""),
        ("metadata.jsonl", '{"file_name": "a", "x": 1}\n', {}, "no column 'text'", "caption-key"),
        ("metadata.jsonl", "", {}, "holds no pairs", ""),
    ],
)
def test_tables_that_do_not_fit_are_usage_errors(
    tmp_path: Path, name: str, content: str, options: dict[str, str], message: str, hint: str
) -> None:
    (tmp_path / name).write_text(content)
    source = tmp_path if name == "metadata.jsonl" else tmp_path / name
    with pytest.raises(Aimv2Error, match=message) as caught:
        open_pairs(str(source), PairOptions(**options))
    assert caught.value.exit_code == 2
    assert hint in caught.value.hint_for(["--image-key", "--caption-key", "--separator"])


def test_sources_that_are_not_there_or_not_plain(tmp_path: Path) -> None:
    for source in ("x.csv", "x.tar", "x", f"{tmp_path}::x.tar"):
        with pytest.raises(Aimv2Error):
            open_pairs(source)
    (tmp_path / "metadata.parquet").write_bytes(b"PAR1")
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    with pytest.raises(Aimv2Error, match="no readable Parquet file"):
        open_pairs(str(tmp_path))
    write_tar(tmp_path / "s.tar", pair_members(0, 1))
    with pytest.raises(Aimv2Error, match=r"metadata\.parquet and s\.tar: one of them"):
        open_pairs(str(tmp_path))


def test_drawings_have_captions_and_a_side() -> None:
    pairs = open_pairs("drawings:3:56::drawings:2")
    assert len(pairs) == 5
    sizes = [open_rgb(pairs.read(number).image).size for number in range(5)]
    assert sizes == [(56, 56)] * 3 + [(224, 224)] * 2
    assert pairs.read(0).captions == pairs.read(3).captions
    assert len(pairs.read(0).captions) == 4
