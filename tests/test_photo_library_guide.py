"""What docs/photo-library.md says can be typed, and what it says is printed."""

import contextlib
import io
import re
import shlex
import shutil
import webbrowser
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from mlx_aimv2.training.album import write_album, write_copies
from mlx_aimv2.training.drawings import HELD_OUT, draw
from tests.commands import Outcome, run

DOCS = Path(__file__).parent.parent / "docs"
GUIDE = (DOCS / "photo-library.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
COMMANDS = [
    line
    for kind, block in BLOCKS
    if kind == "sh"
    for line in block.splitlines()
    if line.startswith("aimv2 ")
]
SHOWN = [
    (block.strip(), below[1])
    for (kind, block), below in pairwise(BLOCKS)
    if kind == "sh" and below[0] == "text"
]
OPTION = re.compile(r"--?[a-z0][a-z-]*")
# What cannot run here: it needs Apple's weights, or photos in a camera's RAW format.
NEEDS_MORE = re.compile(r"--model (lit|native)\b|\*\.NEF")
UUID = "0A1B2C3D-0000-4000-8000-000000000001"
SMALL_VOCABULARY = "Animals|Dog: dog, puppy\nThings|Boat: boat, sailing boat\nReceipt\n"


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Outcome]]:
    """Every command of the guide that runs with the demo checkpoint, run in its order."""
    home = tmp_path_factory.mktemp("you")
    files = write_album(home / "Pictures", 60)
    write_copies(files[:3], home / "Pictures" / "copies")
    shutil.copytree(home / "Pictures", home / "drawings")
    originals = home / "Pictures" / "Photos Library.photoslibrary" / "originals" / "0"
    originals.mkdir(parents=True)
    draw(HELD_OUT + 100, 64).image.save(originals / f"{UUID}.jpeg")
    (home / "my-tags.txt").write_text(SMALL_VOCABULARY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
            patch.delenv(name, raising=False)
        patch.chdir(home)
        patch.setattr(webbrowser, "open", lambda url: True)
        yield {line: _run_here(line, home) for line in COMMANDS if not NEEDS_MORE.search(line)}


def _run_here(line: str, home: Path) -> Outcome:
    words = [
        str(home) + word[1:] if word.startswith("~/") else word for word in _own_words(line)[1:]
    ]
    if words[0] == "index" and "--model" not in words:
        words += ["--model", "demo"]
    if words[0] == "tag" and "undo" not in words and "--vocabulary" not in words:
        words += ["--vocabulary", "my-tags.txt"]  # embedding the whole one takes half a minute
    return run(*words)


def _own_words(line: str) -> list[str]:
    """The command's words, without what the shell does with its output."""
    words = shlex.split(line, comments=True)
    ends = [number for number, word in enumerate(words) if word in {"|", ">"}]
    return words[: min(ends, default=None)]


def _comparable(text: str, home: str = "") -> list[str]:
    """Lines with every number and every run of spaces made the same."""
    plain = text.replace(home, "/Users/you") if home else text
    lines = re.sub(r"(?<![\w/×-])[\d.]+(?![\w×-])", "#", plain).splitlines()
    return [" ".join(line.split()) for line in lines if line.strip()]


@pytest.mark.parametrize("command", dict.fromkeys(COMMANDS))
def test_its_commands_have_the_options_it_uses(command):
    _, name, *rest = _own_words(command)
    known = run(name, "--help").out
    for option in filter(OPTION.fullmatch, (word for word in rest if word != "-")):
        assert re.search(rf"(^|[ ,]){option}\b", known, re.MULTILINE), f"{name} has no {option}"


def test_its_commands_run(outcomes):
    failed = {line: done.err for line, done in outcomes.items() if done.code}
    assert not failed
    assert len(outcomes) > len(COMMANDS) / 2


def test_it_shows_what_is_printed(outcomes):
    home = str(Path.home())
    assert SHOWN
    for command, shown in SHOWN:
        done = outcomes[command]
        assert _comparable(shown) == _comparable(done.out + done.err, home), command


def test_photos_are_told_to_osxphotos_by_their_uuids(outcomes):
    found = run("search", "receipt", "-t", "0", "--uuid", "--library", "photos-app.db")
    assert found.out == f"{UUID}\n"


def test_options_in_its_text_are_there():
    helps = "".join(run(name, "--help").out for name in ("index", "search", "tag", "duplicates"))
    prose = re.sub(r"^```.*?^```$", "", GUIDE, flags=re.DOTALL | re.MULTILINE)
    named = {
        option
        for quoted in re.findall(r"`([^`]*)`", prose)
        if not quoted.startswith(("osxphotos", "exiftool"))
        for option in re.findall(r"(?<!\S)--?[a-z0][a-z-]*", quoted)
    }
    assert len(named) > 10
    for option in named:
        assert re.search(rf"(^|[ ,]){option}\b", helps, re.MULTILINE), option


def test_its_python_runs(outcomes):
    (code,) = (block for kind, block in BLOCKS if kind == "python")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "photo-library.md", "exec"), {})
    first, second, *_ = printed.getvalue().splitlines()
    assert first == "63 0 []"
    assert re.fullmatch(r"0\.\d{3} .*boat.*", second)
    assert len(Path("vectors.jsonl").read_text().splitlines()) > 60


def test_its_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", GUIDE)
    assert links
    for target in links:
        assert target.startswith("https://") or (DOCS / target).exists(), target
