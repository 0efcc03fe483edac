"""The order of the library's folders and modules is said in its docstring, and holds."""

import ast
import re
from pathlib import Path

from mlx_aimv2 import library

FOLDER = Path(library.__file__).parent
ORDER = re.findall(r"\w+", library.__doc__.partition("upward:")[2])


def place(path: Path) -> str:
    """The part of the library that a module belongs to."""
    return path.relative_to(FOLDER).with_suffix("").parts[0]


def test_every_part_has_a_place() -> None:
    parts = {place(path) for path in FOLDER.rglob("*.py")} - {"__init__"}
    assert sorted(parts) == sorted(ORDER)


def test_nothing_imports_upward() -> None:
    for path in sorted(FOLDER.rglob("*.py")):
        inside = len(path.relative_to(FOLDER).parts) - 1
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or node.level != inside + 1:
                continue  # not of the library, or of the module's own folder
            names = [node.module] if node.module else [alias.name for alias in node.names]
            for name in names:
                part = name.partition(".")[0]
                assert ORDER.index(place(path)) < ORDER.index(part), f"{path}: {name}"
