"""The README.md of a converted checkpoint: what it is, how it was made, and its licence."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from mlx_aimv2.files.checkpoint_files import CARD_FILE
from mlx_aimv2.models.aimv2.published import LICENCE, LICENCE_TERMS
from mlx_aimv2.models.aria.published import LICENCE as ARIA_LICENCE
from mlx_aimv2.models.family import Family
from mlx_aimv2.models.network import Config
from mlx_aimv2.models.registry import embedding_config, family_of

from .hub import DEMO, Resolved

Library = Literal["mlx", "transformers"]

_LIBRARIES: dict[Library, str] = {
    "mlx": "`mlx-aimv2`, which runs it with MLX",
    "transformers": "transformers, under its names, by `mlx-aimv2`, which reads it as well",
}
_UNKNOWN = "unknown"
_OWN = "own"
_DEMO_LICENCE = "mit"  # this project's own weights
_TRANSFORMERS_EXAMPLE = """\
import transformers

model = transformers.AutoModel.from_pretrained({location})
images = transformers.AutoImageProcessor.from_pretrained({location})"""


@dataclass(frozen=True)
class _Use:
    """What a kind of checkpoint is for: the Hub's word for it, and what to type."""

    pipeline_tag: str
    python: str
    shell: str


_EMBED = "aimv2 embed photos --model {location} --out photos.npz"
_VISION = _Use("image-feature-extraction", 'model.embed_images(["photo.jpg"])', _EMBED)
_LIT = _Use(
    "zero-shot-image-classification",
    'model.embed_images(["photo.jpg"])\nmodel.classify(["photo.jpg"], ["a dog", "a cat"])',
    _EMBED,
)
_ARIA = _Use(
    "image-text-to-text",
    'for piece in model.ask(["photo.jpg"], "What does it show?"):\n    print(piece, end="")',
    'aimv2 ask photo.jpg "What does it show?" --model {location}',
)


def licence_of(resolved: Resolved) -> str:
    """The licence of a source, "unknown" where none is stated."""
    return stated_licence(resolved) or _UNKNOWN


def stated_licence(resolved: Resolved) -> str | None:
    """The licence of a source, None where none is stated.

    The published checkpoints have their publisher's whatever their folder says; others have what
    the front matter of their README.md states.
    """
    if resolved.checkpoint:
        return resolved.checkpoint.licence
    stated = _front_matter(resolved.folder / CARD_FILE)
    licence = stated.get("license", _DEMO_LICENCE if resolved.source == DEMO else None)
    return stated.get("license_name") if licence == "other" else licence


def card(
    location: str,
    resolved: Resolved,
    config: Config,
    *,
    layout: str,
    dtype: str,
    quantization: Mapping[str, Any] | None,
    library: Library = "mlx",
) -> str:
    """The text of README.md, with the front matter that the Hub reads.

    ``location`` is what ``load`` takes, a hub id or a folder; ``resolved`` is what was converted;
    ``library`` is the one that it was converted for.
    """
    base_model = resolved.repo_id or _front_matter(resolved.folder / CARD_FILE).get("base_model")
    licence = licence_of(resolved)
    return f"""\
{_front_matter_of(licence, base_model, config, library)}
# {resolved.name}, {f"{quantization['bits']}-bit" if quantization else dtype}

{_kind(config)}, converted for {_LIBRARIES[library]}.

| | |
|---|---|
| Source | {_source(resolved, base_model)} |
| Layout of the source | {layout} |
| Weights | {precision(dtype, quantization)} |
| Converted by | mlx-aimv2 {version("mlx-aimv2")} |

## Use

```python
{_example(json.dumps(location), config, library)}
```

```sh
{next_command(config, location)}
```

## Licence

{licence_notice(licence, family_of(config))}
"""


def next_command(config: Config, location: str) -> str:
    """What to type with a checkpoint of this kind at a place."""
    return _use_of(config).shell.format(location=shlex.quote(location))


def _use_of(config: Config) -> _Use:
    if not family_of(config).embeds:
        return _ARIA
    return _VISION if embedding_config(config).text_config is None else _LIT


def _example(location: str, config: Config, library: Library) -> str:
    if library == "transformers":
        return _TRANSFORMERS_EXAMPLE.format(location=location)
    example = _use_of(config).python
    return f"import mlx_aimv2 as aimv2\n\nmodel = aimv2.load({location})\n{example}"


def trained_card(start: Resolved | None, config: Config, made: str) -> str:
    """The text of README.md of a checkpoint that was trained here.

    ``start`` is what it began with, ``made`` says by which steps.
    """
    base_model, licence, began = None, _OWN, "random weights"
    if start:
        base_model = start.repo_id or _front_matter(start.folder / CARD_FILE).get("base_model")
        licence, began = licence_of(start), _source(start, base_model)
    return f"""\
{_front_matter_of(licence, base_model, config, "mlx")}
# Trained with mlx-aimv2

{_kind(config)}, trained with mlx-aimv2 {version("mlx-aimv2")}: {made}.

| | |
|---|---|
| Began with | {began} |

## Licence

{licence_notice(licence, family_of(config))}
"""


def precision(dtype: str, quantization: Mapping[str, Any] | None) -> str:
    """What weights are stored in; ``dtype`` is that of what is not packed into bits."""
    if not quantization:
        return dtype
    return "{bits} bits in groups of {group_size}, the rest ".format_map(quantization) + dtype


def licence_notice(licence: str, family: Family) -> str:
    """What somebody who gets weights under a licence has to know."""
    if licence == LICENCE:
        return (
            f"The weights are under {LICENCE_TERMS} (`{LICENCE}`). Whoever receives them is bound "
            "by it too. The program that converted them has a licence of its own (MIT)."
        )
    if licence == _OWN:
        return "The weights began as random numbers: whoever trained them states their licence."
    if licence == _UNKNOWN and not family.embeds:
        return (
            "The source of these weights states no licence. If they derive from Rhymes AI's "
            f"published checkpoints, they are under `{ARIA_LICENCE}`."
        )
    if licence == _UNKNOWN:
        return (
            "The source of these weights states no licence. If they derive from Apple's "
            f"published checkpoints, they are under {LICENCE_TERMS} (`{LICENCE}`)."
        )
    return f"The weights are under the licence that their source states: `{licence}`."


def _front_matter(file: Path) -> dict[str, str]:
    """The plain ``key: value`` lines between the two rules at the top of a card."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return {}
    block = re.match(r"---\r?\n(.*?\n)---", text, re.DOTALL)
    pairs = re.findall(r"^(\w+): *([^\s#].*?) *$", block[1], re.MULTILINE) if block else []
    return {key: value.strip("\"'") for key, value in pairs}


def _front_matter_of(licence: str, base_model: str | None, config: Config, library: Library) -> str:
    fields = {
        "library_name": library,
        "license": licence if licence != _OWN else None,
        "base_model": base_model,
        "pipeline_tag": _use_of(config).pipeline_tag,
    }
    lines = [f"{key}: {json.dumps(value)}" for key, value in fields.items() if value]
    return "\n".join(
        ["---", *lines, f"tags: [{library}, {family_of(config).name.casefold()}]", "---", ""]
    )


def _kind(config: Config) -> str:
    family = family_of(config)
    name = family.with_article[0].upper() + family.with_article[1:]
    if not family.embeds:
        return f"{name} checkpoint (pictures and texts in, texts out)"
    config = embedding_config(config)
    vision = config.vision_config
    size = "any image size" if vision.is_native else f"{vision.image_size} px"
    if config.text_config is None:
        return f"{name} vision encoder ({size})"
    return f"{name} LiT checkpoint (images and texts; {size})"


def _source(resolved: Resolved, base_model: str | None) -> str:
    if base_model is None:
        return resolved.name
    link = f"[{base_model}](https://huggingface.co/{base_model})"
    return (
        f"{link} at {resolved.revision}" if resolved.revision else f"{resolved.name}, from {link}"
    )
