"""``aimv2 convert``: a checkpoint of any layout, as a folder in this project's or transformers'."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mlx_aimv2.errors import UsageError
from mlx_aimv2.inference.image_options import DTYPE, MODEL, Dtype
from mlx_aimv2.options import option

from . import output
from .options import YES, as_source, confirm_download, hide_bars

if TYPE_CHECKING:
    from mlx_aimv2.checkpoints.convert import Converted
    from mlx_aimv2.checkpoints.upload import Upload

EXAMPLES = """
aimv2 convert --hf-path lit --mlx-path lit-fp16 --dtype float16
aimv2 convert --hf-path 3B-448 --mlx-path 3B-4bit -q --dtype float16
aimv2 convert --hf-path aria --mlx-path aria-4bit -q
aimv2 convert --hf-path ./lit-8bit --mlx-path lit-dense -d
aimv2 convert --hf-path ./my-lit --mlx-path my-lit-torch --to transformers
"""
GROUPS = {
    "From and to": "--hf-path --mlx-path --to",
    "Precision": "--quantize --q-bits --dequantize --dtype",
}

_BITS, _GROUP_SIZE = 4, 64


@dataclass(frozen=True)
class Options:
    """What ``aimv2 convert`` takes."""

    source: str = MODEL(
        "lit",
        help="The checkpoint to convert: a name from `aimv2 models`, a hub id[@revision], or a "
        "folder.",
        flags="--hf-path --model -m",
    )
    folder: str = option(
        "mlx_model", help="The new folder to write.", flags="--mlx-path", metavar="FOLDER"
    )
    to: Literal["mlx", "transformers"] = option(
        "mlx", help="The library whose layout to write: its names of tensors and axes."
    )
    quantize: bool = option(
        False, help="Quantise: store weights in few bits.", flags="--quantize -q"
    )
    q_bits: Literal[4, 8] | None = option(
        help="Number of bits for a weight.", metavar="4|8", show_default=f"{_BITS}"
    )
    q_group_size: Literal[32, 64, 128] | None = option(
        help="Number of weights that share a scale.",
        metavar="32|64|128",
        show_default=f"{_GROUP_SIZE}",
    )
    dtype: Dtype | None = DTYPE(
        help="Precision of weights that are not quantised.",
        metavar="float32|float16|bfloat16",
        show_default="as it is on disk",
    )
    dequantize: bool = option(False, help="Unpack a quantised checkpoint.", flags="--dequantize -d")
    upload_repo: str | None = option(
        help="Upload the result to this hub id, as a private repository.", metavar="OWNER/NAME"
    )
    yes: bool = YES(help="Download and upload without being asked first.")


def convert(options: Options) -> None:
    """Convert a checkpoint to this project's layout or transformers', or quantise it.

    The folder appears once it is complete; one that exists is never touched.
    """
    bits, group_size = options.q_bits, options.q_group_size
    if not options.quantize and (bits or group_size):
        raise UsageError("--q-bits and --q-group-size say how to quantise", hint="add -q")
    if options.upload_repo and not options.yes and not output.is_interactive():
        raise UsageError("an upload has to be agreed to, and nobody can be asked", hint="add --yes")
    from mlx_aimv2.checkpoints import convert as conversion  # noqa: PLC0415  (heavy)

    if options.upload_repo and not output.shows_progress():
        hide_bars()  # those of downloads know a terminal; these are drawn into log files too
    with output.Progress("converting") as progress:
        converted = conversion.convert(
            options.source,
            options.folder,
            quantize_bits=(bits or _BITS) if options.quantize else None,
            group_size=group_size or _GROUP_SIZE,
            dtype=options.dtype,
            dequantize=options.dequantize,
            to=options.to,
            upload_repo=options.upload_repo,
            confirm=confirm_download(options.yes),
            confirm_upload=_confirm_upload(options.yes),
            on_weight=progress.reach,
        )
    _summarise(converted, options.to)


def _confirm_upload(yes: bool) -> "Callable[[Upload], bool]":
    def confirm(planned: "Upload") -> bool:
        text = f"{output.size(planned.size_bytes)} to {planned.repo_id}, private"
        if yes:
            output.say(f"then uploading {text}, licence {planned.licence}")
            return True
        return output.ask(f"Upload {text}, licence {planned.licence}, once it is converted?")

    return confirm


def _summarise(converted: "Converted", library: str) -> None:
    from mlx_aimv2.checkpoints.model_card import next_command, precision  # noqa: PLC0415

    weights = precision(converted.dtype, converted.quantization)
    before, after = output.size(converted.original.size_bytes), output.size(converted.size_bytes)
    output.say(f"{converted.source.name}: {before}, {converted.original.layout} layout")
    output.say(f"→ {converted.folder}: {after}, {weights}; licence: {converted.licence}")
    if converted.url:
        output.say(f"uploaded to {converted.url} (private)")
    if library == "transformers":
        folder = json.dumps(str(converted.folder))
        output.say(f"next, in Python: transformers.AutoModel.from_pretrained({folder})")
        return
    output.say(f"next: {next_command(converted.original.config, as_source(converted.folder))}")
