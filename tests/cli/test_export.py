"""``aimv2 library export``: dates, places and tags with origins, read by others' libraries."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlx_aimv2.images.metadata.exif import PhotoFacts
from mlx_aimv2.library.database.captions import Caption
from mlx_aimv2.library.database.store import Store
from tests.support.commands import Outcome, run
from tests.support.synthetic import add_photo, add_set, fill, unit

pytestmark = pytest.mark.usefixtures("at_home")

Rows = list[dict[str, Any]]
PARIS = PhotoFacts("JPEG", 40, 30, 1, "2024-05-31T12:00:00", 48.8566, 2.3522)
NOWHERE = PhotoFacts("HEIF", 30, 40, None, None, None, None)
ORIGINS = [
    {"Animals|Dog": ["you", "file", "vocabulary everyday"], "Beach": ["vocabulary everyday"]},
    {},
    {"Luna": ["you"]},
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos; of the second a tag is rejected, and nothing is known of the last."""
    folder = tmp_path_factory.mktemp("made")
    with Store(folder / "library.db", can_write=True) as store, store.transaction():
        ids = [
            add_photo(store, "/p/a.jpg", facts=PARIS),
            add_photo(store, "/p/b.heic", facts=NOWHERE),
        ]
        ids.append(add_photo(store, b"/p/caf\xe9.jpg", facts=None))
        fill(store, add_set(store, 3), unit(np.eye(3)), ids)
        first, second, last = (store.files_of([id])[id].hash or b"" for id in ids)
        store.add_tags(
            "vocabulary everyday", [(ids[0], "Animals|Dog", 0.9), (ids[0], "Beach", 0.8)]
        )
        store.add_tags("file", [(ids[0], "animals|dog", None), (ids[1], "Beach", None)])
        store.say(first, "Animals|Dog", "confirmed")
        store.say(second, "Beach", "rejected")
        store.say(last, "Luna", "added")
        store.caption(first, Caption("two dogs, <b>a beach</b>", "program", "Describe.", "aria"))
        store.caption(second, Caption("", "you"))
    return folder


def export(folder: Path, target: str) -> Outcome:
    return run("library", "export", target, "--library", str(folder / "library.db"))


def of_npz(target: Path) -> Rows:
    with np.load(target) as arrays:
        return list(json.loads(arrays["metadata"].item())["photos"])


def of_npy(target: Path) -> Rows:
    return list(json.loads(Path(f"{target}.json").read_text())["metadata"]["photos"])


def of_safetensors(target: Path) -> Rows:
    from safetensors import safe_open  # noqa: PLC0415

    with safe_open(target, "numpy") as file:
        return list(json.loads(file.metadata()["metadata"])["photos"])


def of_jsonl(target: Path) -> Rows:
    first, *lines = map(json.loads, target.read_text().splitlines())
    assert "photos" not in first["metadata"]
    return lines


def of_parquet(target: Path) -> Rows:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    table = parquet.read_table(target)
    types = {field.name: str(field.type) for field in table.schema}
    assert types["taken_at"] == types["caption"] == types["caption_origin"] == "string"
    assert types["latitude"] == types["longitude"] == "double"
    assert types["tags"] == "list<element: string>"
    assert types["origins"].startswith("map<string, list<")
    rows = table.to_pylist()
    return [row | {"origins": dict(row["origins"])} for row in rows]


def of_folder(target: Path) -> Rows:
    rows = of_parquet(target / "metadata" / "metadata_0.parquet")
    return [row | {"path": row["image_path"]} for row in rows]


@pytest.mark.parametrize(
    ("target", "read"),
    [
        ("x.npz", of_npz),
        ("x.npy", of_npy),
        ("x.safetensors", of_safetensors),
        ("x.jsonl", of_jsonl),
        ("x.parquet", of_parquet),
        ("folder", of_folder),
    ],
)
def test_each_row_has_date_place_and_tags(
    made: Path, target: str, read: Callable[[Path], Rows]
) -> None:
    if target in ("x.parquet", "folder"):
        pytest.importorskip("pyarrow", reason="needs pyarrow")
    outcome = export(made, target)
    assert outcome.code == 0, outcome.err
    rows = read(Path(target))
    assert [row["path"] for row in rows] == ["/p/a.jpg", "/p/b.heic", "/p/caf\\udce9.jpg"]
    assert [row["taken_at"] for row in rows] == ["2024-05-31T12:00:00", None, None]
    assert [(row["latitude"], row["longitude"]) for row in rows] == [
        (48.8566, 2.3522),
        *[(None, None)] * 2,
    ]
    assert [row["format"] for row in rows] == ["JPEG", "HEIF", None]
    assert [row["origins"] for row in rows] == ORIGINS
    assert [row["tags"] for row in rows] == list(map(list, ORIGINS))
    captions = [(row["caption"], row["caption_origin"]) for row in rows]
    assert captions == [("two dogs, <b>a beach</b>", "program"), *[(None, None)] * 2]


def test_status_counts_tags_by_origin_and_verdicts(made: Path) -> None:
    outcome = run("library", "status", "--json", "--library", str(made / "library.db"))
    (record,) = outcome.records
    assert record["tags"] == {"Animals|Dog": 1, "Beach": 1, "Luna": 1}
    assert record["origins"] == {"you": 2, "vocabulary everyday": 2, "file": 1}
    assert record["verdicts"] == {"added": 1, "confirmed": 1, "rejected": 1}
    shown = run("library", "status", "--library", str(made / "library.db")).out
    assert "you 2, vocabulary everyday 2, file 1" in shown
    assert "1 added, 1 confirmed, 1 rejected" in shown
