"""Groups of copies: the best file first, nothing merged by chains, memory and order as promised."""

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.stamp import Stamp
from mlx_aimv2.images.metadata.exif import PhotoFacts
from mlx_aimv2.library.database.photos import FileRow
from mlx_aimv2.library.duplicates import near_copies
from mlx_aimv2.library.duplicates.apart import Apart
from mlx_aimv2.library.duplicates.groups import DuplicateInput, Group, best_first, find_groups
from mlx_aimv2.library.signature import Bytes, Floats, make_signature, similarity, stack
from mlx_aimv2.training.drawings.scene import HELD_OUT, draw
from tests.support.copies import cropped, recompressed, resized

WIDTH = 61


@dataclass
class File:
    """One file; ``motif`` is what its vector shows."""

    path: bytes
    motif: int = 0
    hash: bytes | None = None
    signature: bytes | None = None
    size: tuple[int, int] = (389, 389)
    size_bytes: int = 1000
    format: str = "JPEG"
    vector: bool = True
    noise: float = field(default=0.05)


def vectors_of(files: Sequence[File]) -> np.ndarray:
    rows = []
    for number, file in enumerate(files):
        own = np.random.default_rng(file.motif).standard_normal(WIDTH)
        other = np.random.default_rng(10_000 + number).standard_normal(WIDTH)
        mixed = own / np.linalg.norm(own) + file.noise * other / np.linalg.norm(other)
        rows.append(mixed / np.linalg.norm(mixed))
    return np.array(rows, np.float16)


def row_of(id: int, file: File) -> FileRow:
    facts = PhotoFacts(file.format, *file.size, None, None, None, None)
    stamp = Stamp(file.size_bytes, 0)
    about = (None, None, None, False, False, facts)
    return FileRow(id, file.path, stamp, file.hash, None, file.signature, *about)


def given(files: Sequence[File], *sayings: Sequence[File]) -> DuplicateInput:
    """``sayings`` are files of which the owner said that none is a duplicate of another."""
    matrix = vectors_of(files)
    return DuplicateInput(
        [row_of(100 + number, file) for number, file in enumerate(files)],
        rows=np.array([k if file.vector else -1 for k, file in enumerate(files)]),
        take=lambda rows: matrix[rows],
        apart=Apart(
            (
                file.hash or b"",
                str(number),
                member,
                [each.hash for each in said].count(file.hash) > 1,
            )
            for number, said in enumerate(sayings)
            for member, file in enumerate(said)
        ),
    )


def groups(
    files: Sequence[File], threshold: float = 0.5, *sayings: Sequence[File]
) -> list[list[bytes]]:
    found = find_groups(given(files, *sayings), threshold)
    return [[files[id - 100].path for id in group.files] for group in found]


def drawn(seed: int) -> Image.Image:
    return draw(HELD_OUT + seed, 389, kind="single").image


def file(path: bytes, image: Image.Image, motif: int = 0, **others: object) -> File:
    signature = make_signature(image)
    hash = signature + path
    return File(path, motif, hash, signature, image.size, **others)  # type: ignore[arg-type]


def copies(seed: int) -> list[File]:
    image = drawn(seed)
    name = b"%d" % seed
    return [
        file(name + b"/full.png", image, seed, format="PNG"),
        file(name + b"/half.jpg", resized(image, 0.5), seed),
        file(name + b"/small.jpg", recompressed(image, 50), seed),
        file(name + b"/crop.jpg", cropped(image, 0.03, 0.01, 0, 0.02), seed),
    ]


def test_exact_copies_need_only_their_hash() -> None:
    files = [
        File(b"b/long/name", hash=b"1", vector=False),
        File(b"a", hash=b"2"),
        File(b"c", hash=b"1", vector=False),
        File(b"d", hash=b"1"),
        File(b"e"),
        File(b"f"),
    ]
    (group,) = find_groups(given(files))
    assert group == Group("exact", (102, 103, 100), (1.0, 1.0, 1.0), ("c", "d", "b/long/name"))


def test_near_copies_are_one_group_best_first() -> None:
    files = [*copies(5)[::-1], *copies(8), file(b"other.jpg", drawn(21), 21)]
    found = find_groups(given(files))
    assert [group.kind for group in found] == ["near", "near"]
    assert groups(files) == [
        [b"5/full.png", b"5/small.jpg", b"5/crop.jpg", b"5/half.jpg"],
        [b"8/full.png", b"8/small.jpg", b"8/crop.jpg", b"8/half.jpg"],
    ]
    for group in found:
        assert group.similarity[0] == 1
        assert all(0.5 <= alike <= 1 for alike in group.similarity)


def test_exact_copies_of_a_near_copy_are_in_its_group() -> None:
    full, half, *_ = copies(5)
    twin = File(b"twin.jpg", 5, half.hash, None, half.size, vector=False)
    (group,) = find_groups(given([twin, half, full]))
    assert group.kind == "near"
    assert group.files == (102, 100, 101)
    assert group.similarity[1] == group.similarity[2] < 1


def test_a_pair_said_apart_is_no_group() -> None:
    full, half, *_ = copies(5)
    assert groups([full, half]) == [[full.path, half.path]]
    assert groups([full, half], 0.5, [half, full]) == []


def test_a_group_splits_where_some_of_it_are_said_apart() -> None:
    full, half, small, crop = files = copies(5)
    whole = [full.path, small.path, crop.path, half.path]
    assert groups(files) == [whole]
    # One is apart from all others, whichever it is; the others stay together.
    for one in files:
        sayings = [[one, other] for other in files if other is not one]
        assert groups(files, 0.5, *sayings) == [[path for path in whole if path != one.path]]
    # Two that are apart from each other only: one stays with the best, and the other alone.
    assert groups(files, 0.5, [small, half]) == [[full.path, small.path, crop.path]]
    # Two and two.
    sayings = [[a, b] for a in (full, small) for b in (crop, half)]
    assert groups(files, 0.5, *sayings) == [[crop.path, half.path], [full.path, small.path]]
    assert groups(files, 0.5, files) == []


def test_a_picture_apart_from_one_keeper_joins_another() -> None:
    full, half, small, _ = files = copies(5)[:3] + copies(8)[:1]
    found = groups(files, 0.5, [full, small], [full, half])
    assert found == [[small.path, half.path]]


def test_exact_copies_said_apart_are_no_group_and_new_copies_of_them_neither() -> None:
    files = [File(b"a", hash=b"1"), File(b"b", hash=b"1"), File(b"c", hash=b"2")]
    again = File(b"d", hash=b"1")
    assert groups(files) == [[b"a", b"b"]]
    assert groups([*files, again], 0.5, files[:2]) == []


def test_exact_copies_stay_copies_where_their_picture_is_said_apart_from_others() -> None:
    full, half, *_ = copies(5)
    twin = replace(half, path=b"twin.jpg")
    assert groups([full, half, twin], 0.5, [full, half]) == [[b"twin.jpg", half.path]]


def test_the_best_file() -> None:
    files = [
        File(b"small", size=(100, 100), size_bytes=9_000, format="PNG"),
        File(b"zz", size_bytes=2_000),
        File(b"yy", size_bytes=2_000),
        File(b"longer", size_bytes=2_000),
        File(b"bytes", size_bytes=3_000),
        File(b"lossless", format="PNG"),
        File(b"raw", format="RAW"),
        File(b"unknown", size_bytes=1, format=""),
    ]
    order = [files[number].path for number in best_first(given(files))]
    assert order == [b"raw", b"lossless", b"bytes", b"yy", b"zz", b"longer", b"unknown", b"small"]


def test_a_chain_does_not_join_unlike_pictures() -> None:
    image = drawn(34)
    chain = [
        file(b"0.png", image),
        file(b"1.png", cropped(image, 0.05, 0, 0.05, 0)),
        file(b"2.png", cropped(image, 0.1, 0, 0.1, 0)),
    ]
    rows = stack([link.signature or b"" for link in chain])
    near, far = similarity(rows[[1, 0]], rows[[2, 2]])
    assert near > 0.5 > far
    assert groups(chain) == [[b"0.png", b"1.png"]]


def test_look_alikes_in_the_vectors_alone_stay_apart() -> None:
    files = [file(b"%d.jpg" % seed, drawn(seed), 1) for seed in (3, 5, 8)]
    assert groups(files) == []
    same = [file(b"a.jpg", drawn(3), 1), file(b"b.jpg", drawn(3), 2)]
    assert groups(same) == []


def test_shape_must_be_about_the_same() -> None:
    image = drawn(5)
    squeezed = image.resize((389, 300))
    assert groups([file(b"a.jpg", image), file(b"b.jpg", squeezed)]) == []


def test_threshold() -> None:
    files = [*copies(5), File(b"x", hash=b"1"), File(b"y", hash=b"1")]
    assert groups(files, 1) == [[b"x", b"y"]]
    (group, _) = find_groups(given(files), 0.5)
    least = min(group.similarity)
    fewer = groups(files, least + 0.01)
    assert len(fewer[0]) < len(group.files)
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(UsageError, match="threshold"):
            find_groups(given(files), wrong)


def test_few_files() -> None:
    assert find_groups(given([])) == []
    assert find_groups(given([File(b"a", hash=b"1")])) == []
    assert groups([copies(5)[0]]) == []


@pytest.fixture(scope="module")
def mixed() -> list[File]:
    files = [one for seed in (3, 5, 8) for one in copies(seed)]
    files += [file(b"%d.jpg" % seed, drawn(seed), seed % 3) for seed in range(60, 72)]
    random.Random(0).shuffle(files)
    return files


def greedy(files: Sequence[File]) -> list[list[bytes]]:
    """The rule as it is written, one pair at a time."""
    matrix = vectors_of(files).astype(np.float32)
    leads: dict[int, list[int]] = {}
    for number in best_first(given(files)).tolist():
        for leader, members in leads.items():
            rows = stack([files[k].signature or b"" for k in (number, leader)])
            near = matrix[number] @ matrix[leader] >= 0.75
            if near and similarity(rows[:1], rows[1:])[0] >= 0.5:
                members.append(number)
                break
        else:
            leads[number] = [number]
    found = [[files[k].path for k in group] for group in leads.values() if len(group) > 1]
    return sorted(found)


@pytest.fixture(scope="module")
def expected(mixed: list[File]) -> list[list[bytes]]:
    return greedy(mixed)


@pytest.mark.parametrize("sizes", [(2048, 4096, 64), (7, 3, 2), (5, 64, 5), (13, 5, 1)])
def test_blocks_change_nothing(
    mixed: list[File],
    expected: list[list[bytes]],
    sizes: tuple[int, int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, size in zip(("_BLOCK", "_TILE", "_SMALL_BLOCK"), sizes, strict=True):
        monkeypatch.setattr(near_copies, name, size)
    assert sorted(groups(mixed)) == expected


def test_the_order_of_the_files_changes_nothing(mixed: list[File]) -> None:
    assert groups(mixed[:20]) == groups(mixed[:20][::-1]) != []


def test_copies_of_one_picture_are_compared_with_few(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = 0

    def counting(first: Bytes, second: Bytes) -> Floats:
        nonlocal counted
        counted += len(first)
        return np.ones(len(first), np.float32)

    monkeypatch.setattr(near_copies, "similarity", counting)
    signature = make_signature(drawn(5))
    number = 1999
    files = [File(b"%04d" % k, 1, None, signature) for k in range(number)]
    (group,) = find_groups(given(files))
    assert len(group.files) == number
    assert counted < number + 64 * 64


def test_where_everything_is_near_and_nothing_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0

    def unlike(first: Bytes, second: Bytes) -> Floats:
        nonlocal largest
        largest = max(largest, len(first))
        return np.zeros(len(first), np.float32)

    monkeypatch.setattr(near_copies, "similarity", unlike)
    monkeypatch.setattr(near_copies, "_BLOCK", 100)
    signature = make_signature(drawn(5))
    files = [File(b"%04d" % k, 1, None, signature) for k in range(500)]
    assert find_groups(given(files)) == []
    assert largest <= 100 * near_copies._MOST_PER_PICTURE


def real_files(tmp_path: Path) -> tuple[bytes, bytes, bytes, bytes]:
    """A photo, a link to it, a hard link, and a copy."""
    photo = tmp_path / "originals" / "photo.jpg"
    photo.parent.mkdir()
    photo.write_bytes(b"picture")
    (tmp_path / "a.jpg").symlink_to(photo)
    (tmp_path / "originals" / "z.jpg").hardlink_to(photo)
    copy = tmp_path / "originals" / "copies" / "of" / "it" / "photo.jpg"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"picture")
    paths = (photo, tmp_path / "a.jpg", photo.with_name("z.jpg"), copy)
    first, link, hard, second = (os.fsencode(path) for path in paths)
    return first, link, hard, second


def test_a_link_is_no_copy(tmp_path: Path) -> None:
    photo, link, hard, copy = real_files(tmp_path)
    both = [File(path, hash=b"1") for path in (link, photo)]
    assert groups(both) == []
    assert groups([*both, File(hard, hash=b"1")]) == []
    found = groups([File(path, hash=b"1") for path in (link, copy, photo)])
    assert found == [[photo, copy]]
    assert groups([File(path, hash=b"1") for path in (link, copy)]) == [[copy, link]]


def test_a_folder_reached_by_a_link_holds_no_copies(tmp_path: Path) -> None:
    photo, _, _, copy = real_files(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "originals")
    through = os.fsencode(tmp_path / "b" / "photo.jpg")
    assert groups([File(path, hash=b"1") for path in (through, photo)]) == []
    assert groups([File(path, hash=b"1") for path in (through, photo, copy)]) == [[photo, copy]]


def test_a_near_copy_is_compared_with_the_file_itself(tmp_path: Path) -> None:
    photo, link, _, _ = real_files(tmp_path)
    files = copies(7)
    full = replace(files[0], path=photo, hash=b"1")
    (found,) = groups([replace(full, path=link), full, *files[1:]])
    assert found[0] == photo
    assert link not in found
