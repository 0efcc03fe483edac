"""Train the demo checkpoint on drawings and write it as a folder.

python -m mlx_aimv2.training.demo --out FOLDER [--seed N] [--steps N]
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import mlx.core as mx
import numpy as np

from mlx_aimv2.checkpoints.convert import convert
from mlx_aimv2.checkpoints.hub import DEMO, resolve
from mlx_aimv2.checkpoints.save import write_config
from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.files.checkpoint_files import SINGLE_FILE, TAGS_FILE
from mlx_aimv2.inference.model import load
from mlx_aimv2.models.aimv2.config import LiTConfig, TextConfig, VisionConfig
from mlx_aimv2.models.aimv2.lit import LiT
from mlx_aimv2.texts.tokenizer import Tokenizer

from .byte_pairs import learn_vocabulary
from .contrastive import Trainer, initialise, to_arrays
from .demo_card import Measured, demo_card
from .evaluate import encoders_of, least_cosine, measure
from .examples import Recipe, batches

SIDE_PX, PATCH_SIZE = 112, 14
STEPS, BATCH_SIZE = 2400, 24
MAX_TEXT_TOKENS = 77


def demo_config(vocab_size: int) -> LiTConfig:
    """The demo's sizes: every width a multiple of 64, so that every product can be quantised."""
    vision = VisionConfig(
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=5,
        num_attention_heads=3,
        image_size=SIDE_PX,
        patch_size=PATCH_SIZE,
        use_head=True,
    )
    text = TextConfig(
        vocab_size=vocab_size,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=MAX_TEXT_TOKENS,
        eos_token_id=vocab_size - 1,
    )
    return LiTConfig(vision, text, projection_dim=192)


def main(arguments: list[str] | None = None) -> None:
    """Train, write the folder, measure what was written, and say so in its card."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        trained = Path(scratch) / "float32"
        trained.mkdir()
        started = time.perf_counter()
        train(trained, options.seed, options.steps, _say)
        minutes = (time.perf_counter() - started) / 60
        measured = publish(trained, options.out)
    card = demo_card(measured, options.seed, options.steps, BATCH_SIZE, minutes)
    (options.out / "README.md").write_text(card, encoding="utf-8")
    print(json.dumps({row.weights: asdict(row.figures) for row in measured}, indent=1))


def publish(trained: Path, out: Path, *, number: int = 1000) -> list[Measured]:
    """Write the trained folder as float16, and measure that and its 8- and 4-bit conversions."""
    convert(trained, out, dtype="float16")
    _say("measuring on held-out drawings")
    measured = [_measured(out, "float16", None, number)]
    with tempfile.TemporaryDirectory() as scratch:
        for bits in (8, 4):
            quantized = Path(scratch) / f"{bits}-bit"
            convert(out, quantized, quantize_bits=bits)
            measured.append(_measured(quantized, f"{bits}-bit", out, number))
    return measured


def train(folder: Path, seed: int, steps: int, say: Callable[[str], None]) -> LiT:
    """Learn the vocabulary, train, and write both into ``folder`` in float32.

    The same seed gives the same vocabulary, drawings and first weights; the sums' last bits,
    and with them the result, vary with the BLAS and its threads.
    """
    started = time.perf_counter()
    drawn = batches(Recipe(seed, steps, BATCH_SIZE, SIDE_PX, PATCH_SIZE))
    pieces = learn_vocabulary(seed)
    pieces.save(str(folder / "tokenizer.json"))
    (folder / TAGS_FILE).write_bytes((resolve(DEMO).folder / TAGS_FILE).read_bytes())
    config = demo_config(pieces.get_vocab_size())
    tokenizer = Tokenizer.from_folder(
        folder, max_length=MAX_TEXT_TOKENS, eos_token_id=config.text_config.eos_token_id
    )
    model = LiT(config)
    initialise(model, seed)
    trainer = Trainer(model, steps)
    losses = []
    for step, batch in enumerate(drawn, 1):
        losses.append(trainer.step(to_arrays(batch, tokenizer)))
        if step % 50 == 0 or step == steps:
            minutes = (time.perf_counter() - started) / 60
            say(f"step {step}/{steps}  loss {np.mean(losses[-50:]):.3f}  {minutes:.1f} min")
    weights = str(folder / SINGLE_FILE)
    mx.save_safetensors(weights, model.flat_parameters(), {"format": "mlx"})
    write_config(folder, model.config, None)
    return model


def _measured(folder: Path, weights: str, against: Path | None, number: int) -> Measured:
    embed_images, embed_texts = encoders_of(load(str(folder), dtype="float32"))
    cosine = None
    if against is not None:
        cosine = least_cosine(embed_images, encoders_of(load(str(against), dtype="float32"))[0])
    size_bytes = (folder / "model.safetensors").stat().st_size
    figures = measure(embed_images, embed_texts, number=number)
    return Measured(weights, size_bytes, figures, cosine)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m mlx_aimv2.training.demo", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder; must not exist yet")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args(arguments)
    if options.out.exists():
        parser.error(f"{options.out} exists: choose another folder")
    return options


if __name__ == "__main__":
    try:
        main()
    except Aimv2Error as problem:
        sys.exit(f"error: {problem}\nhint: {problem.hint}")
