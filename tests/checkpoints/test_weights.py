"""Files on disk: which one is read, malformed headers, indices that lead astray."""

import json
import pickle
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlx_aimv2.checkpoints.load import load_checkpoint
from mlx_aimv2.checkpoints.weights import read_config_file, read_weights, weight_files
from mlx_aimv2.errors import CheckpointError
from mlx_aimv2.files.checkpoint_files import INDEX_FILE
from tests.support.makers import random_vision, to_apple_mlx, vision_config, write_checkpoint
from tests.support.users import as_ordinary_user

TENSORS = to_apple_mlx(random_vision())
PROJECTION = "preprocessor.patchifier.proj.weight"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "whole", TENSORS, vision_config())


def refusal(folder: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder)
    return caught.value


# malformed files


def header_of(content: bytes) -> dict:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length])


def with_header(content: bytes, header: object) -> bytes:
    """The same tensors under another header."""
    length = int.from_bytes(content[:8], "little")
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def changed(content: bytes, **entry: object) -> bytes:
    """One tensor's entry changed."""
    header = header_of(content)
    header[PROJECTION] |= entry
    return with_header(content, header)


def moved(content: bytes, by: int) -> bytes:
    start, end = header_of(content)[PROJECTION]["data_offsets"]
    return changed(content, data_offsets=[start + by, end + by])


MALFORMED = {
    "empty": lambda content: b"",
    "seven bytes": lambda content: content[:7],
    "only a length": lambda content: content[:8],
    "half a header": lambda content: content[:100],
    "truncated": lambda content: content[:-1],
    "half": lambda content: content[: len(content) // 2],
    "longer": lambda content: content + b"\0",
    "header beyond the file": lambda content: (2**40).to_bytes(8, "little") + content[8:],
    "header length beyond a file": lambda content: b"\xff" * 8 + content[8:],
    "no header": lambda content: bytes(8) + content[8:],
    "no JSON": lambda content: with_header(content, b"{" * 100),
    "no object": lambda content: with_header(content, [1, 2]),
    "no UTF-8": lambda content: with_header(content, b'{"\xff": 1}'),
    "nested": lambda content: with_header(content, b"[" * 100_000),
    "overlapping offsets": lambda content: moved(content, -4),
    "a gap": lambda content: moved(content, 4),
    "offsets beyond the file": lambda content: moved(content, 10**12),
    "negative offsets": lambda content: moved(content, -(10**12)),
    "offsets for another shape": lambda content: changed(content, shape=[1, 2, 3, 4]),
    "a shape that overflows": lambda content: changed(content, shape=[2**40, 2**40, 2**40, 1]),
    "a negative shape": lambda content: changed(content, shape=[-76, 7, 7, -3]),
    "an unknown type": lambda content: changed(content, dtype="F33"),
    "a type of another width": lambda content: changed(content, dtype="F16"),
    "no offsets": lambda content: changed(content, data_offsets=None),
    "a zip file": lambda content: b"PK\x03\x04" + content,
    "a pickle": lambda content: pickle.dumps({"weight": 1}),
    "a pointer": lambda content: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
}


@pytest.mark.parametrize("harm", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_file_is_named(folder: Path, harm) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(harm(path.read_bytes()))
    error = refusal(folder)
    assert re.match(rf"{re.escape(str(path))} is (not a readable safetensors file|\w)", str(error))
    assert error.hint


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_to_a_header_gets_past(folder: Path, data: st.DataObject) -> None:
    whole = write_checkpoint(folder, TENSORS, vision_config()) / "model.safetensors"
    content = bytearray(whole.read_bytes())
    length = int.from_bytes(content[:8], "little")
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, 8 + length - 1))] = data.draw(st.integers(0, 255))
    whole.write_bytes(content)
    try:
        load_checkpoint(folder)
    except CheckpointError as error:
        assert str(error)


def test_a_tensor_of_nothing(folder: Path) -> None:
    tensors = TENSORS | {PROJECTION: np.zeros((76, 0, 0, 3), np.float32)}
    write_checkpoint(folder, tensors, None)
    assert f"the tensor {PROJECTION} is F32 of (76, 0, 0, 3)" in str(refusal(folder))


@pytest.mark.parametrize("kind", ["folder", "dangling link"])
def test_what_is_no_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.safetensors"
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "gone")
    assert f"{path} is not a readable safetensors file" in str(refusal(tmp_path))


# which file is read


def test_one_copy_of_several(folder: Path) -> None:
    assert [path.name for path in weight_files(folder)] == ["model.safetensors"]
    (folder / "model.safetensors").rename(folder / "mlx_model.safetensors")
    (folder / "model.safetensors").write_bytes(b"never read")
    (folder / "flax_model.msgpack").write_bytes(b"never read")
    (folder / "other.safetensors").write_bytes(b"never read")
    assert [path.name for path in weight_files(folder)] == ["mlx_model.safetensors"]
    load_checkpoint(folder)


@pytest.mark.parametrize("name", ["mlx_model.safetensors", "weights.safetensors"])
def test_the_only_copy_under_another_name(folder: Path, name: str) -> None:
    (folder / "model.safetensors").rename(folder / name)
    assert [path.name for path in weight_files(folder)] == [name]
    load_checkpoint(folder)


def test_pickled_weights_are_named_and_not_read(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert refusal(folder).hint.startswith("pytorch_model.bin is not read")


def test_two_files_of_unknown_names(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "b.safetensors")
    (folder / "a.safetensors").write_bytes(b"")
    error = refusal(folder)
    assert "has no model.safetensors (safetensors files there: a.safetensors, b.safetensors)" in (
        str(error)
    )
    assert "aimv2 models" in error.hint


def test_a_link_into_a_cache_is_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    blob = (folder / "model.safetensors").rename(tmp_path / "blobs" / "0123abcd")
    (folder / "model.safetensors").symlink_to("../blobs/0123abcd")
    assert blob.exists()
    load_checkpoint(folder)


def test_pickled_weights_are_never_opened(tmp_path: Path) -> None:
    for name in ("pytorch_model.bin", "model.pt", "model.ckpt"):
        (tmp_path / name).write_bytes(pickle.dumps({"weight": 1}))
    (tmp_path / "pytorch_model.bin.index.json").write_text("{}")
    (tmp_path / "config.json").write_text(json.dumps(vision_config()))
    script = """
        import sys
        from pathlib import Path
        from mlx_aimv2.errors import CheckpointError
        from mlx_aimv2.checkpoints.load import load_checkpoint

        folder = Path(sys.argv[1])
        opened = []
        def note(event, arguments):
            if event == "open" and str(arguments[0]).startswith(str(folder)):
                opened.append(Path(arguments[0]).name)
        sys.addaudithook(note)
        try:
            load_checkpoint(folder)
        except CheckpointError as error:
            print(error)
        assert opened == ["config.json"], opened
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path} has no model.safetensors (safetensors files there: none)" in done.stdout


# an index


@pytest.fixture
def sharded(folder: Path) -> Path:
    """Two shards and their index, which a test then changes."""
    (folder / "model.safetensors").unlink()
    names = list(TENSORS)
    for number, part in enumerate((names[:7], names[7:]), 1):
        tensors = {name: TENSORS[name] for name in part}
        write_checkpoint(folder, tensors, None, f"model-{number}.safetensors")
    files = dict.fromkeys(names[:7], "model-1.safetensors")
    files |= dict.fromkeys(names[7:], "model-2.safetensors")
    write_index(folder, files)
    return folder


def write_index(folder: Path, weight_map: object) -> None:
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (folder / INDEX_FILE).write_text(json.dumps(index))


def weight_map(folder: Path) -> dict[str, str]:
    return json.loads((folder / INDEX_FILE).read_text())["weight_map"]


def test_a_good_index(sharded: Path) -> None:
    assert [path.name for path in weight_files(sharded)] == [
        "model-1.safetensors",
        "model-2.safetensors",
    ]
    load_checkpoint(sharded)


@pytest.mark.parametrize(
    "name",
    [
        "../whole/model-1.safetensors",
        "/etc/passwd",
        "sub/model-1.safetensors",
        "",
        ".",
        "..",
        "./a",
        "a\0b",
        "pytorch_model.bin",
    ],
)
def test_an_index_that_leaves_its_folder(sharded: Path, name: str) -> None:
    write_index(sharded, weight_map(sharded) | {PROJECTION: name})
    assert f"names {name!r}: shards lie beside it" in str(refusal(sharded))


@pytest.mark.parametrize("name", ["model-3.safetensors", "x" * 300 + ".safetensors"])
def test_an_index_of_a_missing_shard(sharded: Path, name: str) -> None:
    write_index(sharded, weight_map(sharded) | {PROJECTION: name})
    error = refusal(sharded)
    assert f"names {name!r}"[:15] in str(error)
    assert "which is not there" in str(error)
    assert error.hint == "fetch the checkpoint again"


def test_an_index_of_something_else_than_safetensors(sharded: Path) -> None:
    (sharded / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": 1}))
    write_index(sharded, weight_map(sharded) | {PROJECTION: "pytorch_model.bin"})
    assert "pytorch_model.bin': shards lie beside it" in str(refusal(sharded))


@pytest.mark.parametrize("content", [b"{", b'{"weight_map": {"a": "gone.safetensors"}}'])
def test_an_index_that_is_no_whole_copy_hides_no_other(folder: Path, content: bytes) -> None:
    (folder / INDEX_FILE).write_bytes(content)
    assert [path.name for path in weight_files(folder)] == ["model.safetensors"]
    load_checkpoint(folder)


@as_ordinary_user
def test_a_file_that_may_not_be_read(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.chmod(0)
    error = refusal(folder)
    assert f"{path} may not be read (permission denied)" in str(error)
    assert error.hint == "allow it: chmod u+r FILE"


def test_an_index_that_promises_too_much(sharded: Path) -> None:
    write_index(sharded, weight_map(sharded) | {"head.k.weight": "model-2.safetensors"})
    assert "promises head.k.weight in model-2.safetensors: it is not there" in str(refusal(sharded))


def test_an_index_that_mixes_up_its_shards(sharded: Path) -> None:
    write_index(sharded, weight_map(sharded) | {PROJECTION: "model-2.safetensors"})
    assert f"promises {PROJECTION} in model-2.safetensors" in str(refusal(sharded))


BAD_INDICES = {
    "no JSON": b"{",
    "no UTF-8": b"\xff\xfe{}",
    "a list": b"[]",
    "no map": b"{}",
    "a map that is a list": b'{"weight_map": ["a"]}',
    "numbers for names": b'{"weight_map": {"a": 1}}',
    "mixed names": b'{"weight_map": {"a": 1, "b": "c"}}',
    "lists for names": b'{"weight_map": {"a": ["b"]}}',
    "nested": b"[" * 100_000,
    "empty": b"",
}


@pytest.mark.parametrize("content", BAD_INDICES.values(), ids=BAD_INDICES)
def test_an_index_that_is_none(sharded: Path, content: bytes) -> None:
    (sharded / INDEX_FILE).write_bytes(content)
    assert str(sharded / INDEX_FILE) in str(refusal(sharded))


def test_an_index_of_nothing(sharded: Path) -> None:
    write_index(sharded, {})
    assert "names no file" in str(refusal(sharded))


# config.json


@pytest.mark.parametrize("content", [b"{", b"", b"[1]", b'"x"', b"\xff", b"[" * 100_000, b"null"])
def test_a_config_that_cannot_be_read(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    assert str(folder / "config.json") in str(refusal(folder))


def test_a_config_that_is_a_folder(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    assert "config.json cannot be read" in str(refusal(folder))


def test_no_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    assert read_config_file(folder) == {}
    with pytest.raises(CheckpointError, match="num_attention_heads") as caught:
        load_checkpoint(folder)
    assert "config.json" in caught.value.hint


@pytest.mark.parametrize(
    "record",
    [{}, [], "4", {"bits": 4}, {"bits": 4, "group_size": 48}, {"bits": 3, "group_size": 64}],
    ids=str,
)
def test_a_quantisation_nobody_wrote(folder: Path, record: object) -> None:
    config = vision_config() | {"quantization": record}
    (folder / "config.json").write_text(json.dumps(config))
    assert f"quantization is {record!r}" in str(refusal(folder))


# what is known without reading


def test_headers_say_what_the_tensors_are(folder: Path) -> None:
    weights = read_weights(folder)
    assert weights.size_bytes == sum(array.nbytes for array in TENSORS.values())
    assert weights.dtype == "F32"
    assert dict(weights.shapes) == {name: array.shape for name, array in TENSORS.items()}
    assert weights.quantization is None
    for name, array in weights.read([PROJECTION]):
        np.testing.assert_array_equal(np.array(array), TENSORS[name])


def test_the_dtype_is_that_of_most_bytes(folder: Path) -> None:
    arrays = {
        name: mx.array(array).astype(mx.float32 if array.ndim == 1 else mx.bfloat16)
        for name, array in TENSORS.items()
    }
    mx.save_safetensors(str(folder / "model.safetensors"), arrays)
    assert read_weights(folder).dtype == "BF16"


def test_fingerprints_tell_weights_of_one_shape_apart(tmp_path):
    first, same, other = (
        read_weights(write_checkpoint(tmp_path / name, random_vision(seed), vision_config()))
        for name, seed in (("first", 0), ("same", 0), ("other", 1))
    )
    assert first.fingerprint() == same.fingerprint() != other.fingerprint()
