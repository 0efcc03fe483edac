"""A hint names only options that the command at hand has, wherever in the code it is raised."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from mlx_aimv2.cli.app import COMMANDS, load_command
from mlx_aimv2.errors import ImageError
from mlx_aimv2.images.decode import open_rgb
from mlx_aimv2.library.library import Library
from tests.support.albums import make_album
from tests.support.commands import run
from tests.support.pictures import png_header

ROOT = Path(__file__).parent.parent
PACKAGE = "mlx_aimv2"
NO_HINTS = ("EXAMPLES", "GROUPS", "_STYLE")
# Scripts of their own, and what is handed to other programs.
APART = (
    "mlx_aimv2.training",
    "mlx_aimv2.bench.conditions",
    "mlx_aimv2.cpu.openblas",
    "mlx_aimv2.install_hints",
    "mlx_aimv2.server.process.index_process",
)
OTHERS = re.compile(r"\b(hf|pip|git|uv|make) [^;:]*")
LIBRARY = ("index", "search", "tag", "teach", "duplicates", "library")
# Modules that more commands import than can raise what names an option.
RAISED_IN = {
    "outputs.output_file": ("embed", "merge", "library"),
    "outputs.journal": ("embed",),
    "outputs.shard": ("embed",),
    "library.search.query": ("search",),
    "library.search.searcher": ("search",),
    "library.database.schema": LIBRARY,
    "library.database.segments": LIBRARY,
    "library.sidecars.sidecar": ("tag",),
    "library.database.connection": LIBRARY,
    "library.export": ("library",),
    "library.teaching.teacher": ("teach",),
    "library.teaching.classifier": ("teach",),
    "outputs.merge": ("embed",),  # told in merge, typed with embed
    "cli.options": ("embed", "classify"),
    "cli.inputs": ("embed",),
    "cli.lists": ("embed", "classify"),  # tag sees itself which kind of list it gets
}
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
WHOLE_COMMAND = re.compile(r"aimv2 (?P<name>[a-z]+)(?P<rest>[^;:`]*)")


def modules() -> dict[str, ast.Module]:
    found = {}
    for folder, package in ((ROOT / PACKAGE, PACKAGE), (ROOT / "cli", f"{PACKAGE}.cli")):
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            name = ".".join(part for part in parts if part != "__init__")
            found.setdefault(name, ast.parse(path.read_text(encoding="utf-8")))
    return found


MODULES = modules()


@cache
def imports(name: str) -> frozenset[str]:
    """The modules of this package that one imports, inside its functions too."""
    found = set()
    is_package = any(other.startswith(f"{name}.") for other in MODULES)
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = name.split(".")
            here = parents[: len(parents) - node.level + is_package] if node.level else []
            base = ".".join([*here, *filter(None, [node.module])])
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return frozenset(found & MODULES.keys() - {PACKAGE})


@cache
def reached(command: str) -> frozenset[str]:
    """All modules that run for a command, besides those that it has to itself as a boundary."""
    waiting, found = [f"{PACKAGE}.cli.{command}"], set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += imports(name)
    return frozenset(found)


@cache
def options(command: str) -> frozenset[str]:
    """The options that a command has, by its own parameters."""
    loaded = load_command(command)
    several = (loaded, *getattr(loaded, "commands", {}).values())
    own = {name for each in several for param in each.params for name in param.opts}
    return frozenset(own | {"--help", "--quiet", "--debug"})


def texts(tree: ast.Module) -> Iterator[str]:
    """A module's messages and hints, not its docstrings and declarations."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))  # a docstring
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            is_option = called in {"option", "argument", "partial"} or called.isupper()
            if is_option or called.endswith(("Option", "Argument", "add_argument", "packages")):
                skipped |= {id(each) for each in ast.walk(node)}
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in NO_HINTS:
            skipped |= {id(each) for each in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.JoinedStr):
            parts = [each.value if isinstance(each, ast.Constant) else "…" for each in node.values]
            skipped |= {id(each) for each in ast.walk(node)}
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def wrong(name: str) -> Iterator[str]:
    """What is wrong with the options that a module's texts name."""
    commands = [command for command in COMMANDS if name in reached(command)]
    commands = list(RAISED_IN.get(name.removeprefix(f"{PACKAGE}."), commands))
    for text in texts(MODULES[name]):
        rest = OTHERS.sub("", text)
        for match in WHOLE_COMMAND.finditer(rest):
            if match["name"] in COMMANDS:
                lacking = set(OPTION.findall(match["rest"])) - options(match["name"])
                if lacking:
                    yield f"{name}: {text!r}: {match['name']} has no {lacking}"
                rest = rest.replace(match[0], "")
        for option in OPTION.findall(rest):
            without = [command for command in commands if option not in options(command)]
            if without:
                yield f"{name}: {text!r}: {option} is not in {', '.join(without)}"


@pytest.mark.parametrize("name", [name for name in MODULES if not name.startswith(APART)])
def test_hints_name_options_that_are_there(name: str) -> None:
    assert not list(wrong(name))


@pytest.fixture
def giant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A picture of more pixels than are read, beside an indexed photo, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "giant.png").write_bytes(png_header(60_000, 60_000))
    (photo,) = make_album(tmp_path / "album", 1)
    Library(tmp_path / "library.db").index(photo, model="demo")
    return "giant.png"


def test_each_command_hints_at_what_it_has(giant: str) -> None:
    library = ["--library", "library.db"]
    said = {
        "search": run("search", "--like", giant, *library).err,
        "index": run("index", giant, *library).err,
        "embed": run("embed", giant, "-m", "demo", "-o", "-").err,
        "classify": run("classify", giant, "-m", "demo", "-l", "a,b").err,
    }
    for command, text in said.items():
        assert "over the limit" in text
        assert "hint: shrink it" in text
        assert ("--max-pixels" in text) == ("--max-pixels" in options(command)), text
    with pytest.raises(ImageError) as caught:
        open_rgb(giant)
    assert "--" not in caught.value.hint
