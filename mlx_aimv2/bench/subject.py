"""The subject of a report: a checkpoint, or random weights in a published one's sizes."""

import json
import math
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

import mlx.core as mx
import numpy as np

from mlx_aimv2.checkpoints import hub
from mlx_aimv2.checkpoints.safetensors_file import Spec, write_weights
from mlx_aimv2.errors import OutputError, UsageError
from mlx_aimv2.files.checkpoint_files import CONFIG_FILE, TEXT_FILES
from mlx_aimv2.inference.model import Model, load
from mlx_aimv2.models.aimv2 import published
from mlx_aimv2.models.aimv2.config import LiTConfig
from mlx_aimv2.models.aimv2.cost import published_config
from mlx_aimv2.models.network import EmbeddingConfig
from mlx_aimv2.models.published import find as find_any
from mlx_aimv2.models.registry import build, check_embeds, family_of

Dtype = Literal["float32", "float16", "bfloat16"]

_POOL = (1 << 22) + 3  # random numbers that all tensors are cut from
_FLOAT32_BYTES = 4
_NAMES_HINT = "aimv2 models lists the names; L, H, 1B and 3B are architectures"


@dataclass(frozen=True)
class Subject:
    """A model, its name, the folder of its weights, and whether these are random."""

    name: str
    folder: Path
    model: Model
    is_random: bool

    @property
    def source(self) -> str:
        """The folder as ``load`` takes it: ``demo`` alone would be the alias."""
        return str(self.folder.resolve())

    def about(self) -> dict[str, object]:
        """The subject as a report holds it."""
        config, cost = self.model.config, family_of(self.model.config).cost
        return {
            "name": self.name,
            "is_random": self.is_random,
            "revision": self.model.revision,
            "architecture": cost.architecture_name(config.vision_config),
            "parameters": cost.parameters(config).total,
            "side_px": config.vision_config.image_size,
            "has_text": self.model.has_text,
            "dtype": self.model.dtype,
        }


def subject_of(
    source: str,
    is_random: bool,
    folder: Path,
    dtype: Dtype | None = None,
    confirm: hub.Confirm | None = None,
) -> Subject:
    """A checkpoint, or random weights in the sizes of a published one, written to a folder.

    Errors: as ``load``; UsageError for a name that is not published, OutputError where there is
    no room.
    """
    if not is_random:
        model = load(source, dtype=dtype, confirm=confirm)
        return Subject(model.name, model.folder, model, is_random)
    checkpoint = find_published(source)
    folder = folder / "checkpoint"
    folder.mkdir()
    make_checkpoint(with_demo_words(published_config(checkpoint)), folder)
    return Subject(checkpoint.name, folder, load(str(folder), dtype=dtype), is_random)


def find_published(name: str) -> published.Checkpoint:
    """A published checkpoint by any of its names, or by its architecture: the one of 224 px.

    Errors: UsageError for any other word.
    """
    by_architecture = {
        each.architecture.casefold(): each
        for each in reversed(published.CHECKPOINTS)
        if each.side_px == 224 and not each.has_text and not each.alias.endswith("distilled")
    }
    found = published.find(name) or by_architecture.get(name.casefold())
    if found is None:
        if other := find_any(name):
            check_embeds(other.model_type)
        near = published.nearest(name)
        hint = f"did you mean {near.alias}?" if near else _NAMES_HINT
        raise UsageError(f"no published checkpoint is called {name!r}", hint=hint)
    return found


def with_demo_words(config: EmbeddingConfig) -> EmbeddingConfig:
    """A configuration with the demo's end token: the demo's tokenizer goes with random weights."""
    if config.text_config is None:
        return config
    demo = json.loads((hub.resolve(hub.DEMO).folder / CONFIG_FILE).read_bytes())
    end = demo["text_config"]["eos_token_id"]
    text = replace(config.text_config, eos_token_id=end)
    return replace(cast(LiTConfig, config), text_config=text)


def make_checkpoint(config: EmbeddingConfig, folder: Path) -> None:
    """Write a float32 checkpoint of these sizes with random weights.

    Errors: OutputError where there is no room.
    """
    parameters = build(config).flat_parameters()
    specs = {name: Spec("F32", tuple(array.shape)) for name, array in parameters.items()}
    needed = sum(math.prod(spec.shape) for spec in specs.values()) * _FLOAT32_BYTES
    if shutil.disk_usage(folder).free < needed:
        raise OutputError(
            f"random weights of {needed / 1e9:.2f} GB do not fit into {folder}",
            hint="make room there, or set TMPDIR to a folder with more",
        )
    write_weights(folder, specs, _random_arrays(specs))
    (folder / CONFIG_FILE).write_text(json.dumps(config.to_dict()), encoding="utf-8")
    if config.text_config is not None:
        demo = hub.resolve(hub.DEMO).folder
        for name in TEXT_FILES:
            if (demo / name).exists():
                shutil.copy(demo / name, folder / name)


def _random_arrays(specs: Mapping[str, Spec]) -> Iterator[tuple[str, mx.array]]:
    """Weights with which activations keep their size through the network."""
    rng = np.random.default_rng(0)
    pool = rng.standard_normal(_POOL, np.float32)
    for name, spec in specs.items():
        start = int(rng.integers(_POOL))
        values = np.resize(np.roll(pool, start), spec.shape)
        if "norm" in name:
            values = 1 + 0.1 * values
        elif name == "log_logit_scale":
            values = np.full((), math.log(100))
        elif "embedding" not in name:
            values = values / math.sqrt(math.prod(spec.shape[1:]) or 1)
        yield name, mx.array(values.astype(np.float32))
