"""What people build on: the parameters of the public Python names, and the help of every command.

python -m tests.support.public_face > tests/public_face.txt
"""

import dataclasses
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlx_aimv2

COMMITTED = Path(__file__).parents[1] / "public_face.txt"
AIMV2 = Path(sys.executable).with_name("aimv2")


def names() -> Iterator[str]:
    """Public names, with their parameters and what they have; types are left to the type checks."""
    for name in sorted(mlx_aimv2.__all__):
        value = getattr(mlx_aimv2, name)
        if not inspect.isclass(value):
            yield f"{name}{_parameters(value)}" if inspect.isfunction(value) else name
            continue
        yield f"class {name}{_parameters(value)}"
        fields = {field.name for field in dataclasses.fields(value)} if _is_record(value) else set()
        yield from (f"    .{field}" for field in sorted(fields))
        ours = [base for base in value.__mro__ if base.__module__.startswith("mlx_aimv2")]
        own = {key: member for base in reversed(ours) for key, member in vars(base).items()}
        for key, member in sorted(own.items()):
            if key in fields or (key.startswith("_") and key != "__call__"):
                continue
            function = getattr(member, "__func__", member)  # of class and static methods
            yield f"    .{key}{_parameters(function) if inspect.isfunction(function) else ''}"


def _is_record(value: type) -> bool:
    return dataclasses.is_dataclass(value)


def _parameters(function: object) -> str:
    try:
        signature = inspect.signature(function)  # type: ignore[arg-type]
    except ValueError:
        return ""
    bare = [each.replace(annotation=each.empty) for each in signature.parameters.values()]
    return re.sub(r" at 0x\w+", "", str(inspect.Signature(bare)))


def helps() -> Iterator[str]:
    """``aimv2 --help``, that of each command, and of each action of a command."""
    from mlx_aimv2.cli.app import COMMANDS, load_command  # noqa: PLC0415

    commands: list[list[str]] = [[]]
    for name in COMMANDS:
        actions = sorted(getattr(load_command(name), "commands", {}))
        commands += [[name], *([name, action] for action in actions)]
    for words in commands:
        done = subprocess.run(
            [AIMV2, *words, "--help"],
            env=os.environ | {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        yield f"$ {' '.join(['aimv2', *words, '--help'])}\n{done.stdout.rstrip()}\n"


def whole() -> str:
    """All of it, as it is committed."""
    return "\n".join([*names(), "", *helps()]).rstrip()


if __name__ == "__main__":
    print(whole())
