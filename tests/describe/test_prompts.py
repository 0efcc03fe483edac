"""Prompts: the package's by name, anybody's by file, in a language."""

import pytest

from mlx_aimv2.describe import prompts
from mlx_aimv2.errors import UsageError


def test_the_prompts_of_the_package():
    assert prompts.names() == ["alt-text", "caption"]
    for name in prompts.names():
        assert prompts.read(name).endswith("Answer in English.")
        assert prompts.read(name, "Swiss German").endswith("Answer in Swiss German.")


def test_a_file_of_ones_own(tmp_path, monkeypatch):
    file = tmp_path / "mine.txt"
    file.write_bytes("\ufeff  Wer ist das?\nSag {was} du siehst: 日本.\n".encode())
    expected = "Wer ist das?\nSag {was} du siehst: 日本."
    assert prompts.read(str(file)) == expected
    assert prompts.read(str(file), "German") == f"{expected} Answer in German."
    file.write_text("In {language}, please; {language}!")
    assert prompts.read(str(file), "Latin") == "In Latin, please; Latin!"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert prompts.read("~/mine.txt") == "In English, please; English!"


@pytest.mark.parametrize(
    ("content", "said"),
    [(b" \n", "is empty"), (b"\xff\xfe\x00", "UTF-16"), (b"caf\xe9", "UTF-8"), (None, "No such")],
)
def test_files_that_do_not_do(tmp_path, content, said):
    file = tmp_path / "mine\n.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=said) as caught:
        prompts.read(str(file))
    assert "mine\\n.txt" in str(caught.value)


def test_a_name_that_there_is_not():
    with pytest.raises(UsageError, match="captoin") as caught:
        prompts.read("captoin")
    assert caught.value.hint == "a text file, or one of alt-text, caption"
    for name in ("", ".", "caption.txt/"):
        with pytest.raises(UsageError):
            prompts.read(name)
