"""Who may import whom, read from the sources: nothing imports upward, and the rest of the rules."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "mlx_aimv2"

# From the bottom up: a module imports from its own layer or from one above it in this table,
# and never in a circle. A module that is not here fails: give it a layer.
LAYERS: dict[str, set[str]] = {
    "leaves": {
        "arrays",
        "avif",
        "blas",
        "buckets",
        "checkpoints",
        "colour",
        "cores",
        "cuts",
        "encoding",
        "errors",
        "exclusions",
        "files",
        "header",
        "install",
        "forks",
        "image",
        "jit",
        "lines",
        "local_disks",
        "lock",
        "names",
        "openblas",
        "patches",
        "paths",
        "progress",
        "png",
        "raw",
        "source",
        "spelling",
        "staging",
        "table",
        "tiff",
        "tokenizer",
        "unfit",
        "walk",
        "worker",
    },
    "config": {"config", "cost"},
    "layers": {"cpu", "layers"},
    "networks": {"vision", "text", "lit"},
    "disk and hub": {"layouts", "quantize", "weights", "snapshot", "hub", "upload"},
    "loading": {"loader", "modelcard", "parts", "recipe", "saving"},
    "embedding": {"plan", "decode", "batches", "embedder"},
    "outputs": {"formats", "export", "journal", "merge", "shard", "stored"},
    "use": {"zeroshot", "model", "stand_in"},
    "photo library": {"library"},
    "conversion and training": {"conversion", "training"},
    "proof": {"harness", "verification"},
    "command": {"cli"},
}
RANK = {module: rank for rank, modules in enumerate(LAYERS.values()) for module in modules}

MODEL_FILES = ["config", "cpu", "layers", "vision", "text", "lit"]
PURE = {
    "collections", "contextlib", "dataclasses", "functools", "math", "mlx", "numpy", "threading",
    "typing",
}  # fmt: skip
WITHOUT_MLX = [
    "image", "source", "patches", "tokenizer", "checkpoints", "errors", "files", "lines", "walk",
    "hub",
]  # fmt: skip
HEAVY = {"mlx", "numpy", "PIL", "huggingface_hub", "safetensors", "tokenizers", "rich"}
NEVER = {"click", "cli", "pickle", "dill", "joblib", "torch", "transformers", "timm"}


def sources() -> dict[str, ast.Module]:
    """Every module of the package by its dotted name, as it is installed."""
    modules = {}
    folders = ((ROOT / PACKAGE, PACKAGE), (ROOT / "cli", f"{PACKAGE}.cli"))
    for folder, prefix in folders:
        for path in sorted(folder.rglob("*.py")):
            parts = [prefix, *path.relative_to(folder).with_suffix("").parts]
            name = ".".join(part for part in parts if part != "__init__")
            modules[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return modules


SOURCES = sources()
INNER = ("cli", "harness", "library", "training", "verification")
INITS = {PACKAGE, *(f"{PACKAGE}.{name}" for name in INNER)}


def imports(module: str) -> Iterator[str]:
    """Dotted names of the modules that a module imports, at its top or inside."""
    tree = SOURCES[module]
    package = module if module in INITS else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base]) if base else ".".join(parents)
            inner = [f"{base}.{alias.name}" for alias in node.names]
            yield from (name if name in SOURCES else base for name in inner)


def own_imports(module: str) -> set[str]:
    return {name for name in imports(module) if name in SOURCES} - {PACKAGE, module}


def unit(module: str) -> str:
    """The row of the table that a module is in: its name, or its sub-package's."""
    return module.split(".")[1]


MODULES = [name for name in SOURCES if name != PACKAGE]


@pytest.mark.parametrize("module", MODULES)
def test_nothing_imports_upward(module: str) -> None:
    assert unit(module) in RANK, f"{module} has no layer"
    for other in own_imports(module):
        assert RANK[unit(other)] <= RANK[unit(module)], f"{module} imports {other}"


def test_every_layer_is_real() -> None:
    assert {unit(module) for module in MODULES} == set(RANK)


def test_nothing_imports_in_a_circle() -> None:
    graph = {module: own_imports(module) for module in MODULES}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(MODULES)


@pytest.mark.parametrize("name", MODEL_FILES)
def test_model_files_only_compute(name: str) -> None:
    tree = SOURCES[f"{PACKAGE}.{name}"]
    outside = {module.split(".")[0] for module in imports(f"{PACKAGE}.{name}")} - {PACKAGE}
    assert outside <= PURE
    calls = {node.func.id for node in ast.walk(tree) if _calls_a_name(node)}
    assert not calls & {"open", "print", "input", "exec", "eval", "__import__"}
    quiet = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.Assign, ast.AnnAssign)
    loud = [type(node).__name__ for node in tree.body[1:] if not isinstance(node, quiet)]
    assert not loud, "statements that do something at import"


def _calls_a_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)


@pytest.mark.parametrize("module", SOURCES)
def test_what_is_never_imported(module: str) -> None:
    assert not {name.split(".")[0] for name in imports(module)} & NEVER


@pytest.mark.parametrize("module", SOURCES)
def test_nothing_is_unpickled_or_executed(module: str) -> None:
    for node in ast.walk(SOURCES[module]):
        if _calls_a_name(node):
            assert node.func.id not in {"eval", "exec", "compile", "__import__"}
        if isinstance(node, ast.keyword):
            assert node.arg != "trust_remote_code"
            assert node.arg != "allow_pickle" or ast.literal_eval(node.value) is False


@pytest.mark.parametrize("module", SOURCES)
def test_siblings_relatively_and_the_library_by_name(module: str) -> None:
    in_command = module.startswith((f"{PACKAGE}.cli", f"{PACKAGE}.harness"))
    for node in ast.walk(SOURCES[module]):
        if isinstance(node, ast.ImportFrom):
            if in_command:
                assert node.level <= 1, f"line {node.lineno}: from mlx_aimv2.… import …"
            else:
                assert node.level or not f"{node.module}.".startswith(f"{PACKAGE}.")


@pytest.mark.parametrize("name", WITHOUT_MLX)
def test_leaves_know_no_mlx(name: str) -> None:
    assert "mlx" not in {module.split(".")[0] for module in imports(f"{PACKAGE}.{name}")}


COMMANDS = ["", "embed", "classify", "convert", "info", "models", "doctor"]


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
