"""Write an album of held-out drawings: picture files, and what is in each; or a data set.

python -m mlx_aimv2.training.drawings.album FOLDER [--count N] [--first N] [--side-px N]
                                            [--copies N] [--dated]
python -m mlx_aimv2.training.drawings.album FOLDER --classes N [--count N] [--side-px N]
"""

import argparse
import json
import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from .captions import caption_of
from .nouns import NOUNS
from .scene import HELD_OUT, Drawing, draw, paint, plan

CAPTIONS_FILE = "captions.json"
LABELS_FILE = "labels.txt"
METADATA_FILE = "metadata.jsonl"
_PNG_EVERY = 4  # the others are JPEG, as in a real album
_JPEG_QUALITY, _COPY_QUALITY = 90, 75
_CAPTIONS = 2
_FIRST_DAY, _DAYS = datetime(2024, 1, 1), 1000


def write_album(
    folder: Path,
    count: int,
    *,
    first: int = 0,
    side_px: int = 224,
    height_px: int | None = None,
    dated: bool = False,
) -> list[Path]:
    """Draw ``count`` held-out pictures into a new folder; returns their files, in order.

    With ``dated`` each was taken on some day, as photos are.

    Files are named by what they show; ``captions.json`` says what is in each (objects with
    colours and boxes, place, captions), ``labels.txt`` has every noun on a line.
    Errors: FileExistsError if the folder exists.
    """
    folder.mkdir(parents=True)
    files, entries = [], []
    for number in range(first, first + count):
        drawing = draw(HELD_OUT + number, side_px, height_px=height_px)
        shown = dict.fromkeys(noun.replace(" ", "_") for noun, _, _ in drawing.objects)
        suffix = "png" if number % _PNG_EVERY == 0 else "jpg"
        file = folder / f"{'-'.join([f'{number:04}', *shown])}.{suffix}"
        exif = _taken_on(number) if dated else Image.Exif()
        drawing.image.save(file, quality=_JPEG_QUALITY, exif=exif)  # PNG knows no quality
        files.append(file)
        entries.append(_entry(file.name, drawing))
    (folder / CAPTIONS_FILE).write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    (folder / LABELS_FILE).write_text("\n".join(NOUNS) + "\n", encoding="utf-8")
    return files


def write_data_set(folder: Path, classes: int, count: int, *, side_px: int = 112) -> None:
    """Draw a data set of single things: ``train/NOUN/`` of ``count`` drawings, ``test/NOUN/`` too.

    Beside the folders of classes each part has the captions, in ``metadata.jsonl``. The drawings of
    ``train`` are of training's seeds, those of ``test`` are held out.
    Errors: FileExistsError if the folder exists.
    """
    folder.mkdir(parents=True)
    for part, first in (("train", 0), ("test", HELD_OUT)):
        lines = []
        for number in range(classes * count):
            noun = NOUNS[number % classes]
            name = f"{noun.replace(' ', '_')}/{number // classes:04}.png"
            scene = plan(first + number, kind="single", noun=noun)
            file = folder / part / name
            file.parent.mkdir(parents=True, exist_ok=True)
            paint(scene, side_px, side_px)[0].save(file)
            rng = random.Random(f"captions {scene.seed}")
            texts = [caption_of(scene, rng).text for _ in range(_CAPTIONS)]
            lines.append(json.dumps({"file_name": name, "text": texts}) + "\n")
        (folder / part / METADATA_FILE).write_text("".join(lines), encoding="utf-8")


def write_copies(files: list[Path], folder: Path) -> None:
    """Half-size JPEGs of pictures in a new folder: duplicates to be found."""
    folder.mkdir()
    for file in files:
        with Image.open(file) as image:
            half = image.convert("RGB").resize((image.width // 2, image.height // 2))
        half.save(folder / f"{file.stem}-small.jpg", quality=_COPY_QUALITY)


def main(arguments: list[str] | None = None) -> None:
    """Write an album and say what it holds."""
    parser = argparse.ArgumentParser(
        prog="python -m mlx_aimv2.training.drawings.album", description=__doc__
    )
    parser.add_argument("folder", type=Path, help="must not exist yet")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--first", type=int, default=0, help="number of the first held-out drawing")
    parser.add_argument("--side-px", type=int, default=224)
    parser.add_argument("--copies", type=int, default=0, help="small copies of the first ones")
    parser.add_argument("--dated", action="store_true", help="taken on days of three years")
    parser.add_argument(
        "--classes", type=int, help="a data set of so many nouns, COUNT of each to learn and test"
    )
    options = parser.parse_args(arguments)
    if options.folder.exists():
        parser.error(f"{options.folder} exists: choose another folder")
    if options.classes is not None:
        if not 1 <= options.classes <= len(NOUNS):
            parser.error(f"--classes is from 1 to {len(NOUNS)}")
        write_data_set(options.folder, options.classes, options.count, side_px=options.side_px)
        print(f"{2 * options.classes * options.count} drawings in {options.folder}")
        return
    files = write_album(
        options.folder, options.count, first=options.first, side_px=options.side_px,
        dated=options.dated,
    )  # fmt: skip
    if options.copies:
        write_copies(files[: options.copies], options.folder / "copies")
    print(f"{len(files)} drawings in {options.folder}, what they show in {CAPTIONS_FILE}")


def _taken_on(number: int) -> Image.Exif:
    rng = random.Random(f"date {number}")
    at = _FIRST_DAY + timedelta(days=rng.randrange(_DAYS), seconds=rng.randrange(8, 20) * 3600)
    exif = Image.Exif()
    exif[ExifTags.Base.DateTime] = f"{at:%Y:%m:%d %H:%M:%S}"
    return exif


def _entry(name: str, drawing: Drawing) -> dict[str, Any]:
    return {
        "file": name,
        "place": drawing.place,
        "objects": [
            {"noun": noun, "colour": colour, "box": list(box)}
            for noun, colour, box in drawing.objects
        ],
        "captions": [caption.text for caption in drawing.captions],
    }


if __name__ == "__main__":
    main()
