"""The documents' commands, typed line by line into a shell, in a home of their own.

    python -m tests.support.documents

writes into docs/photo-library.md what its commands print.
"""

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from mlx_aimv2.training.drawings.album import write_album, write_copies
from mlx_aimv2.training.drawings.scene import HELD_OUT, draw
from tests.support.commands import AIMV2, PATIENCE_S
from tests.support.makers import random_vision, vision_config, write_checkpoint
from tests.support.talking_aria import write_aria

ROOT = Path(__file__).parents[2]
UUID = "0A1B2C3D-0000-4000-8000-000000000001"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# Programs of other people, which have nothing to do here.
_STUBS = ("brew", "exiftool", "git", "make", "open", "osxphotos", "pdftoppm", "pip", "pipx",
          "python3.14", "uv", "xargs", "xcode-select")  # fmt: skip
_NAMED = re.compile(r"(--model|--hf-path|--from) (lit|native|large-448|aria)\b")
_UNNAMED = re.compile(r"\baimv2 (index|embed|classify|locate(?! --from))(?!.*--model)")
_IN_WORDS = re.compile(r"\baimv2 ask(?!.*--model)")
_TIMES = re.compile(r"(less than )?\d[\d.]*(?= ?(s|min|/s|kB|MB|B|GB)\b)")
_NUMBER = re.compile(r"(?<![\w/×.-])\d+\.\d+(?![\w×-])")
# Of scores: what two kinds of machine or precisions make of the same pictures.
_ALIKE = 0.05


@dataclass(frozen=True)
class Document:
    """A page of Markdown and its blocks: kinds and texts, in order."""

    path: Path
    blocks: list[tuple[str, str]]

    @property
    def lines(self) -> list[str]:
        """Every command, those on several lines joined, in order."""
        shell = "".join(text for kind, text in self.blocks if kind == "sh").replace("\\\n", "")
        return [line for line in shell.splitlines() if line.strip()]

    @property
    def python(self) -> list[str]:
        """Every block of Python, in order."""
        return [text for kind, text in self.blocks if kind == "python"]

    @property
    def shown(self) -> list[tuple[str, str]]:
        """Commands whose output follows, with that output."""
        pairs = pairwise(self.blocks)
        return [
            (above.strip(), below)
            for (one, above), (kind, below) in pairs
            if (one, kind) == ("sh", "text")
        ]


def read(name: str) -> Document:
    """A document by its path in the project."""
    path = ROOT / name
    return Document(path, _BLOCK.findall(path.read_text(encoding="utf-8")))


@dataclass
class Home:
    """A reader's home: an album in ``~/Pictures``, small checkpoints in the place of large ones."""

    folder: Path
    photos: int = 60
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        files = write_album(self.folder / "Pictures", self.photos)
        write_copies(files[:3], self.folder / "Pictures" / "copies")
        originals = self.folder / "Pictures/Photos Library.photoslibrary/originals/0"
        originals.mkdir(parents=True)
        draw(HELD_OUT + 100, 64).image.save(originals / f"{UUID}.jpeg")
        programs = self.folder / "programs"
        programs.mkdir()
        for name in _STUBS:
            (programs / name).write_text("#!/bin/sh\ntest -t 0 || cat > /dev/null\n")
            (programs / name).chmod(0o755)
        for folder in ("aimv2-env/bin", "Desktop", "Archive", "mlx-aimv2"):
            (self.folder / folder).mkdir(parents=True)
        (self.folder / "aimv2-env/bin/activate").touch()
        for place in ("photos", "Archive/photos"):
            write_album(self.folder / place, 12)
        (self.folder / "examples").symlink_to(ROOT / "examples")
        self._native = str(self._checkpoint("native", native=True))
        self._large = str(self._checkpoint("large"))
        self._aria = str(write_aria(self.folder / "checkpoints" / "aria"))
        draw(HELD_OUT + 101, 64).image.save(self.folder / "photo.jpg")
        if sys.platform != "darwin":  # where a Mac keeps what Linux keeps elsewhere
            (self.folder / ".local/share").mkdir(parents=True)
            (self.folder / "Library").mkdir()
            (self.folder / "Library/Application Support").symlink_to(self.folder / ".local/share")
        self.environment = os.environ | {
            "HOME": str(self.folder),
            "PATH": f"{programs}:{AIMV2.parent}:{os.environ['PATH']}",
            "HF_HUB_OFFLINE": "1",
            "BROWSER": "true",
            "COLUMNS": "100",
        }
        for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE"):
            self.environment.pop(name, None)

    def type(self, line: str) -> "subprocess.CompletedProcess[str]":
        """Run a line as it is written, but with the checkpoints that are here."""
        here = {"lit": "demo", "native": self._native, "large-448": self._large}
        here["aria"] = self._aria
        line = _NAMED.sub(lambda found: f"{found[1]} {here[found[2]]}", line)
        line = _UNNAMED.sub(r"aimv2 \1 --model demo", line)
        line = _IN_WORDS.sub(f"aimv2 ask --model {self._aria}", line)
        line = line.replace("/Volumes/Archive", str(self.folder / "Archive"))
        return self._start("bash", "-c", line)

    def write_tags(self, guide: Document) -> None:
        """The guide's example of a file of tags, where its commands look for it."""
        (tags,) = (text for kind, text in guide.blocks if not kind and "Family|" in text)
        (self.folder / "my-tags.txt").write_text(tags)

    def run_python(self, code: str) -> "subprocess.CompletedProcess[str]":
        """Run a block of Python."""
        return self._start(sys.executable, "-W", "error", "-c", code)

    def printed(self, done: "subprocess.CompletedProcess[str]") -> str:
        """What a line printed, as a document shows it."""
        return (done.stdout + done.stderr).replace(str(self.folder), "/Users/you")

    def _start(self, *command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def _checkpoint(self, name: str, *, native: bool = False) -> Path:
        config = vision_config(native=native)
        folder = self.folder / "checkpoints" / name
        return write_checkpoint(folder, random_vision(native=native), config)


def has_worked(done: "subprocess.CompletedProcess[str]") -> bool:
    """Whether a line did what it should, each part of a pipe too."""
    return done.returncode == 0 and "error:" not in done.stderr and "Traceback" not in done.stderr


def alike(shown: str, printed: str) -> bool:
    """Whether two outputs are the same but for times, sizes and the last digits of scores."""
    pairs = zip(_comparable(shown), _comparable(printed), strict=False)
    return len(_comparable(shown)) == len(_comparable(printed)) and all(
        _NUMBER.sub("#", one) == _NUMBER.sub("#", other)
        and all(
            abs(float(a) - float(b)) <= _ALIKE
            for a, b in zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=True)
        )
        for one, other in pairs
    )


def _comparable(text: str) -> list[str]:
    lines = _TIMES.sub("…", text).splitlines()
    return [" ".join(line.split()) for line in lines if line.strip()]


def rewrite(document: Document, printed: dict[str, str]) -> str:
    """The document's text, with what its commands print now."""
    text = document.path.read_text(encoding="utf-8")
    for command, shown in document.shown:
        above = f"```sh\n{command}\n```\n\n```text\n"
        assert text.count(above + shown) == 1, command
        text = text.replace(above + shown, f"{above}{printed[command]}")
    return text


def main() -> None:
    """Type the guide's commands, and write what they print into it."""
    guide = read("docs/photo-library.md")
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        home.write_tags(guide)
        printed = {line: home.printed(home.type(line)) for line in guide.lines}
    guide.path.write_text(rewrite(guide, printed), encoding="utf-8")


if __name__ == "__main__":
    main()
