"""CONTRIBUTING.md's recipes, followed in a copy of this tree: they name every file it takes."""

import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from tests.support import toy_family
from tests.support.toy_family import write_toy
from tests.support.wheels import run

ROOT = Path(__file__).parents[2]
COPIED = ("mlx_aimv2", "cli", "tests", "benchmarks", "docs", "pyproject.toml", "README.md",
          "CONTRIBUTING.md", "Makefile", "CHANGELOG.md", "convert.py")  # fmt: skip


@dataclass(frozen=True)
class Copy:
    """A copy of this tree in which a recipe is followed."""

    folder: Path

    def follow(self, recipe: str, edits: Mapping[str, str | tuple[str, str]]) -> None:
        """Write new files, or put a text in the place of another one; nothing but what the recipe
        names, and all of that."""
        assert {*edits} == named(recipe)
        for name, edit in edits.items():
            path = self.folder / name
            if isinstance(edit, str):
                assert not path.exists()
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(edit)
            else:
                before, after = edit
                text = path.read_text()
                assert text.count(before) == 1
                path.write_text(text.replace(before, after))

    def run(self, *words: str) -> str:
        """``aimv2 …`` of the copy; what it prints."""
        command = "import sys; from mlx_aimv2.cli.app import main; sys.exit(main())"
        return self._python("-c", command, *words)

    def test(self, *files: str) -> None:
        """Tests of the copy: the toy's own, and of those for all, what they say of the toy."""
        which = ["-k", "toy or circle or place_in_the_order or few_files"]
        self._python("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *which, *files)

    def _python(self, *words: str) -> str:
        return run(sys.executable, *words, cwd=self.folder, PYTHONPATH=str(self.folder))


def named(recipe: str) -> set[str]:
    """The files that a recipe names first in its lines; NAME is that of the toy."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text.split(f"### {recipe}\n", 1)[1].split("\n#", 1)[0]
    files = re.findall(r"^- `([^`]+)`", section, re.MULTILINE)
    return {file.replace("NAME", "toy") for file in files if "public_face" not in file}


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    folder = tmp_path / "tree"
    folder.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder / name)
    return Copy(folder)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (50, 40), "red").save(path)
    return path


COMMAND = '''"""``aimv2 toy``: say a word again."""

from dataclasses import dataclass

from mlx_aimv2.options import argument, option

from . import output

EXAMPLES = """
aimv2 toy hello --times 2
"""


@dataclass(frozen=True)
class Options:
    """Options of ``aimv2 toy``."""

    word: str = argument(help="The word to say.", metavar="WORD")
    times: int = option(1, help="How often to say the word.", min=1)


def toy(options: Options) -> None:
    """Say a word."""
    for _ in range(options.times):
        output.line(options.word)
'''
COMMAND_TEST = '''"""``aimv2 toy``."""

from tests.support.commands import run


def test_it_says_the_word() -> None:
    assert run("toy", "hello", "--times", "2").out == "hello\\nhello\\n"
'''


def test_add_a_command(copy: Copy) -> None:
    copy.follow(
        "Add a command",
        {
            "cli/toy.py": COMMAND,
            "cli/app.py": (
                '    "This machine": {\n', '    "This machine": {\n        "toy": "Say a word.",\n'
            ),
            "tests/cli/test_toy.py": COMMAND_TEST,
        },
    )  # fmt: skip
    assert copy.run("toy", "hello") == "hello\n"
    assert "Say a word." in copy.run("--help")
    assert "--times" in copy.run("toy", "--help")
    copy.test("tests/cli/test_toy.py", "tests/test_architecture.py", "tests/test_hints.py")


FAMILY = Path(toy_family.__file__).read_text()


def family_module() -> str:
    """The toy family as a module of the package, without what makes its checkpoints."""
    code = FAMILY.partition("def toy_tensors")[0]
    unused = "import json|from pathlib .*|import numpy .*|from safetensors.*|from tests.*"
    code = re.sub(rf"^({unused})\n", "", code, flags=re.MULTILINE)
    code = code.replace("from mlx_aimv2.models.aimv2.", "from ..aimv2.")
    return code.replace("from mlx_aimv2.models.", "from ..").rstrip() + "\n"


FAMILY_TEST = '''"""The toy family."""

from mlx_aimv2.models import registry


def test_it_is_in_the_list() -> None:
    assert [family.name for family in registry.FAMILIES] == ["AIMv2", "Aria", "toy"]
'''


def test_add_a_model_family(copy: Copy, photo: Path, tmp_path: Path) -> None:
    copy.follow(
        "Add a model family",
        {
            "mlx_aimv2/models/toy/__init__.py": '"""A made-up family, to try the recipe."""\n',
            "mlx_aimv2/models/toy/family.py": family_module(),
            "mlx_aimv2/models/registry.py": (
                "FAMILIES: tuple[Family, ...] = (AIMV2, ARIA)",
                "from .toy.family import TOY\n\nFAMILIES: tuple[Family, ...] = (AIMV2, ARIA, TOY)",
            ),
            "tests/models/test_toy.py": FAMILY_TEST,
        },
    )
    published = str(write_toy(tmp_path / "published"))
    ours = str(tmp_path / "ours")
    copy.run("convert", "--hf-path", published, "--mlx-path", ours)
    assert "toy" in copy.run("info", ours)
    rows = copy.run("embed", str(photo), "--model", ours, "--out", "-")
    assert (
        copy.run("embed", str(photo), "--model", published, "--out", "-").splitlines()[1:]
        == (rows.splitlines()[1:])
    )
    copy.run("verify", "--model", ours)
    copy.test("tests/models/test_toy.py", "tests/test_architecture.py")


FORMAT = '''"""``.toy``: the metadata on a line, then each row's name and values."""

import json
from pathlib import Path

from mlx_aimv2.files.json_lines import to_json

from ..embeddings import Table
from . import Contents
from .blocks import row_bytes, write_blocks


def write(table: Table, file: Path) -> None:
    """Write a table row by row."""
    with file.open("wb") as out:
        out.write(f"{table.summary.metadata}\\n".encode())
        rows = ((to_json(entry.name), row_bytes(entry).hex()) for entry in table.rows())
        write_blocks(out, (f"{name}\\t{row}\\n".encode() for name, row in rows))


def read(file: Path) -> Contents:
    """The metadata and the names of a finished file."""
    with file.open(encoding="utf-8") as lines:
        metadata = json.loads(next(lines))
        return metadata, [json.loads(line.split("\\t")[0]) for line in lines]
'''
FORMAT_TEST = '''"""The toy format."""

from mlx_aimv2.outputs.formats import FORMATS


def test_it_is_in_the_list() -> None:
    assert ".toy" in FORMATS
'''


def test_add_an_output_format(copy: Copy, photo: Path, tmp_path: Path) -> None:
    copy.follow(
        "Add an output format",
        {
            "mlx_aimv2/outputs/formats/toy.py": FORMAT,
            "mlx_aimv2/outputs/formats/__init__.py": (
                '        Format(".npz"),\n',
                '        Format(".npz"),\n        Format(".toy"),\n',
            ),
            "tests/outputs/test_toy.py": FORMAT_TEST,
        },
    )
    out, shards = str(tmp_path / "whole.toy"), str(tmp_path / "sharded.toy")
    copy.run("embed", str(photo), "--model", "demo", "--out", out)
    copy.run("embed", str(photo), "--model", "demo", "--out", out, "--resume")  # is finished
    for number in "12":
        copy.run("embed", str(photo), str(photo.with_name("photo.png")), "--model", "demo",
                 "--out", shards, "--shard", f"{number}/2")  # fmt: skip
    copy.run("merge", shards)
    assert ".toy" in copy.run("embed", "--help")
    copy.test("tests/outputs/test_toy.py", "tests/test_architecture.py")
