"""Hints speak with one voice: they start small and end without a full stop."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted([*(ROOT / "mlx_aimv2").rglob("*.py"), *(ROOT / "cli").glob("*.py")])
TABLES = {"_REASONS", "_KINDS", "_REFUSALS"}  # whose rows end in a hint
CAPITAL = re.compile("[A-Z][a-z]")  # MLX and UTF-8 are names


def texts(node: ast.expr | None) -> Iterator[tuple[str, str]]:
    """How the strings of an expression start and end."""
    match node:
        case ast.Constant(value=str(text)):
            yield text, text
        case ast.JoinedStr(values=parts):
            ends = [part.value if isinstance(part, ast.Constant) else "" for part in parts]
            yield ends[0], ends[-1]
        case ast.IfExp(body=first, orelse=second):
            yield from (*texts(first), *texts(second))
        case ast.Tuple(elts=items) | ast.Dict(values=items):
            for item in items:
                yield from texts(item)


def hints(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg="hint", value=value):
                yield from texts(value)
            case ast.Assign(targets=targets, value=value):
                names = [n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
                if any("hint" in name.lower() or name in TABLES for name in names):
                    yield from texts(value)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_hints_have_one_voice(file: Path) -> None:
    for start, end in hints(ast.parse(file.read_text(encoding="utf-8"))):
        assert not CAPITAL.match(start), start
        assert not end.endswith("."), end


def test_hints_are_found() -> None:
    found = [hint for file in FILES for hint in hints(ast.parse(file.read_text(encoding="utf-8")))]
    assert len(found) > 100
    assert {"name a file", "hf auth login", "the reasons are above"} <= {
        start for start, _ in found
    }


@pytest.mark.parametrize("text", ['"Leave it out"', '"leave it out."', 'f"known are {known}."'])
def test_another_voice_is_heard(text: str) -> None:
    tree = ast.parse(f"raise UsageError('no', hint={text})")
    ((start, end),) = hints(tree)
    assert CAPITAL.match(start) or end.endswith(".")
