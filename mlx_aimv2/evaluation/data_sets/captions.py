"""Pictures with captions: COCO's JSON, Karpathy's, CLIP_benchmark's shards, tables."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mlx_aimv2.errors import Aimv2Error, UsageError
from mlx_aimv2.files.paths import absolute, printable
from mlx_aimv2.training.data.source import open_pairs

from . import shards
from .part import TESTS, Part, Stored, part_of

Captioned = Iterable[tuple[Stored, list[str]]]


def read_captions(data: Path, split: str | None, images: Path | None) -> Part:
    """The pictures of a data set of captions, each with its own, in a stable order.

    ``data`` is a JSON file as COCO's or Karpathy's, whose pictures are in ``images`` or beside it;
    or a folder that has, itself or in its part, CLIP_benchmark's shards or a table that training
    takes: ``metadata.jsonl``, ``.csv``, ``.parquet``.
    Errors: UsageError for another file or folder; Aimv2Error for one that cannot be understood.
    """
    if not data.exists():
        raise UsageError(f"{printable(data)} does not exist", hint="check its name")
    found: Captioned
    if data.is_dir():
        has_parts = split or any((data / name).is_dir() for name in TESTS)
        name = part_of(data, split) if has_parts else data.name
        folder = data / name if has_parts else data
        found = _shards(folder) if shards.are_shards(folder) else _table(folder)
    else:
        name = split or TESTS[0]
        found = _json(data, name, images or data.parent)
    pairs = [(picture, texts) for picture, texts in found if texts]
    if not pairs:
        raise UsageError(
            f"{printable(data)} has no captions of the part {name}", hint="choose another: --split"
        )
    pictures = [each if isinstance(each, shards.Member) else absolute(each) for each, _ in pairs]
    return Part(name, pictures, np.zeros(0, np.int64), captions=[texts for _, texts in pairs])


def _shards(folder: Path) -> Captioned:
    return ((picture, _texts(lines)) for picture, lines in shards.read_captions(folder))


def _table(folder: Path) -> Captioned:
    pairs = open_pairs(str(folder))
    for pair in map(pairs.read, range(len(pairs))):
        if not isinstance(pair.image, str):  # shards of training, whose pictures come as bytes
            raise UsageError(
                f"{printable(folder)} has no captions",
                hint="a folder has them in metadata.jsonl; COCO's are a file: "
                "captions_val2017.json",
            )
        yield pair.image, list(pair.captions)


def _json(file: Path, part: str, folder: Path) -> Captioned:
    try:
        content = json.loads(file.read_bytes())
        if "annotations" in content:
            return list(_coco(content, folder))
        return list(_karpathy(content, part, folder))
    except OSError as error:
        raise UsageError(f"{printable(file)} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Aimv2Error(
            f"{printable(file)} cannot be understood: {type(error).__name__}: {error}",
            hint="it is to be JSON as COCO's captions or Karpathy's split",
        ) from error


def _coco(content: dict[str, Any], folder: Path) -> Iterator[tuple[Stored, list[str]]]:
    """In the order of the pictures' ids, as torchvision's; captions in the order of theirs."""
    captions: dict[int, list[str]] = {}
    for annotation in content["annotations"]:
        captions.setdefault(annotation["image_id"], []).append(annotation["caption"])
    for image in sorted(content["images"], key=lambda image: image["id"]):
        yield _path(folder / image["file_name"]), _texts(captions.get(image["id"], []))


def _karpathy(
    content: dict[str, Any], part: str, folder: Path
) -> Iterator[tuple[Stored, list[str]]]:
    for image in content["images"]:
        if image["split"] == part:
            path = folder / image.get("filepath", "") / image["filename"]
            yield _path(path), _texts([sentence["raw"] for sentence in image["sentences"]])


def _path(path: Path) -> str:
    """A path as text. Errors: ValueError for what is none: JSON can hold half of a character."""
    os.fsencode(path)
    return str(path)


def _texts(values: list[Any]) -> list[str]:
    """Captions without blank ones. Errors: ValueError for what is no text, as above."""
    if wrong := [value for value in values if not isinstance(value, str)]:
        raise ValueError(f"a caption is {wrong[0]!r}")
    for value in values:
        value.encode()
    return [value.strip() for value in values if value.strip()]
