"""Other implementations of AIMv2, timed in turns with ours on the same weights and pixels."""

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np

from mlx_aimv2.checkpoints.safetensors_file import Spec, write_weights
from mlx_aimv2.device import backend
from mlx_aimv2.errors import Aimv2Error
from mlx_aimv2.files.checkpoint_files import SINGLE_FILE
from mlx_aimv2.inference.embedder import Embedder
from mlx_aimv2.models.aimv2.layouts import TRANSFORMERS as TRANSFORMERS_LAYOUT
from mlx_aimv2.models.aimv2.vision import VisionEncoder

from .encoder import Case, encode, encode_native, native_batch, random_pixels, variant
from .figure import Figure, Timing, clock, interleave, ratio
from .process import Worker
from .unfused import PlainEncoder

SECTION = "peers"
PLAIN, TRANSFORMERS, ML_AIM = "the plain model", "transformers", "ml-aim"

# What transformers' configuration has to be told, by our names, which are the same.
_CONFIG = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
           "image_size", "patch_size", "num_channels", "rms_norm_eps", "use_head")  # fmt: skip
_DEVICES = {"CPU": "cpu", "Metal": "mps", "CUDA": "cuda"}


def installed() -> bool:
    """Whether transformers and torch are installed."""
    return all(find_spec(name) is not None for name in ("torch", "transformers"))


def compare(
    model: Embedder,
    case: Case,
    folder: Path,
    *,
    repeats: int,
    ml_aim: Path | None = None,
    with_transformers: bool = True,
    start_s: float = math.inf,
) -> tuple[list[Figure], list[str]]:
    """Ours against each peer that is here, as how many times as fast, timed in turns.

    The second list tells of peers that are here and fail. A native mix (a case without a side)
    is compared with the plain model only: no other takes one.
    """
    ours = variant(model, case.side_px, case.blocks)
    failures: list[str] = []
    facts: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(dir=folder) as name, ExitStack() as stack:
        scratch = Path(name)
        pixels, works, expected = _own_works(ours, case)
        settings = _settings(ours, pixels, scratch, ml_aim, with_transformers)
        for kind, given in settings if case.side_px is not None else ():
            try:
                peer = stack.enter_context(Worker(kind, given, start_s))
                difference = _difference(peer, scratch / f"{kind}.npy", expected)
            except Aimv2Error as error:
                failures.append(str(error))
            else:
                facts[kind] = {**peer.facts, "largest_difference": difference}
                works[kind] = partial(_run, peer)
        timings = interleave(works, repeats=repeats)
    mine = timings.pop("ours")
    figures = [
        _against(case, model, name, theirs, mine, facts.get(name, {}))
        for name, theirs in timings.items()
    ]
    return figures, failures


def _own_works(
    model: Embedder, case: Case
) -> tuple[mx.array, dict[str, Callable[[], float]], mx.array]:
    """The batch; ours and the plain model, which run in this process; and ours' features."""
    mx.random.seed(0)
    plain = PlainEncoder(model.vision)
    ours: Callable[[], mx.array]
    plainly: Callable[[], mx.array]
    if case.side_px is None:
        batch, grids = native_batch(model.vision.config, case.batch)
        ours = partial(encode_native, model, batch, grids)
        plainly = partial(plain.encode_patches, batch, grids)
    else:
        batch = random_pixels(case.batch, case.side_px)
        ours = partial(encode, model, batch)
        plainly = partial(plain.features, batch)
    works: dict[str, Callable[[], float]] = {
        "ours": partial(clock, ours),
        PLAIN: lambda: clock(lambda: mx.eval(plainly())),
    }
    return batch, works, ours()


def _settings(
    model: Embedder, batch: mx.array, folder: Path, ml_aim: Path | None, with_transformers: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    vision, pixels = model.vision, folder / "pixels.npy"
    np.save(pixels, np.array(batch))
    common = {"pixels": str(pixels), "dtype": model.dtype}
    if with_transformers and installed():
        yield (
            TRANSFORMERS,
            {
                **common,
                "config": {name: getattr(vision.config, name) for name in _CONFIG},
                "weights": str(_write(folder / TRANSFORMERS, to_transformers(vision))),
                "device": _DEVICES[backend()],
            },
        )
    if ml_aim is not None:
        config = vision.config
        yield (
            ML_AIM,
            {
                **common,
                "path": str(ml_aim),
                "weights": str(_write(folder / ML_AIM, vision.flat_parameters())),
                "sizes": {
                    "img_size": config.image_size,
                    "patch_size": config.patch_size,
                    "embed_dim": config.hidden_size,
                    "mlp_hidden_dim": config.intermediate_size,
                    "num_blocks": config.num_hidden_layers,
                    "num_heads": config.num_attention_heads,
                },
            },
        )


def to_transformers(network: VisionEncoder) -> dict[str, mx.array]:
    """Dense weights by transformers' names and in its shapes, its layout turned round."""
    rules = {rule.targets[0]: rule for rule in reversed(TRANSFORMERS_LAYOUT.rules)}
    renamed: dict[str, mx.array] = {}
    for name, array in network.flat_parameters().items():
        number = next((part for part in name.split(".") if part.isdigit()), "")
        sources = rules[name.replace(f".{number}.", ".*.")].sources
        theirs = array.transpose(0, 3, 1, 2) if array.ndim == 4 else array
        theirs = theirs[0] if name == "preprocessor.pos_embed" else theirs
        for source, rows in zip(sources, mx.split(theirs, len(sources)), strict=True):
            renamed[source.replace("*", number)] = mx.contiguous(rows)
    return renamed


def _write(folder: Path, arrays: Mapping[str, mx.array]) -> Path:
    folder.mkdir()
    specs = {name: Spec.of(array) for name, array in arrays.items()}
    write_weights(folder, specs, arrays.items())
    return folder / SINGLE_FILE


def _run(peer: Worker) -> float:
    return float(peer.ask("run")["elapsed_s"])


def _difference(peer: Worker, file: Path, expected: mx.array) -> float:
    """The largest between a peer's features, which come by way of a file, and ours."""
    peer.ask(str(file))
    peer.answer()
    return float(np.abs(np.load(file) - np.array(expected.astype(mx.float32))).max())


def _against(
    case: Case, model: Embedder, name: str, theirs: Timing, ours: Timing, facts: dict[str, Any]
) -> Figure:
    rounds, depth = ratio(theirs, ours), model.vision.config.num_hidden_layers
    star = " *" if case.blocks < depth else ""
    version = f" {facts['transformers']}, torch" if "torch" in facts else ""
    return Figure(
        SECTION,
        f"{case.describe()}, against {name}{version}{star}",
        rounds.median_s,
        "×",
        about={
            "peer": name,
            "side_px": case.side_px,
            "batch": case.batch,
            "blocks_measured": case.blocks,
            "blocks": depth,
            "dtype": model.dtype,
            "ours_images_per_s": case.batch / ours.median_s,
            "theirs_images_per_s": case.batch / theirs.median_s,
            "rounds": list(rounds.seconds),
            "ours": ours.summary(),
            "theirs": theirs.summary(),
            **facts,
        },
    )
