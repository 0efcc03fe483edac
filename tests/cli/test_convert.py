"""``aimv2 convert``: its flags, what it says, and how it ends when it is stopped."""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlx_aimv2.checkpoints.load import load_checkpoint
from mlx_aimv2.cli import output
from tests.support import makers
from tests.support.commands import run, start
from tests.support.writable_hub import writable_hub

ROOT = Path(__file__).parents[2]
SIZES = makers.VISION | {"width": 128, "mlp": 256}


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A source in the working directory, called ``source``."""
    monkeypatch.chdir(tmp_path)
    return makers.write_checkpoint(tmp_path / "source", makers.random_vision(sizes=SIZES), None)


def convert(*arguments, **options):
    return run("convert", "--hf-path", "source", *arguments, **options)


def recorded(folder):
    return json.loads((Path(folder) / "config.json").read_text()).get("quantization")


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.usefixtures("source")
def test_it_says_what_it_did_and_what_to_type_next():
    done = convert("-q", "--dtype", "float16")
    assert (done.code, done.out) == (0, "")
    before, after, following = done.err.splitlines()
    assert before == "source: 2.06 MB, Apple torch layout"
    assert after.startswith("→ mlx_model: ")
    assert "kB, 4 bits in groups of 64, the rest float16; licence: unknown" in after
    words = shlex.split(following)
    assert words[:3] == ["next:", "aimv2", "embed"]
    load_checkpoint(Path(words[words.index("--model") + 1]))
    assert recorded("mlx_model") == {"group_size": 64, "bits": 4}


@pytest.mark.usefixtures("source")
def test_flags_are_the_options_of_the_library():
    for flags, quantization in {
        "--quantize --q-bits 8": {"group_size": 64, "bits": 8},
        "-q --q-group-size 32": {"group_size": 32, "bits": 4},
        "-q --q-bits 8 --q-group-size 128 --dtype bfloat16": {"group_size": 128, "bits": 8},
        "": None,
    }.items():
        folder = f"with {flags}"
        assert convert("--mlx-path", folder, *flags.split()).code == 0
        assert recorded(folder) == quantization
    assert run("convert", "-m", "with -q --q-group-size 32", "--mlx-path", "dense", "-d").code == 0
    assert recorded("dense") is None
    assert run("convert", "--model", "dense", "--mlx-path", "again", "--quiet").err == ""


@pytest.mark.usefixtures("source")
def test_for_transformers_it_says_how_that_is_loaded():
    done = convert("--to", "transformers")
    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines()[-1] == (
        'next, in Python: transformers.AutoModel.from_pretrained("mlx_model")'
    )
    assert run("info", "./mlx_model").out.count("transformers") == 1
    card = Path("mlx_model/README.md").read_text()
    assert 'library_name: "transformers"' in card
    assert "transformers.AutoModel.from_pretrained" in card


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize(
    ("flags", "message", "hint"),
    [
        ("--q-bits 4", "say how to quantise", "add -q"),
        ("--q-group-size 64", "say how to quantise", "add -q"),
        ("-q --q-bits 5", "'5' is not one of '4', '8'", "convert --help"),
        ("-q --q-group-size 16", "'16' is not one of", "convert --help"),
        ("--dtype int8", "'int8' is not one of", "convert --help"),
        ("-q -d", "not both", "leave out -q or -d"),
        ("-d", "not quantised", "leave out -d"),
        ("-q --to transformers", "no weights that MLX has quantised", "leave out -q"),
        ("--to timm", "'timm' is not one of 'mlx', 'transformers'", "convert --help"),
        ("extra", "extra", "convert --help"),
        ("--upload-repo me/mine", "nobody can be asked", "add --yes"),
    ],
)
def test_options_that_do_not_go_together(flags, message, hint):
    done = convert(*flags.split())
    assert done.code == 2
    assert message in done.err
    assert hint in done.err.splitlines()[-1]
    assert names_in(Path.cwd()) == ["source"]


@pytest.mark.usefixtures("source")
def test_what_exists_is_refused_and_what_does_not_is_named():
    assert convert().code == 0
    again = convert()
    assert again.code == 1
    assert again.err.splitlines() == [
        "error: mlx_model exists already",
        "hint: choose another folder, or remove that one first",
    ]
    missing = run("convert", "--hf-path", "./nothing", "--mlx-path", "other")
    assert missing.code == 1
    assert "./nothing" in missing.err
    assert not Path("other").exists()


@pytest.mark.usefixtures("source")
def test_a_folder_called_like_a_checkpoint_is_named_so_that_it_is_found():
    assert "--model ./lit " in convert("--mlx-path", "lit").err
    folder = Path.cwd() / "a b"
    assert f"--model '{folder}' " in convert("--mlx-path", str(folder)).err
    above = f"../{Path.cwd().name}/up"
    assert f"--model {above} " in convert("--mlx-path", above).err


@pytest.mark.usefixtures("source")
def test_progress_is_drawn_on_a_terminal_only(monkeypatch):
    monkeypatch.setattr(output, "_REDRAW_S", 0)
    assert "converting 7/" in convert("--mlx-path", "a", terminal="stderr").err
    assert "converting" not in convert("--mlx-path", "b").err
    assert "converting" not in convert("--mlx-path", "c", "--quiet", terminal="stderr").err


@pytest.mark.usefixtures("source")
@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_an_upload_is_asked_for_first(tmp_path, monkeypatch):
    upload = ("--upload-repo", "me/mine")
    with writable_hub(tmp_path / "home", monkeypatch) as hub:
        declined = convert(*upload, stdin=b"n\n", terminal="stdin stderr")
        assert declined.code == 1
        assert "Upload 2.06 MB to me/mine, private, licence unknown" in declined.err
        assert "me/mine" not in hub.repositories
        assert not Path("mlx_model").exists()
        agreed = convert(*upload, stdin=b"y\n", terminal="stdin stderr")
        assert agreed.code == 0
        assert f"uploaded to {hub.url}/me/mine (private)" in agreed.err
        unasked = convert("--mlx-path", "other", "--upload-repo", "me/other", "--yes")
        assert unasked.code == 0
        assert hub.repositories.keys() == {"me/mine", "me/other"}
        assert not hub.public


# In processes of their own


@pytest.mark.parametrize(("repo_id", "reason"), [("mine", "names no owner"), ("a b/c", "a b/c")])
def test_an_upload_to_nowhere_is_refused_first(source, repo_id, reason):
    done = start("convert", "--hf-path", source, "--upload-repo", repo_id, "--yes")
    assert done.returncode == 1
    assert reason in done.stderr.decode()
    assert b"hint: a repository to upload to is OWNER/NAME" in done.stderr
    assert not Path("mlx_model").exists()


def test_names_that_are_not_utf8_and_the_door_at_the_top(source, tmp_path):
    name = b"caf\xe9"
    (tmp_path / os.fsdecode(b"from " + name)).symlink_to(source)
    done = start("convert", "--hf-path", b"from " + name, "--mlx-path", name)
    assert done.returncode == 0, done.stderr
    assert b"caf\\udce9" in done.stderr
    door = [sys.executable, ROOT / "convert.py", "--hf-path", name, "--mlx-path", "door"]
    subprocess.run(door, check=True, capture_output=True)
    ours = tmp_path / os.fsdecode(name) / "model.safetensors"
    assert (tmp_path / "door" / "model.safetensors").read_bytes() == ours.read_bytes()


@pytest.fixture
def plain(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    makers.write_checkpoint(tmp_path / "source", makers.random_vision(), makers.vision_config())


def stop_while_writing(signal_number, size_bytes):
    """Send a signal once so many bytes are written; returns the exit."""
    arguments = [str(size_bytes), "convert", "--hf-path", "source", "--mlx-path", "target"]
    command = [sys.executable, "-m", "tests.support.stopped_convert", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:
        assert process.stdout.readline() == "stopped\n"
        process.send_signal(signal_number)
        _, err = process.communicate()
    return process.returncode, err


@pytest.mark.usefixtures("plain")
def test_ctrl_c_leaves_nothing(tmp_path):
    code, err = stop_while_writing(signal.SIGINT, 1_000)
    assert code == 130
    assert "Traceback" not in err
    assert names_in(tmp_path) == ["source"]


@pytest.mark.usefixtures("plain")
def test_kill_9_leaves_nothing_half_made(tmp_path):
    for size_bytes in (1, 10_000, 30_000):
        code, _ = stop_while_writing(signal.SIGKILL, size_bytes)
        assert code == -signal.SIGKILL
        assert not (tmp_path / "target").exists()
        assert len(names_in(tmp_path)) == 2  # of earlier runs nothing is left either
    assert start("convert", "--hf-path", "source", "--mlx-path", "target").returncode == 0
    assert names_in(tmp_path) == ["source", "target"]
    load_checkpoint(tmp_path / "target")
