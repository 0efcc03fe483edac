"""What transformers makes of the inputs of `aimv2 verify`.

`python -m tests.parity.reference_values >mlx_aimv2/verification/expected.json` writes it anew.

The pictures are opened by Pillow alone. EXIF orientation, which no processor applies, is applied
by Pillow's own `ImageOps`; 16 bits, which Pillow clips, are divided by 257, of which each is a
multiple; the preset `ml-aim` is cropped as torchvision's CenterCrop does, which rounds halves to
even.
"""

import tests.parity.torchvision  # noqa: F401  isort: skip

import json
import math
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from PIL import Image, ImageOps

from mlx_aimv2.verification import expected
from mlx_aimv2.verification.expected import CASES
from tests.support.vocabulary import BEGIN, END

TOKENIZER = Path(expected.__file__).parent.parent / "demo" / "tokenizer.json"


def reference() -> dict[str, Any]:
    """The content of `expected.json`."""
    versions = {name: version(name) for name in ("transformers", "pillow", "numpy")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return {
            "made_by": {"classes": ["CLIPImageProcessorPil", "CLIPTokenizer"], **versions},
            "pixels": dict(_pixels(folder)),
            "normalized": _normalized(folder),
            "tokens": _tokens(folder),
        }


def _pixels(folder: Path) -> Iterator[tuple[str, str]]:
    for case in CASES:
        picture = _open(case.write_to(folder))
        for preset, side in expected.SIDES:
            made = _hub(picture, side) if preset == "hub" else _ml_aim(picture, side)
            yield f"{case.name}, {preset} {side} px", expected.digest(made)
        if case.name in expected.NATIVE:
            whole = _processed(picture, do_resize=False, do_center_crop=False)
            rows, columns = (size // expected.PATCH * expected.PATCH for size in whole.shape[:2])
            yield f"{case.name}, native", expected.digest(whole[:rows, :columns])


def _open(file: Path) -> Image.Image:
    picture = ImageOps.exif_transpose(Image.open(file))
    if picture.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(picture) // 257).astype(np.uint8))
    return picture


def _processed(picture: Image.Image, **options: Any) -> np.ndarray:
    processor = transformers.CLIPImageProcessorPil(do_rescale=False, do_normalize=False, **options)
    return processor(picture)["pixel_values"][0].transpose(1, 2, 0).astype(np.uint8)


def _sides(side: int) -> dict[str, Any]:
    return {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}}


def _hub(picture: Image.Image, side: int) -> np.ndarray:
    return _processed(picture, **_sides(side))


def _ml_aim(picture: Image.Image, side: int) -> np.ndarray:
    short = math.ceil(side / 0.875)
    whole = _processed(picture, size={"shortest_edge": short}, do_center_crop=False)
    top, left = (round((length - side) / 2) for length in whole.shape[:2])
    return whole[top : top + side, left : left + side]


def _normalized(folder: Path) -> list[list[float]]:
    (case,) = (case for case in CASES if case.name == expected.WIDE)
    processor = transformers.CLIPImageProcessorPil(**_sides(expected.SIDE))
    values = processor(_open(case.write_to(folder)))["pixel_values"][0].transpose(1, 2, 0)
    return values[expected.ROW, expected.ROW : expected.ROW + 4].astype(np.float64).tolist()


def _tokens(folder: Path) -> list[list[int]]:
    model = json.loads(TOKENIZER.read_text(encoding="utf-8"))["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"]), ""]
    (folder / "merges.txt").write_text("\n".join(lines), encoding="utf-8")
    specials = {"bos_token": BEGIN, "eos_token": END, "pad_token": END, "unk_token": END}
    theirs = transformers.CLIPTokenizer(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"), **specials
    )
    return [theirs(text, truncation=True, max_length=77)["input_ids"] for text in expected.TEXTS]


def main() -> None:
    """Print the file; a list of numbers is one line of it."""
    content = reference()
    content["tokens"] = [json.dumps(row) for row in content["tokens"]]
    print(json.dumps(content, indent=1).replace('"[', "[").replace(']"', "]"))


if __name__ == "__main__":
    main()
