"""What the command says, and where: data on stdout, everything else on stderr."""

import os
import re
import shutil
import sys
import time
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import TextIOWrapper
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from mlx_aimv2 import install_hints
from mlx_aimv2.errors import Aimv2Error, Aimv2Warning
from mlx_aimv2.files.paths import printable

STDIN = STDOUT = "-"  # for a file's name

_BOLD, _RED, _YELLOW, _CYAN = "1", "1;31", "33", "36"
_REDRAW_S = 0.1
_TOGETHER_S = 0.02  # what follows sooner is of one batch
_MEASURED_S = 3.0  # before that no rate is told, and no time left
# Signs that take no column beside what they follow: skin tones, vowels and finals of Hangul.
_JOINING = frozenset(map(chr, (*range(0x1F3FB, 0x1F400), *range(0x1160, 0x1200))))
_JOINER, _AS_EMOJI = "\u200d", "\ufe0f"


@dataclass
class _State:
    quiet: bool = False
    debug: bool = False
    noted: set[str] = field(default_factory=set)
    is_stopped: bool = False
    options: frozenset[str] = frozenset()  # of the command at hand
    has_open_line: bool = False  # a progress line that the next message must wipe
    is_within_line: bool = False  # of data that comes in pieces


_state = _State()


def start() -> None:
    """Forget the options of an earlier run, and let no character break an output stream."""
    global _state
    _state = _State()
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by whoever started the command
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def set_quiet() -> None:
    """From now on print errors and data only."""
    _state.quiet = True


def is_quiet() -> bool:
    """Whether ``--quiet`` was given."""
    return _state.quiet


def set_debug() -> None:
    """From now on show the tracebacks of errors."""
    _state.debug = True


def set_options(names: Iterable[str]) -> None:
    """From now on hints name these options only, the command's own."""
    _state.options = frozenset(names)


def is_debug() -> bool:
    """Whether ``--debug`` was given."""
    return _state.debug


# Data


def line(text: str = "") -> None:
    """One line of data."""
    _wipe()
    print(text, file=sys.stdout)


def piece(text: str) -> None:
    """A part of data that comes little by little, shown at once; its lines and tabs stay."""
    _wipe()
    parts = re.split("([\n\t])", text)
    sys.stdout.write("".join(part if part in ("\n", "\t") else printable(part) for part in parts))
    sys.stdout.flush()
    if text:
        _state.is_within_line = not text.endswith("\n")


def end_pieces() -> None:
    """The last piece was the last: end its line."""
    if _state.is_within_line:
        _state.is_within_line = False
        line()


def record(fields: Mapping[str, Any]) -> None:
    """One JSON line of data, with the schema number first; names in it are escaped before."""
    from mlx_aimv2.files.json_lines import SCHEMA, to_json  # noqa: PLC0415  (help is faster without it)

    line(to_json({"schema": SCHEMA, **fields}, ascii_only=not _is_utf8(sys.stdout)))


def table(
    rows: Iterable[Sequence[str]], columns: Sequence[str] = (), right: Sequence[int] = ()
) -> None:
    """Aligned columns, with a heading if ``columns`` names them; ``right`` are aligned right."""
    lines = [list(columns)] if columns else []
    lines += [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(width, cells)) for cells in zip(*lines, strict=True)]
    for number, cells in enumerate(lines):
        padded = [
            pad(cell, widths[column], is_right=column in right) for column, cell in enumerate(cells)
        ]
        text = "  ".join(padded).rstrip()
        line(paint(text, _BOLD, sys.stdout) if columns and number == 0 else text)


def finish() -> None:
    """Write out what is still held back, so that a full disk or a closed pipe shows in time."""
    _wipe()
    sys.stdout.flush()


def abandon() -> None:
    """Give stdout up: nobody reads it, and Python would complain about that as it ends."""
    with suppress(OSError, ValueError):  # raised where stdout has no file behind it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# Talk


def say(text: str) -> None:
    """Tell the user something, unless they asked for quiet."""
    if not _state.quiet:
        _write(printable(text))


def note(text: str) -> None:
    """A remark on stderr, printed once however often it is made."""
    if text not in _state.noted:
        _state.noted.add(text)
        _labelled("note", _YELLOW, text, is_talk=True)


def error(message: str, hint: str = "") -> None:
    """The error that ends the command, and the next thing to do."""
    _labelled("error", _RED, message)
    if hint:
        _labelled("hint", _CYAN, hint)


def skipped(error: Aimv2Error) -> None:
    """One input that cannot be used, while the others go on; each hint is given once."""
    _labelled("skipped", _RED, str(error))
    hint = hint_of(error)
    if hint and hint not in _state.noted:
        _state.noted.add(hint)
        _labelled("hint", _CYAN, hint)


def hint_of(error: Aimv2Error) -> str:
    """An error's hint, naming only options that the running command has."""
    return error.hint_for(_state.options)


def stopped(kept: str = "") -> None:
    """The run was stopped by Ctrl-C: said once, first by the command that knows what is kept."""
    if not _state.is_stopped:
        _state.is_stopped = True
        say(f"stopped; {kept}" if kept else "stopped")


def stopped_after(done: int, noun: str, again: str) -> None:
    """Stopped by Ctrl-C: what is done is kept, and by which command it goes on."""
    stopped(f"{counted(done, noun)} done and kept: {again}" if done else "nothing was done yet")


def left_out(counts: Mapping[str, int]) -> None:
    """How many of each kind of thing in folders were skipped, and how RAW files would be read."""
    if counts:
        kinds = [counted(count, kind) for kind, count in counts.items()]
        say(f"{', '.join(kinds)} skipped")
    if "RAW file" in counts:
        note(f"RAW files are read after: {install_hints.extra('raw')}")


def shows_progress() -> bool:
    """Whether there is a terminal to draw progress on, and no wish for quiet."""
    return not _state.quiet and is_terminal(sys.stderr)


def is_interactive() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str) -> bool:
    """A yes or no question to whoever sits at the terminal."""
    _wipe()
    sys.stderr.write(f"{printable(question)} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def next_line(sign: str) -> bytes:
    """The next line of stdin, asked for with a sign where somebody sits there; empty at its end."""
    if is_interactive():
        _wipe()
        sys.stderr.write(sign)
        sys.stderr.flush()
    return sys.stdin.buffer.readline()


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Inside it this package's warnings become notes; those of others show with ``--debug``."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, Aimv2Warning):
            note(str(message))
        elif _state.debug:
            _write(f"{filename}:{lineno}: {category.__name__}: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.simplefilter("always", Aimv2Warning)
        # Of damaged EXIF, which harms no pixel, Pillow warns several times a picture.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.showwarning = show
        yield


class Progress:
    """A line on the terminal that counts; on anything else it prints nothing."""

    def __init__(self, verb: str, total: int | None = None) -> None:
        self._is_shown = shows_progress()
        self.begin(verb, total)

    def begin(self, verb: str, total: int | None = None) -> None:
        """Start the line again, for another thing that is counted."""
        _wipe()
        self._verb = verb
        self._total = total
        self._done = 0
        self._drawn_s = self._last_s = time.monotonic()
        self._first_s: float | None = None  # when the first were done
        self._rate: float | None = None

    def rename(self, verb: str) -> None:
        """Say something else before the number; the count goes on."""
        self._verb = verb

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _wipe()

    def advance(self, count: int = 1) -> None:
        """Add ``count`` to what is done."""
        now_s = time.monotonic()
        self._measure(now_s)
        self._done += count
        if self._is_shown and now_s - self._drawn_s >= _REDRAW_S:
            self._drawn_s = now_s
            text = self._text()
            _wipe()
            sys.stderr.write(text[: shutil.get_terminal_size().columns - 1])
            sys.stderr.flush()
            _state.has_open_line = True

    def reach(self, done: int, total: int) -> None:
        """Set what is done, and the total."""
        self._total = total
        self.advance(done - self._done)

    def _measure(self, now_s: float) -> None:
        """The rate, without what comes before the first are done: loading and compiling.

        Those of a batch come at once: at its first, all that were done before took until now.
        """
        if now_s - self._last_s >= _TOGETHER_S or self._first_s is None:
            if self._first_s is None:
                self._first_s = now_s
            elif now_s - self._first_s >= _MEASURED_S:
                self._rate = self._done / (now_s - self._first_s)
        self._last_s = now_s

    def _text(self) -> str:
        text = f"{self._verb} {self._done}" + (f"/{self._total}" if self._total else "")
        if self._rate:
            text += f", {self._rate:.1f}/s"
        if self._rate and self._total:
            text += f", {duration((self._total - self._done) / self._rate)} left"
        return text


# Formats


def size(size_bytes: float) -> str:
    """Bytes as people read them, in powers of 1000: ``1.2 GB``."""
    for unit in ("B", "kB", "MB"):
        if size_bytes < 999.5:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.2f} GB" if size_bytes < 10 else f"{size_bytes:.1f} GB"


def counted(count: int, noun: str) -> str:
    """A number and its noun: ``1 image``, ``2 images``, ``3 libraries``."""
    many = f"{noun[:-1]}ies" if noun.endswith("ry") else f"{noun}s"
    return f"{count} {noun if count == 1 else many}"


def duration(seconds: float) -> str:
    """Seconds as people read them: ``12 s``, ``3 min 05 s``, ``2 h 10 min``."""
    whole = round(seconds)
    if not whole:
        return "less than 1 s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def width(text: str) -> int:
    """Columns on a terminal: wide characters and emoji take two, what joins or combines none."""
    if text.isascii():
        return len(text)
    columns = [0]
    for before, char in pairwise(f" {text}"):
        if char == _AS_EMOJI:
            columns[-1] = 2
        elif before != _JOINER and char not in _JOINING:
            is_mark = unicodedata.category(char) in ("Mn", "Me", "Cf")
            is_wide = unicodedata.east_asian_width(char) in "WF"
            columns.append(0 if is_mark else 1 + is_wide)
    return sum(columns)


def shortened(text: str, columns: int) -> str:
    """As much of a text as fits into a number of columns, with … where it goes on."""
    if width(text) <= columns:
        return text
    kept = next(end for end in range(len(text), -1, -1) if width(text[:end]) < columns)
    return f"{text[:kept]}…"


def pad(text: str, columns: int, *, is_right: bool = False) -> str:
    """Text filled up with spaces to a number of columns."""
    space = " " * (columns - width(text))
    return space + text if is_right else text + space


def is_terminal(stream: TextIO) -> bool:
    """Whether a stream is a terminal on which a line can be drawn again."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, stream: TextIO) -> str:
    """The text in a colour, where the stream shows colours and nobody forbids them."""
    if is_terminal(stream) and not os.environ.get("NO_COLOR"):
        return f"\x1b[{colour}m{text}\x1b[0m"
    return text


def _labelled(label: str, colour: str, text: str, *, is_talk: bool = False) -> None:
    if not (is_talk and _state.quiet):
        _write(f"{paint(f'{label}:', colour, sys.stderr)} {printable(text)}")


def _write(text: str) -> None:
    _wipe()
    print(text, file=sys.stderr, flush=True)


def _wipe() -> None:
    if _state.has_open_line:
        _state.has_open_line = False
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def _is_utf8(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "") == "utf8"
