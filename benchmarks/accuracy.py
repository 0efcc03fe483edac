"""How exact this port is, as a Markdown table: `make accuracy`.

Against Apple's own modules (the golden tensors of `aimv2 verify`), against transformers live where
it is installed, and the demo checkpoint against itself in narrower precision. Every figure is
computed here and now.
"""

import mlx_aimv2 as aimv2  # isort: skip  (before MLX, so that its BLAS is the one MLX finds)

import argparse
import platform
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx
import numpy as np

from mlx_aimv2.conversion import convert
from mlx_aimv2.loader import load_checkpoint
from mlx_aimv2.training import evaluate
from tests.golden_files import load_golden, nhwc

Row = tuple[str, str, str, str]


def largest(actual: mx.array, expected: np.ndarray) -> str:
    """Largest absolute difference."""
    return f"{np.abs(np.array(actual) - expected).max():.1e}"


def golden_rows(folder: Path) -> Iterator[Row]:
    """The golden files, in float32."""
    apple = "Apple's torch modules"
    network, io = load_golden("vision-fixed", folder)
    pixels = nhwc(io["pixels_nchw"])
    yield "vision, fixed size: features", apple, "float32", largest(network(pixels), io["features"])
    states = network(pixels, hidden_states=True).hidden_states
    worst = max(float(largest(state, io[f"hidden.{k}"])) for k, state in states.items())
    yield "vision, fixed size: every block", apple, "float32", f"{worst:.1e}"
    network, io = load_golden("vision-native", folder)
    worst = max(
        float(largest(network(nhwc(io[f"{shape}.pixels_nchw"])), io[f"{shape}.features"]))
        for shape in ("tall", "wide", "ragged")
    )
    yield "vision, native, three shapes: features", apple, "float32", f"{worst:.1e}"
    network, io = load_golden("lit", folder)
    pixels, ids = nhwc(io["pixels_nchw"]), mx.array(io["input_ids"])
    images, texts = network.encode_image(pixels), network.encode_text(ids)
    yield "LiT: image embeddings", apple, "float32", largest(images, io["image_embeds"])
    yield "LiT: text embeddings, ragged", apple, "float32", largest(texts, io["text_embeds"])
    logits, _ = network(pixels, ids)
    yield "LiT: logits", apple, "float32", largest(logits, io["logits_per_image"])


def live_rows(folder: Path) -> Iterator[Row]:
    """transformers' modules at the published widths, random weights that matter."""
    import torch  # noqa: PLC0415

    import tests.parity.torchvision  # noqa: F401, PLC0415
    from tests.parity import lively  # noqa: PLC0415

    reference = f"transformers {version('transformers')}"
    cases = [
        ("L, 24 blocks, 224 px", {"image_size": 224, **lively.LARGE}, (1, 224, 224)),
        ("L, 4 blocks, 336 px", {"image_size": 336, "num_hidden_layers": 4, **lively.LARGE},
         (1, 336, 336)),
        ("L, 4 blocks, 448 px", {"image_size": 448, "num_hidden_layers": 4, **lively.LARGE},
         (1, 448, 448)),
        ("L, 4 blocks, native 257 x 387 px",
         {"is_native": True, "num_hidden_layers": 4, **lively.LARGE}, (1, 257, 387)),
    ]  # fmt: skip
    for number, (title, options, shape) in enumerate(cases):
        theirs = lively.vision(**options)
        ours = load_checkpoint(lively.saved(theirs, folder / f"live-{number}")).network
        images, inputs = lively.pixels(*shape)
        with torch.no_grad():
            expected = theirs(inputs).last_hidden_state.numpy()
        yield f"{title}: features", reference, "float32", largest(ours(images), expected)


def demo_rows(folder: Path) -> Iterator[Row]:
    """The demo checkpoint: cosine to float32 over 200 held-out drawings, zero-shot accuracy."""
    exact, exact_texts = evaluate.encoders_of(aimv2.load("demo", dtype="float32"))
    accuracy = evaluate.measure(exact, exact_texts, number=500).single_top1
    yield "demo: zero-shot top-1", "held-out drawings", "float32", f"{accuracy:.1%}"
    variants = {dtype: ("demo", dtype) for dtype in ("float16", "bfloat16")}
    for bits in (8, 4):
        target = folder / f"demo-{bits}bit"
        convert("demo", target, quantize_bits=bits)
        variants[f"{bits}-bit"] = (str(target), "float32")
    for title, (source, dtype) in variants.items():
        images, texts = evaluate.encoders_of(aimv2.load(source, dtype=dtype))
        cosine = evaluate.least_cosine(images, exact, number=200)
        yield "demo: smallest cosine of 200", "itself in float32", title, f"{cosine:.5f}"
        if dtype != "float32":
            continue  # half precision is slow on a CPU, and the cosine says it all
        accuracy = evaluate.measure(images, texts, number=500).single_top1
        yield "demo: zero-shot top-1", "held-out drawings", title, f"{accuracy:.1%}"


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(f"Printed by `make accuracy`: mlx-aimv2 {version('mlx-aimv2')}, MLX {version('mlx')} on ")
    print(f"{mx.default_device()}, {platform.machine()}, Python {platform.python_version()}.\n")
    print("| what | against | precision | largest difference, or as said |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for rows in (golden_rows, live_rows, demo_rows):
            for row in rows(folder):
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
