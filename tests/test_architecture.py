"""The tree is the architecture, read from the sources: nothing imports upward, and other rules."""

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "mlx_aimv2"

# From the top down: a folder imports itself and what stands below it. What lies beside the folders
# (errors, the device) is below them all.
ORDER = [
    "cli",
    "server",
    "describe",
    "verification",
    "bench",
    "evaluation",
    "training",
    "library",
    "outputs",
    "inference",
    "checkpoints",
    "models",
    "cpu",
    "texts",
    "images",
    "files",
]
MOST_AT_THE_TOP = 8
MOST_IN_A_FOLDER = 14

PURE = {
    "collections", "contextlib", "dataclasses", "difflib", "functools", "math", "mlx", "numpy",
    "re", "typing",
}  # fmt: skip
WITHOUT_MLX = [
    "errors", "files", "images.decode", "images.patches", "images.source", "images.walk",
    "texts.tokenizer", "models.aimv2.published", "checkpoints.hub",
]  # fmt: skip
OF_THE_DEVICE = {
    "cpu_count", "cuda", "default_device", "device_info", "DeviceType", "metal",
    "sched_getaffinity",
}  # fmt: skip
HEAVY = {
    "mlx", "numpy", "PIL", "huggingface_hub", "safetensors", "tokenizers", "rich", "starlette",
    "uvicorn",
}  # fmt: skip
NEVER = {"click", "cli", "pickle", "dill", "joblib", "torch", "transformers", "timm"}


def sources() -> dict[str, Path]:
    """Every module of the package by its dotted name, as it is installed."""
    modules = {}
    for folder, prefix in ((ROOT / PACKAGE, PACKAGE), (ROOT / "cli", f"{PACKAGE}.cli")):
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            if folder.name == PACKAGE and parts[0] == "cli":
                continue  # the link to the folder beside it
            name = ".".join([prefix, *(part for part in parts if part != "__init__")])
            modules[name] = path
    return modules


PATHS = sources()
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in PATHS.items()}
FOLDERS = {name for name, path in PATHS.items() if path.name == "__init__.py"}


def imports(module: str) -> Iterator[str]:
    """Dotted names of the modules that a module imports, at its top or inside."""
    package = module if module in FOLDERS else module.rpartition(".")[0]
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base]) if base else ".".join(parents)
            inner = [f"{base}.{alias.name}" for alias in node.names]
            yield from (name if name in PATHS else base for name in inner)


def own_imports(module: str) -> set[str]:
    return {name for name in imports(module) if name in PATHS} - {PACKAGE, module}


def rank(module: str) -> int:
    """Place of a module's folder in the order; what lies beside the folders is below them all."""
    name = module.removeprefix(f"{PACKAGE}.").split(".")[0]
    beside = PATHS.get(f"{PACKAGE}.{name}", ROOT).parent == ROOT / PACKAGE
    return len(ORDER) if beside else ORDER.index(name)


MODULES = [name for name in PATHS if name != PACKAGE]


@pytest.mark.parametrize("module", MODULES)
def test_nothing_imports_upward(module: str) -> None:
    for other in own_imports(module):
        assert rank(other) >= rank(module), f"{module} imports {other}"


def test_every_folder_has_a_place_in_the_order() -> None:
    inner = {name.split(".")[1] for name in FOLDERS if name != PACKAGE}
    assert inner == set(ORDER)


def test_the_readme_shows_the_tree_in_this_order() -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## Where things are")[1]
    tree = section.split("```")[1]
    shown = re.findall(r"^  (\w+)/", tree.split("mlx_aimv2/\n")[1], re.MULTILINE)
    assert ["cli", *shown] == [*ORDER, "demo"]
    beside = re.findall(r"(\w+)\.py", tree.split("  files/")[1].split("  demo/")[0])
    assert {*beside, "__init__"} == {path.stem for path in (ROOT / PACKAGE).glob("*.py")}


def test_nothing_imports_in_a_circle() -> None:
    graph = {module: own_imports(module) for module in MODULES}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(MODULES)


@pytest.mark.parametrize("folder", sorted(FOLDERS - {f"{PACKAGE}.cli"}))
def test_a_folder_has_one_subject_and_few_files(folder: str) -> None:
    assert ast.get_docstring(TREES[folder]), "a folder says its subject in its docstring"
    files = list(PATHS[folder].parent.glob("*.py"))
    assert len(files) <= (MOST_AT_THE_TOP if folder == PACKAGE else MOST_IN_A_FOLDER)


@pytest.mark.parametrize("module", [name for name in MODULES if ".models." in name])
def test_models_only_compute(module: str) -> None:
    tree = TREES[module]
    outside = {name.split(".")[0] for name in imports(module)} - {PACKAGE}
    assert outside <= PURE
    calls = {node.func.id for node in ast.walk(tree) if _calls_a_name(node)}
    assert not calls & {"open", "print", "input", "exec", "eval", "__import__"}
    quiet = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.Assign, ast.AnnAssign)
    loud = [type(node).__name__ for node in tree.body[1:] if not isinstance(node, quiet)]
    assert not loud, "statements that do something at import"


def _calls_a_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)


# The worker runs other people's models in processes of their own.
ASKS_NOT = [name for name in PATHS if name not in {f"{PACKAGE}.device", f"{PACKAGE}.bench.worker"}]


@pytest.mark.parametrize("module", ASKS_NOT)
def test_the_device_is_asked_in_one_module(module: str) -> None:
    asked = {node.attr for node in ast.walk(TREES[module]) if isinstance(node, ast.Attribute)}
    assert not asked & OF_THE_DEVICE


@pytest.mark.parametrize("module", PATHS)
def test_what_is_never_imported(module: str) -> None:
    assert not {name.split(".")[0] for name in imports(module)} & NEVER


@pytest.mark.parametrize("module", PATHS)
def test_nothing_is_unpickled_or_executed(module: str) -> None:
    for node in ast.walk(TREES[module]):
        if _calls_a_name(node):
            assert node.func.id not in {"eval", "exec", "compile", "__import__"}
        if isinstance(node, ast.keyword):
            assert node.arg != "trust_remote_code"
            assert node.arg != "allow_pickle" or ast.literal_eval(node.value) is False


IN_FOLDERS = [name for name in MODULES if rank(name) < len(ORDER)]


@pytest.mark.parametrize("module", IN_FOLDERS)
def test_relative_within_a_folder_by_name_across(module: str) -> None:
    """In a top-level folder `from .store import`, across `from mlx_aimv2.files.paths import`."""
    own = module.split(".")[1]
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.ImportFrom):
            base = module if module in FOLDERS else module.rpartition(".")[0]
            assert node.level < len(base.split(".")), f"line {node.lineno}: by name"
            assert not f"{node.module}.".startswith(f"{PACKAGE}.{own}."), f"line {node.lineno}"


def test_tests_mirror_the_folders() -> None:
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert folders - {"browser", "documents", "parity", "weights"} <= set(ORDER)


def test_no_test_file_imports_another() -> None:
    """What tests share is in tests/support, by its subject's name."""
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = f"{getattr(node, 'module', None) or ''}."
                names = [f"{module}{alias.name}".lstrip(".").split(".") for alias in node.names]
                own = [name for name in names if name[0] == "tests" or getattr(node, "level", 0)]
                taken = [part for name in own for part in name if part.startswith("test_")]
                assert not taken, f"{path.relative_to(ROOT)}, line {node.lineno}: {taken}"


@pytest.mark.parametrize("name", WITHOUT_MLX)
def test_what_needs_no_mlx_knows_no_mlx(name: str) -> None:
    assert "mlx" not in {module.split(".")[0] for module in imports(f"{PACKAGE}.{name}")}


COMMANDS = ["", "embed", "classify", "convert", "info", "models", "doctor", "browse"]


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import mlx_aimv2", HEAVY),
        ("import mlx_aimv2.cli", HEAVY | {"typer"}),
        *((f"import mlx_aimv2.{name}", {"mlx"}) for name in WITHOUT_MLX),
        *(
            (f"from mlx_aimv2.cli.app import main; main({[*name.split(), '--help']})", HEAVY)
            for name in COMMANDS
        ),
    ],
)
def test_what_an_import_brings_with_it(statement: str, absent: set[str]) -> None:
    report = "import sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}; {report}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT.parent,
    )
    assert not absent & set(done.stdout.splitlines()[-1].split())
