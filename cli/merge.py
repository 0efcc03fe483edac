"""``aimv2 merge``: shards to the file that one process would have written."""

from dataclasses import dataclass
from pathlib import Path

from mlx_aimv2.errors import Aimv2Error, UsageError
from mlx_aimv2.files.spelling import is_same_file
from mlx_aimv2.options import argument, option
from mlx_aimv2.outputs.formats import KNOWN

from . import output
from .exit_codes import exit_code
from .options import FORCE, path_at_home

EXAMPLES = """
aimv2 merge photos.npz
aimv2 merge mini/photos.npz.shard-1-of-2 studio/photos.npz.shard-2-of-2 --out photos.npz
"""


@dataclass(frozen=True)
class Options:
    """What ``aimv2 merge`` takes."""

    files: tuple[str, ...] = argument(
        help="The whole file to make, with its shards beside it; or, with --out, all shards.",
        metavar="FILE",
    )
    out: str | None = option(
        help=f"File to write, where the shards are named: {KNOWN}.",
        flags="--out -o",
        metavar="FILE",
    )
    force: bool = FORCE()


def merge(options: Options) -> int:
    """Put the shards of a run together into one file.

    The result is the file that one process would have written, byte for byte. All shards have to be
    there and whole, made of the same images with the same settings. Shards stay where they are.
    """
    files = options.files
    if options.out is None and len(files) > 1:
        raise UsageError(
            f"{len(files)} files are named, but not the one to make of them",
            hint=f"aimv2 merge {files[0]} … --out photos.npz",
        )
    from mlx_aimv2.outputs import merge as merging  # noqa: PLC0415  (heavy)

    if options.out is None:
        target = Path(files[0])
        shards = merging.find(target)
    else:
        target = Path(path_at_home(options.out))
        shards = [Path(file) for file in files]
    if any(is_same_file(target, shard) for shard in shards):
        raise UsageError(
            f"{target} is one of the shards, which stay", hint="give the whole another name: --out"
        )
    with merging.open_whole(shards) as whole:
        whole.check_target(target, overwrite=options.force)
        with output.Progress("checked shards", len(shards)) as progress:
            for _ in whole.verify():
                progress.advance()
        failed = 0
        for reason in whole.failures():
            failed += 1
            output.skipped(Aimv2Error(reason))
        if failed == whole.inputs:
            raise Aimv2Error(f"none of {failed} could be embedded", hint="the reasons are above")
        summary = whole.write(target, overwrite=options.force)
    noun = "text" if whole.kind == "text" else "image"
    output.say(
        f"merged {output.counted(len(shards), 'shard')}: "
        f"{output.counted(summary.count, noun)} ({summary.width} numbers each) → {target}"
    )
    return exit_code(summary.count, failed)
