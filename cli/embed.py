"""``aimv2 embed``: images or texts to embeddings, in a file or as lines on stdout."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mlx_aimv2.errors import UsageError
from mlx_aimv2.models.aimv2.published import DEFAULT

from .options import (
    MAX_PIXELS,
    BatchSizeOption,
    DecodeOption,
    DtypeOption,
    ExcludeOption,
    MaxPixelsOption,
    ModelOption,
    NullOption,
    PresetOption,
    ThreadsOption,
    YesOption,
    check_null,
    confirm_download,
    path,
    path_at_home,
)
from .output import STDIN, STDOUT

if TYPE_CHECKING:
    from mlx_aimv2.inference.model import Model
    from mlx_aimv2.outputs.shard import Shard

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
}


def embed(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            help="Image files, and folders with all the pictures in them; - for a list on stdin.",
            metavar="PATH",
            parser=path,
            show_default=False,
        ),
    ] = None,
    model: ModelOption = DEFAULT,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write: .npz, .npy, .safetensors, .jsonl or .parquet; "
            "- for JSON lines on stdout.",
            metavar="FILE",
            parser=path_at_home,
            show_default=False,
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            "--text",
            "-t",
            help="A text to embed instead of images; may be given again.",
            metavar="TEXT",
            parser=path,
            show_default=False,
        ),
    ] = None,
    texts_from: Annotated[
        str | None,
        typer.Option(
            "--texts-from",
            help="A file with a text to embed on each line; - for stdin.",
            metavar="FILE",
            parser=path,
            show_default=False,
        ),
    ] = None,
    null: NullOption = False,
    exclude: ExcludeOption = None,
    dtype: DtypeOption = None,
    pooling: Annotated[
        Literal["head", "mean", "none"] | None,
        typer.Option(
            "--pooling",
            help="One vector for an image, by the head or the mean; none keeps a vector for each "
            "patch.",
            show_default="head with LiT, else mean",
        ),
    ] = None,
    preset: PresetOption = "hub",
    tiles: Annotated[
        int,
        typer.Option(
            "--tiles",
            help="Cut each image into 2 × 2 or 3 × 3 tiles, for finer detail.",
            min=1,
            max=3,
            metavar="1|2|3",
        ),
    ] = 1,
    max_patches: Annotated[
        int | None,
        typer.Option(
            "--max-patches",
            help="Shrink larger images to this number of patches (native checkpoints).",
            min=1,
            metavar="COUNT",
            show_default="4096",
        ),
    ] = None,
    max_pixels: MaxPixelsOption = MAX_PIXELS,
    side: Annotated[
        int | None,
        typer.Option(
            "--side",
            help="Adapt a fixed-size checkpoint to images of this side in pixels.",
            min=1,
            metavar="PX",
            show_default="the checkpoint's own",
        ),
    ] = None,
    no_normalize: Annotated[
        bool,
        typer.Option(
            "--no-normalize", help="Keep the length that the checkpoint gives to vectors, not 1."
        ),
    ] = False,
    batch_size: BatchSizeOption = None,
    threads: ThreadsOption = None,
    decode: DecodeOption = "exact",
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            help="Do only share I of N (every Nth image, from the Ith), for several machines; "
            "aimv2 merge puts the shares together.",
            metavar="I/N",
            show_default="all, or this process's under mlx.launch",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Start again, and replace the file if it exists.")
    ] = False,
    yes: YesOption = False,
) -> int:
    """Turn images or texts into embeddings.

    The file says what made its vectors, and which images were left out. Images that cannot be read
    are listed with the reason, and the rest is done (exit code 3). A run that is stopped keeps what
    is done: the same command with --resume goes on.

    With --shard, or under mlx.launch, each share is a file that only aimv2 merge reads:
    photos.npz.shard-1-of-2 and so on.
    """
    is_text = bool(text or texts_from)
    for_images = {
        "--null": null,
        "--pooling": pooling,
        "--preset": preset != "hub",
        "--tiles": tiles != 1,
        "--max-patches": max_patches,
        "--max-pixels": max_pixels != MAX_PIXELS,
        "--side": side,
        "--threads": threads,
        "--decode": decode != "exact",
    }
    _check_inputs(paths or [], is_text, [name for name, value in for_images.items() if value])
    from mlx_aimv2.outputs import shard as shards  # noqa: PLC0415  (for the moment it is needed)

    asked = shards.parse(shard) if shard is not None else shards.launched(os.environ)
    _check_output(out, pooling, resume)
    if asked is not None:
        _check_shard(asked, out, [*(paths or []), texts_from])
    from mlx_aimv2.inference.image_options import ImageOptions  # noqa: PLC0415  (heavy)

    from . import runs  # noqa: PLC0415
    from .sources import Images, Texts  # noqa: PLC0415

    options = ImageOptions(
        normalize=not no_normalize,
        pooling=pooling,
        preset=preset,
        tiles=tiles,
        max_patches=max_patches,
        max_pixels=max_pixels,
        batch_size=batch_size,
        threads=threads,
        decode=decode,
    )
    source: Images | Texts = Images(paths or [], null, options, exclude)
    if is_text:
        source = Texts(text or [], texts_from, not no_normalize, batch_size)

    def load() -> "Model":
        from mlx_aimv2.inference.model import load  # noqa: PLC0415

        confirm = confirm_download(yes)
        return load(model, tower=source.tower, dtype=dtype, side_px=side, confirm=confirm)

    if out is None or out == STDOUT:
        return runs.to_stdout(source, load)
    return runs.to_file(
        source,
        load,
        Path(out),
        grids=pooling == "none",
        resume=resume,
        force=force,
        shard=asked,
    )


def _check_inputs(paths: list[str], is_text: bool, for_images: list[str]) -> None:
    if is_text and paths:
        raise UsageError(
            "images and texts cannot share a file",
            hint="run the command once for images and once for texts: their embeddings compare",
        )
    if is_text and for_images:
        raise UsageError(f"texts take no {', '.join(for_images)}", hint="leave it out")
    if not is_text and not paths:
        raise UsageError(
            "there is nothing to embed", hint="name files or folders, or give a --text"
        )
    check_null("--null" in for_images, paths)


def _check_output(out: str | None, pooling: str | None, resume: bool) -> None:
    if out is None:
        raise UsageError(
            "the embeddings have nowhere to go",
            hint="--out photos.npz, or --out - for JSON lines on stdout",
        )
    if out == STDOUT and pooling == "none":
        raise UsageError("patch grids do not go to stdout", hint="--out grids.safetensors")
    if out == STDOUT and resume:
        raise UsageError("a run to stdout cannot be resumed", hint="--out photos.jsonl")


def _check_shard(shard: "Shard", out: str | None, lists: list[str | None]) -> None:
    if out == STDOUT:
        raise UsageError("a shard does not go to stdout", hint="--out photos.npz")
    if shard.is_launched and STDIN in lists:
        raise UsageError(
            "under mlx.launch a list on stdin has no end",
            hint=f"give a folder or a file; or by hand, on each machine: --shard 1/{shard.count}",
        )
