"""``aimv2 embed --shard`` and ``aimv2 merge``: together they are one run, bit for bit."""

from pathlib import Path

import pytest

from tests.support import pictures
from tests.support.commands import Outcome, run
from tests.support.makers import random_vision, vision_config, write_checkpoint
from tests.support.outputs import every_format

COUNT = 11


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder ``photos`` in the folder one is in, one of them broken."""
    monkeypatch.chdir(tmp_path)
    folder = Path("photos")
    folder.mkdir()
    for number in range(COUNT):
        pictures.photo(40 + 17 * (number % 3), 53, number).save(folder / f"{number:02}.png")
    (folder / "04.png").write_bytes(b"not a picture")
    return folder


def embed(*arguments: str, out: str, model: str = "demo") -> Outcome:
    return run("embed", *arguments, "-m", model, "-o", out)


def codes(*arguments: str, out: str, model: str = "demo", count: int = 2) -> list[int]:
    """Exit codes of all shards."""
    outcomes = [
        embed(*arguments, "--shard", f"{number + 1}/{count}", out=out, model=model)
        for number in range(count)
    ]
    return [outcome.code for outcome in outcomes]


def assert_same(one: str, many: str) -> None:
    assert Path(one).read_bytes() == Path(many).read_bytes()


# The same bits


@pytest.mark.parametrize("batch", [[], ["--batch-size", "3"], ["--batch-size", "1"]])
def test_two_shards_are_one_run(batch: list[str], photos: Path) -> None:
    arguments = ["photos", "nowhere", "photos/00.png", *batch]
    assert embed(*arguments, out="one.npz").code == 3
    assert codes(*arguments, out="many.npz") == [3, 3]
    outcome = run("merge", "many.npz")
    assert outcome.code == 3, outcome.err
    assert "photos/04.png" in outcome.err
    assert "nowhere does not exist" in outcome.err
    assert_same("one.npz", "many.npz")


@every_format
def test_every_format_and_a_share_that_is_empty(extension: str, photos: Path) -> None:
    arguments = ["photos/01.png", "photos/00.png"]
    assert embed(*arguments, out=f"one{extension}").code == 0
    assert codes(*arguments, out=f"many{extension}", count=3) == [0, 0, 0]
    assert run("merge", f"many{extension}").code == 0
    assert_same(f"one{extension}", f"many{extension}")


def test_an_empty_share_of_grids(photos: Path) -> None:
    grids = ["photos/01.png", "--pooling", "none"]
    assert embed(*grids, out="one.safetensors").code == 0
    assert codes(*grids, out="many.safetensors") == [0, 0]
    assert run("merge", "many.safetensors").code == 0
    assert_same("one.safetensors", "many.safetensors")


def test_patch_grids(photos: Path) -> None:
    grids = ["photos", "photos/02.png", "--pooling", "none", "--batch-size", "4"]
    assert embed(*grids, out="one.safetensors").code == 3
    assert codes(*grids, out="many.safetensors") == [3, 0]
    assert run("merge", "many.safetensors").code == 3
    assert_same("one.safetensors", "many.safetensors")


def test_texts_one_at_a_time(photos: Path) -> None:
    Path("texts.txt").write_bytes("a dog\n\na café\nnot \xff\nthree red boats\n".encode("latin-1"))
    arguments = ["--texts-from", "texts.txt", "--text", "first", "--batch-size", "1"]
    Path("texts.txt").write_bytes(b"a dog\n\na caf\xc3\xa9\nnot \xff\nthree red boats\n")
    assert embed(*arguments, out="one.jsonl").code == 3
    assert codes(*arguments, out="many.jsonl") == [0, 3]
    assert run("merge", "many.jsonl").code == 3
    assert_same("one.jsonl", "many.jsonl")


def test_native_images_one_at_a_time(photos: Path, tmp_path: Path) -> None:
    tensors, config = random_vision(native=True), vision_config(native=True)
    model = str(write_checkpoint(tmp_path / "native", tensors, config))
    arguments = ["photos", "--batch-size", "1", "--max-patches", "120"]
    assert embed(*arguments, out="one.npy", model=model).code == 3
    assert codes(*arguments, out="many.npy", model=model) == [3, 0]
    assert run("merge", "many.npy").code == 3
    assert_same("one.npy", "many.npy")
    assert_same("one.npy.json", "many.npy.json")


def test_a_share_that_fails_as_a_whole_is_written(photos: Path) -> None:
    arguments = ["photos/00.png", "photos/04.png"]
    assert embed(*arguments, out="one.npz").code == 3
    assert codes(*arguments, out="many.npz") == [0, 3]
    assert run("merge", "many.npz").code == 3
    assert_same("one.npz", "many.npz")


# What is said and refused


def test_a_shard_tells_which_it_is(photos: Path) -> None:
    outcome = embed("photos", "--shard", "2/2", out="x.npz")
    assert "shard 2 of 2: 5 of 11 images\n" in outcome.err
    *_, written, told = outcome.err.splitlines()
    assert written.endswith(" → x.npz.shard-2-of-2")
    assert told.startswith("only merge reads this file, with all other shards beside it: ")
    assert told.endswith(": aimv2 merge x.npz")
    again = embed("photos", "--shard", "2/2", out="x.npz")
    assert again.code == 1
    assert "x.npz.shard-2-of-2 exists already" in again.err
    assert embed("photos", "--shard", "2/2", "--force", out="x.npz").code == 0
    missing = run("merge", "x.npz")
    assert missing.code == 1
    assert "shard 1 of 2 is missing" in missing.err
    assert "aimv2 embed … --out x.npz --shard 1/2 --resume" in missing.err


def test_another_folder_or_dtype_is_refused(photos: Path) -> None:
    assert embed("photos", "--shard", "1/2", out="x.npz").code == 3
    assert embed("photos", "--shard", "2/2", "--dtype", "float16", out="x.npz").code == 0
    outcome = run("merge", "x.npz")
    assert outcome.code == 2
    assert "dtype is float32 and float16" in outcome.err
    (photos / "05.png").unlink()
    assert embed("photos", "--shard", "2/2", "--force", out="x.npz").code == 0
    outcome = run("merge", "x.npz")
    assert outcome.code == 2
    assert "one of 11 inputs, the other of 10" in outcome.err


@pytest.mark.parametrize("shard", ["0/2", "3/2", "x/y", "2", ""])
def test_no_such_shard(shard: str, photos: Path) -> None:
    outcome = embed("photos", "--shard", shard, out="x.npz")
    assert outcome.code == 2
    assert f"there is no shard '{shard}'" in outcome.err
    assert "hint: --shard 1/4 is the first of four" in outcome.err


def test_a_shard_needs_a_file_and_inputs(photos: Path) -> None:
    outcome = embed("photos", "--shard", "1/2", out="-")
    assert outcome.code == 2
    assert "a shard does not go to stdout" in outcome.err
    Path("empty").mkdir()
    outcome = embed("empty", "--shard", "1/2", out="x.npz")
    assert outcome.code == 1
    assert "there are no pictures" in outcome.err
    assert sorted(path.name for path in Path().iterdir()) == ["empty", "photos"]


# Under a launcher


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, as rank 1 of 2."""
    monkeypatch.setenv("MLX_RANK", "1")
    monkeypatch.setenv("MLX_WORLD_SIZE", "2")


@pytest.mark.usefixtures("launched")
def test_a_launched_process_does_its_share(photos: Path) -> None:
    outcome = embed("photos/00.png", "photos/04.png", "photos/02.png", out="x.npz")
    assert "shard 2 of 2: 1 of 3 images" in outcome.err
    assert "photos/04.png" in outcome.err
    assert outcome.code == 0  # an error would end the other
    assert Path("x.npz.shard-2-of-2").exists()
    assert embed("photos/00.png", out="x.npz").code == 1
    same = ["photos/00.png", "photos/04.png", "photos/02.png", "--resume"]
    again = embed(*same, out="x.npz")
    assert (again.code, again.err) == (0, "shard 2 of 2 is done already → x.npz.shard-2-of-2\n")
    other = embed(*same, "--decode", "fast", out="x.npz")
    assert other.code == 2
    assert "made with other settings: preprocessing.decode was exact and is fast" in other.err
    assert "--force" in other.err
    other = embed("photos/00.png", "--resume", out="x.npz")
    assert other.code == 2
    assert "a share of another list of inputs" in other.err


@pytest.mark.usefixtures("launched")
def test_what_is_asked_for_wins_over_the_launcher(photos: Path) -> None:
    assert "shard 1 of 3: 4 of 11" in embed("photos", "--shard", "1/3", out="x.npz").err


@pytest.mark.usefixtures("launched")
def test_a_list_on_stdin_has_no_end_under_a_launcher(photos: Path) -> None:
    for arguments in (["-"], ["--texts-from", "-"]):
        outcome = embed(*arguments, out="x.npz")
        assert outcome.code == 2
        assert "under mlx.launch a list on stdin has no end" in outcome.err
    assert embed("photos", out="-").code == 2


def test_what_a_launcher_left_behind_is_told(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLX_RANK", "1")
    outcome = embed("photos", out="x.npz")
    assert outcome.code == 2
    assert "MLX_RANK=1 says that this is one of several processes" in outcome.err
    assert "unset MLX_RANK" in outcome.err
