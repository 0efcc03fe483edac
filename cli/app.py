"""The ``aimv2`` command: its subcommands, and the one place where errors become exit codes.

A subcommand's module is imported when it is asked for, so that help stays fast. It holds a
function of the command's name, which returns an exit code or nothing, and EXAMPLES for its help.
"""

import gc
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from inspect import signature
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.paths import printable

from . import help, output
from .exit_codes import FAILED, INTERRUPTED, USAGE, explain

# Headings, and below each the commands: name and line in `aimv2 --help`. The module and its
# function have the command's name.
GROUPS = {
    "Photo library": {
        "index": "Read new and changed photos into the library.",
        "search": "Find photos in the library by words or by likeness.",
        "tag": "Give photos tags, and correct, rename or undo them.",
        "describe": "Say in words what photos show: captions for them.",
        "teach": "Teach a tag of your own by photos with it and without it.",
        "duplicates": "Find files that show one picture.",
        "browse": "Look at the library in a browser, search it, correct it.",
        "library": "Look after the library: status, errors, prune, forget, export.",
    },
    "Pictures and texts to numbers": {
        "embed": "Turn images or texts into embeddings.",
        "merge": "Put the shards of a run together into one file.",
        "classify": "Say which labels fit images.",
        "locate": "Find where in a picture words are.",
    },
    "Pictures to words": {
        "ask": "Ask a question about pictures.",
    },
    "Checkpoints": {
        "models": "List the published checkpoints and which are here already.",
        "info": "Tell what a checkpoint is and what it needs.",
        "convert": "Convert a checkpoint to our or transformers' layout; quantise.",
        "eval": "Measure a checkpoint on a data set, beside the paper's figure.",
        "train": "Train a checkpoint, by the stages of the paper.",
    },
    "This machine": {
        "doctor": "Check this installation.",
        "verify": "Verify that this port and a checkpoint are right here.",
        "bench": "Measure how fast this machine is, beside what limits it.",
    },
}
COMMANDS = {name: text for group in GROUPS.values() for name, text in group.items()}
EXAMPLES = """
aimv2 index ~/Pictures
aimv2 search red bicycle in snow
aimv2 embed photos --out photos.npz
aimv2 classify photos/*.jpg --labels "dog, cat"
aimv2 COMMAND --help
"""

_EVERYWHERE = ("quiet", "debug")  # options before and after a command's name


class Commands(TyperGroup):
    """The group of commands, of which only the one that is asked for is loaded."""

    def get_params(self, ctx: Any) -> Any:
        flags = super().get_params(ctx)
        for flag in flags:
            flag.default = False  # Typer converts a None with pydantic, which takes 100 ms
        return flags

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] in COMMANDS:
            command = load_command(args[0])
            everywhere = [option for option in self.params if option.name in _EVERYWHERE]
            several = (command, *getattr(command, "commands", {}).values())
            for each in several:
                each.params += everywhere
            output.set_options(
                name for each in several for param in each.params for name in param.opts
            )
            self.add_command(command)
        elif args[0] in (below := _commands_below()):
            raise UsageError(f"No such command '{args[0]}'.", hint=f"aimv2 {below[args[0]]}")
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands in their groups, then the options."""
        help.write_sections(
            formatter, {each: list(group.items()) for each, group in GROUPS.items()}
        )
        options = [help.row(option, ctx) for option in self.get_params(ctx)]
        help.write_sections(formatter, {"Options": options})


class Actions(TyperGroup):
    """A command that has commands of its own, whose options may stand before their names too.

    With ``invoke_without_command`` it does something without any of them, by options of its own.
    """

    groups: Mapping[str, str] = {}

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, then the options."""
        rows = [
            (name, (command.help or "").partition("\n\n")[0])
            for name, command in self.commands.items()
        ]
        options = help.sections(self.get_params(ctx), ctx, self.groups)
        help.write_sections(formatter, {"Commands": rows, **options})

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Move the action's name to the front.

        Without any words show the help, as aimv2 does, of what does nothing without an action.
        """
        if not args and not self.invoke_without_command:
            output.line(ctx.get_help())
            ctx.exit(USAGE)
        takes_value = {
            option
            for action in (self, *self.commands.values())
            for param in action.params
            if not getattr(param, "is_flag", True)
            for option in param.opts
        }
        after = ["", *args]
        named = (
            at
            for at, word in enumerate(args)
            if word in self.commands and after[at] not in takes_value
        )
        at = next(named, None)
        if at is None:
            return super().parse_args(ctx, args)
        self.callback = None  # it is what is done without an action
        return super().parse_args(ctx, [args[at], *args[:at], *args[at + 1 :]])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if self.invoke_without_command and args[0] not in self.commands:
            raise UsageError(
                f"aimv2 {self.name} does not know {printable(args[0])!r}",
                hint=f"one of {', '.join(self.commands)}, or options only: "
                f"aimv2 {self.name} --help",
            )
        return super().resolve_command(ctx, args)


def load_command(name: str) -> Any:
    """The command of that name, with its examples at the end of its help."""
    from .options import with_parameters  # noqa: PLC0415  (not for aimv2's own help)

    module = import_module(f".{name}", __package__)
    if not hasattr(module, "ACTIONS"):
        alone = typer.Typer(rich_markup_mode=None, add_completion=False)
        decorate = alone.command(name, cls=help.Command, epilog=_epilog(module.EXAMPLES))
        decorate(with_parameters(getattr(module, name)))
        command: Any = typer.main.get_command(alone)
        command.groups = getattr(module, "GROUPS", {})
        command.several = getattr(module, "SEVERAL", ())
        return command
    by_default = with_parameters(getattr(module, name))
    does_something = bool(signature(by_default).parameters)
    several = typer.Typer(
        name=name,
        cls=Actions,
        rich_markup_mode=None,
        add_completion=False,
        epilog=_epilog(module.EXAMPLES),
        invoke_without_command=does_something,
        subcommand_metavar="[COMMAND [ARGS]...]" if does_something else None,
    )
    several.callback()(by_default)
    for action in module.ACTIONS:
        lines = module.EXAMPLES.splitlines()
        words = f" {name} {action.__name__.replace('_', '-')}"
        examples = [line for line in lines if words in line]
        decorate = several.command(cls=help.Command, epilog=_epilog("\n".join(examples)))
        decorate(with_parameters(action))
    group: Any = typer.main.get_command(several)
    group.groups = getattr(module, "GROUPS", {})
    return group


def build() -> Any:
    """The whole command; its subcommands are known by name only."""
    app = typer.Typer(
        cls=Commands,
        rich_markup_mode=None,
        context_settings={
            "help_option_names": ["--help", "-h"],
            "max_content_width": help.WIDTH,
        },
        epilog=_epilog(EXAMPLES),
    )
    app.callback()(_aimv2)
    group: Any = typer.main.get_command(app)
    for name, summary in COMMANDS.items():
        group.add_command(TyperCommand(name, help=summary))  # takes its place until it is loaded
    return group


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; no error passes this point."""
    gc.freeze()
    gc.enable()
    output.start()
    with output.warnings_as_notes():
        try:
            code = _run(sys.argv[1:] if arguments is None else arguments)
            output.finish()
        except (Exception, KeyboardInterrupt) as error:
            code = _report(error)
    return code


def script() -> None:
    """What is installed as ``aimv2``: ``main``, then out.

    Where nothing was computed there is nothing to tidy up, and Python need not: help is 8 ms
    sooner there.
    """
    code = main()
    if "mlx" in sys.modules:
        sys.exit(code)
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _run(arguments: Sequence[str]) -> int:
    try:
        code = build().main(arguments or ["--help"], prog_name="aimv2", standalone_mode=False)
    except SystemExit as stop:  # Typer ends so after completion, and when a pipe is closed
        return int(stop.code or 0)
    if code == INTERRUPTED:  # Typer's answer to KeyboardInterrupt
        raise KeyboardInterrupt
    return int(code or 0) if arguments else USAGE


def _report(error: BaseException) -> int:
    if isinstance(error, BrokenPipeError):
        output.abandon()
        return FAILED
    if output.is_debug():
        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt):
        output.stopped()
        return INTERRUPTED
    message, hint, code = explain(error)
    output.error(message, hint)
    if isinstance(error, OSError):
        output.abandon()  # it may be stdout that cannot be written
    return code


def _aimv2(
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            help="Print errors and data only.",
            callback=lambda is_asked: is_asked and output.set_quiet(),
            expose_value=False,
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            help="Show the traceback of an error.",
            callback=lambda is_asked: is_asked and output.set_debug(),
            expose_value=False,
        ),
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            "-V",
            help="Show the version and exit.",
            callback=lambda is_asked: is_asked and _show_version(),
            is_eager=True,
            expose_value=False,
        ),
    ] = False,
) -> None:
    """Apple's AIMv2 encoders on a Mac: images and texts in, embeddings and labels out."""


def _show_version() -> None:
    from importlib.metadata import version  # noqa: PLC0415

    output.line(f"aimv2 {version('mlx-aimv2')}")
    raise typer.Exit


def _commands_below() -> dict[str, str]:
    """Actions of a command, such as prune of library, by the words that reach them."""
    from . import library, tag  # noqa: PLC0415

    actions = {"library": library.ACTIONS, "tag": tag.ACTIONS}
    return {each.__name__: f"{name} {each.__name__}" for name in actions for each in actions[name]}


def _epilog(examples: str) -> str:
    lines = "\n".join(f"  {line}" for line in examples.strip().splitlines())
    return f"\b\nExamples:\n{lines}"  # \b: keep these lines apart
