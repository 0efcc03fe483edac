"""How exact this port is, as a Markdown table: `make accuracy`.

Against Apple's own modules (the golden tensors of `aimv2 verify`), against transformers live where
it is installed, and the demo checkpoint against itself in narrower precision. Every figure is
computed here and now.
"""

import mlx_aimv2 as aimv2  # isort: skip  (before MLX, so that its BLAS is the one MLX finds)

import argparse
import platform
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from benchmarks.checks import positive
from mlx_aimv2.bench import peers
from mlx_aimv2.bench.subject import Dtype
from mlx_aimv2.checkpoints.convert import convert
from mlx_aimv2.checkpoints.load import load_checkpoint
from mlx_aimv2.device import backend
from mlx_aimv2.models.aimv2.lit import LiT
from mlx_aimv2.models.aimv2.vision import VisionEncoder
from mlx_aimv2.training import evaluate
from mlx_aimv2.verification.golden import load_golden, nhwc

Row = tuple[str, str, str, str]


def largest(actual: mx.array, expected: np.ndarray) -> str:
    """Largest absolute difference."""
    return f"{np.abs(np.array(actual) - expected).max():.1e}"


def golden_vision(name: str, folder: Path) -> tuple[VisionEncoder, dict[str, Any]]:
    """The image encoder of a golden file, with its inputs and outputs."""
    network, io = load_golden(name, folder)
    assert isinstance(network, VisionEncoder)
    return network, io


def golden_rows(folder: Path) -> Iterator[Row]:
    """The golden files, in float32."""
    apple = "Apple's torch modules"
    vision, io = golden_vision("vision-fixed", folder)
    pixels = nhwc(io["pixels_nchw"])
    yield "vision, fixed size: features", apple, "float32", largest(vision(pixels), io["features"])
    states: Mapping[int, mx.array] = vision(pixels, hidden_states=True).hidden_states or {}
    worst = max(float(largest(state, io[f"hidden.{k}"])) for k, state in states.items())
    yield "vision, fixed size: every block", apple, "float32", f"{worst:.1e}"
    vision, io = golden_vision("vision-native", folder)
    worst = max(
        float(largest(vision(nhwc(io[f"{shape}.pixels_nchw"])), io[f"{shape}.features"]))
        for shape in ("tall", "wide", "ragged")
    )
    yield "vision, native, three shapes: features", apple, "float32", f"{worst:.1e}"
    lit, io = load_golden("lit", folder)
    assert isinstance(lit, LiT)
    pixels, ids = nhwc(io["pixels_nchw"]), mx.array(io["input_ids"])
    images, texts = lit.encode_image(pixels), lit.encode_text(ids)
    yield "LiT: image embeddings", apple, "float32", largest(images, io["image_embeds"])
    yield "LiT: text embeddings, ragged", apple, "float32", largest(texts, io["text_embeds"])
    logits, _ = lit(pixels, ids)
    yield "LiT: logits", apple, "float32", largest(logits, io["logits_per_image"])


def live_rows(folder: Path, blocks: int | None) -> Iterator[Row]:
    """transformers' modules at the published widths, random weights that matter."""
    if not peers.installed():
        print("left out: transformers and torch are not installed (make parity)", file=sys.stderr)
        return
    import torch  # noqa: PLC0415

    import tests.parity.torchvision  # noqa: F401, PLC0415
    from tests.parity import lively  # noqa: PLC0415

    reference = f"transformers {version('transformers')}"
    cases: list[tuple[int, str, dict[str, Any], tuple[int, int, int]]] = [
        (24, "224 px", {"image_size": 224}, (1, 224, 224)),
        (4, "336 px", {"image_size": 336}, (1, 336, 336)),
        (4, "448 px", {"image_size": 448}, (1, 448, 448)),
        (4, "native 257 x 387 px", {"is_native": True}, (1, 257, 387)),
    ]
    for number, (depth, title, options, shape) in enumerate(cases):
        depth = min(depth, blocks or depth)  # noqa: PLW2901
        title = f"L, {depth} blocks, {title}"  # noqa: PLW2901
        options = lively.LARGE | options | {"num_hidden_layers": depth}  # noqa: PLW2901
        theirs = lively.vision(**options)
        ours = load_checkpoint(lively.saved(theirs, folder / f"live-{number}")).network
        assert isinstance(ours, VisionEncoder)
        images, inputs = lively.pixels(*shape)
        with torch.no_grad():
            expected = theirs(inputs).last_hidden_state.numpy()
        yield f"{title}: features", reference, "float32", largest(ours(images), expected)


def demo_rows(folder: Path, drawings: int) -> Iterator[Row]:
    """The demo checkpoint: cosine to float32 over held-out drawings, zero-shot accuracy."""
    exact, exact_texts = evaluate.encoders_of(aimv2.load("demo", dtype="float32"))
    accuracy = evaluate.measure(exact, exact_texts, number=drawings).single_top1
    yield "demo: zero-shot top-1", "held-out drawings", "float32", f"{accuracy:.1%}"
    variants: dict[str, tuple[str, Dtype]] = {
        "float16": ("demo", "float16"),
        "bfloat16": ("demo", "bfloat16"),
    }
    for bits in (8, 4):
        target = folder / f"demo-{bits}bit"
        convert("demo", target, quantize_bits=bits)
        variants[f"{bits}-bit"] = (str(target), "float32")
    for title, (source, dtype) in variants.items():
        images, texts = evaluate.encoders_of(aimv2.load(source, dtype=dtype))
        few = min(200, drawings)
        cosine = evaluate.least_cosine(images, exact, number=few)
        yield f"demo: smallest cosine of {few}", "itself in float32", title, f"{cosine:.5f}"
        if dtype != "float32":
            continue  # half precision is slow on a CPU, and the cosine says it all
        accuracy = evaluate.measure(images, texts, number=drawings).single_top1
        yield "demo: zero-shot top-1", "held-out drawings", title, f"{accuracy:.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=positive, help="of transformers' models, at most")
    parser.add_argument("--drawings", type=positive, default=500)
    options = parser.parse_args()
    print(f"Printed by `make accuracy`: mlx-aimv2 {version('mlx-aimv2')}, MLX {version('mlx')} on ")
    print(f"{backend()}, {platform.machine()}, Python {platform.python_version()}.\n")
    print("| what | against | precision | largest difference, or as said |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for row in chain(
            golden_rows(folder),
            live_rows(folder, options.blocks),
            demo_rows(folder, options.drawings),
        ):
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
