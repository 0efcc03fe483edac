"""An error to what a person should read: one line, the next thing to do, and an exit code."""

import errno
import os
import re
from typing import Any

import typer

from mlx_aimv2.errors import Aimv2Error, CheckpointError, shortened
from mlx_aimv2.files.paths import DISK_ACCESS_HINT, FULL, no_current_folder

from .output import hint_of

FAILED, USAGE, SOME_FAILED, INTERRUPTED = 1, 2, 3, 130

_DEBUG_HINT = "run again with --debug to see where it happened"
_CHECKPOINT_HINT = "fetch the checkpoint again, or use another: aimv2 models"
_MEMORY_HINT = "try a smaller batch, or a smaller or quantised checkpoint"
# How MLX's backends say it: Metal's two ways, and CUDA's.
_OUT_OF_MEMORY = re.compile("insufficient memory|maximum allowed buffer size|out of memory", re.I)
_SYSTEM_HINTS = {
    **dict.fromkeys(FULL, "make room on the disk, then run the command again"),
    errno.EACCES: "check who may read and write there: ls -ld",
    errno.EPERM: DISK_ACCESS_HINT,  # macOS says so of Pictures, Desktop and Documents
    errno.EROFS: "the disk is read-only: write somewhere else",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "allow more open files: ulimit -n 4096",
}

# Words of pydantic and of the library behind Typer, and plain ones.
_WORDS = (
    (": Value error, ", ": "),
    ("Input should be a valid integer, unable to parse string as an integer", "not a whole number"),
    ("Input should be a valid number, unable to parse string as a number", "not a number"),
    ("Input should be greater than or equal to ", "the least is "),
    ("Input should be less than or equal to ", "the most is "),
    (":\n\t", ": "),  # choices, each on its line
    (",\n\t", ", "),
)
# A word like -boat is read as options of one letter, and the rest as their value.
_SHORT_OPTION = re.compile(r"(?<![\w-])-\w\b")
_MINUS_HINT = 'put a space after "-" to take something away: owl - boat; options: '

Explanation = tuple[str, str, int]


def explain(error: BaseException) -> Explanation:
    """Message, hint and exit code."""
    match error:
        case Aimv2Error():
            explanation = str(error), _hint(error), error.exit_code
        case typer.TyperException():
            explanation = _explain_usage(error)
        case typer.Abort():
            explanation = "nothing was done", "", FAILED
        case MemoryError():
            explanation = "MemoryError: there is not enough memory", _MEMORY_HINT, FAILED
        case RuntimeError() if _OUT_OF_MEMORY.search(str(error)):
            explanation = f"RuntimeError: {error}", _MEMORY_HINT, FAILED
        case FileNotFoundError(filename=None):  # of a path that starts in the current folder
            explanation = explain(no_current_folder())
        case OSError(strerror=str(reason)):
            hint = _SYSTEM_HINTS.get(error.errno or 0, _DEBUG_HINT)
            of_file = "" if error.filename is None else f": {_name(error.filename)}"
            explanation = f"{type(error).__name__}: {reason}{of_file}", hint, FAILED
        case _:
            explanation = f"{type(error).__name__}: {error}".strip(": "), _DEBUG_HINT, FAILED
    message, hint, code = explanation
    return shortened(message), hint, code


def exit_code(done: int, failed: int) -> int:
    """The exit code of a command that goes on after inputs that fail."""
    if not failed:
        return 0
    return SOME_FAILED if done else FAILED


def _explain_usage(error: typer.TyperException) -> Explanation:
    context: Any = getattr(error, "ctx", None)
    command = context.command_path if context else "aimv2"
    message = error.format_message()
    for theirs, ours in _WORDS:
        message = message.replace(theirs, ours)
    is_number = ": the least is " in message or ": the most is " in message
    is_term = command == "aimv2 search" and not is_number and _SHORT_OPTION.search(message)
    return message, f"{_MINUS_HINT if is_term else ''}{command} --help", error.exit_code


def _hint(error: Aimv2Error) -> str:
    """The hint of an error: its own, or that of the system's error behind it, or of its class."""
    cause = error.__cause__
    of_cause = _SYSTEM_HINTS.get(cause.errno or 0, "") if isinstance(cause, OSError) else ""
    of_kind = _CHECKPOINT_HINT if isinstance(error, CheckpointError) else ""
    return hint_of(error) or of_cause or of_kind


def _name(filename: object) -> str:
    return os.fsdecode(filename) if isinstance(filename, bytes) else str(filename)
