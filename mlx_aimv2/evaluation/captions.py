"""Pictures with captions: COCO's JSON, Karpathy's, and folders with ``metadata.jsonl``."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mlx_aimv2.errors import Aimv2Error, UsageError
from mlx_aimv2.files.paths import absolute, printable

from .data_sets import Part, part_of

_METADATA = "metadata.jsonl"
_COLUMNS = ("text", "caption", "captions")  # of metadata.jsonl: a text, or a list of them
Captioned = Iterator[tuple[Path, list[str]]]


def read_captions(data: Path, split: str | None, images: Path | None) -> Part:
    """The pictures of a data set of captions, each with its own, in a stable order.

    ``data`` is a JSON file as COCO's or Karpathy's, whose pictures are in ``images`` or beside it,
    or a folder with ``metadata.jsonl`` in it or in its part.
    Errors: UsageError for another file or folder; Aimv2Error for one that cannot be understood.
    """
    if not data.exists():
        raise UsageError(f"{printable(data)} does not exist", hint="check its name")
    file, name = data, split or "test"
    if data.is_dir():
        file = data / _METADATA
        if split or not file.is_file():
            name = part_of(data, split)
            file = data / name / _METADATA
        if not file.is_file():
            raise UsageError(
                f"{printable(data)} has no captions",
                hint=f"a folder has them in {_METADATA}; COCO's are a file: captions_val2017.json",
            )
    read = _metadata if file.suffix == ".jsonl" else _json
    try:
        pairs = [(path, found) for path, found in read(file, name, images or file.parent) if found]
    except OSError as error:
        raise UsageError(f"{printable(file)} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Aimv2Error(
            f"{printable(file)} cannot be understood: {type(error).__name__}: {error}",
            hint="it is to be JSON as COCO's captions, Karpathy's split, or Hugging Face's "
            "imagefolder",
        ) from error
    if not pairs:
        raise UsageError(
            f"{printable(file)} has no captions of the part {name}", hint="choose another: --split"
        )
    pictures = [absolute(path) for path, _ in pairs]
    return Part(name, pictures, np.zeros(0, np.int64), captions=[found for _, found in pairs])


def _json(file: Path, part: str, folder: Path) -> Captioned:
    content = json.loads(file.read_bytes())
    if "annotations" in content:
        return _coco(content, folder)
    return _karpathy(content, part, folder)


def _coco(content: dict[str, Any], folder: Path) -> Captioned:
    """In the order of the pictures' ids, as torchvision's; captions in the order of theirs."""
    captions: dict[int, list[str]] = {}
    for annotation in content["annotations"]:
        captions.setdefault(annotation["image_id"], []).append(annotation["caption"])
    for image in sorted(content["images"], key=lambda image: image["id"]):
        yield folder / image["file_name"], _texts(captions.get(image["id"], []))


def _karpathy(content: dict[str, Any], part: str, folder: Path) -> Captioned:
    for image in content["images"]:
        if image["split"] == part:
            path = folder / image.get("filepath", "") / image["filename"]
            yield path, _texts([sentence["raw"] for sentence in image["sentences"]])


def _metadata(file: Path, _part: str, folder: Path) -> Captioned:
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.strip():
            row = json.loads(line)
            found = next(row[column] for column in _COLUMNS if column in row)
            texts = found if isinstance(found, list) else [found]
            yield folder / row["file_name"], _texts(texts)


def _texts(values: list[Any]) -> list[str]:
    """Captions without blank ones. Errors: ValueError for what is no text."""
    if wrong := [value for value in values if not isinstance(value, str)]:
        raise ValueError(f"a caption is {wrong[0]!r}")
    return [value.strip() for value in values if value.strip()]
