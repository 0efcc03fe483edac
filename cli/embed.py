"""``aimv2 embed``: images or texts to embeddings, in a file or as lines on stdout."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlx_aimv2.errors import UsageError
from mlx_aimv2.inference.image_options import DTYPE, EXCLUDE, MODEL, SIDE, Dtype, ImageOptions
from mlx_aimv2.models.aimv2.published import DEFAULT
from mlx_aimv2.options import argument, group, option
from mlx_aimv2.outputs.formats import KNOWN

from .help import RARE
from .options import NULL, PATHS_HELP, YES, check_null, confirm_download, given_flags, path_at_home
from .output import STDIN, STDOUT

if TYPE_CHECKING:
    from mlx_aimv2.inference.model import Model
    from mlx_aimv2.outputs.shard import Shard

    from .inputs import Source

EXAMPLES = """
aimv2 embed photos --out photos.npz
aimv2 embed photos --out photos.npz --resume
aimv2 embed *.jpg --model large-448 --pooling none --out grids.safetensors
aimv2 embed --text "a dog" --text "a cat" --out words.jsonl
aimv2 embed photos --out photos.npz --shard 1/2
find . -name "*.heic" -print0 | aimv2 embed - -0 --out - | jq .path
"""
GROUPS = {
    "What to embed": "--text --texts-from",
    "Output": "--out --resume --force",
    "Model": "--model --pooling --yes",
    "Speed": "--decode --shard",
    RARE: "--null --exclude --dtype --preset --tiles --max-patches --max-pixels --side",
}


@dataclass(frozen=True)
class Options:
    """What ``aimv2 embed`` takes."""

    paths: tuple[str, ...] = argument((), help=PATHS_HELP, metavar="PATH")
    model: str = MODEL(DEFAULT)
    out: str | None = option(
        help=f"File to write: {KNOWN}; - for JSON lines on stdout.",
        flags="--out -o",
        metavar="FILE",
    )
    text: tuple[str, ...] = option(
        (),
        help="A text to embed instead of images; may be given again.",
        flags="--text -t",
        metavar="TEXT",
    )
    texts_from: str | None = option(
        help="A file with a text to embed on each line; - for stdin.", metavar="FILE"
    )
    null: bool = NULL()
    exclude: tuple[str, ...] = EXCLUDE()
    dtype: Dtype | None = DTYPE()
    images: ImageOptions = group(ImageOptions)
    side: int | None = SIDE()
    shard: str | None = option(
        help="Do only share I of N (every Nth image, from the Ith), for several machines; "
        "aimv2 merge puts the shares together.",
        metavar="I/N",
        show_default="all, or this process's under mlx.launch",
    )
    resume: bool = option(False, help="Go on with a run that was stopped.")
    force: bool = option(False, help="Start again, and replace the file if it exists.")
    yes: bool = YES()


def embed(options: Options) -> int:
    """Turn images or texts into embeddings.

    The file says what made its vectors, and which images were left out. Images that cannot be read
    are listed with the reason, and the rest is done (exit code 3). A run that is stopped keeps what
    is done: the same command with --resume goes on.

    With --shard, or under mlx.launch, each share is a file that only aimv2 merge reads:
    photos.npz.shard-1-of-2 and so on.
    """
    _check_inputs(options)
    from mlx_aimv2.outputs import shard as shards  # noqa: PLC0415  (for the moment it is needed)

    shard = shards.launched(os.environ) if options.shard is None else shards.parse(options.shard)
    out = _checked_out(options)
    if shard is not None:
        _check_shard(shard, out, [*options.paths, options.texts_from])
    from . import embed_run  # noqa: PLC0415  (heavy, as those below)

    source = _source(options)

    def load() -> "Model":
        from mlx_aimv2.inference.model import load  # noqa: PLC0415

        confirm = confirm_download(options.yes)
        return load(
            options.model,
            tower=source.noun,
            dtype=options.dtype,
            side_px=options.side,
            confirm=confirm,
        )

    if out == STDOUT:
        return embed_run.to_stdout(source, load)
    return embed_run.to_file(
        source,
        load,
        Path(out),
        shard,
        grids=options.images.pooling == "none",
        resume=options.resume,
        force=options.force,
    )


def _source(options: Options) -> "Source":
    from .inputs import Images, Texts  # noqa: PLC0415

    images = options.images
    if options.text or options.texts_from:
        return Texts(options.text, options.texts_from, images.normalize, images.batch_size)
    return Images(options.paths, options.null, images, options.exclude)


def _check_inputs(options: Options) -> None:
    is_text = bool(options.text or options.texts_from)
    if is_text and options.paths:
        raise UsageError(
            "images and texts cannot share a file",
            hint="run the command once for images and once for texts: their embeddings compare",
        )
    for_images = given_flags(options.images, without="normalize batch_size")
    for_images += ["--null"] * options.null + ["--side"] * (options.side is not None)
    if is_text and for_images:
        raise UsageError(f"texts take no {', '.join(for_images)}", hint="leave it out")
    if not is_text and not options.paths:
        raise UsageError(
            "there is nothing to embed", hint="name files or folders, or give a --text"
        )
    check_null(options.null, options.paths)


def _checked_out(options: Options) -> str:
    """Where embeddings go. Errors: UsageError for what does not go there."""
    if options.out is None:
        raise UsageError(
            "the embeddings have nowhere to go",
            hint="--out photos.npz, or --out - for JSON lines on stdout",
        )
    if options.out == STDOUT and options.images.pooling == "none":
        raise UsageError("patch grids do not go to stdout", hint="--out grids.safetensors")
    if options.out == STDOUT and options.resume:
        raise UsageError("a run to stdout cannot be resumed", hint="--out photos.jsonl")
    return path_at_home(options.out)


def _check_shard(shard: "Shard", out: str, lists: list[str | None]) -> None:
    if out == STDOUT:
        raise UsageError("a shard does not go to stdout", hint="--out photos.npz")
    if shard.is_launched and STDIN in lists:
        raise UsageError(
            "under mlx.launch a list on stdin has no end",
            hint=f"give a folder or a file; or by hand, on each machine: --shard 1/{shard.count}",
        )
