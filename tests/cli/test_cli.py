"""The command as a whole: help, completion, options everywhere, errors to exit codes."""

import errno
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import types
import warnings
from importlib import import_module
from importlib.metadata import version
from itertools import takewhile

import pytest
import typer

from mlx_aimv2.cli import app, help, library, output, tag_edits
from mlx_aimv2.errors import Aimv2Warning, CheckpointError, ImageError, UsageError
from mlx_aimv2.files.path_text import escape, unescape
from tests.support.commands import AIMV2, PATIENCE_S, run, start

HEAVY = ("mlx", "PIL", "numpy", "huggingface_hub", "tokenizers", "safetensors", "rich", "pydantic")


@pytest.fixture
def fake(monkeypatch):
    """A command `fake` that does what it is given, and what it then returns or raises."""

    def install(function):
        module = types.ModuleType("mlx_aimv2.cli.fake")

        def fake():
            """Do what a test wants."""
            return function()

        module.fake, module.EXAMPLES = fake, "aimv2 fake"
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(app.COMMANDS, "fake", "Do what a test wants.")

    return install


ACTIONS = [f"library {action.__name__}" for action in library.ACTIONS]
ACTIONS += [f"tag {action.__name__}" for action in tag_edits.ACTIONS]
NAMES = [*app.COMMANDS, *ACTIONS]


def loaded(name):
    command, *action = name.split()
    found = app.load_command(command)
    return found.commands[action[0]] if action else found


def raising(error):
    def function():
        raise error

    return function


# Help


@pytest.mark.parametrize("arguments", [["--help"], ["-h"]])
def test_help_names_every_command(arguments):
    outcome = run(*arguments)
    assert outcome.code == 0
    assert not outcome.err
    for name, summary in app.COMMANDS.items():
        assert f"  {name}" in outcome.out
        assert summary in outcome.out


def test_no_arguments_are_a_usage_error_that_shows_help():
    outcome = run()
    assert outcome.code == 2
    assert outcome.out == run("--help").out


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_that_ends_with_examples(name):
    outcome = run(*name.split(), "--help")
    assert outcome.code == 0
    text, _, examples = outcome.out.partition("\n  Examples:\n")
    assert f"aimv2 {name}" in examples
    assert all(line.startswith("    ") for line in examples.splitlines())
    assert import_module(f"mlx_aimv2.cli.{name.split()[0]}").EXAMPLES.strip().splitlines()
    assert "--quiet" in text
    assert "--debug" in text


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_documented(name):
    for parameter in loaded(name).params:
        assert parameter.help, parameter.name
        assert parameter.help[0].isupper(), parameter.help
        assert parameter.help.endswith("."), parameter.help


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("name", ["", *NAMES])
def test_help_fits_the_terminal_and_shows_no_types(name, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    text, _, _ = run(*name.split(), "--help").out.partition("\n  Examples:\n")
    assert max(map(len, text.splitlines())) <= min(columns, help.WIDTH)
    assert not re.search(r"list\[|<=|>=|[<>{}]\w|default: \(|None|required", text)


@pytest.mark.parametrize("name", NAMES)
def test_at_most_ten_options_stand_before_the_rare_ones(name):
    text, _, _ = run(*name.split(), "--help").out.partition("\n  Examples:\n")
    often, _, rare = text.partition(f"\n{help.RARE}:\n")
    command = loaded(name)
    headings = dict(getattr(command, "groups", {}))
    headings.pop(help.RARE, "")
    assert bool(headings) == bool(rare)
    known = {option for parameter in command.params for option in parameter.opts}
    grouped = " ".join(headings.values()).split()
    assert len(grouped) == len(set(grouped) & known)
    assert len(grouped) <= 10
    assert headings or len(command.params) <= 10
    for heading in headings:
        assert f"\n{heading}:\n  -" in often


def test_an_action_shows_its_own_options_only():
    text = run("library", "prune", "--help").out
    assert "--dry-run" in text
    assert not re.search("--force|--model|TARGET|FOLDER", text)


@pytest.mark.parametrize("name", app.COMMANDS)
def test_examples_use_options_that_exist(name):
    command = app.load_command(name)
    options = {"--quiet", "--debug", "-"}
    options |= {option for parameter in command.params for option in parameter.opts}
    for each in getattr(command, "commands", {}).values():
        options |= {option for parameter in each.params for option in parameter.opts}
    for example in import_module(f"mlx_aimv2.cli.{name}").EXAMPLES.strip().splitlines():
        words = shlex.split(example)
        start_of_it = words.index("aimv2")
        assert words[start_of_it + 1] == name
        ours = takewhile(lambda word: word != "|", words[start_of_it + 2 :])
        assert {word for word in ours if word.startswith("-")} <= options, example


def test_help_imports_nothing_heavy():
    program = (
        "import sys\n"
        "from mlx_aimv2.cli.app import COMMANDS, main\n"
        "for name in ['', *COMMANDS]:\n"
        "    assert main([*name.split(), '--help']) == 0\n"
        "print(*sys.modules)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    loaded = set(ended.stdout.splitlines()[-1].split())
    assert "mlx_aimv2.cli.classify" in loaded
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version(option):
    outcome = run(option)
    assert (outcome.code, outcome.out) == (0, f"aimv2 {version('mlx-aimv2')}\n")


# Completion


def complete(words, index):
    environment = {
        "COMP_WORDS": words,
        "COMP_CWORD": str(index),
        "_AIMV2_COMPLETE": "complete_bash",
    }
    ended = start(environment=environment)
    assert (ended.returncode, ended.stderr) == (0, b"")
    return ended.stdout.decode().split()


def test_completion_of_commands_options_and_models():
    assert complete("aimv2 ", 1) == [*app.COMMANDS]
    assert complete("aimv2 cl", 1) == ["classify"]
    assert complete("aimv2 models --js", 2) == ["--json"]
    assert complete("aimv2 classify --model nat", 3) == ["native"]
    assert complete("aimv2 classify --model aimv2-3B-patch14-2", 3) == ["aimv2-3B-patch14-224"]
    assert complete("aimv2 info de", 2) == ["demo"]


def test_completion_is_installed(tmp_path):
    home = {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    ended = start("--install-completion", "bash", environment=home)
    assert ended.returncode == 0
    assert "aimv2" in (tmp_path / ".bash_completions/aimv2.sh").read_text()
    shown = start("--show-completion", "zsh", environment=home)
    assert shown.stdout.startswith(b"#compdef aimv2")


# Options before and after the command


def chatter():
    output.say("talk")
    output.note("noted")
    output.line("data")
    output.error("wrong", "mend it")
    output.skipped(ImageError("a.jpg is empty"))


@pytest.mark.parametrize(
    "arguments", [["--quiet", "fake"], ["fake", "--quiet"], ["--quiet", "fake", "--quiet"]]
)
def test_quiet_silences_talk_and_notes(fake, arguments):
    fake(chatter)
    assert run("fake").err.splitlines()[:2] == ["talk", "note: noted"]
    outcome = run(*arguments)
    assert outcome.out == "data\n"
    assert outcome.err.splitlines() == ["error: wrong", "hint: mend it", "skipped: a.jpg is empty"]


@pytest.mark.parametrize("arguments", [["--debug", "fake"], ["fake", "--debug"]])
def test_debug_shows_the_traceback(fake, arguments):
    fake(raising(CheckpointError("torn")))
    assert "Traceback" not in run("fake").err
    outcome = run(*arguments)
    assert outcome.code == 1
    assert "Traceback" in outcome.err
    message, hint = outcome.err.splitlines()[-2:]
    assert message == "error: torn"
    assert hint.startswith("hint: fetch the checkpoint again")


def test_options_do_not_outlive_a_run(fake):
    fake(chatter)
    run("--quiet", "--debug", "fake")
    assert "talk" in run("fake").err
    assert not output.is_debug()


# Errors


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (ImageError("a.jpg is empty"), 1, ["error: a.jpg is empty"]),
        (UsageError("too many", hint="give one"), 2, ["error: too many", "hint: give one"]),
        (KeyboardInterrupt(), 130, ["stopped"]),
        (typer.Abort(), 1, ["error: nothing was done"]),
        (
            ValueError("odd"),
            1,
            ["error: ValueError: odd", "hint: run again with --debug to see where it happened"],
        ),
        (
            RuntimeError(),
            1,
            ["error: RuntimeError", "hint: run again with --debug to see where it happened"],
        ),
        (
            MemoryError(),
            1,
            [
                "error: MemoryError: there is not enough memory",
                "hint: try a smaller batch, or a smaller or quantised checkpoint",
            ],
        ),
        (
            RuntimeError("[METAL] Command buffer execution failed: Insufficient Memory (0008)"),
            1,
            [
                "error: RuntimeError: [METAL] Command buffer execution failed: Insufficient Memory "
                "(0008)",
                "hint: try a smaller batch, or a smaller or quantised checkpoint",
            ],
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "/x/out.npz"),
            1,
            [
                "error: OSError: No space left on device: /x/out.npz",
                "hint: make room on the disk, then run the command again",
            ],
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", b"/x/\xff"),
            1,
            [
                "error: PermissionError: Permission denied: /x/\\udcff",
                "hint: check who may read and write there: ls -ld",
            ],
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_errors_become_a_line_a_hint_and_a_code(fake, error, code, lines):
    fake(raising(error))
    outcome = run("fake")
    assert outcome.code == code
    assert outcome.out == ""
    assert outcome.err.splitlines() == lines


def test_what_a_mac_forbids_names_full_disk_access(fake):
    pictures = "/Users/me/Pictures"
    fake(raising(PermissionError(errno.EPERM, "Operation not permitted", pictures)))
    outcome = run("fake")
    assert f"Operation not permitted: {pictures}" in outcome.err
    assert "Full Disk Access" in outcome.err

    def wrapped():
        try:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        except OSError as error:
            raise ImageError("that folder may not be listed") from error

    fake(wrapped)
    assert "Full Disk Access" in run("fake").err


def test_exit_codes_of_commands_are_kept(fake):
    for code in (0, 3, None):
        fake(lambda code=code: code)
        assert run("fake").code == (code or 0)
    fake(raising(typer.Exit(3)))
    assert run("fake").code == 3


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["modles"], "No such command 'modles'. Did you mean 'models'?", "aimv2 --help"),
        (["--nonsense"], "No such option: --nonsense", "aimv2 --help"),
        (["models", "--jsn"], "No such option: --jsn", "aimv2 models --help"),
        (["info"], "Missing argument 'SOURCE'.", "aimv2 info --help"),
        (["models", "more"], "unexpected extra argument", "aimv2 models --help"),
        (["classify", "a", "--top", "x"], "'--top': not a whole number", "aimv2 classify --help"),
        (["classify", "a", "--top", "0"], "'--top': the least is 1", "aimv2 classify --help"),
        (["duplicates", "-t", "2"], "'-t': the most is 1", "aimv2 duplicates --help"),
        (["duplicates", "-t", "x"], "'-t': not a number", "aimv2 duplicates --help"),
        (["search", "boat", "-n", "0"], "'--count': the least is 1", "aimv2 search --help"),
        (["classify", "a", "--dtype", "int8"], "'int8' is not one of", "aimv2 classify --help"),
        (["classify", "a", "--labels"], "'--labels' requires an argument", "aimv2 --help"),
    ],
)
def test_usage_errors(arguments, message, hint):
    outcome = run(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    first, last = outcome.err.splitlines()
    assert first.startswith("error: ")
    assert message in first
    assert "Value error" not in first
    assert last == f"hint: {hint}"


@pytest.mark.parametrize("command", [["embed", "--out=-"], ["classify", "--labels=a,b"]])
def test_a_pattern_that_no_file_fits_is_known_as_one(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = run(*command, "photos/*.jpg", "--model=demo")
    assert outcome.code == 1
    assert "photos/*.jpg does not exist" in outcome.err
    assert "hint: no file fits this pattern: name the folder" in outcome.err


# Warnings


def test_warnings_become_notes_once(fake):
    def warn():
        for _ in range(3):
            warnings.warn("the strip is cropped", Aimv2Warning, stacklevel=1)
        warnings.warn("the other is not", Aimv2Warning, stacklevel=1)
        warnings.warn("a library's own", UserWarning, stacklevel=1)

    fake(warn)
    assert run("fake").err.splitlines() == [
        "note: the strip is cropped",
        "note: the other is not",
    ]
    assert run("--quiet", "fake").err == ""
    assert "UserWarning: a library's own" in run("--debug", "fake").err


# Streams


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_no_name_breaks_an_output_stream(fake, encoding):
    name = os.fsdecode("Ärger-\N{SNOWMAN}-".encode() + b"\xff.jpg")

    def speak():
        output.line(name)
        output.say(name)
        output.record({"path": escape(name), "detail": name})
        output.skipped(ImageError(f"{name} is empty"))
        raise CheckpointError(name)

    fake(speak)
    outcome = run("fake", encoding=encoding)
    assert outcome.code == 1
    assert rb"\udcff.jpg" in outcome.stdout
    assert outcome.stderr.count(rb"\udcff.jpg") == 3
    record = outcome.stdout.splitlines()[1].decode(encoding)
    assert unescape(json.loads(record)["path"]) == name
    assert json.loads(record)["detail"].encode().endswith(rb"\udcff.jpg")


def test_an_ascii_terminal_as_a_process():
    environment = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    ended = start("info", "./Ä\udcff", environment=environment)
    assert ended.returncode == 1
    assert b"Traceback" not in ended.stderr
    assert rb"\udcff" in ended.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["models"], ["models", "--json"]])
def test_a_closed_pipe_ends_quietly(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    ended = start(*arguments, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert ended.returncode == 1
    assert b"Broken" not in ended.stderr
    assert b"Traceback" not in ended.stderr
    assert b"Exception" not in ended.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
@pytest.mark.parametrize("arguments", [["--help"], ["models", "--json"]])
def test_a_full_disk_is_told_in_one_line(arguments):
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        ended = start(*arguments, stdout=full, stderr=subprocess.PIPE)
    assert ended.returncode == 1
    error, hint = ended.stderr.splitlines()
    assert error == b"error: OSError: No space left on device"
    assert hint.startswith(b"hint: make room")


def test_closed_streams_are_no_error():
    shell = f"'{AIMV2}' models <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", shell], check=False, timeout=PATIENCE_S).returncode == 0


def test_an_interrupt_ends_with_130():
    program = (
        "import os, signal, sys, types\n"
        "from mlx_aimv2.cli import app\n"
        "module = types.ModuleType('mlx_aimv2.cli.fake')\n"
        "def fake(): os.kill(os.getpid(), signal.SIGINT); signal.pause()\n"
        "module.fake, module.EXAMPLES = fake, 'aimv2 fake'\n"
        "sys.modules['mlx_aimv2.cli.fake'] = module\n"
        "app.COMMANDS['fake'] = ''\n"
        "sys.exit(app.main(['fake']))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert ended.returncode == 130
    assert ended.stderr == "stopped\n"
