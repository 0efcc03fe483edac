"""What the command prints: tables, JSON lines, sizes, progress, colours."""

import io
import json
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlx_aimv2.cli import output
from mlx_aimv2.files.json_lines import to_json
from mlx_aimv2.files.path_text import escape, unescape


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def streams(monkeypatch):
    """stdout and stderr; call it to get terminals."""

    def use(kind=io.StringIO):
        caught = kind(), kind()
        monkeypatch.setattr("sys.stdout", caught[0])
        monkeypatch.setattr("sys.stderr", caught[1])
        output.start()
        return caught

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return use


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (841_000, "841 kB"),
        (999_600, "1 MB"),
        (545_000_000, "545 MB"),
        (1_236_000_000, "1.24 GB"),
        (10_892_000_000, "10.9 GB"),
    ],
)
def test_sizes(size_bytes, text):
    assert output.size(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "less than 1 s"),
        (0.6, "1 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_durations(seconds, text):
    assert output.duration(seconds) == text


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("猫", 2), ("é", 1), ("e\u0301", 1)])
def test_width_in_columns(text, columns):
    assert output.width(text) == columns
    assert output.pad(text, 5) == text + " " * (5 - columns)
    assert output.pad(text, 5, is_right=True) == " " * (5 - columns) + text


def test_tables_are_aligned(streams):
    out, err = streams()
    output.table([("猫.jpg", "9"), ("b\n.jpg", "10")], ("path", "n"), right=(1,))
    assert out.getvalue() == "path      n\n猫.jpg    9\nb\\n.jpg  10\n"
    assert err.getvalue() == ""


def test_headings_are_bold_on_a_terminal_only(streams, monkeypatch):
    out, _ = streams(Terminal)
    output.table([("a",)], ("path",))
    assert out.getvalue() == "\x1b[1mpath\x1b[0m\na\n"
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        out, _ = streams(Terminal)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(name, value)
            output.table([("a",)], ("path",))
        assert out.getvalue() == "path\na\n"


@given(st.binary(max_size=20))
def test_names_come_back_from_json_and_no_line_has_a_lone_surrogate(name):
    text = os.fsdecode(name)
    for ascii_only in (False, True):
        line = to_json({"path": escape(text), "detail": text, text: 0}, ascii_only=ascii_only)
        read = json.loads(line)
        assert os.fsencode(unescape(read["path"])) == name
        assert "".join([*read, read["detail"]]).encode()
        assert line.encode("ascii" if ascii_only else "utf-8")
        assert "\n" not in line


def test_no_json_that_is_none():
    with pytest.raises(ValueError, match="JSON"):
        to_json({"score": float("nan")})


def test_a_hint_is_given_once(streams):
    from mlx_aimv2.errors import ImageError  # noqa: PLC0415

    _, err = streams()
    for name in "ab":
        output.skipped(ImageError(f"{name} may not be read", hint="allow it"))
    assert err.getvalue().splitlines() == [
        "skipped: a may not be read",
        "hint: allow it",
        "skipped: b may not be read",
    ]


def test_control_characters_do_not_reach_the_terminal(streams):
    _, err = streams()
    output.error("a\x1b[2J\n.jpg is empty")
    assert err.getvalue() == "error: a\\x1b[2J\\n.jpg is empty\n"


def test_progress_is_drawn_on_a_terminal_and_wiped(streams, monkeypatch):
    now_s = iter(range(0, 1000, 2))
    monkeypatch.setattr(output.time, "monotonic", lambda: next(now_s))
    out, err = streams(Terminal)
    with output.Progress("embedded", 9) as progress:
        progress.advance(3)
        output.line("data")
        progress.advance()
        progress.advance()
    assert out.getvalue() == "data\n"
    drawn = re.split(r"\r\x1b\[K", err.getvalue())
    assert drawn == ["embedded 3/9", "embedded 4/9", "embedded 5/9, 1.0/s, 4 s left", ""]


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.mark.parametrize("loading_s", [0.5, 60])
@pytest.mark.parametrize(("together", "batch_s"), [(1, 0.25), (16, 4.0), (256, 9.0)])
def test_the_time_left_is_never_far_off(streams, monkeypatch, loading_s, together, batch_s):
    clock, total = Clock(), 64 * together
    monkeypatch.setattr(output, "time", clock)
    _, err = streams(Terminal)
    left = {}  # when the line was drawn -> seconds that were really left, seconds that were told
    with output.Progress("embedded", total) as progress:
        clock.now_s += loading_s
        for batch in range(64):
            for _ in range(together):
                clock.now_s += 1e-6
                before = len(err.getvalue())
                progress.advance()
                if told := re.search(
                    r"(?:(\d+) h )?(?:(\d+) min )?(\d+) s left", err.getvalue()[before:]
                ):
                    hours, minutes, seconds = (int(part or 0) for part in told.groups())
                    left[clock.now_s] = (
                        (63 - batch) * batch_s,
                        hours * 3600 + minutes * 60 + seconds,
                    )
            clock.now_s += batch_s
    assert left
    for truly_s, told_s in left.values():
        assert abs(told_s - truly_s) <= batch_s + 1 + 0.1 * truly_s
    assert max(truly_s for truly_s, _ in left.values()) >= 63 * batch_s - 2 * max(batch_s, 4)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("boat", 4),
        ("Bär", 3),
        ("Ba\u0308r", 3),
        ("船と家", 6),
        ("ｈ", 2),
        ("한국", 4),
        ("\u1112\u1161\u11ab", 2),  # a syllable in its parts
        ("😀", 2),
        ("👩\u200d👩\u200d👧", 2),  # one sign of three
        ("👍\U0001f3fd", 2),
        ("❤\ufe0f", 2),
        ("1\ufe0f\u20e3", 2),
        ("🇩🇪", 2),
        ("a\u200bb", 2),
        ("", 0),
    ],
)
def test_columns_are_those_of_a_terminal(text, columns):
    assert output.width(text) == columns
    assert output.width(output.pad(text, 9)) == 9
    for room in range(1, 9):
        assert output.width(output.shortened(text, room)) <= room


@pytest.mark.parametrize("case", ["file", "quiet", "dumb"])
def test_progress_is_silent_elsewhere(streams, monkeypatch, case):
    _, err = streams(io.StringIO if case == "file" else Terminal)
    if case == "quiet":
        output.set_quiet()
    if case == "dumb":
        monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(output, "_REDRAW_S", 0)
    with output.Progress("embedded") as progress:
        progress.advance()
    assert err.getvalue() == ""


def test_progress_without_a_total_fits_the_terminal(streams, monkeypatch):
    _, err = streams(Terminal)
    monkeypatch.setattr(output, "_REDRAW_S", 0)
    monkeypatch.setenv("COLUMNS", "9")
    with output.Progress("embedded") as progress:
        progress.advance(1234567)
    assert err.getvalue() == "embedded\r\x1b[K"


@pytest.mark.parametrize(
    ("answer", "agreed"),
    [("y\n", True), ("YES\n", True), ("\n", False), ("n\n", False), ("", False)],
)
def test_questions(streams, monkeypatch, answer, agreed):
    _, err = streams(Terminal)
    terminal = Terminal(answer)
    monkeypatch.setattr("sys.stdin", terminal)
    assert output.is_interactive()
    assert output.ask("Download it?") is agreed
    assert err.getvalue() == "Download it? [y/N] "
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert not output.is_interactive()


@pytest.mark.parametrize("is_quiet", [True, False])
def test_quiet_downloads_draw_no_bars(streams, is_quiet):
    from huggingface_hub import utils  # noqa: PLC0415

    from mlx_aimv2.checkpoints.hub import Download  # noqa: PLC0415
    from mlx_aimv2.cli.options import confirm_download  # noqa: PLC0415

    streams(Terminal)
    if is_quiet:
        output.set_quiet()
    utils.enable_progress_bars()
    try:
        confirm_download(True)(Download("a/b", "0" * 40, 7, ""))
        assert utils.are_progress_bars_disabled() is is_quiet
    finally:
        utils.enable_progress_bars()


@pytest.mark.parametrize(("typed", "meant"), [("~/x.npz", "/home/me/x.npz"), ("~", "/home/me")])
def test_a_home_that_the_shell_left_is_found(monkeypatch, typed, meant):
    from mlx_aimv2.cli.options import path_at_home  # noqa: PLC0415

    monkeypatch.setenv("HOME", "/home/me")
    assert path_at_home(typed) == meant
    for other in ("~root/x.npz", "./~/x.npz", "a~/x.npz", "-"):
        assert path_at_home(other) == other


@pytest.mark.parametrize("yes", [True, False])
def test_downloads_are_asked_for_where_somebody_can_answer(streams, monkeypatch, yes):
    from mlx_aimv2.checkpoints.hub import Download  # noqa: PLC0415
    from mlx_aimv2.cli.options import confirm_download  # noqa: PLC0415

    download = Download("apple/x", "0" * 40, 1_750_000_000, "apple-amlr")
    _, err = streams()
    assert confirm_download(yes)(download) is yes
    assert "apple/x: 1.75 GB, licence apple-amlr" in err.getvalue()
    _, err = streams(Terminal)
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert confirm_download(yes)(download) is True
    assert ("[y/N]" in err.getvalue()) is not yes
