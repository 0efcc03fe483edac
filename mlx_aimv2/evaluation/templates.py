"""Sentences that class names are put into, by the names of the sets that papers use."""

from collections.abc import Sequence
from pathlib import Path

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.paths import printable
from mlx_aimv2.inference.zero_shot import TEMPLATES, templates_of
from mlx_aimv2.texts.text_file import decode

# Source: open_clip's SIMPLE_IMAGENET_TEMPLATES, which are OpenAI's seven best of their 80; sets of
# one sentence from LAION's CLIP_benchmark.
SETS: dict[str, tuple[str, ...]] = TEMPLATES | {
    "openai-simple": (
        "itap of a {}.",
        "a bad photo of the {}.",
        "a origami {}.",
        "a photo of the large {}.",
        "a {} in a video game.",
        "art of the {}.",
        "a photo of the small {}.",
    ),
    "flowers": ("a photo of a {}, a type of flower.",),
    "food101": ("a photo of {}, a type of food.",),
    "mnist": ('a photo of the number: "{}".',),
    "pets": ("a photo of a {}, a type of pet.",),
}
_DEFAULT = "openai-simple"
_FILE = "zeroshot_classification_templates.txt"


def read_templates(source: str) -> tuple[str, ...]:
    """The sentences of a set's name, of a file with one on each line, or one sentence itself.

    The place of the class is {} or, as in CLIP_benchmark's files, {c}.
    Errors: UsageError for what is none of these.
    """
    if source in SETS:
        return SETS[source]
    if "{}" in source or "{c}" in source:
        return _checked([source], source)
    if not Path(source).is_file():
        raise UsageError(
            f"{printable(source)} is no set of templates and no file",
            hint=f"one of {', '.join(SETS)}, a file with one sentence on each line, or a sentence",
        )
    return _checked(read_lines(Path(source)), source)


def of_data_set(data: Path) -> str:
    """A data set's own file of sentences, as CLIP_benchmark's have one, or OpenAI's seven."""
    return str(data / _FILE) if (data / _FILE).is_file() else _DEFAULT


def read_lines(file: Path) -> list[str]:
    """The lines of a text file that hold something. Errors: UsageError where it cannot be read."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{printable(file)} cannot be read: {error.strerror}") from error
    return [line.strip() for line in decode(data, printable(file)).splitlines() if line.strip()]


def _checked(lines: Sequence[str], source: str) -> tuple[str, ...]:
    if not lines:
        raise UsageError(f"{printable(source)} holds no sentence", hint="like: a photo of a {}.")
    return templates_of([line.replace("{c}", "{}") for line in lines])
