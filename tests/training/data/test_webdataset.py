"""WebDataset shards: names of all kinds of tar, samples by open_clip's rules, damage told."""

import gzip
import json
import os
import tarfile
from pathlib import Path
from typing import IO, cast

import pytest

from mlx_aimv2.errors import Aimv2Error, ImageError
from mlx_aimv2.training.data import tar_index
from mlx_aimv2.training.data.options import PairOptions
from mlx_aimv2.training.data.pair import Pair, PairError
from mlx_aimv2.training.data.source import open_pairs
from mlx_aimv2.training.data.webdataset import Shards, expand
from tests.support.tars import Members, pair_members, small_picture, write_tar

FORMATS = {
    "ustar": tarfile.USTAR_FORMAT,
    "gnu": tarfile.GNU_FORMAT,
    "pax": tarfile.PAX_FORMAT,
}
LONG = f"{'long/' * 19}{'x' * 90}"  # over 100 characters, which the three write differently
KEYS = ("a/b", "ünïcode-猫", LONG)


def content(pair: Pair) -> bytes:
    return cast(IO[bytes], pair.image).read()


def outcomes(pairs: Shards) -> list[str]:
    """Each pair's first caption, or what is wrong with it."""
    found = []
    for number in range(len(pairs)):
        try:
            found.append(pairs.read(number).captions[0])
        except PairError as error:
            found.append(str(error))
    return found


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "s.tar")
    (tmp_path / "t.tar").mkdir()
    for name in ("s.tar", "t.tar"):
        with pytest.raises(ImageError, match=f"{name} is no file"):
            Shards([str(tmp_path / name)])


@pytest.mark.parametrize("format", FORMATS)
def test_names_of_each_kind_of_tar(tmp_path: Path, format: str) -> None:
    members = [
        (f"{key}.{suffix}", data)
        for number, key in enumerate(KEYS)
        for suffix, data in (("jpg", b"%d" % number), ("txt", key.encode()))
    ]
    shard = write_tar(tmp_path / "s.tar", members, FORMATS[format])
    pairs = Shards([str(shard)])
    found = [pairs.read(number) for number in range(len(pairs))]
    assert [pair.key for pair in found] == [f"s.tar/{key}" for key in KEYS]
    assert [pair.captions for pair in found] == [(key,) for key in KEYS]
    assert [content(pair) for pair in found] == [b"0", b"1", b"2"]


def test_samples_by_the_rules_of_webdataset(tmp_path: Path) -> None:
    members = [
        ("__meta__.txt", b"skipped"),
        ("./._a.jpg", b"of a Mac"),
        ("README", b"no suffix"),
        ("a.b.jpg", b"the suffix is b.jpg"),
        ("one.JPG", b"1"),
        ("one.txt", b" one \n"),
        ("one.cls", b"7"),
        ("two.txt", b"two"),
        ("two.webp", b"2"),
        ("two.txt", b"again"),  # open_clip: a new sample
        ("x/one.png", b"3"),
        ("x/one.json", json.dumps({"caption": "three", "long": ["3", "", "III"]}).encode()),
        ("empty.png", b"4"),
        ("empty.txt", b" \n"),
        ("latin.png", b"5"),
        ("latin.txt", "café".encode("latin-1")),
        ("alone.png", b"6"),
        ("wrong.png", b"7"),
        ("wrong.json", b"{"),
        ("list.png", b"8"),
        ("list.json", b"[1]"),
    ]
    shard = str(write_tar(tmp_path / "s.tar", members))
    assert outcomes(Shards([shard])) == [
        "one",
        "two",
        "s.tar/two has no picture",
        "three",
        "s.tar/empty has no caption",
        "s.tar/latin: its caption is not UTF-8",
        "s.tar/alone has no caption",
        "s.tar/wrong: its JSON cannot be read",
        "s.tar/list: its JSON has no fields",
    ]
    assert Shards([shard], "long").read(3).captions == ("3", "III")


def test_braces_stand_for_what_a_shell_makes_of_them() -> None:
    assert list(expand("s-{098..101}.tar")) == ["s-098.tar", "s-099.tar", "s-100.tar", "s-101.tar"]
    assert list(expand("{a,b}/{9..10}")) == ["a/9", "a/10", "b/9", "b/10"]
    assert list(expand("plain{x}.tar")) == ["plain{x}.tar"]


def test_shards_by_pattern_by_folder_and_joined(tmp_path: Path) -> None:
    for shard in range(3):
        write_tar(tmp_path / f"s-{shard:02}.tar", pair_members(shard * 5, shard * 5 + 5))
    pattern = f"{tmp_path}/s-{{00..02}}.tar"
    for source in (pattern, str(tmp_path), f"{tmp_path}/s-{{00..01}}.tar::{tmp_path}/s-02.tar"):
        pairs = open_pairs(source)
        assert len(pairs) == 15
        for number in (0, 4, 5, 14):
            pair = pairs.read(number)
            assert pair.captions == (f"picture number {number}",)
            assert content(pair) == small_picture(number)
    with pytest.raises(ImageError, match=r"s-03\.tar does not exist"):
        open_pairs(f"{tmp_path}/s-{{00..03}}.tar")
    with pytest.raises(Aimv2Error, match="stands for no shard"):
        open_pairs(f"{tmp_path}/s-{{02..00}}.tar")


def test_a_shard_is_listed_once_and_again_when_it_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[str] = []
    whole = tar_index._list

    def noted(path: str, size_bytes: int) -> tar_index.Index:
        listed.append(path)
        return whole(path, size_bytes)

    monkeypatch.setattr(tar_index, "_list", noted)
    shard, cache = tmp_path / "s.tar", tmp_path / "cache"
    write_tar(shard, pair_members(0, 3))
    first = outcomes(Shards([str(shard)], cache=cache))
    assert outcomes(Shards([str(shard)], cache=cache)) == first
    assert len(listed) == 1
    write_tar(shard, pair_members(0, 30))
    assert outcomes(Shards([str(shard)], cache=cache)) == [f"picture number {n}" for n in range(30)]
    for kept in cache.iterdir():
        kept.write_bytes(kept.read_bytes()[:-7])
    assert len(Shards([str(shard)], cache=cache)) == 30
    assert len(listed) == 3


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    shard = write_tar(tmp_path / "s.tar", pair_members(0, 2))
    assert len(Shards([str(shard)], cache=tmp_path / "file" / "cache")) == 2


@pytest.mark.parametrize("format", FORMATS)
def test_a_shard_that_is_cut_keeps_what_is_whole(tmp_path: Path, format: str) -> None:
    whole = write_tar(tmp_path / "whole.tar", pair_members(0, 7), FORMATS[format])
    data = whole.read_bytes()
    with tarfile.open(whole) as archive:
        ends = [member.offset_data + member.size for member in archive.getmembers()]
    for length in range(513, ends[-1], 331):
        cut = tmp_path / f"cut-{length}.tar"
        cut.write_bytes(data[:length])
        pairs = Shards([str(cut)])
        complete = sum(end <= length for end in ends[1::2])
        found = outcomes(pairs)
        assert found[:complete] == [f"picture number {number}" for number in range(complete)]
        assert len(found) <= complete + 1
        assert all(line.startswith(cut.name) for line in found[complete:])
        assert len(pairs.notes) == 1
        assert "cut" in pairs.notes[0]


def test_damage_in_the_middle_is_told(tmp_path: Path) -> None:
    shard = write_tar(tmp_path / "s.tar", pair_members(0, 7))
    with tarfile.open(shard) as archive:
        header = archive.getmembers()[6].offset
    data = bytearray(shard.read_bytes())
    data[header : header + 512] = b"\xa5" * 512
    shard.write_bytes(data)
    pairs = open_pairs(str(shard))
    assert len(pairs) == 3
    assert list(pairs.notes) == [f"{shard} is damaged at byte {header:,}: what follows is not read"]


SIZES = {
    "more than the file has": b"00007777777\0",
    "more than an offset holds": b"\x80" + b"\x7f" * 11,
    "more than memory": b"\x80\0\0\0\0\0" + b"\x3f" * 6,
    "less than nothing": b"\xff" * 9 + b"\xf0\0\0",
    "no number": b"12z45678901\0",
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("number", [6, 7])  # a picture, and the long name of a text
def test_a_size_that_is_damaged_is_told(tmp_path: Path, size: str, number: int) -> None:
    members = list(pair_members(0, 7))
    members[7] = (f"{LONG}.txt", b"a name before it")
    shard = write_tar(tmp_path / "s.tar", members, tarfile.PAX_FORMAT)
    with tarfile.open(shard) as archive:
        header = archive.getmembers()[number].offset
    data = bytearray(shard.read_bytes())
    data[header + 124 : header + 136] = SIZES[size]
    data[header + 148 : header + 156] = b" " * 8
    data[header + 148 : header + 156] = b"%06o\0 " % sum(data[header : header + 512])
    shard.write_bytes(data)
    pairs = Shards([str(shard)])
    assert outcomes(pairs)[:3] == [f"picture number {number}" for number in range(3)]
    assert len(pairs) <= 4
    assert len(pairs.notes) == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(b"x", mtime=0), "is compressed"),
        (b"<html>" * 200, "is no tar archive"),
        (b"", "is no tar archive"),
    ],
)
def test_what_is_no_shard_is_said(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "s.tar"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=f"s.tar {message}"):
        open_pairs(str(path))


def test_a_source_without_pairs_is_an_error(tmp_path: Path) -> None:
    members: Members = [("a.npy", b"1"), ("b.mp3", b"2")]
    shard = write_tar(tmp_path / "s.tar", members)
    for source in (str(shard), str(tmp_path)):
        with pytest.raises(Aimv2Error, match="holds no pairs"):
            open_pairs(source)
    for source in ("drawings", str(tmp_path / "x.json"), "drawings:0"):
        with pytest.raises(Aimv2Error):
            open_pairs(source, PairOptions())
