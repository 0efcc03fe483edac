"""A run that is resumed though it is finished: whether it is the run that is asked for now."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.path_text import escape

from .embeddings import kind_of
from .output_file import format_of, reading
from .settings import Settings, differences
from .shard import Share
from .shard_file import open_shard

_AGAIN = "make it again: the same command with --force instead of --resume"


def check_finished(file: Path, inputs: Iterable[bytes], settings: Settings) -> None:
    """Whether an output file is what would be made now of inputs with these names.

    Errors: UsageError where it is of other inputs or settings; OutputError where it is damaged.
    """
    with reading(file):
        made_by, names = format_of(file).read(file)
        failed = Counter(one[kind_of(made_by)] for one in made_by.pop("failed", ()))
        made_by.pop("notes", None)
    now = [escape(name.decode("utf-8", "surrogateescape")) for name in inputs]
    rows = [name for name in now if name not in failed]
    if made_by.get("pooling") == "none":
        rows = list(dict.fromkeys(rows))  # a grid that was named twice is in the file once
    if rows != names or Counter(name for name in now if name in failed) != failed:
        raise UsageError(f"{file} was made of other inputs than those there now", hint=_AGAIN)
    _check_settings(file, made_by, settings)


def check_finished_shard(file: Path, share: Share, settings: Settings) -> None:
    """Whether a shard's file is what would be made now.

    Errors: UsageError where it is of other inputs or settings; as :func:`open_shard`.
    """
    with open_shard(file) as shard:
        if (shard.record.inputs, shard.record.names) != (share.inputs, share.names):
            raise UsageError(f"{file} is a share of another list of inputs", hint=_AGAIN)
        _check_settings(file, shard.record.made_by, settings)


def _check_settings(file: Path, made_by: Settings, settings: Settings) -> None:
    if changes := differences(made_by, settings, "{} was {} and is {}"):
        raise UsageError(f"{file} was made with other settings: {changes}", hint=_AGAIN)
