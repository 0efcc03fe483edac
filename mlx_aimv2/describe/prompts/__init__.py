"""What Aria is asked when a photo is to be described: texts in files, which people can change."""

from pathlib import Path

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.paths import printable
from mlx_aimv2.texts.text_file import decode

CAPTION = "caption"
LANGUAGE = "English"
_PLACE = "{language}"


def names() -> list[str]:
    """The prompts of this package."""
    return sorted(file.stem for file in Path(__file__).parent.glob("*.txt"))


def read(name_or_file: str, language: str | None = None) -> str:
    """A prompt of this package by its name, or that in a text file, for an answer in a language.

    Errors: UsageError for a name that there is not, and a file that cannot be read or is empty.
    """
    is_ours = name_or_file in names()
    file = Path(__file__).with_name(f"{name_or_file}.txt") if is_ours else Path(name_or_file)
    shown = printable(file)
    hint = f"a text file, or one of {', '.join(names())}"
    try:
        data = file.expanduser().read_bytes()
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"the prompt {shown} cannot be read: {reason}", hint=hint) from error
    text = decode(data, shown).strip()
    if not text:
        raise UsageError(f"the prompt {shown} is empty", hint=hint)
    return in_language(text, language)


def in_language(text: str, language: str | None) -> str:
    """A question with its ``{language}`` filled in, or with the wish for a language after it."""
    if _PLACE in text:
        return text.replace(_PLACE, language or LANGUAGE)
    return text if language is None else f"{text} Answer in {language}."
