"""Flags and arguments made of the fields of a command's options; options of several commands.

``--quiet`` and ``--debug`` are not here: ``app.py`` adds them to every command.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import partial
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from mlx_aimv2.errors import UsageError
from mlx_aimv2.models.aimv2.published import CHECKPOINTS, LICENCE, LICENCE_TERMS
from mlx_aimv2.options import flags_of, option, options_of

from . import output

if TYPE_CHECKING:
    from mlx_aimv2.checkpoints.hub import Download


def complete_model(incomplete: str) -> Iterator[tuple[str, str]]:
    """Names a checkpoint goes by: aliases first, full names once ``aimv2-`` is typed."""
    names = [(checkpoint.alias, checkpoint.name) for checkpoint in CHECKPOINTS]
    names += [("demo", "the small model in this package; it knows drawings, not photographs")]
    if incomplete:
        names += [(checkpoint.name, f"= {checkpoint.alias}") for checkpoint in CHECKPOINTS]
    return (pair for pair in names if pair[0].startswith(incomplete))


def path(text: str) -> str:
    """A path as it was typed: Typer's own strings refuse names that are not UTF-8."""
    return os.fspath(text)


def path_at_home(text: str) -> str:
    """A path with its ~ expanded: shells leave it as it is in ``--out=~/photos.npz``."""
    is_home = text == "~" or text.startswith("~/")
    return os.path.expanduser(text) if is_home else path(text)  # noqa: PTH111  (bytes as typed)


PATHS_HELP = "Image files, and folders with all the pictures in them; - for a list on stdin."
LIBRARY = partial(
    option,
    help="The file of the library.",
    metavar="FILE",
    show_default="library.db where the system keeps data",
)
FORCE = partial(option, False, help="Replace the file if it exists.")
HTML = partial(option, help="Write a sheet of small pictures to look at.", metavar="FILE")
OPEN = partial(option, False, help="Open the sheet in the browser.", flags="--open")
YES = partial(option, False, help="Download weights without being asked first.", flags="--yes -y")
JSON = partial(option, False, help="Print JSON, one object on each line.", flags="--json")
NULL = partial(
    option,
    False,
    help="The list on stdin has a NUL after each name, not a line end.",
    flags="--null -0",
)


def with_parameters(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command of one options object, as Typer reads it: with a parameter for each option."""
    kind = next((each.annotation for each in signature(command).parameters.values()), None)
    if not isinstance(kind, type) or not is_dataclass(kind):
        return command

    def run(**given: Any) -> Any:
        return command(_made(kind, given))

    run.__signature__ = Signature([*map(_parameter, options_of(kind))])  # type: ignore[attr-defined]
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def given_flags(options: Any, *, without: str = "") -> list[str]:
    """The long names of the flags that were given another value than their default."""
    given: list[str] = []
    left_out = without.split()
    for each in fields(options):
        value = getattr(options, each.name)
        if "without" in each.metadata:
            given += given_flags(value, without=without)
        elif "flags" in each.metadata and value != each.default and each.name not in left_out:
            given.append(max(flags_of(each), key=len))
    return given


def _made(kind: Any, given: dict[str, Any]) -> Any:
    """The options of what Typer has read; those that are no options here keep their defaults."""
    values = {}
    for each in fields(kind):
        if "without" in each.metadata:
            inner = {name: given[name] for name in given if name not in each.metadata["without"]}
            values[each.name] = _made(each.type, inner)
        elif each.name in given:
            values[each.name] = _value(each, given[each.name])
    return kind(**values)


def _value(each: "Field[Any]", given: Any) -> Any:
    if _is_list(each):
        return tuple(given or ())
    return not given if each.default is True else given


def _is_list(each: "Field[Any]") -> bool:
    return each.default == () or get_args(each.type)[1:] == (...,)


def _parameter(each: "Field[Any]") -> Parameter:
    """What Typer takes for an option or argument."""
    shown = {key: value for key, value in each.metadata.items() if key != "flags"}
    kind = list[str] if _is_list(each) else shown.pop("type", each.type)
    default = False if each.default is True else None if each.default == () else each.default
    if str in (kind, *get_args(kind)):
        shown.setdefault("parser", path)
    if shown.get("metavar") == "SOURCE":
        shown["autocompletion"] = complete_model
    if shown.pop("is_argument", False):
        told: Any = typer.Argument(**shown)
    else:
        told = typer.Option(*flags_of(each), **shown)
    return Parameter(
        each.name,
        Parameter.KEYWORD_ONLY,
        default=Parameter.empty if each.default is MISSING else default,
        annotation=Annotated[kind, told],
    )


def check_null(null: bool, paths: Sequence[str]) -> None:
    """Errors: UsageError for ``--null`` where no list is read."""
    if null and output.STDIN not in paths:
        raise UsageError(
            "--null is for a list on stdin",
            hint="name that with -, as in: find photos -name '*.jpg' -print0 | aimv2 … - --null",
        )


def hide_bars() -> None:
    """From here on huggingface_hub draws none."""
    from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]  # noqa: PLC0415

    disable_progress_bars()


def confirm_download(yes: bool) -> "Callable[[Download], bool]":
    """What ``load`` and ``resolve`` ask before weights are fetched.

    It asks whoever sits at the terminal; where nobody does, only ``--yes`` agrees.
    """

    def confirm(download: "Download") -> bool:
        if output.is_quiet():
            hide_bars()
        licence = f", licence {download.licence}" if download.licence else ""
        if download.licence == LICENCE:
            licence += f" ({LICENCE_TERMS})"
        text = f"{download.repo_id}: {output.size(download.size_bytes)}{licence}"
        if not yes and output.is_interactive():
            return output.ask(f"Download {text}?")
        output.say(f"{'downloading' if yes else 'to be downloaded'}: {text}")
        return yes

    return confirm


def as_source(folder: Path) -> str:
    """A folder as ``--model`` takes it, even where its name is one of a checkpoint."""
    is_plain = not folder.is_absolute() and folder.parts[:1] != ("..",)
    return f"./{folder}" if is_plain else str(folder)
