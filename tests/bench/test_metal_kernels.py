"""The list of functions in a Metal library, from libraries written here byte by byte."""

import json
import struct
import zipfile
from pathlib import Path

import pytest

from benchmarks.metal_kernels import DTYPES, MASKS, functions, main, read_library, table

FULL = "steel_attention_{0}_bq32_bk16_bd{1}_bv{1}_wm4_wn1_mask{2}"
FEW = {"float32": "float", "float16": "float16_t", "bfloat16": "bfloat16_t"}


def kernels(dtype: str, width: int = 128) -> list[str]:
    few = [f"sdpa_vector{kind}_{FEW[dtype]}_{width}_{width}" for kind in ("", "_2pass_1")]
    return [FULL.format(dtype, width, dtype), FULL.format(dtype, width, "bool_"), *few]


def entry(name: str) -> bytes:
    tags = [(b"HASH", bytes(32)), (b"NAME", name.encode() + b"\0"), (b"TYPE", b"\2")]
    content = b"".join(tag + struct.pack("<H", len(data)) + data for tag, data in tags) + b"ENDT"
    return struct.pack("<I", 4 + len(content)) + content


def library(names: list[str], *, count: int | None = None) -> bytes:
    entries = b"".join(map(entry, names))
    header = b"MTLB" + bytes(20) + struct.pack("<2Q", 88, len(entries))
    said = struct.pack("<I", len(names) if count is None else count)
    return header.ljust(88, b"\0") + said + entries + b"bitcode"


EVERY = [name for dtype in DTYPES for name in kernels(dtype)]
OTHERS = [*kernels("float16", 64), "vv_Addfloat32", FULL.format("float16", 128, "bool_") + "_x"]


def test_names_in_order() -> None:
    assert functions(library([*OTHERS, *EVERY])) == [*OTHERS, *EVERY]
    assert functions(library([])) == []


def test_every_precision_and_mask_finds_its_own() -> None:
    rows = table([*OTHERS, *EVERY])
    assert [(row.dtype, row.mask) for row in rows] == [(d, m) for d in DTYPES for m in MASKS]
    for row in rows:
        plain, boolean, *few = kernels(row.dtype)
        expected = {"boolean mask": [boolean], "few queries": few}.get(row.mask, [plain])
        assert row.kernels == expected


@pytest.mark.parametrize("lost", EVERY)
def test_a_lost_kernel_is_missed(lost: str) -> None:
    whole, without = table(EVERY), table([name for name in EVERY if name != lost])
    changed = {row.dtype for row, other in zip(whole, without, strict=True) if row != other}
    assert changed == {next(dtype for dtype in DTYPES if lost in kernels(dtype))}


def test_another_head_width_has_others() -> None:
    assert {row.mask for row in table(OTHERS, 64) if row.kernels} == set(MASKS)
    assert not any(row.kernels for row in table([FULL.format("float16", 1280, "bool_")]))


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (b"", "does not start"),
        (b"PK\3\4" + bytes(99), "does not start"),
        (b"MTLB", "cut short"),
        (library(EVERY)[:200], "has the size"),
        (library(EVERY, count=3), "says 3 functions and has 12"),
        (library(["a"]).replace(b"NAME", b"MANE"), "has no name"),
    ],
)
def test_damage_is_told(damaged: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        functions(damaged)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    file = tmp_path / "mlx_metal-0-py3-none-macosx_14_0_arm64.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("mlx/lib/mlx.metallib", library(EVERY))
    return file


def test_a_wheel_a_folder_or_the_library_itself(wheel: Path, tmp_path: Path) -> None:
    inside = read_library(wheel)[1]
    folder = tmp_path / "site" / "mlx" / "lib"
    folder.mkdir(parents=True)
    (folder / "mlx.metallib").write_bytes(inside)
    assert read_library(tmp_path / "site") == ("mlx.metallib", inside)
    assert read_library(folder / "mlx.metallib") == ("mlx.metallib", inside)


def test_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no \.metallib"):
        read_library(tmp_path)
    with zipfile.ZipFile(tmp_path / "other.whl", "w"):
        pass
    with pytest.raises(ValueError, match="is this a wheel of mlx-metal"):
        read_library(tmp_path / "other.whl")


def test_the_command(wheel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(wheel)]) == 0
    assert capsys.readouterr().out.count("| bfloat16 |") == len(MASKS)
    assert main([str(wheel), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert (listed["functions"], len(listed["attention"])) == (12, 15)


def test_the_command_where_something_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "few.metallib").write_bytes(library(EVERY[1:]))
    assert main([str(tmp_path / "few.metallib")]) == 1
    assert capsys.readouterr().out.count("**none**") == 3
    assert main([str(tmp_path / "missing.whl")]) == 1
    assert capsys.readouterr().err.startswith("error: ")
