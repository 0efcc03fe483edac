"""Which share of a run is whose, and how a process learns that."""

import json
import os
from pathlib import Path

import pytest

from mlx_aimv2.errors import UsageError
from mlx_aimv2.outputs.shard import Shard, Share, launched, number_of, parse, target_of


def taken(inputs: int, shard: Shard) -> list[bytes]:
    """The names of a shard's share of so many."""
    names = ((f"{number}.jpg".encode(), None) for number in range(inputs))
    return [name for name, _ in Share(shard).take(names)]


def test_shards_share_all_inputs_evenly() -> None:
    for inputs in (0, 1, 6, 7, 101):
        for count in (1, 2, 7):
            shares = [taken(inputs, Shard(number, count)) for number in range(1, count + 1)]
            assert len({name for share in shares for name in share}) == inputs
            sizes = [len(share) for share in shares]
            assert sum(sizes) == inputs
            assert max(sizes) - min(sizes) <= 1


def test_a_share_takes_its_own_and_knows_of_all() -> None:
    names = [f"{number}.jpg".encode() for number in range(11)]
    taken = []
    for number in (1, 2, 3):
        share = Share(Shard(number, 3))
        taken.append([name for name, _ in share.take((name, None) for name in names)])
        assert (share.inputs, share.usable) == (11, 11)
        assert share.names_bytes == sum(map(len, names))
    assert taken == [names[0::3], names[1::3], names[2::3]]


def test_every_shard_of_a_list_says_the_same_of_it_and_of_another_something_else() -> None:
    def listing(names: list[bytes], shard: Shard) -> str:
        share = Share(shard)
        list(share.take((name, None) for name in names))
        return share.names

    lists = [[b"a", b"bc"], [b"ab", b"c"], [b"bc", b"a"], [b"a"], [b"a", b"bc", b""]]
    assert len({listing(names, Shard(1, 2)) for names in lists}) == len(lists)
    for names in lists:
        assert listing(names, Shard(1, 2)) == listing(names, Shard(2, 2))


@pytest.mark.parametrize(("text", "shard"), [("1/1", Shard(1, 1)), ("07/12", Shard(7, 12))])
def test_shards_that_can_be_asked_for(text: str, shard: Shard) -> None:
    assert parse(text) == shard


@pytest.mark.parametrize(
    "text",
    ["0/2", "3/2", "x/y", "", "/", "1", "1/", "/2", "1/2/3", "-1/2", "1.0/2", " 1/2", "1/0", "0/0",
     "١/٢", "1/2\n", "1" * 5000 + "/2"],
)  # fmt: skip
def test_shards_that_cannot(text: str) -> None:
    with pytest.raises(UsageError, match="there is no shard") as caught:
        parse(text)
    assert "--shard 1/4" in caught.value.hint


@pytest.mark.parametrize("name", ["photos.npz", "a.b.npz", "PHOTOS.NPY", "x.shard-1-of-2.jsonl"])
def test_a_shards_file_is_known_by_its_name(name: str) -> None:
    target, shard = Path("there") / name, Shard(12, 34)
    file = shard.file(target)
    assert file.parent == target.parent
    assert file.name == f"{name}.shard-12-of-34"
    assert number_of(file, target) == shard
    assert target_of(file) == target


@pytest.mark.parametrize(
    "name",
    ["photos.npz", "photos.npy.shard-1-of-2", "other.npz.shard-1-of-2", "photos.npz.shard-0-of-2",
     "photos.npz.shard-1-of-2.tmp", "photos.npz.shard-01-of-2", "photos.npzXshard-1-of-2",
     "photos.npz.shard-1-of-2-copy", ".photos.npz.shard-1-of-2.partial",
     "photos.shard-1-of-2.npz"],
)  # fmt: skip
def test_other_files_are_no_shards(name: str) -> None:
    assert number_of(Path(name), Path("photos.npz")) is None


def test_a_name_need_not_be_utf8() -> None:
    target = Path(os.fsdecode(b"caf\xe9.npz"))
    assert number_of(Shard(1, 2).file(target), target) == Shard(1, 2)


# Launchers


def ring(folder: Path, ranks: int) -> str:
    """The file that mlx.launch writes: an address for each rank, or nothing for one alone."""
    file = folder / "ring.json"
    rows = [[f"127.0.0.1:{32323 + rank}"] for rank in range(ranks)]
    file.write_text((json.dumps(rows) if ranks > 1 else "") + "\n")
    return str(file)


def test_without_a_launcher_there_is_no_shard() -> None:
    assert launched({}) is None
    assert launched({"MLX_WORLD_SIZE": "4", "MLX_HOSTFILE": "nowhere"}) is None


def test_the_ring_and_its_ranks(tmp_path: Path) -> None:
    for rank in range(3):
        environment = {"MLX_RANK": str(rank), "MLX_HOSTFILE": ring(tmp_path, 3)}
        assert launched(environment) == Shard(rank + 1, 3, is_launched=True)
    assert launched({"MLX_RANK": "0", "MLX_HOSTFILE": ring(tmp_path, 1)}) is None


def test_the_other_backends(tmp_path: Path) -> None:
    devices = tmp_path / "devices.json"
    devices.write_text(json.dumps([[None, "rdma_en2"], ["rdma_en2", None]]))
    for environment in (
        {"MLX_RANK": "1", "MLX_WORLD_SIZE": "2"},  # nccl
        {"MLX_RANK": "1", "MLX_IBV_DEVICES": str(devices)},  # jaccl
        {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"},  # mpi
    ):
        assert launched(environment) == Shard(2, 2, is_launched=True)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"MLX_RANK": "0"}, "of how many is not said"),
        ({"MLX_RANK": "0", "MLX_HOSTFILE": "gone.json"}, "of how many is not said"),
        ({"MLX_RANK": "0", "MLX_HOSTFILE": "torn.json"}, "of how many is not said"),
        ({"MLX_RANK": "0", "MLX_HOSTFILE": "number.json"}, "of how many is not said"),
        ({"MLX_RANK": "0", "MLX_WORLD_SIZE": "many"}, "of how many is not said"),
        ({"MLX_RANK": "2", "MLX_WORLD_SIZE": "2"}, "of 2"),
        ({"MLX_RANK": "-1", "MLX_WORLD_SIZE": "2"}, "of 2"),
        ({"MLX_RANK": "", "MLX_WORLD_SIZE": "2"}, "of 2"),
        ({"OMPI_COMM_WORLD_RANK": "0"}, "of how many is not said"),
    ],
)
def test_what_a_launcher_left_behind_is_told(
    environment: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("torn.json").write_text("[[")
    Path("number.json").write_text("7")
    with pytest.raises(UsageError, match=said) as caught:
        launched(environment)
    (name, *_) = environment
    assert f"unset {name}" in caught.value.hint
    assert "--shard" in caught.value.hint
