"""Words a second of Aria beside transformers: python -m benchmarks.aria_decoding [--width 512]

A small random Aria in float32 on a CPU, the same weights and the same prompt, in turns with
transformers (``torch_aria.py``, a process of its own) on as many threads: the tokens after the
first, each from a cache of those before it. Both take the likeliest, so they must be the same.
Exits with 1 where a limit is missed. Torch and transformers come by: make parity.
"""

import mlx_aimv2  # noqa: F401  # isort: skip  (before MLX, so that its BLAS is the one MLX finds)

import argparse
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import mlx.core as mx
import numpy as np

from benchmarks.checks import Check, positive, run
from mlx_aimv2.bench.figure import Figure, clock, interleave, ratio
from mlx_aimv2.bench.process import Worker
from mlx_aimv2.checkpoints.load import load_checkpoint
from mlx_aimv2.cpu import blas
from mlx_aimv2.describe.generation import generate
from mlx_aimv2.describe.options import AnswerOptions
from mlx_aimv2.models.aria.network import AriaNetwork

PEER = Path(__file__).with_name("torch_aria.py")
LEAST = 1.0  # times transformers' words a second
HEAD = 64  # numbers of one attention head


def make_config(options: argparse.Namespace) -> dict[str, Any]:
    """Aria's proportions, with fewer and narrower blocks, and next to no vision tower."""
    width = options.width
    return {
        "text_config": {
            "vocab_size": options.words,
            "hidden_size": width,
            "intermediate_size": 13 * width // 320 * 16,  # torch wants a multiple of 4
            "num_hidden_layers": options.blocks,
            "num_attention_heads": width // HEAD,
            "num_key_value_heads": width // HEAD,
            "moe_num_experts": options.experts,
            "moe_topk": min(6, options.experts),
            "max_position_embeddings": 4096,
            "rope_theta": 5_000_000,
            "pad_token_id": 2,
        },
        "vision_config": {
            "model_type": "idefics3_vision",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 112,
            "patch_size": 14,
        },
        "projector_patch_to_query_dict": {"16": 4, "64": 8},
    }


class Ours:
    """The same continuation by this package."""

    def __init__(self, folder: Path, prompt: list[int], count: int) -> None:
        self._network = cast(AriaNetwork, load_checkpoint(folder, dtype="float32").network)
        self._prompt, self._count = mx.array([prompt]), count
        self.tokens: list[int] = []

    def decode(self) -> float:
        """Seconds for the tokens after the first."""
        network = self._network
        options = AnswerOptions(max_tokens=self._count + 1)
        tokens = generate(network, network.make_cache(), network.embed(self._prompt), options)
        self.tokens = [next(tokens)]
        return clock(lambda: self.tokens.extend(tokens))


def measure(options: argparse.Namespace) -> Iterator[Check]:
    if find_spec("torch") is None or find_spec("transformers") is None:
        print("left out: torch and transformers are not installed (make parity)", file=sys.stderr)
        return
    random = np.random.default_rng(0)
    prompt = random.integers(10, options.words, options.prompt).tolist()
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "config": make_config(options),
            "folder": folder,
            "prompt": prompt,
            "count": options.tokens,
            "threads": blas.threads(),
        }
        with Worker("aria", settings, script=str(PEER)) as peer:
            ours, theirs = Ours(Path(folder), prompt, options.tokens), list[int]()

            def ask() -> float:
                answer = peer.ask("decode")
                theirs[:] = answer["tokens"]
                return float(answer["elapsed_s"])

            timings = interleave(
                {"ours": ours.decode, "transformers": ask}, repeats=options.repeats
            )
            facts = peer.facts
    rates = {name: options.tokens / timing.median_s for name, timing in timings.items()}
    rounds = ratio(timings["transformers"], timings["ours"])
    about = {
        "rounds": list(rounds.seconds),
        "ours": timings["ours"].summary(),
        "transformers": timings["transformers"].summary(),
        **facts,
        **{name: getattr(options, name) for name in ("width", "blocks", "experts", "words")},
    }
    name = f"tokens/s: {rates['ours']:.1f}, transformers {rates['transformers']:.1f}"
    yield Check(Figure("speed", name, rounds.median_s, "×", about=about), at_least=LEAST)
    same = sum(one == other for one, other in zip(ours.tokens, theirs, strict=True))
    yield Check(Figure("quality", "tokens that are the same", same / len(theirs), ""), at_least=1.0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=positive, default=640)
    parser.add_argument("--words", type=positive, default=16_000)
    parser.add_argument("--blocks", type=positive, default=4)
    parser.add_argument("--experts", type=positive, default=16)
    parser.add_argument("--prompt", type=positive, default=64, help="tokens before the first")
    parser.add_argument("--tokens", type=positive, default=32)
    parser.add_argument("--repeats", type=positive, default=7)
    return run(parser, measure)


if __name__ == "__main__":
    sys.exit(main())
