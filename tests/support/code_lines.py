"""Lines of code, folder by folder: no blank lines, comments or docstrings; tests are not counted.

python -m tests.support.code_lines [COMMIT]     # with a commit: then, now, and the difference
"""

import ast
import io
import subprocess
import sys
import tokenize
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
_NO_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENCODING, tokenize.ENDMARKER,
}  # fmt: skip
_WITH_DOCSTRING = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def count(source: bytes) -> int:
    """Lines of a module that hold code."""
    lines: set[int] = set()
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, _WITH_DOCSTRING) and ast.get_docstring(node, clean=False) is not None:
            lines.difference_update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def by_folder(commit: str | None = None) -> Counter[str]:
    """Lines of code of each folder, of the working tree or of a commit."""
    listing = ["ls-tree", "-r", "--name-only", commit] if commit else ["ls-files"]
    found: Counter[str] = Counter()
    for name in _git(*listing).decode().splitlines():
        path = ROOT / name
        if not name.endswith(".py") or name.startswith("tests/") or not (commit or path.is_file()):
            continue
        source = _git("show", f"{commit}:{name}") if commit else path.read_bytes()
        found["/".join(name.split("/")[:-1][:2]) or "."] += count(source)
    return found


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout


def main() -> None:
    commit = sys.argv[1] if len(sys.argv) > 1 else None
    now, then = by_folder(), by_folder(commit) if commit else Counter[str]()
    for folder in sorted(now | then):
        print(f"{folder:28}{then[folder]:7,}{now[folder]:7,}{now[folder] - then[folder]:+8,}")
    print(f"{'all':28}{then.total():7,}{now.total():7,}{now.total() - then.total():+8,}")


if __name__ == "__main__":
    main()
