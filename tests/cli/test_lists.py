"""Lists of paths, texts, labels and tags, whichever editor or system wrote them."""

import codecs
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mlx_aimv2.cli import lists
from mlx_aimv2.errors import UsageError
from mlx_aimv2.library.tagging.vocabulary import read_vocabulary
from tests.support.commands import Outcome, run

WRITTEN = {
    "plain": lambda text: text.encode(),
    "UTF-8 with a mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16 LE": lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
    "UTF-16 BE": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "UTF-32": lambda text: text.encode("utf-32"),
}
ENDS = {"Unix": "\n", "Windows": "\r\n", "old Mac": "\r"}
every_encoding = pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
every_end = pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)


@pytest.fixture(autouse=True)
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three pictures in the current folder."""
    monkeypatch.chdir(tmp_path)
    names = ["a.png", "bär.png", "船 1.png"]
    for name in names:
        Image.new("RGB", (30, 20), "red").save(name)
    return names


def embed(stdin: bytes, *arguments: str) -> Outcome:
    return run("embed", "-", "-m", "demo", "-o", "-", *arguments, stdin=stdin)


def classify(stdin: bytes, *arguments: str) -> Outcome:
    return run("classify", "-", "-m", "demo", "-l", "a,b", "--json", *arguments, stdin=stdin)


@every_encoding
@every_end
def test_lists_of_paths(names: list[str], written, end: str) -> None:
    listed = written(end.join([*names, ""]))
    for outcome in (embed(listed), classify(listed)):
        assert outcome.code == 0, outcome.err
        assert [record["path"] for record in outcome.records if "path" in record] == names


@every_encoding
@every_end
@pytest.mark.parametrize("way", ["file", "stdin"])
def test_lists_of_texts_and_labels(written, end: str, way: str) -> None:
    texts = ["boat", "bär", "船"]
    listed = written(end.join([*texts, ""]))
    Path("texts.txt").write_bytes(listed)
    source = "texts.txt" if way == "file" else "-"
    outcome = run("embed", "--texts-from", source, "-m", "demo", "-o", "-", stdin=listed)
    assert [record["text"] for record in outcome.records[1:]] == texts
    outcome = run(
        "classify", "a.png", "-m", "demo", "--labels-from", source, "--json", stdin=listed
    )
    assert sorted(outcome.records[0]["scores"]) == sorted(texts)


@every_encoding
@every_end
def test_vocabularies(written, end: str) -> None:
    Path("tags.txt").write_bytes(written(end.join(["Tier|Bär: bear", "Boot", ""])))
    assert [tag.text for tag in read_vocabulary(Path("tags.txt"))] == ["Tier|Bär", "Boot"]


@pytest.mark.parametrize("command", [embed, classify])
@pytest.mark.parametrize("option", ["--null", "-0"])
def test_lists_with_nulls(names: list[str], command, option: str) -> None:
    strange = "with\nend\r.png"
    Path(strange).write_bytes(Path("a.png").read_bytes())
    listed = "\0".join([*names, strange, ""]).encode()
    for start in (b"", codecs.BOM_UTF8):
        outcome = command(start + listed, option)
        assert outcome.code == 0, outcome.err
        found = [record["path"] for record in outcome.records if "path" in record]
        assert found == [*names, strange]
    outcome = command(listed)
    assert outcome.code == 2
    assert "has NULs, not line ends" in outcome.err
    assert "hint: add --null" in outcome.err
    outcome = command("\n".join(names).encode(), option)
    assert outcome.code == 2
    assert "hint: leave --null out" in outcome.err


def test_null_needs_a_list() -> None:
    outcome = run("classify", "a.png", "-0", "-m", "demo", "-l", "a,b")
    assert outcome.code == 2
    assert "--null is for a list on stdin" in outcome.err


def test_a_path_that_ends_like_a_line_is_one_path() -> None:
    Path("odd\r").write_bytes(Path("a.png").read_bytes())
    outcome = embed(b"odd\r\na.png\r\n")
    assert [record["path"] for record in outcome.records[1:]] == ["odd\r", "a.png"]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"])
@pytest.mark.parametrize("command", [embed, classify])
@pytest.mark.parametrize("options", [[], ["-0"]])
def test_a_picture_in_the_place_of_a_list(format: str, command, options: list[str]) -> None:
    data = io.BytesIO()
    noise = np.random.default_rng(7).integers(0, 255, (37, 41, 3), np.uint8)
    Image.fromarray(noise).save(data, format)
    outcome = command(data.getvalue(), *options)
    assert outcome.code == 2
    first, second = outcome.err.splitlines()
    assert "- reads a list of paths, one on each line, and this is" in first
    assert second.startswith("hint: name the picture")
    assert not outcome.out


def test_a_run_to_a_file_leaves_nothing_of_a_picture(names: list[str]) -> None:
    before = sorted(Path.cwd().iterdir())
    outcome = run("embed", "-", "-m", "demo", "-o", "x.npz", stdin=Path("a.png").read_bytes())
    assert outcome.code == 2
    assert sorted(Path.cwd().iterdir()) == before


def test_utf16_without_its_mark_is_refused() -> None:
    outcome = embed("a.png\n".encode("utf-16-le"))
    assert outcome.code == 2
    assert "- reads a list of paths, one on each line, and this is no text" in outcome.err
    Path("labels.txt").write_bytes("dog\ncat\n".encode("utf-16-le"))
    outcome = run("classify", "a.png", "-m", "demo", "--labels-from", "labels.txt")
    assert outcome.code == 2
    assert "labels.txt, line 1: a character that cannot be shown" in outcome.err
    assert "UTF-16 without its mark" in outcome.err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "list.txt is a picture, not a list"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        (b"<!DOCTYPE html>\n<title>Log in</title>\n", "a web page"),
    ],
)
def test_what_is_no_list_of_words_is_told_by_every_reader(content: bytes | None, said: str) -> None:
    Path("list.txt").write_bytes(content or Path("a.png").read_bytes())
    for command in (
        ["classify", "a.png", "-m", "demo", "--labels-from", "list.txt"],
        ["embed", "--texts-from", "list.txt", "-m", "demo", "-o", "-"],
    ):
        outcome = run(*command)
        assert (outcome.code, outcome.out) == (2, "")
        assert said in outcome.err
    with pytest.raises(UsageError, match=said):
        read_vocabulary(Path("list.txt"))


def test_texts_with_nuls_between_them_are_told_apart_from_another_encoding() -> None:
    outcome = run("embed", "--texts-from", "-", "-m", "demo", "-o", "-", stdin=b"owl\0boat\0")
    assert "hint: write one text on each line" in outcome.err


def test_latin1_is_told_with_its_line() -> None:
    Path("labels.txt").write_bytes("dog\nbär\n".encode("latin-1"))
    outcome = run("classify", "a.png", "-m", "demo", "--labels-from", "labels.txt")
    assert outcome.code == 2
    assert "error: labels.txt, line 2: not UTF-8" in outcome.err
    with pytest.raises(UsageError, match="line 2: not UTF-8"):
        read_vocabulary(Path("labels.txt"))
    outcome = run("embed", "--texts-from", "labels.txt", "-m", "demo", "-o", "-")
    assert outcome.code == 3
    assert "not UTF-8" in outcome.err


@given(
    st.lists(st.binary(max_size=9).map(lambda part: part.replace(b"\0", b"")), max_size=5),
    st.integers(1, 4),
)
def test_parts_are_found_across_blocks(parts: list[bytes], step: int) -> None:
    data = b"".join(part + b"\0" for part in parts)
    blocks = (data[start : start + step] for start in range(0, len(data), step))
    assert list(lists.split(blocks, b"\0")) == parts


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_blocks_may_end_inside_a_mark_or_a_letter(
    codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "_BLOCK_BYTES", 1)
    data = "bär\n船\n😀".encode(codec)
    found = lists.lines(io.BufferedReader(io.BytesIO(data)), "stdin")
    assert [line.decode() for line in found] == ["bär", "船", "😀"]
