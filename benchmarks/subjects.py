"""What a benchmark measures: a checkpoint, or random weights in a published one's sizes."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from mlx_aimv2.bench.subject import Subject, make_subject, open_subject


def add_options(
    parser: ArgumentParser, *, model: str | None = None, random: str | None = None
) -> None:
    """--model and --random, of which one is the default."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--model", default=model, help="a checkpoint")
    source.add_argument("--random", default=random, help="random weights in the sizes of this one")
    parser.set_defaults(prefers_model=model is not None)


def chosen(options: Namespace, folder: Path) -> Subject:
    """Loaded; random weights are written to a folder below this one. Errors: those of loading."""
    is_model = options.model if not options.prefers_model else not options.random
    if is_model:
        return open_subject(options.model, None)
    (folder / "checkpoint").mkdir()
    return make_subject(options.random, folder / "checkpoint", None)
