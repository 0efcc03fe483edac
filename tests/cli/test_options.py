"""An option is defined once, as a field; the command line takes it from there."""

from dataclasses import MISSING, dataclass
from typing import Any, Literal

import pytest
import typer

from mlx_aimv2.cli import app, classify, index
from mlx_aimv2.cli.options import given_flags, with_parameters
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.options import argument, group, option, options_of

# Options of images that a command does not take, or takes with a default of its own.
NOT_ITS = {
    "classify": {"pooling", "tiles", "max_patches", "normalize"},
    "index": {"pooling", "tiles", "normalize"},
}


@dataclass(frozen=True)
class Inner:
    shape: Literal["round", "square"] = option("round", help="Its shape.")
    hidden: int = 3
    sharp: bool = option(True, help="Leave it blunt.", flags="--blunt")


@dataclass(frozen=True)
class Outer:
    names: tuple[str, ...] = argument(help="Names.", metavar="NAME")
    count: int = option(2, help="How many.", flags="-n --count", min=1, metavar="COUNT")
    inner: Inner = group(Inner)
    words: tuple[str, ...] = option((), help="Words.", metavar="WORD")
    at_most: float | None = option(help="The most.", metavar="SHARE")


def made(*words: str) -> Outer:
    seen: list[Outer] = []

    def toy(options: Outer) -> None:
        seen.append(options)

    alone = typer.Typer(add_completion=False)
    alone.command()(with_parameters(toy))
    typer.main.get_command(alone)([*words], standalone_mode=False)
    return seen[0]


def test_without_flags_every_option_has_its_default() -> None:
    assert made("a") == Outer(("a",))


def test_flags_become_one_object() -> None:
    given = made("a", "b", "-n5", "--shape=square", "--blunt", "--words=x", "--words=y")
    assert given == Outer(("a", "b"), 5, Inner("square", sharp=False), ("x", "y"))
    assert made("a", "--at-most", "0.5").at_most == 0.5


def test_what_was_given_is_named_by_its_long_flag() -> None:
    given = made("a", "-n", "5", "--blunt")
    assert given_flags(given) == ["--count", "--blunt"]
    assert given_flags(given, without="count") == ["--blunt"]


@pytest.mark.parametrize("name", NOT_ITS)
def test_an_option_of_images_is_an_option_of_every_command_that_reads_them(name: str) -> None:
    taken = {each.name for each in app.load_command(name).params}
    images = {each.name for each in options_of(ImageOptions)}
    assert images - taken == NOT_ITS[name]


@pytest.mark.parametrize("kind", [classify.Options, index.Options, ImageOptions])
def test_no_two_options_of_a_command_have_one_name(kind: Any) -> None:
    names = [each.name for each in options_of(kind)]
    assert len(names) == len(set(names))
    assert all(each.default is not MISSING or each.name == "paths" for each in options_of(kind))
