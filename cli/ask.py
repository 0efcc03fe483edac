"""``aimv2 ask``: a question about pictures, answered in words."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlx_aimv2.describe.options import AnswerOptions
from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.paths import open_file, printable
from mlx_aimv2.inference.image_options import DTYPE, MODEL, Dtype
from mlx_aimv2.options import argument, group, option

from . import output
from .options import YES, confirm_download, path_at_home
from .output import STDIN

if TYPE_CHECKING:
    from mlx_aimv2.describe.answer import Answer

EXAMPLES = """
aimv2 ask receipt.jpg "What did the bread cost?"
aimv2 ask before.jpg after.jpg "What has changed?" --language German
aimv2 ask page-*.png --chat
aimv2 ask photo.jpg --prompt alt-text --fast
aimv2 ask photo.jpg - < question.txt
"""
GROUPS = {
    "Question": "--chat --prompt --language",
    "Pictures": "--fast --split",
    "Answer": "--max-tokens --temperature",
    "Model": "--model --yes",
}


@dataclass(frozen=True)
class Options:
    """What ``aimv2 ask`` takes."""

    given: tuple[str, ...] = argument(
        help="Pictures, then the question; - for a question on stdin. With --chat or --prompt "
        "only pictures.",
        metavar="IMAGE QUESTION",
    )
    chat: bool = option(
        False, help="Ask one question after the other, until Ctrl-D; each line is one."
    )
    prompt: str | None = option(
        help="Ask what is in a text file, or a question of this package: caption, alt-text.",
        metavar="FILE",
        parser=path_at_home,
    )
    language: str | None = option(
        help="Language of the answer.", metavar="NAME", show_default="that of the question"
    )
    answer: AnswerOptions = group(AnswerOptions)
    model: str = MODEL("aria")
    dtype: Dtype | None = DTYPE()
    yes: bool = YES()


def ask(options: Options) -> int:
    """Ask a question about pictures; the answer comes word by word.

    It may be wrong: a network guesses what a picture shows.
    """
    images, question = _split(options)
    for path in images:
        open_file(path).close()
    from mlx_aimv2.describe.aria import Aria  # noqa: PLC0415  (heavy)

    aria = Aria.load(options.model, dtype=options.dtype, confirm=confirm_download(options.yes))
    chat = aria.chat(images, options.answer)
    for each in _questions(options) if question is None else [question]:
        _print(chat.ask(each), options.answer.max_tokens)
    return 0


def _split(options: Options) -> tuple[list[str], str | None]:
    """The pictures, and the question; None where questions come one by one.

    Errors: UsageError for what is missing, or does not go together.
    """
    from mlx_aimv2.describe import prompts  # noqa: PLC0415

    if options.chat and options.prompt is not None:
        raise UsageError("--chat and --prompt cannot be combined", hint="leave one of them out")
    images = list(options.given)
    question = None
    if options.prompt is not None:
        question = prompts.read(options.prompt, options.language)
    elif not options.chat:
        *images, question = images
        if os.path.isfile(question):  # noqa: PTH113  (no error for a long text)
            raise UsageError(
                f"{printable(question)} is a file: the question is missing",
                hint='put it last, as in: aimv2 ask photo.jpg "Who is this?"; or --chat',
            )
        question = prompts.in_language(_text_of(question), options.language)
    if not images:
        raise UsageError(
            "a picture and a question are needed", hint='aimv2 ask photo.jpg "Who is this?"'
        )
    if STDIN in images:
        raise UsageError("- is for a question, and stands last", hint="name the pictures")
    return images, question


def _text_of(question: str) -> str:
    """A question as it was typed, or from stdin. Errors: UsageError for an empty one."""
    from mlx_aimv2.texts.text_file import decode  # noqa: PLC0415

    is_stdin = question == STDIN
    data = sys.stdin.buffer.read() if is_stdin else os.fsencode(question)
    text = decode(data, "the question on stdin" if is_stdin else "the question").strip()
    if not text:
        raise UsageError("the question is empty", hint="write it in quotation marks")
    return text


def _questions(options: Options) -> Iterator[str]:
    """Lines of stdin that are not blank, until its end."""
    from mlx_aimv2.describe import prompts  # noqa: PLC0415
    from mlx_aimv2.texts.text_file import decode  # noqa: PLC0415

    while line := output.next_line("> "):
        if text := decode(line, "the question").strip():
            yield prompts.in_language(text, options.language)


def _print(answer: "Answer", max_tokens: int) -> None:
    """Show an answer as it comes, whole lines at the end however it ends."""
    try:
        for piece in answer:
            output.piece(piece)
    finally:
        output.end_pieces()
    if answer.is_cut:
        output.note(f"the answer was cut after {max_tokens} tokens: --max-tokens")
