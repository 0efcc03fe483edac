"""The model card of the demo checkpoint, with its measured figures."""

from dataclasses import dataclass

from .drawings.nouns import COLOURS, NOUNS
from .drawings.places import PLACES
from .evaluate import Figures


@dataclass(frozen=True)
class Measured:
    """The figures of one form of the weights, and its least cosine to the unquantised form."""

    weights: str
    size_bytes: int
    figures: Figures
    least_cosine: float | None


# What each figure is, in the words of the card.
_ROWS = (
    ("single_top1", "one object: best of {nouns} nouns is right"),
    ("single_top5", "one object: among the best five"),
    ("several_top1", "two to four objects: best noun is one of them"),
    ("several_precision", "two to four objects: share of the n best nouns that are true"),
    ("search_precision_at_10", "search for a noun in {twice} mixed drawings: precision at 10"),
    ("colours_top1", "colour of a known noun, of {colours}"),
    ("places_top1", "place, of {places}"),
    ("counts_top1", "number of a known noun, two to five"),
)


def demo_card(
    measured: list[Measured], seed: int, steps: int, batch_size: int, minutes: float
) -> str:
    """README.md of the demo's folder. Units: minutes of training, drawing included."""
    figures = measured[0].figures
    facts = {
        "nouns": figures.nouns,
        "twice": 2 * figures.drawings,
        "colours": len(COLOURS),
        "places": len(PLACES),
    }
    heads = " | ".join(row.weights for row in measured)
    lines = [f"| | {heads} |", "|---|" + "---|" * len(measured)]
    for key, text in _ROWS:
        shares = " | ".join(f"{getattr(row.figures, key):.1%}" for row in measured)
        lines.append(f"| {text.format(**facts)} | {shares} |")
    cosines = " | ".join(
        "" if row.least_cosine is None else f"{row.least_cosine:.4f}" for row in measured
    )
    sizes = " | ".join(f"{row.size_bytes / 1e6:.1f}" for row in measured)
    lines += [f"| least cosine to float16, 200 drawings | {cosines} |"]
    lines += [f"| model.safetensors, MB | {sizes} |"]
    table = "\n".join(lines)
    return f"""\
---
library_name: mlx
license: mit
pipeline_tag: zero-shot-image-classification
tags: [mlx, aimv2]
---

# demo

A small AIMv2 LiT checkpoint (112 px, images and texts) that comes with `mlx-aimv2`, so that every
part of it can be tried without fetching weights. **It knows drawings, not photographs**: a
program drew all it has ever seen, {len(NOUNS)} kinds of things in {len(COLOURS)} colours and
{len(PLACES)} places. What it says of a photograph means nothing.

It is not Apple's model and holds none of Apple's weights.

## Figures

On held-out drawings, {figures.drawings} of each kind ({figures.drawings // 2} for numbers), labels
in the plain, photo, drawing and picture templates averaged. Weights are computed with in float32.

{table}

Measured by `python -m mlx_aimv2.training.evaluate SOURCE`.

## Training

`python -m mlx_aimv2.training.demo --out FOLDER --seed {seed} --steps {steps}`: {steps} batches of
{batch_size} new drawings, Muon and AdamW, the symmetric contrastive loss of CLIP and LiT on both
towers, with the objects' known boxes as further examples; {minutes:.0f} minutes on two CPU cores.

## Licence

MIT, as the program.
"""
