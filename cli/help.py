"""Help: arguments and options under plain headings, the rare ones last.

A command's module says in GROUPS which options stand under which heading; those that it does not
name are the rare ones, after those that it names as such. Typer would do this with rich, which
costs 135 ms.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from typer.core import TyperCommand

from mlx_aimv2.errors import UsageError

RARE = "Rarely needed"
WIDTH = 100  # columns at most, however wide the terminal is
_NAMES_WIDTH = 26

Rows = list[tuple[str, str]]


class Command(TyperCommand):
    """A command whose options are listed in groups; ``groups`` are headings and long names.

    ``several`` are options that take all words up to the next option.
    """

    groups: Mapping[str, str] = {}
    several: tuple[str, ...] = ()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read ``--yes a b`` as ``--yes a --yes b``, for the options in ``several``."""
        return super().parse_args(ctx, list(_one_by_one(args, self.several)))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words of the usage line, with names in capitals and no braces."""
        pieces = super().collect_usage_pieces(ctx)
        return [piece.replace("{", "").replace("}", "") for piece in pieces]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, then each group, then what is in none."""
        write_sections(formatter, sections(self.get_params(ctx), ctx, self.groups))


def sections(params: Sequence[Any], ctx: Any, groups: Mapping[str, str]) -> dict[str, Rows]:
    """The rows of arguments, of options by their groups, and of options that are in none."""
    options = {max(each.opts, key=len): each for each in params}
    arguments = [name for name, each in options.items() if each.param_type_name == "argument"]
    named_in = {heading: names.split() for heading, names in groups.items()}
    named = {*arguments}.union(*named_in.values())
    rest = [name for name in options if name not in named]
    last = RARE if groups else "Options"
    names = {"Arguments": arguments, **named_in, last: [*named_in.pop(last, ()), *rest]}
    return {heading: [row(options[name], ctx) for name in each] for heading, each in names.items()}


def _one_by_one(args: list[str], several: tuple[str, ...]) -> Iterator[str]:
    """Errors: UsageError for an option that no word follows."""
    before = ""
    takes = ""  # the option that takes the next words
    for word in args:
        is_option = word.startswith("-") and word != "-"
        if is_option and before in several:
            raise UsageError(f"{before} is followed by nothing", hint=f"{before} FILE")
        if is_option:
            name = word.partition("=")[0]
            takes = name if name in several else ""
        elif takes and before != takes:
            yield takes
        before = word
        yield word


def write_sections(formatter: Any, sections: Mapping[str, Rows]) -> None:
    """Write headings, and below each its names, with all explanations in one column."""
    names = [name for rows in sections.values() for name, _ in rows]
    columns = max(len(name) for name in names if len(name) <= _NAMES_WIDTH)
    for heading, rows in sections.items():
        if rows:
            with formatter.section(heading):
                padded = [(name.ljust(columns), text) for name, text in rows]
                formatter.write_dl(padded, col_max=columns)


def row(param: Any, ctx: Any) -> tuple[str, str]:
    """An argument or option with its metavar, and its help with its default."""
    if param.param_type_name == "argument":
        return param.display_name_raw, f"{param.help}{_default(param)}"
    name = ", ".join(sorted(param.opts, key=len))
    if not param.is_flag:
        name += f" {param.metavar or '[{}]'.format(param.display_type_rich(ctx).strip('<>'))}"
    return name, f"{param.help}{_default(param)}"


def _default(param: Any) -> str:
    shown = param.show_default
    if not isinstance(shown, str):
        shown = "" if param.default in (None, False) or not shown else str(param.default)
    return f"  [default: {shown}]" if shown else ""
