"""Shards to one file: the bytes that one process writes, or a refusal that says why."""

import json
import os
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlx_aimv2.errors import Aimv2Error, OutputError, UsageError
from mlx_aimv2.files.lock import take_lock
from mlx_aimv2.outputs import merge
from mlx_aimv2.outputs.embeddings import Entry
from mlx_aimv2.outputs.formats import blocks
from mlx_aimv2.outputs.shard import Shard
from tests.support.commands import run
from tests.support.counted import allocated
from tests.support.outputs import NAMES, WIDTH, every_format, values_of
from tests.support.shards import Entries, shard, shards, whole

COUNT = 23
STRANGE = [*NAMES, "__metadata__", '"}, "paths": [', ", ", "\N{SNOWMAN}" * 70, "]}\n"]
MADE_BY = {
    "kind": "image",
    "checkpoint": "demo",
    "dtype": "float32",
    "widened_from": None,
    "width": WIDTH,
    "pooling": "mean",
    "preprocessing": {"mean": [0.5, 1]},
}
TEXTS = {key: value for key, value in MADE_BY.items() if key != "pooling"} | {"kind": "text"}
GRIDS = MADE_BY | {"pooling": "none"}


def name_of(number: int) -> str:
    return STRANGE[number] if number < len(STRANGE) else f"{number:04}.jpg"


def entry_of(number: int, *, is_grid: bool = False) -> Entry:
    name = name_of(number)
    if number % 7 == 3:
        return Entry(name, error=f"{name} is empty")
    note = f"of {name} only the middle is seen" if number % 5 == 2 else None
    if is_grid:
        shape = (number % 3 + 1, 2, WIDTH)
        return Entry(name, shape, partial(np.full, shape, number, np.float32), note)
    return Entry(name, (WIDTH,), partial(values_of, number), note)


def entries_of(numbers: range, *, is_grid: bool = False) -> Entries:
    return lambda: (entry_of(number, is_grid=is_grid) for number in numbers)


ENTRIES = entries_of(range(COUNT))


def merged(files: list[Path], target: Path) -> bytes:
    with merge.open_whole(files) as opened:
        opened.check_target(target)
        list(opened.verify())
        opened.write(target)
    return target.read_bytes()


def change(file: Path, statement: str, *values: str) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(statement, values)


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# The same bytes


@every_format
@pytest.mark.parametrize("count", [1, 5])
def test_shards_are_merged_to_what_one_process_writes(
    count: int, extension: str, tmp_path: Path
) -> None:
    one, many = tmp_path / f"one{extension}", tmp_path / f"many{extension}"
    expected = whole(ENTRIES, MADE_BY, one)
    made = shards(ENTRIES, MADE_BY, many, count)
    there = listed(tmp_path)
    assert merged(merge.find(many), many) == expected
    for beside in tmp_path.glob("one.*.json"):
        assert beside.read_bytes() == (tmp_path / "many.npy.json").read_bytes()
    assert set(there) < set(listed(tmp_path))
    assert [file.name for file in made if not file.exists()] == []
    assert not [name for name in listed(tmp_path) if name.startswith(".")]


@every_format
def test_more_shards_than_inputs_leave_some_empty(extension: str, tmp_path: Path) -> None:
    entries = entries_of(range(2))
    expected = whole(entries, MADE_BY, tmp_path / f"one{extension}")
    target = tmp_path / f"many{extension}"
    made = shards(entries, MADE_BY, target, 5)
    assert merged([made[i] for i in (3, 0, 4, 1, 2)], target) == expected


@every_format
def test_texts(extension: str, tmp_path: Path) -> None:
    expected = whole(ENTRIES, TEXTS, tmp_path / f"one{extension}")
    target = tmp_path / f"many{extension}"
    assert merged([*shards(ENTRIES, TEXTS, target, 3)], target) == expected


def test_patch_grids_and_images_that_were_named_twice(tmp_path: Path) -> None:
    numbers = [*range(COUNT), 1, 1, 5, 3, 0, 9, 2]

    def entries() -> Iterator[Entry]:
        return (entry_of(number, is_grid=True) for number in numbers)

    expected = whole(entries, GRIDS, tmp_path / "one.safetensors")
    for count in (1, 2, 3, 40):
        target = tmp_path / f"many{count}.safetensors"
        assert merged([*shards(entries, GRIDS, target, count)], target) == expected


def test_vectors_of_images_that_were_named_twice(tmp_path: Path) -> None:
    def entries() -> Iterator[Entry]:
        return (entry_of(number) for number in (5, 1, 5, 5, 2, 3, 2, 3))

    expected = whole(entries, MADE_BY, tmp_path / "one.npz")
    target = tmp_path / "many.npz"
    assert merged([*shards(entries, MADE_BY, target, 2)], target) == expected


@every_format
def test_shards_become_any_format(extension: str, tmp_path: Path) -> None:
    expected = whole(ENTRIES, MADE_BY, tmp_path / f"one{extension}")
    made = shards(ENTRIES, MADE_BY, tmp_path / "many.npz", 2)
    assert merged([*made], tmp_path / f"many{extension}") == expected


def test_what_one_shard_widened_is_told_of_the_whole(tmp_path: Path) -> None:
    narrow = MADE_BY | {"dtype": "float16"}
    wide = MADE_BY | {"dtype": "float32", "widened_from": "float16"}
    expected = whole(ENTRIES, wide, tmp_path / "one.npz")
    target = tmp_path / "many.npz"
    made = [shard(ENTRIES, narrow, target, Shard(1, 2)), shard(ENTRIES, wide, target, Shard(2, 2))]
    assert merged(made, target) == expected


@pytest.mark.parametrize("extension", [".npz", ".npy", ".jsonl"])
def test_memory_does_not_grow_with_the_rows(
    extension: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 100_000)
    row = np.full(53 if extension == ".jsonl" else 499, np.pi, np.float32)

    def peak_bytes(count: int) -> int:
        def entries() -> Iterator[Entry]:
            return (Entry(f"{i:0200}.jpg", row.shape, lambda: row) for i in range(count))

        target = tmp_path / f"{count}{extension}"
        made = [*shards(entries, MADE_BY | {"width": len(row)}, target, 2)]
        with allocated() as most_bytes, merge.open_whole(made) as opened:
            list(opened.verify())
            opened.write(target)
            return most_bytes()

    peak_bytes(100)  # what is imported and cached once
    # 500 rows are a megabyte; their names, a tenth of it, may be held.
    assert peak_bytes(500) - peak_bytes(99) < 250_000


# Refusals


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the folder one is in, with two shards beside it."""
    monkeypatch.chdir(tmp_path)
    shards(ENTRIES, MADE_BY, Path("x.npz"), 2)
    return Path("x.npz")


def refused(kind: type[Aimv2Error], message: str, files: list[Path]) -> str:
    with pytest.raises(kind, match=message) as caught, merge.open_whole(files):
        pass
    return caught.value.hint


def test_a_missing_shard_is_named_and_how_to_make_it(target: Path) -> None:
    (one, two, three, four) = shards(ENTRIES, MADE_BY, target, 4)
    message = "shard 2 of 4 is missing: there is no x.npz.shard-2-of-4"
    hint = refused(OutputError, message, [one, three, four])
    assert hint == "aimv2 embed … --out x.npz --shard 2/4 --resume"
    Path(f".{two.name}.partial").mkdir()
    Path(f".{two.name}.partial/journal.sqlite").touch()
    message = "shard 2 of 4 is missing, and 1 more: x.npz.shard-2-of-4 was begun and is not fin"
    refused(OutputError, message, [one, three])
    assert "--shard 1/4" in refused(OutputError, "shard 1 of 4 is missing, and 2 more", [four])


def test_no_shard_at_all(target: Path) -> None:
    with pytest.raises(OutputError, match=r"there are no shards of y\.npz") as caught:
        merge.find(Path("y.npz"))
    assert "--out y.npz --shard 1/2" in caught.value.hint
    with pytest.raises(OutputError, match=r"there are no shards of no/y\.npz"):
        merge.find(Path("no/y.npz"))


def test_shards_of_more_than_one_run_are_not_guessed_at(target: Path) -> None:
    shards(ENTRIES, MADE_BY, target, 3)
    with pytest.raises(UsageError, match="of more than one run: of 2 and 3") as caught:
        merge.find(target)
    assert caught.value.hint.endswith("aimv2 merge x.npz.shard-*-of-2 --out x.npz")
    files = [Shard(1, 2).file(target), Shard(2, 3).file(target)]
    refused(UsageError, "is shard 1 of 2, .* is shard 2 of 3", files)


def test_a_shard_that_is_there_twice(target: Path) -> None:
    copy = Path("copy.npz")
    copy.write_bytes(Shard(2, 2).file(target).read_bytes())
    files = [*merge.find(target), copy]
    refused(UsageError, "x.npz.shard-2-of-2 and copy.npz are both shard 2 of 2", files)


def test_a_whole_file_is_no_shard(target: Path) -> None:
    whole(ENTRIES, MADE_BY, Path("whole.npz"))
    refused(UsageError, "whole.npz is no shard, but a whole file", [Path("whole.npz")])


def test_settings_that_differ_are_named(target: Path) -> None:
    other = MADE_BY | {"dtype": "float16", "preprocessing": {"mean": [0.5, 2]}}
    shard(ENTRIES, other, target.with_name("y.npz"), Shard(2, 2))
    files = [Shard(1, 2).file(target), Path("y.npz.shard-2-of-2")]
    message = r"dtype is float32 and float16, preprocessing.mean is \[0.5, 1\] and \[0.5, 2\]"
    assert "--force" in refused(UsageError, message, files)


@pytest.mark.parametrize(
    ("numbers", "what"),
    [
        (range(COUNT + 1), "one of 23 inputs, the other of 24"),
        (range(COUNT - 1, -1, -1), "both of 23 inputs, but by other names or in another order"),
    ],
)
def test_another_list_of_inputs_is_refused(numbers: range, what: str, target: Path) -> None:
    other = shard(entries_of(numbers), MADE_BY, Path("y.npz"), Shard(2, 2))
    hint = refused(UsageError, what, [Shard(1, 2).file(target), other])
    assert "same paths in the same order" in hint


def test_a_damaged_shard_is_named_or_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # messages show short paths whole
    target = Path("x.npy")
    expected = whole(ENTRIES, MADE_BY, Path("one.npy"))
    files = [*shards(ENTRIES, MADE_BY, target, 2)]
    sound = files[1].read_bytes()
    rng = random.Random(7)
    filled = [at for at, byte in enumerate(sound) if byte]  # most of so small a database is empty
    flips = [sound[:at] + bytes([sound[at] ^ 1 << rng.randrange(8)]) + sound[at + 1 :]
             for at in rng.sample(filled, 199)]  # fmt: skip
    cuts = [sound[:at] for at in (0, 1, 100, len(sound) // 2, len(sound) - 1)]
    seen = 0
    for damaged in flips + cuts + [sound + b"\n"]:
        files[1].write_bytes(damaged)
        try:
            assert merged(files, target) == expected
        except Aimv2Error as error:
            assert "shard-2-of-2" in str(error) or "is missing" in str(error), error
            assert error.hint, error
            seen += 1
        for file in (target, target.with_name(f"{target.name}.json")):
            file.unlink(missing_ok=True)
    files[1].write_bytes(sound)
    assert seen > 150
    assert merged(files, target) == expected


def test_values_that_changed_are_noticed_where_sqlite_would_not(tmp_path: Path) -> None:
    target = tmp_path / "x.npy"
    files = [*shards(ENTRIES, MADE_BY, target, 2)]
    change(files[0], "UPDATE embeddings SET float32 = zeroblob(length(float32)) WHERE row = 2")
    with pytest.raises(OutputError, match=r"npy\.shard-1-of-2 is damaged: names") as caught:
        merged(files, target)
    assert caught.value.hint.endswith(f"--out {target} --shard 1/2 --force")
    assert not target.exists()


@pytest.mark.parametrize("content", ["", "{}", "SQLite format 3\0", "[" * 100_000, "\0"])
def test_other_files_are_no_shards(content: str, tmp_path: Path) -> None:
    file = tmp_path / "x.npz.shard-1-of-1"
    file.write_text(content)
    refused(OutputError, "is damaged, or no file of embeddings", [file])


def test_another_database_is_no_shard(tmp_path: Path) -> None:
    file = tmp_path / "library.db"
    change(file, "CREATE TABLE files (path BLOB)")
    refused(OutputError, "is damaged, or no file of embeddings", [file])


@pytest.mark.parametrize(
    "part",
    [{"number": 0}, {"number": 3}, {"number": "1"}, {"count": None}, {"inputs": -1}, {"more": 1}],
)
def test_a_record_that_makes_no_sense(part: dict[str, Any], tmp_path: Path) -> None:
    (file,) = shards(ENTRIES, MADE_BY, tmp_path / "x.jsonl", 1)
    change(
        file,
        "UPDATE facts SET value = json_patch(value, ?) WHERE name = 'record'",
        json.dumps(part),
    )
    refused(OutputError, "is damaged", [file])


# Older versions: a shard was a whole file with a name of another form.


@pytest.mark.parametrize("name", ["x.shard-1-of-2.npz", ".x.shard-1-of-2.npz.partial"])
def test_an_older_shard_is_refused_by_name(name: str, target: Path) -> None:
    whole(ENTRIES, MADE_BY, Path("whole.npz"))
    Path("whole.npz").rename(name)
    outcome = run("merge", "x.npz")
    assert outcome.code == 1
    assert f"{name} is a shard of an older version, and is not merged by this one" in outcome.err
    assert "make that shard again" in outcome.err
    assert not target.exists()
    outcome = run("embed", "photos", "-m", "demo", "-o", "x.npz", "--shard", "1/2", "--resume")
    assert (outcome.code, name in outcome.err) == (1, True)
    refused(OutputError, "is a shard of an older version", [Path(name)])
    assert run("merge", "y.npz").err.startswith("error: there are no shards of y.npz")


# The command


def test_the_command_finds_the_shards_and_tells(target: Path) -> None:
    before = listed(Path())
    outcome = run("merge", "x.npz")
    assert outcome.code == 3
    assert not outcome.out
    failed = [entry.error for entry in ENTRIES() if entry.error]
    skipped = [line for line in outcome.err.splitlines() if line.startswith("skipped: ")]
    assert len(skipped) == len(failed)
    assert outcome.err.endswith(
        f"merged 2 shards: {COUNT - len(failed)} images ({WIDTH} numbers each) → x.npz\n"
    )
    assert listed(Path()) == sorted([*before, "x.npz"])
    assert Path("x.npz").read_bytes() == whole(ENTRIES, MADE_BY, Path("one.npz"))


def test_without_failures_it_ends_with_0(target: Path) -> None:
    shards(entries_of(range(4, 9)), MADE_BY, Path("y.npz"), 2)
    outcome = run("merge", "y.npz")
    assert (outcome.code, outcome.err) == (
        0,
        "merged 2 shards: 5 images (13 numbers each) → y.npz\n",
    )


def test_shards_by_name_from_several_folders(target: Path) -> None:
    files = [str(file) for file in merge.find(target)]
    for file in files:
        Path(file[6:13]).mkdir()
        Path(file).rename(f"{file[6:13]}/{file}")
    named = [f"{file[6:13]}/{file}" for file in reversed(files)]
    assert run("merge", *named).code == 2
    assert run("merge", *named, "--out", "y.npz").code == 3
    assert Path("y.npz").read_bytes() == whole(ENTRIES, MADE_BY, Path("one.npz"))


def test_an_existing_file_is_replaced_only_with_force(target: Path) -> None:
    target.write_text("mine")
    outcome = run("merge", "x.npz")
    assert outcome.code == 1
    assert "x.npz exists already" in outcome.err
    assert target.read_text() == "mine"
    assert run("merge", "x.npz", "--force").code == 3
    assert target.read_bytes() == whole(ENTRIES, MADE_BY, Path("one.npz"))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("y.npz", 1, "there are no shards of y.npz"),
        ("x.csv", 1, "there are no shards of x.csv"),
        ("x.npz.shard-1-of-2", 2, "hint: aimv2 merge x.npz"),
        (
            "x.npz.shard-1-of-2 x.npz.shard-2-of-2 --out x.npz.shard-2-of-2 --force",
            2,
            "x.npz.shard-2-of-2 is one of the shards, which stay",
        ),
        ("x.npz.shard-1-of-2 --out y.npz", 1, "shard 2 of 2 is missing"),
        ("nowhere.npz --out y.npz", 1, "nowhere.npz does not exist"),
        ("x.npz.shard-1-of-2 x.npz.shard-2-of-2 --out y.csv", 2, "has no known extension"),
        ("x.npz.shard-1-of-2 x.npz.shard-2-of-2 --out no/y.npz", 1, "there is no folder no"),
        ("x.npz.shard-1-of-2 x.npz.shard-2-of-2", 2, "not the one to make"),
        ("", 2, "FILE"),
    ],
)
def test_what_cannot_be_merged(arguments: str, code: int, message: str, target: Path) -> None:
    before = listed(Path())
    outcome = run("merge", *arguments.split())
    assert outcome.code == code, outcome.err
    assert message in outcome.err
    assert "hint: " in outcome.err
    assert listed(Path()) == before


def test_grids_go_where_grids_can(target: Path) -> None:
    shards(entries_of(range(9), is_grid=True), GRIDS, Path("g.safetensors"), 2)
    named = [f"g.safetensors.shard-{number}-of-2" for number in (1, 2)]
    outcome = run("merge", *named, "--out", "g.npz")
    assert outcome.code == 2
    assert "not patch grids" in outcome.err
    assert run("merge", *named, "--out", "g.safetensors").code == 3


def test_nothing_is_made_of_failures_alone(target: Path) -> None:
    shards(entries_of(range(3, 70, 7)), MADE_BY, Path("y.npz"), 2)
    outcome = run("merge", "y.npz")
    assert outcome.code == 1
    assert "none of 10 could be embedded" in outcome.err
    assert not Path("y.npz").exists()


def test_one_merge_at_a_time_and_what_a_killed_one_left(target: Path) -> None:
    with take_lock(Path(".x.npz.merging"), "x.npz"):
        outcome = run("merge", "x.npz")
        assert outcome.code == 1
        assert f"process {os.getpid()} is writing x.npz" in outcome.err
    (Path(".x.npz.merging") / "output").mkdir()
    (Path(".x.npz.merging") / "output" / "x.npz").write_text("half")
    assert run("merge", "x.npz").code == 3
    assert not Path(".x.npz.merging").exists()


def test_rows_come_in_the_order_of_the_inputs(target: Path) -> None:
    with merge.open_whole(merge.find(target)) as opened:
        reasons = [*opened.failures()]
    positions = [number for reason in reasons for number in range(COUNT)
                 if reason == entry_of(number).error]  # fmt: skip
    assert all(one < next_one for one, next_one in pairwise(positions))
    assert len(positions) == 3
