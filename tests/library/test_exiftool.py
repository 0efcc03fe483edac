"""What ExifTool reads in our sidecars, and what it writes by our argument files."""

import os
from pathlib import Path

import pytest
from PIL import Image

from mlx_aimv2.errors import OutputError, UsageError
from mlx_aimv2.library.sidecars.exiftool import Change, arguments
from mlx_aimv2.library.sidecars.keywords import Tag
from mlx_aimv2.library.sidecars.sidecar import Undone, restore, sidecar_path, write_sidecar
from mlx_aimv2.library.sidecars.xmp import merge
from tests.support.exiftool_runs import exiftool, read_back
from tests.support.sidecar_keywords import read_keywords
from tests.support.sidecar_samples import LIGHTROOM, NO_BLOCK, SAMPLES

TAGS: list[Tag] = [
    ("Animals", "Dog"),
    ("snow",),
    ("Küche", "naïve <café> & \"quotes\" 'too'"),
    ("猫", "🐈"),
    ("-start", "=a", "#b"),
    ("Music", "AC/DC", "a|b"),
    ("$100", "@home", "50% \\n; a, b"),
]


def test_sidecars_are_read_back_the_same(tmp_path: Path) -> None:
    samples = {**SAMPLES, "no block": NO_BLOCK, "new": None}
    del samples["other prefixes"]  # ExifTool knows no default namespaces, in the original either
    paths, expected = [], []
    for name, before in samples.items():
        data = merge(before, TAGS)
        path = sidecar_path(tmp_path / f"{name}.jpg")
        write_sidecar(path, data)
        paths.append(path)
        expected.append([list(entries) for entries in read_keywords(data)])
    found = read_back(paths)
    for name, facts, fields in zip(samples, found, expected, strict=True):
        assert [
            facts[field] for field in ("Subject", "HierarchicalSubject", "TagsList")
        ] == fields, name


def test_undo_after_exiftool_wrote_the_sidecar_anew(tmp_path: Path) -> None:
    path, after = tmp_path / "a.xmp", merge(LIGHTROOM, TAGS)
    path.write_bytes(after)
    exiftool("-q", "-XMP:Rating=2", "-overwrite_original", path)
    assert restore(path, LIGHTROOM, after) is Undone.CLEANED
    assert read_keywords(path.read_bytes()) == read_keywords(LIGHTROOM)
    assert b"<xmp:Rating>2<" in path.read_bytes()


def photo(path: Path) -> Path:
    Image.new("RGB", (7, 5), "red").save(path, "jpeg")
    return path


def run(tmp_path: Path, entries: list[tuple[Path, list[Tag]]]) -> None:
    (tmp_path / "arguments.txt").write_bytes(
        b"".join(arguments(Change(*entry) for entry in entries))
    )
    exiftool("-@", tmp_path / "arguments.txt", cwd=tmp_path)


def test_keywords_in_photos(tmp_path: Path) -> None:
    plain, held = photo(tmp_path / "plain.jpg"), photo(tmp_path / "held.jpg")
    exiftool("-Subject=mine", "-Keywords=mine", "-Subject=snow", "-overwrite_original", held)
    for _ in range(2):  # the second time nothing is there twice
        run(tmp_path, [(plain, TAGS), (held, TAGS[:2])])
        for original in tmp_path.glob("*_original"):
            original.unlink()
    first, second = read_back([plain, held])
    keywords = read_keywords(merge(None, TAGS))
    assert first["Subject"] == list(keywords.flat)
    assert first["HierarchicalSubject"] == list(keywords.hierarchical)
    assert first["TagsList"] == list(keywords.tags_list)
    assert first["Keywords"] == [name for name in keywords.flat if name != "🐈"]
    assert second == {
        "Subject": ["mine", "Dog", "snow"],
        "HierarchicalSubject": ["Animals|Dog", "snow"],
        "TagsList": ["Animals/Dog", "snow"],
        "Keywords": ["mine", "Dog", "snow"],
    }


def test_the_photo_is_kept_beside(tmp_path: Path) -> None:
    path = photo(tmp_path / "a.jpg")
    before = path.read_bytes()
    run(tmp_path, [(path, TAGS)])
    assert (tmp_path / "a.jpg_original").read_bytes() == before


NAMES = [
    b"-delete_original.jpg",
    b"#comment.jpg",
    b" space \t before and after .jpg ",
    b"line\nend \\n \" ' %f.jpg",
    b"carriage\rreturn.jpg\r",
    b"$money @home.jpg",
    b"caf\xc3\xa9 e\xcc\x81 \xf0\x9f\x90\x88.jpg",
    b"-execute",
    b"a=b <c>&.jpg",
    b"back\\slash\\.jpg",
    b"back\\\nslash\\",
]


def test_names_of_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [photo(Path(os.fsdecode(name))) for name in NAMES]
    run(tmp_path, [(path, [("snow",)]) for path in paths])
    found = read_back([tmp_path / path for path in paths])
    assert [facts["Subject"] for facts in found] == [["snow"]] * len(paths)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    try:
        path = photo(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")))
    except OSError:
        pytest.skip("needs a file system that takes any bytes")
    run(tmp_path, [(path, [("snow",)])])
    assert b"snow" in exiftool("-b", "-XMP-dc:Subject", os.fsencode(path))


def test_the_file_itself() -> None:
    lines = b"".join(
        arguments([Change("a.jpg", [("Animals", "Dog")]), Change("b.jpg")])
    ).splitlines()
    assert [line for line in lines if not line.startswith(b"#")] == [
        *(b"-XMP-dc:Subject-=Dog", b"-XMP-dc:Subject+=Dog"),
        *(b"-XMP-lr:HierarchicalSubject-=Animals|Dog", b"-XMP-lr:HierarchicalSubject+=Animals|Dog"),
        *(b"-XMP-digiKam:TagsList-=Animals/Dog", b"-XMP-digiKam:TagsList+=Animals/Dog"),
        *(b"-IPTC:Keywords-=Dog", b"-IPTC:Keywords+=Dog"),
        *(b"./a.jpg", b"-execute"),
    ]
    assert any(b"_original" in line for line in lines if line.startswith(b"# "))


def test_names_too_long_or_too_new_for_iptc() -> None:
    for name in ("é" * 33, "🐈", "ł"):
        written = b"".join(arguments([Change("a.jpg", [(name,)])]))
        assert f"-XMP-dc:Subject+={name}".encode() in written
        assert b"-IPTC" not in written


def test_what_cannot_be_written() -> None:
    with pytest.raises(OutputError, match=r"a\\n\$\.jpg"):
        list(arguments([Change("a\n$.jpg", [("snow",)])]))
    with pytest.raises(UsageError):
        list(arguments([Change("a.jpg", [("a\0",)])]))
    one_line = b"".join(arguments([Change("a.jpg", [("a\n-delete_original",)])]))
    assert b"+=a -delete_original\n" in one_line


def test_keywords_given_earlier_are_taken_out(tmp_path: Path) -> None:
    path = photo(tmp_path / "a.jpg")
    exiftool("-Subject=Cat", "-Keywords=Cat", "-overwrite_original", path)
    run(tmp_path, [(path, [("Animals", "Dog"), ("snow",), ("Mine", "Cat")])])
    (tmp_path / "a.jpg_original").unlink()
    gone: list[Tag] = [("Animals", "Dog"), ("snow",), ("Mine", "Cat")]
    change = Change(path, [("Pets", "Dog")], gone, keep=[("Cat",)])
    (tmp_path / "arguments.txt").write_bytes(b"".join(arguments([change])))
    exiftool("-@", tmp_path / "arguments.txt", cwd=tmp_path)
    [facts] = read_back([path])
    assert {name: set(entries) for name, entries in facts.items()} == {
        "Subject": {"Cat", "Dog"},
        "HierarchicalSubject": {"Pets|Dog"},
        "TagsList": {"Pets/Dog"},
        "Keywords": {"Cat", "Dog"},
    }


def test_nothing_to_write_is_no_file() -> None:
    assert list(arguments([])) == list(arguments([Change("a.jpg"), Change("b.jpg")])) == []
