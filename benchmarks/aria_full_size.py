"""Aria at its published widths on this machine, with random weights: memory, disk and time.

    python -m benchmarks.aria_full_size peaks [--layers 2 4] [--bits 4]
    python -m benchmarks.aria_full_size cosines [--layers 2]
    python -m benchmarks.aria_full_size answer [--bits 4] [--tokens 8] [--folder NEW]

- ``peaks``: the most memory that `aimv2 convert -q` takes, for sources of so many full-width
  layers: it must not grow with them.
- ``cosines``: how near the logits of quantised weights are to those of full precision, and which
  share of the router's choices is the same. Of random weights: how near the published ones stay, it
  does not tell.
- ``answer``: a whole quantised folder in the published shapes, written tensor by tensor, for its
  source of 50 GB need not be on any disk; and one `aimv2 ask --fast` about a drawing, in a new
  process. What random weights answer is no sentence.

``--small`` takes small widths, to try this out. Exits with 1 where a limit is missed.
"""

import mlx_aimv2  # noqa: F401  isort: skip  (before MLX, so that its BLAS is the one MLX finds)

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import mlx.core as mx
import numpy as np
from mlx import nn
from numpy.typing import NDArray

from benchmarks.checks import Check, four_digits, positive, run
from mlx_aimv2.bench.figure import Figure, amount
from mlx_aimv2.checkpoints import quantize
from mlx_aimv2.checkpoints.convert import convert
from mlx_aimv2.checkpoints.load import load_checkpoint
from mlx_aimv2.checkpoints.safetensors_file import Spec, write_weights
from mlx_aimv2.checkpoints.save import write_config, write_json
from mlx_aimv2.device import available_cores, is_cpu
from mlx_aimv2.models.aria.config import AriaConfig, AriaTextConfig, AriaVisionConfig
from mlx_aimv2.models.aria.cost import PUBLISHED, parameters, token_parameters
from mlx_aimv2.models.aria.family import processor
from mlx_aimv2.models.aria.network import AriaNetwork
from mlx_aimv2.training.drawings.scene import paint, plan
from tests.support.aria_vocabulary import write_whole

MOST_CONVERTING_BYTES, MOST_ANSWERING_BYTES = 4e9, 18e9
MOST_GROWTH = 1.05  # of a conversion's peak with twice as many layers
GROUP_SIZE = 64
QUESTION = "What is shown in this picture?"
SMALL = AriaConfig(
    AriaVisionConfig(48, 59, 2, 3, image_size=980, patch_size=14),
    AriaTextConfig(1024, 128, 64, 2, 2, 8, 2, 2, 4096, 5_000_000),
    {1225: 8, 4900: 16},
)
_POOL = 2**24  # random values, which tensors are cut from
_POLL_S = 0.05

Shape = tuple[int, ...]


def in_layers(config: AriaConfig, layers: int) -> AriaConfig:
    """The same widths with so many decoder layers."""
    return replace(config, text_config=replace(config.text_config, num_hidden_layers=layers))


def hub_shapes(config: AriaConfig) -> dict[str, Shape]:
    """The shapes of all tensors by their names on the Hub, layer by layer."""
    vision, text = config.vision_config, config.text_config
    w, e = text.hidden_size, text.intermediate_size
    v, m = vision.hidden_size, vision.intermediate_size
    count, shared = text.moe_num_experts, text.moe_num_shared_experts * text.intermediate_size
    patch = vision.patch_size
    shapes: dict[str, Shape] = {
        "language_model.model.embed_tokens.weight": (text.vocab_size, w),
        "language_model.lm_head.weight": (text.vocab_size, w),
        "language_model.model.norm.weight": (w,),
        "vision_tower.embeddings.patch_embedding.weight": (v, 3, patch, patch),
        "vision_tower.embeddings.patch_embedding.bias": (v,),
        "vision_tower.embeddings.position_embedding.weight": (vision.table_side**2, v),
    }
    for layer in range(text.num_hidden_layers):
        start = f"language_model.model.layers.{layer}"
        shapes |= {
            f"{start}.input_layernorm.weight": (w,),
            f"{start}.post_attention_layernorm.weight": (w,),
            **{f"{start}.self_attn.{part}_proj.weight": (w, w) for part in "qkvo"},
            f"{start}.mlp.router.weight": (count, w),
            f"{start}.mlp.experts.fc1.weight": (count, w, 2 * e),
            f"{start}.mlp.experts.fc2.weight": (count, e, w),
            f"{start}.mlp.shared_experts.gate_proj.weight": (shared, w),
            f"{start}.mlp.shared_experts.up_proj.weight": (shared, w),
            f"{start}.mlp.shared_experts.down_proj.weight": (w, shared),
        }
    for layer in range(vision.num_hidden_layers):
        start = f"vision_tower.encoder.layers.{layer}"
        linears = {f"self_attn.{part}": (v, v) for part in ("q_proj", "k_proj", "v_proj")}
        linears |= {"self_attn.out_proj": (v, v), "mlp.fc1": (m, v), "mlp.fc2": (v, m)}
        shapes |= {f"{start}.{name}.weight": shape for name, shape in linears.items()}
        shapes |= {f"{start}.{name}.bias": shape[:1] for name, shape in linears.items()}
        shapes |= _norm(f"{start}.layer_norm1", v) | _norm(f"{start}.layer_norm2", v)
    start = "multi_modal_projector"
    attention = f"{start}.cross_attn"
    return shapes | {
        f"{start}.query": (max(config.queries.values()), v),
        **{f"{attention}.{part}_proj.weight": (v, v) for part in "qkv"},
        f"{attention}.multihead_attn.in_proj_weight": (3 * v, v),
        f"{attention}.multihead_attn.in_proj_bias": (3 * v,),
        f"{attention}.multihead_attn.out_proj.weight": (v, v),
        f"{attention}.multihead_attn.out_proj.bias": (v,),
        f"{attention}.linear.weight": (v, v),
        f"{attention}.linear.bias": (v,),
        **_norm(f"{attention}.layer_norm", v),
        **_norm(f"{attention}.layer_norm_kv", v),
        **_norm(f"{start}.layer_norm", v),
        f"{start}.feed_forward.linear_in.weight": (w, v),
        f"{start}.feed_forward.linear_out.weight": (w, w),
    }


def _norm(name: str, width: int) -> dict[str, Shape]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


# Folders


def write_source(folder: Path, config: AriaConfig) -> None:
    """A bfloat16 checkpoint under the names of the Hub, one tensor in memory at a time."""
    shapes = hub_shapes(config)
    specs = {name: Spec("BF16", shape) for name, shape in shapes.items()}
    arrays = ((name, _random(name, shape)) for name, shape in shapes.items())
    write_weights(folder, specs, arrays, format="pt")
    write_config(folder, config, None)
    write_whole(folder)


def write_packed(folder: Path, config: AriaConfig, bits: int) -> None:
    """A quantised checkpoint in this project's layout, its packed weights random bits."""
    network = AriaNetwork(config)
    chosen = quantize.chosen_layers(network, bits, GROUP_SIZE)
    nn.quantize(network, GROUP_SIZE, bits, class_predicate=lambda path, _: path in chosen)
    shapes = {name: array.shape for name, array in sorted(network.flat_parameters().items())}
    packed = {f"{path}.weight" for path in chosen}
    specs = {
        name: Spec("U32" if name in packed else "BF16", shape) for name, shape in shapes.items()
    }
    rng = np.random.default_rng(0)

    def values(name: str, shape: Shape) -> mx.array:
        if name in packed:
            return mx.array(rng.integers(0, 2**32, shape, np.uint32))
        if not quantize.is_scale(name):
            return _random(name, shape)
        # Weights spread evenly from -a to a, whose products keep the length of what they take.
        step = math.sqrt(12 / (shape[-1] * GROUP_SIZE)) / 2**bits
        value = step if name.endswith(".scales") else -step * (2**bits - 1) / 2
        return mx.full(shape, value, mx.bfloat16)

    write_weights(folder, specs, ((name, values(name, shape)) for name, shape in shapes.items()))
    write_config(folder, config, quantize.record(bits, GROUP_SIZE))
    write_json(folder / "preprocessor_config.json", processor(config))
    _write_words(folder, config.text_config.vocab_size)


def _write_words(folder: Path, count: int) -> None:
    """A tokenizer in which every token is something to read, so that each is seen as it comes."""
    write_whole(folder)
    file = folder / "tokenizer.json"
    whole = json.loads(file.read_text(encoding="utf-8"))
    words = whole["model"]["vocab"]
    words |= {f"\u2581w{number}": number for number in range(len(words), count)}
    file.write_text(json.dumps(whole), encoding="utf-8")


@cache
def _pool() -> mx.array:
    values = np.random.default_rng(1).standard_normal(_POOL, dtype=np.float32)
    return mx.array(values).astype(mx.bfloat16)


def _random(name: str, shape: Shape) -> mx.array:
    """Values with which a network computes something: norms near 1, products that keep lengths."""
    count = math.prod(shape)
    start = zlib.crc32(name.encode()) % _POOL
    copies = -(-(start + count) // _POOL)
    values = mx.concatenate([_pool()] * copies)[start : start + count].reshape(shape)
    if "norm" in name and name.endswith("weight"):
        return 1 + values * 0.1
    fan_in = shape[-2] if ".experts." in name else math.prod(shape[1:])
    return values * 2.0 ** -round(math.log2(fan_in) / 2)


# Processes


@dataclass
class Ran:
    """A process that has ended; ``pieces_s`` is when each piece of its output came."""

    seconds: float = 0.0
    peak_bytes: int = 0
    pieces_s: list[float] = field(default_factory=list)
    reads: list[tuple[float, int]] = field(default_factory=list)

    def reading_s(self, size_bytes: int) -> float:
        """When so many bytes were read; NaN where they never were, or nobody could tell."""
        return next((at for at, count in self.reads if count >= size_bytes), math.nan)


def run_aimv2(*arguments: str) -> Ran:
    """Run a command of this package. Errors: RuntimeError with what it said where it fails."""
    ran, begun_s = Ran(), time.perf_counter()
    command = [str(Path(sys.executable).with_name("aimv2")), *arguments]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
        watch = threading.Thread(target=_watch, args=(process.pid, begun_s, ran.reads))
        watch.start()
        assert process.stdout is not None
        while os.read(process.stdout.fileno(), 1 << 16):
            ran.pieces_s.append(time.perf_counter() - begun_s)
        _, status, usage = os.wait4(process.pid, 0)
        ran.seconds = time.perf_counter() - begun_s
        process.returncode = os.waitstatus_to_exitcode(status)
        watch.join()
        if status:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(arguments)}: {errors.read().decode()}")
    # Linux counts in kilobytes, macOS in bytes.
    ran.peak_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return ran


def _watch(pid: int, begun_s: float, reads: list[tuple[float, int]]) -> None:
    """Bytes that a process has read, now and then, while it lives."""
    try:
        while True:
            text = Path(f"/proc/{pid}/io").read_text(encoding="ascii")
            reads.append((time.perf_counter() - begun_s, int(text.split()[1])))
            time.sleep(_POLL_S)
    except (OSError, IndexError):
        return


# What is measured


def peaks(config: AriaConfig, layers: Sequence[int], bits: int) -> Iterator[Check]:
    """The peak of a conversion of so many layers, and how much it grows with them."""
    found = []
    for count in layers:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "source", Path(folder) / "target"
            source.mkdir()
            write_source(source, in_layers(config, count))
            ran = run_aimv2(
                "convert", "-m", str(source), "--mlx-path", str(target), "-q", "--q-bits", str(bits)
            )
            size_bytes = sum(file.stat().st_size for file in source.iterdir())
        found.append(ran.peak_bytes)
        what = f"{count} layers, {size_bytes / 1e9:.2f} GB, to {bits} bits: "
        memory = Figure("peaks", f"{what}memory", ran.peak_bytes, "B")
        yield Check(memory, at_most=MOST_CONVERTING_BYTES)
        yield Check(Figure("peaks", f"{what}time", ran.seconds, "s"))
    if len(found) > 1:
        name = "the largest of these peaks to the smallest"
        yield Check(Figure("peaks", name, max(found) / min(found), ""), at_most=MOST_GROWTH)


def cosines(config: AriaConfig, layers: int) -> Iterator[Check]:
    """Quantised logits beside those of full precision, of random embeddings of a text."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.mkdir()
        write_source(source, in_layers(config, layers))
        exact, chosen = _logits_and_choices(source)
        for bits in quantize.BITS:
            packed = convert(source, Path(folder) / f"{bits}-bit", quantize_bits=bits).folder
            logits, choices = _logits_and_choices(packed)
            lengths = np.linalg.norm(logits, axis=1) * np.linalg.norm(exact, axis=1)
            near = (logits * exact).sum(axis=1) / lengths
            same = np.mean([np.isin(a, b).mean() for a, b in zip(choices, chosen, strict=True)])
            for name, value in (
                ("median cosine of logits", float(np.median(near))),
                ("least cosine of logits", float(near.min())),
                ("share of choices of experts that are the same", float(same)),
            ):
                yield Check(Figure("cosines", f"{layers} layers, {bits} bits: {name}", value, ""))


def _logits_and_choices(folder: Path) -> tuple[NDArray[np.float32], list[NDArray[np.int64]]]:
    """Of 32 random tokens. Shapes: (32, V), and a row of experts for each token and layer."""
    network = cast(AriaNetwork, load_checkpoint(folder, dtype="float32").network)
    choices: list[NDArray[np.int64]] = []
    for block in network.text.blocks:
        route = block.moe.route

        def noted(rows: mx.array, route: Any = route) -> tuple[mx.array, mx.array]:
            experts, weights = route(rows)
            choices.extend(np.array(experts))
            return experts, weights

        cast(Any, block.moe).route = noted
    ids = np.random.default_rng(2).integers(100, network.config.text_config.vocab_size, (1, 32))
    logits = np.array(network.forward(mx.array(ids))[0].astype(mx.float32))
    return logits, choices


def answer(config: AriaConfig, bits: int, tokens: int, folder: Path) -> Iterator[Check]:
    """A whole folder written, where it is not there, and one answer by it in a new process."""
    begun_s = time.perf_counter()
    if not folder.exists():
        folder.mkdir()
        write_packed(folder, config, bits)
    size_bytes = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    name = f"a folder of {parameters(config).total / 1e9:.2f} billion weights in {bits} bits"
    yield Check(Figure("answer", name, size_bytes, "B"))
    yield Check(Figure("answer", "writing it", time.perf_counter() - begun_s, "s"))
    picture = folder.with_name(f"{folder.name}.png")
    image, _ = paint(plan(1), 640, 480)
    image.save(picture)
    ran = run_aimv2(
        "ask", str(picture), QUESTION, "--model", str(folder), "--fast", "--max-tokens", str(tokens)
    )  # fmt: skip
    loaded_s, first_s = ran.reading_s(size_bytes), ran.pieces_s[0]
    last_s = ran.pieces_s[-1] if len(ran.pieces_s) > 1 else ran.seconds
    scale_bits = 2 * 8 * (4 if is_cpu() else 2)  # a group has a scale and a bias
    token_bytes = token_parameters(config) * (bits + scale_bits / GROUP_SIZE) / 8
    for name, value, unit, most in (
        ("memory at its highest", ran.peak_bytes, "B", MOST_ANSWERING_BYTES),
        ("bytes read from files", ran.reads[-1][1] if ran.reads else math.nan, "B", None),
        ("reading the weights", loaded_s, "s", None),
        ("then the first token, of a picture at 490 px", first_s - loaded_s, "s", None),
        ("tokens a second after it", (tokens - 1) / (last_s - first_s), "tokens/s", None),
        ("weights that a token reads", token_bytes, "B", None),
        ("bound by reading memory", read_rate() / token_bytes, "tokens/s", None),
    ):
        yield Check(Figure("answer", name, value, unit), None, most)


def read_rate() -> float:
    """Bytes of memory that all cores read in a second, the best of three."""
    parts = [np.ones(2**26, np.float32) for _ in range(available_cores())]
    best_s = math.inf
    with ThreadPoolExecutor(len(parts)) as pool:
        for _ in range(3):
            begun_s = time.perf_counter()
            list(pool.map(np.max, parts))
            best_s = min(best_s, time.perf_counter() - begun_s)
    return sum(part.nbytes for part in parts) / best_s


def measure(options: argparse.Namespace) -> Iterator[Check]:
    """What was asked for."""
    config = SMALL if options.small else PUBLISHED
    if options.what in ("peaks", "all"):
        yield from peaks(config, options.layers or (2, 4), options.bits)
    if options.what in ("cosines", "all"):
        yield from cosines(config, (options.layers or (2,))[0])
    if options.what in ("answer", "all"):
        with tempfile.TemporaryDirectory() as folder:
            chosen = options.folder or Path(folder) / "aria-random"
            yield from answer(config, options.bits, options.tokens, chosen)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("peaks", "cosines", "answer", "all"))
    parser.add_argument("--layers", type=positive, nargs="+", help="full-width layers of a source")
    parser.add_argument("--bits", type=int, choices=quantize.BITS, default=4)
    parser.add_argument("--tokens", type=positive, default=8, help="of the answer")
    parser.add_argument(
        "--folder", type=Path, help="the folder: written if it is not there, and kept"
    )
    parser.add_argument("--small", action="store_true", help="small widths")
    sys.exit(
        run(parser, measure, lambda value, unit: (amount if unit else four_digits)(value, unit))
    )
