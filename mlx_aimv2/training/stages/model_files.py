"""The checkpoint that a stage makes: its files, and the page that says what it is."""

import json
from pathlib import Path

from mlx_aimv2.checkpoints.model_card import trained_card
from mlx_aimv2.checkpoints.safetensors_file import Spec, write_weights
from mlx_aimv2.checkpoints.save import write_config
from mlx_aimv2.files.checkpoint_files import CARD_FILE, LICENCE_FILES, PREPROCESSOR_FILE, TEXT_FILES
from mlx_aimv2.images.presets import Preset
from mlx_aimv2.models.network import Network
from mlx_aimv2.models.registry import family_of

from ..runs.settings import Settings
from .beginning import Beginning


def write_model(
    folder: Path,
    network: Network,
    beginning: Beginning,
    settings: Settings,
    tokenizer: Path | None = None,
) -> None:
    """Write a network's weights as they are, and all that belongs to them.

    Pixels are made as they were in training; ``tokenizer`` is a folder that has one.
    """
    arrays = dict(sorted(network.flat_parameters().items()))
    specs = {name: Spec.of(array) for name, array in arrays.items()}
    write_weights(folder, specs, arrays.items())
    write_config(folder, network.config, None)
    _write_preprocessor(folder, network, beginning.preset)
    sources: list[tuple[Path, tuple[str, ...]]] = [(tokenizer, TEXT_FILES)] if tokenizer else []
    if beginning.start:
        sources.append((beginning.start.folder, LICENCE_FILES))
    for source, names in sources:
        for name in names:
            if (source / name).is_file():
                (folder / name).write_bytes((source / name).read_bytes())
    samples = f"{settings.steps:,} steps of {settings.stage} (preset {settings.preset})"
    card = trained_card(beginning.start, network.config, samples)
    (folder / CARD_FILE).write_bytes(card.encode("utf-8", "backslashreplace"))


def _write_preprocessor(folder: Path, network: Network, preset: Preset) -> None:
    stated = family_of(network.config).processor(network.config)
    stated |= {"image_mean": preset.mean, "image_std": preset.std}
    text = json.dumps(stated, indent=2) + "\n"
    (folder / PREPROCESSOR_FILE).write_text(text, encoding="utf-8")
