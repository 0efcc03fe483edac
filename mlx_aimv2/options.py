"""Options as fields of frozen dataclasses: keywords for Python, flags for the command line.

An option is defined once, beside where it acts; ``cli/options.py`` makes the flags and their help
of it. A field without help is no flag.
"""

from dataclasses import MISSING, Field, field, fields
from typing import Any


def option(default: Any = None, *, help: str, flags: str = "", **shown: Any) -> Any:
    """A field that is an option of a command too.

    ``flags`` are its names there, where the field's own will not do: ``"-n --count"``. A field
    that is true by default has the flag that denies it; one whose default is ``()`` may be given
    again. ``shown`` is more for the command line, in Typer's words: ``metavar``, ``min``, ``max``,
    ``show_default``; and ``type`` where what is taken there is narrower.
    """
    return field(default=default, metadata={"help": help, "flags": flags, **shown})


def argument(default: Any = MISSING, *, help: str, metavar: str) -> Any:
    """A field that a command takes by its place; required without a default."""
    return field(default=default, metadata={"help": help, "metavar": metavar, "is_argument": True})


def group(kind: type, *, without: str = "") -> Any:
    """A field that is itself such a dataclass: its options are the command's, but for a few."""
    return field(default_factory=kind, metadata={"without": without.split()})


def options_of(kind: type) -> "list[Field[Any]]":
    """The fields of a dataclass that are options, those of its groups in their places."""
    found: list[Field[Any]] = []
    for each in fields(kind):
        if "without" in each.metadata:
            inner = options_of(each.type)  # type: ignore[arg-type]
            found += [one for one in inner if one.name not in each.metadata["without"]]
        elif "help" in each.metadata:
            found.append(each)
    return found


def flags_of(each: "Field[Any]") -> list[str]:
    """The names of an option on the command line."""
    return each.metadata["flags"].split() or [f"--{each.name.replace('_', '-')}"]
