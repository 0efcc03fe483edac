"""Output files: what they hold, read back by others' readers, and when they are refused."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from mlx_aimv2 import install_hints
from mlx_aimv2.errors import Aimv2Error, OutputError, UsageError
from mlx_aimv2.files.path_text import escape, unescape
from mlx_aimv2.outputs import output_file
from mlx_aimv2.outputs.embeddings import Entry, Table
from mlx_aimv2.outputs.formats import FORMATS, blocks
from tests.support.counted import allocated
from tests.support.names import takes_any_bytes
from tests.support.outputs import NAMES, WIDTH, every_format, values_of, write

MADE_BY = {"checkpoint": "large-224-lit", "dtype": "float32", "preprocessing": {"mean": (0.5, 1)}}


def entries() -> Iterator[Entry]:
    for row, name in enumerate(NAMES):
        if row == 2:
            yield Entry("bad.jpg", error="bad.jpg is empty (0 bytes)")
        note = "only the middle is seen" if row == 3 else None
        yield Entry(name, (WIDTH,), partial(values_of, row), note)


TABLE = Table(MADE_BY, entries)
EMBEDDINGS = np.stack([values_of(row) for row in range(len(NAMES))])


Content = tuple[np.ndarray, list[str], dict[str, object]]


def read_npz(file: Path, kind: str) -> Content:
    with np.load(file, allow_pickle=False) as arrays:
        assert set(arrays) == {"embeddings", f"{kind}s", "metadata"}
        metadata = json.loads(arrays["metadata"].item())
        return arrays["embeddings"], arrays[f"{kind}s"].tolist(), metadata


def read_npy(file: Path, kind: str) -> Content:
    beside = json.loads(file.with_name(file.name + ".json").read_text("utf-8"))
    return np.load(file, mmap_mode="r"), beside[f"{kind}s"], beside["metadata"]


def read_safetensors(file: Path, kind: str) -> Content:
    with safe_open(file, "np") as opened:
        facts = opened.metadata()
        assert list(opened.keys()) == ["embeddings"]
        embeddings = opened.get_tensor("embeddings")
    return embeddings, json.loads(facts[f"{kind}s"]), json.loads(facts["metadata"])


def read_jsonl(file: Path, kind: str) -> Content:
    first, *lines = map(json.loads, file.read_text("utf-8").split("\n")[:-1])
    assert {line["schema"] for line in (first, *lines)} == {1}
    good = [line for line in lines if "embedding" in line]
    failed = [{kind: line[kind], "reason": line["error"]} for line in lines if "error" in line]
    notes = [{kind: line[kind], "note": line["note"]} for line in lines if "note" in line]
    assert len(good) + len(failed) == len(lines)
    embeddings = np.array([line["embedding"] for line in good], np.float64).astype(np.float32)
    metadata = first["metadata"] | {"failed": failed, "notes": notes}
    return embeddings, [line[kind] for line in good], metadata


def read_parquet(file: Path, kind: str) -> Content:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    table = parquet.read_table(file)
    assert table.column_names == [kind, "embedding"]
    embeddings = np.stack(table["embedding"].to_numpy())
    metadata = json.loads(table.schema.metadata[b"metadata"])
    return embeddings, table[kind].to_pylist(), metadata


READERS = {
    ".npz": read_npz,
    ".npy": read_npy,
    ".safetensors": read_safetensors,
    ".jsonl": read_jsonl,
    ".parquet": read_parquet,
}
# Names


@given(
    st.binary(max_size=20)
    | st.lists(
        st.sampled_from([b"\\", b"u", b"dcff", b"dc5c", b"\\udcff", b"\\udc5c", b"\xff"])
    ).map(b"".join)
)
def test_escaped_names_come_back(name: bytes) -> None:
    text = escape(os.fsdecode(name))
    assert os.fsencode(unescape(text)) == name
    assert text.encode().decode() == text


@given(st.text())
def test_names_that_are_text_stay_as_they_are(name: str) -> None:
    if "\\ud" not in name:
        assert escape(name) == name


def test_escapes_are_those_of_the_design() -> None:
    assert escape(os.fsdecode(b"\xff.jpg")) == r"\udcff.jpg"
    assert escape(r"\udcff.jpg") == r"\udc5cudcff.jpg"
    assert escape(r"C:\udo\ud.jpg") == r"C:\udo\ud.jpg"


# Formats


@every_format
def test_what_is_written_is_read_back(extension: str, tmp_path: Path) -> None:
    file = tmp_path / f"photos{extension}"
    write(TABLE, file)
    embeddings, paths, metadata = READERS[extension](file, "path")
    assert embeddings.dtype == np.float32
    np.testing.assert_array_equal(embeddings, EMBEDDINGS)
    assert [unescape(path) for path in paths] == NAMES
    assert metadata == json.loads(json.dumps(MADE_BY)) | {
        "failed": [{"path": "bad.jpg", "reason": "bad.jpg is empty (0 bytes)"}],
        "notes": [{"path": escape(NAMES[3]), "note": "only the middle is seen"}],
    }
    assert sorted(part.name for part in tmp_path.iterdir()) == sorted(
        part.name for part in FORMATS[extension].parts(file)
    )


@every_format
def test_texts_are_called_texts(extension: str, tmp_path: Path) -> None:
    words = Table({"kind": "text"}, lambda: iter([Entry("a dog", (WIDTH,), partial(values_of, 0))]))
    write(words, tmp_path / f"words{extension}")
    _, texts, _ = READERS[extension](tmp_path / f"words{extension}", "text")
    assert texts == ["a dog"]


@every_format
def test_equal_tables_give_equal_bytes(extension: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(TABLE, tmp_path / f"{name}{extension}")
    a, b = ((tmp_path / f"{name}{extension}").read_bytes() for name in ("a", "b"))
    assert a == b


@every_format
def test_memory_does_not_grow_with_the_rows(
    extension: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 100_000)
    row = np.full(31 if extension == ".jsonl" else 499, np.pi, np.float32)

    def table_of(count: int) -> Table:
        def entries() -> Iterator[Entry]:
            return (Entry(f"{i:060}.jpg", row.shape, lambda: row) for i in range(count))

        return Table({}, entries)

    def peak_bytes(count: int) -> int:
        with allocated() as most_bytes:
            write(table_of(count), tmp_path / f"{count}{extension}")
            return most_bytes()

    peak_bytes(100)  # what is imported and cached once
    # Parquet is written in groups of four blocks.
    room = 1_200_000 if extension == ".parquet" else 100_000
    assert peak_bytes(1000) - peak_bytes(99) < room


def test_mlx_reads_tensors_and_arrays(tmp_path: Path) -> None:
    for extension in (".safetensors", ".npy"):
        write(TABLE, tmp_path / f"photos{extension}")
    tensors, metadata = mx.load(str(tmp_path / "photos.safetensors"), return_metadata=True)
    array = mx.load(str(tmp_path / "photos.npy"))
    assert len(json.loads(metadata["paths"])) == len(NAMES)
    for found in (tensors["embeddings"], array):
        assert np.array(found).tobytes() == EMBEDDINGS.tobytes()


def test_patch_grids_are_one_tensor_each(tmp_path: Path) -> None:
    def grids() -> Iterator[Entry]:
        for row, name in enumerate(["__metadata__", *NAMES, NAMES[0], "bad.jpg"]):
            shape = (row + 1, 3, WIDTH)
            grid = np.full(shape, row, np.float32)
            if name == "bad.jpg":
                yield Entry(name, error="bad.jpg is empty")
            else:
                yield Entry(name, shape, lambda grid=grid: grid)

    file = tmp_path / "grids.safetensors"
    write(Table(MADE_BY | {"pooling": "none"}, grids), file)
    with safe_open(file, "np") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        metadata = json.loads(opened.metadata()["metadata"])
    assert {unescape(name) for name in tensors} == {"./__metadata__", *NAMES}
    for row, name in enumerate(["./__metadata__", *NAMES]):
        tensor = tensors[escape(name)]
        assert tensor.shape == (row + 1, 3, WIDTH)
        assert (tensor == row).all()
    assert metadata["failed"] == [{"path": "bad.jpg", "reason": "bad.jpg is empty"}]


def test_a_source_whose_name_is_not_utf8_does_not_break_the_metadata(tmp_path: Path) -> None:
    made_by = {"checkpoint": os.fsdecode(b"/models/\xff"), "nested": [{"a": "\udc80"}]}
    table = Table(made_by, entries)
    for extension in (".npz", ".jsonl"):
        write(table, tmp_path / f"photos{extension}")
        _, _, metadata = READERS[extension](tmp_path / f"photos{extension}", "path")
        assert metadata["checkpoint"] == r"/models/\udcff"


# Targets


@every_format
def test_a_target_may_have_any_name(extension: str, tmp_path: Path) -> None:
    if not takes_any_bytes(tmp_path):
        pytest.skip("needs a file system that takes any bytes")
    file = tmp_path / os.fsdecode(b"caf\xe9 {}%s" + extension.encode())
    write(TABLE, file)
    write(TABLE, tmp_path / f"plain{extension}")
    assert file.read_bytes() == (tmp_path / f"plain{extension}").read_bytes()


def test_an_existing_target_is_replaced_only_when_that_is_wanted(tmp_path: Path) -> None:
    for name in ("photos.npz", "photos.npy.json"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(OutputError, match=f"{name} exists already"):
            write(TABLE, tmp_path / name.removesuffix(".json"))
        assert (tmp_path / name).read_text() == "mine"
    write(TABLE, tmp_path / "photos.npy", overwrite=True)
    embeddings, _, _ = read_npy(tmp_path / "photos.npy", "path")
    assert embeddings.shape == EMBEDDINGS.shape


def test_a_link_that_leads_nowhere_is_a_target_that_exists(tmp_path: Path) -> None:
    (tmp_path / "photos.npz").symlink_to("gone")
    with pytest.raises(OutputError, match="exists already"):
        output_file.check_target(tmp_path / "photos.npz")


def test_a_folder_to_make_is_named_as_a_shell_takes_it(tmp_path: Path) -> None:
    with pytest.raises(OutputError) as caught:
        output_file.check_target(tmp_path / "my photos" / "x.npz")
    assert caught.value.hint == f"make it first: mkdir -p '{tmp_path}/my photos'"


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("photos", UsageError, "has no known extension"),
        ("photos.csv", UsageError, "has no known extension"),
        ("no/photos.npz", OutputError, "there is no folder"),
        ("folder.npz", OutputError, "is a folder"),
    ],
)
def test_targets_that_cannot_come_to_be(
    name: str, kind: type[Aimv2Error], message: str, tmp_path: Path
) -> None:
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(kind, match=message) as caught:
        write(TABLE, tmp_path / name)
    assert caught.value.hint
    assert [part.name for part in tmp_path.iterdir()] == ["folder.npz"]


def test_extensions_are_known_in_capitals_too(tmp_path: Path) -> None:
    write(TABLE, tmp_path / "PHOTOS.NPY")
    assert (tmp_path / "PHOTOS.NPY.json").exists()


@pytest.mark.parametrize("extension", sorted(set(FORMATS) - {".safetensors"}))
def test_only_safetensors_hold_patch_grids(extension: str) -> None:
    assert output_file.format_of(Path("x.safetensors"), grids=True).holds_grids
    if extension != ".parquet":
        output_file.format_of(Path(f"x{extension}"))
    with pytest.raises(UsageError, match="not patch grids") as caught:
        output_file.format_of(Path(f"x{extension}"), grids=True)
    assert caught.value.hint == "use .safetensors"


def test_parquet_without_pyarrow_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_file, "find_spec", lambda name: None)
    with pytest.raises(OutputError, match="need pyarrow") as caught:
        output_file.check_target(Path("x.parquet"))
    assert caught.value.hint == install_hints.extra("parquet")


def test_a_table_without_rows_is_not_written(tmp_path: Path) -> None:
    table = Table({}, lambda: iter([Entry("bad.jpg", error="bad.jpg is empty")]))
    with pytest.raises(OutputError, match="nothing to write"):
        write(table, tmp_path / "photos.npz")
    assert not list(tmp_path.iterdir())


def test_names_beyond_a_safetensors_header_are_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    safetensors = FORMATS[".safetensors"]
    safetensors.check_names(10**6, 90 * 10**6)
    for extension in FORMATS:
        if extension != ".safetensors":
            FORMATS[extension].check_names(10**9, 10**11)
    with pytest.raises(OutputError, match="room for 100,000,000 bytes") as caught:
        safetensors.check_names(10**6, 95 * 10**6)
    assert ".npz" in caught.value.hint

    small = replace(safetensors, max_names_bytes=300)
    monkeypatch.setitem(FORMATS, ".safetensors", small)
    with pytest.raises(OutputError, match="room for 300 bytes"):
        write(TABLE, tmp_path / "photos.safetensors")
    assert not list(tmp_path.iterdir())
