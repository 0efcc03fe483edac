"""Settings from a TOML file and from ``key=value`` words, over those of a preset."""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.json_lines import to_json

from .presets import PRESETS
from .settings import STAGES, Settings, Stage


def make_settings(
    stage: Stage, file: Path | None, words: Sequence[str], before: Mapping[str, Any] | None = None
) -> Settings:
    """The settings of a stage: its preset, over it the file, over that ``key=value`` words.

    ``before`` are settings that are gone on with, in the place of a preset.
    Errors: UsageError for a key that there is not, naming the nearest, and for a value of another
    kind; for a file that cannot be read or is no TOML.
    """
    kind = STAGES[stage]
    given = _read(file, kind) if file else {}
    given |= dict(_read_word(word, kind) for word in words)
    if before is not None and "preset" not in given:
        try:
            return kind(**{**before, **given})
        except TypeError as error:
            raise UsageError(
                f"the run was begun with settings that are none of {stage}: {error}",
                hint="go on with it by the version of aimv2 that began it",
            ) from error
    preset = given.get("preset", "toy")
    if preset not in PRESETS[stage]:
        raise UsageError(
            f"{stage} has no preset {preset!r}", hint=f"one of: {', '.join(PRESETS[stage])}"
        )
    return kind(**{**PRESETS[stage][preset].values, **given})


def to_toml(settings: Settings) -> str:
    """The settings as a file that ``make_settings`` reads, each with what it is."""
    source = PRESETS[settings.stage][settings.preset].source
    lines = [f"# {settings.preset}: {source}"]
    for each in fields(settings):
        value = to_json(getattr(settings, each.name))  # whose strings and numbers are TOML's too
        lines.append(f"{each.name} = {value}  # {each.metadata['help']}")
    return "\n".join(lines)


def _read(file: Path, kind: type[Settings]) -> dict[str, Any]:
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{file} is no TOML: {error}", hint='a line is like: steps = 1000, or preset = "toy"'
        ) from error
    return {key: _checked(key, value, kind, f"{file}: ") for key, value in given.items()}


def _read_word(word: str, kind: type[Settings]) -> tuple[str, Any]:
    key, sign, text = word.partition("=")
    if not sign:
        raise UsageError(f"{word!r} is no setting", hint="write --set key=value")
    key = key.strip()
    try:
        ((_, value),) = tomllib.loads(f"value = {text}").items()
    except ValueError:  # a word without quotes, or several lines
        value = text.strip()
    return key, _checked(key, value, kind, "--set ")


def _checked(key: str, value: Any, kind: type[Settings], place: str) -> Any:
    types = {each.name: each.type for each in fields(kind)}
    if key not in types:
        near = difflib.get_close_matches(key, types, n=1, cutoff=0.4)
        raise UsageError(
            f"{place}{kind.stage} has no setting {key!r}",
            hint=f"did you mean {near[0]}?" if near else f"one of: {', '.join(types)}",
        )
    wanted = types[key]
    if choices := get_args(wanted):
        if value not in choices:
            raise UsageError(f"{place}{key} is {value!r}", hint=f"one of: {', '.join(choices)}")
        return value
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
        raise UsageError(f"{place}{key} is {value!r}, not {names[wanted]}")  # type: ignore[index]
    return value
