"""`aimv2 bench`: its table, its files, its options and what it refuses."""

import errno
import json
import math
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from mlx_aimv2.bench import process, subject, suite
from mlx_aimv2.bench.figure import Figure
from mlx_aimv2.bench.pace import QUICK, pace_of
from mlx_aimv2.bench.reports import report as reports
from mlx_aimv2.cli import bench
from mlx_aimv2.models.aimv2.config import VisionConfig
from tests.support.commands import run, start

ROOT = Path(__file__).parents[2]
CONFIG = VisionConfig(76, 101, 3, 2, image_size=35, patch_size=7)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    subject.make_checkpoint(CONFIG, folder)
    return str(folder)


@pytest.fixture(autouse=True)
def _small(monkeypatch, tmp_path):
    small = replace(QUICK, repeats=2, headline=2, batch_sizes=(1, 2), search_rows=97,
                    limit_s=math.inf, case_s=math.inf)  # fmt: skip
    monkeypatch.setattr(suite, "pace_of", lambda *_: small)
    monkeypatch.chdir(tmp_path)


def test_a_table_and_two_files(tiny, tmp_path):
    outcome = run("bench", "--model", tiny, "--only", "encoder,search", "--quick")
    assert outcome.code == 0, outcome.err
    assert "35 px, batch 2" in outcome.out
    assert "images/s" in outcome.out
    assert "97 vectors" in outcome.out
    assert re.search(r"measuring 1 of 2: encoder", outcome.err)
    (stored,) = tmp_path.glob("*.json")
    (page,) = tmp_path.glob("*.md")
    found = reports.read_report(stored)
    assert stored.stem == page.stem == reports.stem_of(found)
    assert page.read_text() == reports.to_markdown(found)
    assert {figure.section for figure in found.figures} == {"encoder", "search", "peers"}
    assert max(map(len, outcome.out.split("\n\n")[1].splitlines())) <= 100


def test_a_second_run_of_the_day_keeps_the_first(tiny, tmp_path):
    (tmp_path / "kept").mkdir()
    for _ in range(2):
        assert run("bench", "--model", tiny, "--only", "search", "--out", "kept").code == 0
    first, second = sorted((tmp_path / "kept").glob("*.json"), key=lambda file: len(file.name))
    assert second.stem == f"{first.stem}-2"


def test_json_goes_to_stdout_and_to_the_file_that_is_named(tiny, tmp_path):
    target = tmp_path / "some" / "report.json"
    outcome = run("bench", "--model", tiny, "--only", "search", "--json", "--out", str(target))
    assert outcome.code == 0
    (record,) = outcome.records
    assert record["schema"] == 1
    assert record == json.loads(target.read_text())
    assert target.with_suffix(".md").exists()


def test_options_reach_the_measurement(tiny, tmp_path, monkeypatch):
    given = []

    def fake(settings, tell, confirm):
        given.append(settings)
        assert callable(confirm)
        tell("something")
        return reports.Report(
            {"date": "2026-11-21", "chip": "x", "machine": "m", "backend": "CPU", "cpu_cores": 2,
             "gpu_cores": None, "memory_bytes": 1, "power": None, "packages": {"mlx": "1"},
             "python": "3", "blas": None, "commit": None},
            {"name": "n", "is_random": True, "dtype": "float32"}, {}, [],
        )  # fmt: skip

    monkeypatch.setattr(suite, "run", fake)
    (tmp_path / "clone" / "aim-v2").mkdir(parents=True)
    assert run("bench").code == 0
    assert run("bench", "--random", "3B", "--quick", "--batch-sizes", "8, 2,8", "--dtype",
               "float16,float32", "--only", "peers", "--ml-aim", "clone").code == 0  # fmt: skip
    assert run("bench", "--model", tiny).code == 0
    first, second, third = given
    assert first == suite.Settings("lit", True, False)
    assert (second.source, second.is_random, second.is_quick) == ("3B", True, True)
    assert second.batch_sizes == (2, 8)
    assert second.dtypes == ("float16", "float32")
    assert second.sections == ("peers",)
    assert second.ml_aim.name == "clone"
    assert (third.source, third.is_random) == (tiny, False)


def test_a_plot(tiny, tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    outcome = run("bench", "--model", tiny, "--only", "encoder", "--plot", "p.svg")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "p.svg").read_text().lstrip().startswith("<?xml")
    assert "p.svg" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "demo", "--random", "L"], "--model and --random"),
        (["--batch-sizes", "1,x"], "'1,x' are no batches"),
        (["--batch-sizes", "0,4"], "no batches"),
        (["--batch-sizes", "1,99999999999999999999"], "too many at once"),
        (["--out", "report.md"], "--out report.md names the Markdown"),
        (["--dtype", "float8"], "--dtype 'float8' is unknown"),
        (["--only", "encoder,speed"], "--only 'speed' is unknown"),
        (["--random", "resnet"], "no published checkpoint is called 'resnet'"),
        (["--ml-aim", "nowhere"], "no clone of Apple's ml-aim"),
        (["--plot", "p.jpg"], "no picture can be drawn"),
        (["--only", "search", "--plot", "p.png"], "--plot draws the encoder"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_measured(arguments, said):
    outcome = run("bench", *arguments)
    assert outcome.code == 2
    assert said in outcome.err
    assert "hint: " in outcome.err
    assert not outcome.out
    assert "measuring" not in outcome.err


def test_files_that_are_there_stay(tmp_path):
    (tmp_path / "r.json").write_text("mine")
    outcome = run("bench", "--out", "r.json")
    assert outcome.code == 1
    assert "r.json exists already" in outcome.err
    assert (tmp_path / "r.json").read_text() == "mine"
    (tmp_path / "other.md").write_text("mine")
    assert "other.md exists already" in run("bench", "--out", "other.json").err
    (tmp_path / "plain").write_text("mine")
    assert "plain is not a folder" in run("bench", "--out", "plain/under/r.json").err
    (tmp_path / "p.png").write_text("mine")
    assert "p.png exists already" in run("bench", "--plot", "p.png").err
    assert (tmp_path / "p.png").read_text() == "mine"


@pytest.mark.parametrize("plot", ["nowhere/p.png", "plain/p.png"])
def test_a_plot_that_cannot_be_written_is_told_of_at_once(tmp_path, plot):
    (tmp_path / "plain").write_text("mine")
    outcome = run("bench", "--plot", plot)
    assert outcome.code == 1
    assert plot.partition("/")[0] in outcome.err
    assert "making" not in outcome.err


def test_a_folder_that_is_not_ones_own(tmp_path, monkeypatch):
    def refused(**_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(bench.tempfile, "TemporaryFile", refused)
    outcome = run("bench", "--out", "new/r.json")
    assert outcome.code == 1
    assert "Permission denied" in outcome.err
    assert not (tmp_path / "new").exists()


def test_a_page_that_is_there_stays(tmp_path):
    (tmp_path / "day.md").write_text("mine")
    assert bench.free_name(tmp_path, "day").name == "day-2.json"


def test_texts_of_a_model_without_them(tiny, tmp_path):
    outcome = run("bench", "--model", tiny, "--only", "search,text")
    assert outcome.code == 2
    assert "reads no texts, only pictures" in outcome.err
    assert not list(tmp_path.iterdir())


def test_a_folder_called_as_an_alias(tiny, tmp_path, monkeypatch):
    """In new processes it must still be that folder, and no download."""
    given = []

    def job(_, arguments):
        given.append(arguments.get("source"))
        return {"elapsed_s": 1.0, "load_s": 1.0, "disk_bytes": 0, "peak_bytes": 1,
                "mlx_peak_bytes": 1}  # fmt: skip

    monkeypatch.setattr(process, "run_job", job)
    monkeypatch.setattr(suite, "make_photos", lambda folder, count: [folder] * count)
    (tmp_path / "lit").symlink_to(tiny)
    outcome = run("bench", "--model", "./lit", "--only", "start", "--quick")
    assert outcome.code == 0, outcome.err
    assert set(given) == {"demo", tiny}


def test_a_name_that_is_no_text_or_a_formula(tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    folder = tmp_path / os.fsdecode(b"$\\frac$\xff")
    folder.mkdir()
    subject.make_checkpoint(CONFIG, folder)
    outcome = run("bench", "--model", str(folder), "--only", "encoder", "--out", "r.json",
                  "--plot", "p.svg")  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "udcff" in (tmp_path / "r.md").read_text(encoding="utf-8")
    assert (tmp_path / "p.svg").exists()


def test_a_checkpoint_that_is_not_there():
    outcome = run("bench", "--model", "./nowhere")
    assert outcome.code == 1
    assert "nowhere" in outcome.err


def test_its_sections_are_those_that_are_measured():
    assert set(bench.SECTIONS) == set(suite.SECTIONS)


def test_its_guide_says_what_can_be_typed():
    guide = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    known = run("bench", "--help").out
    commands = re.findall(r"aimv2 bench([^#\n`]*)", guide)
    assert len(commands) > 4
    for option in re.findall(r"(--[a-z-]+)", " ".join(commands)):
        assert f"{option} " in known, option
    for module in re.findall(r"python -m benchmarks\.(\w+)", guide):
        assert (ROOT / "benchmarks" / f"{module}.py").exists()


def test_as_a_program(tiny, tmp_path):
    done = start("bench", "--model", tiny, "--only", "search", "--quick", cwd=tmp_path,
                 stdout=-1, stderr=-1)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert b"saved: " in done.stderr


# Two reports


def stored(name, figures, *, quick=False, **conditions):
    known = {"date": "2026-11-21", "chip": "Apple M4", "backend": "Metal", "load": [0, 0, 0],
             "commit": name, "packages": {"mlx": "0.32.4"}} | conditions  # fmt: skip
    made = reports.Report(known, {"name": "n", "dtype": "float16"}, {"is_quick": quick}, figures)
    reports.write_json(made, Path(name))
    return name


def test_two_reports_row_by_row():
    first = stored("a.json", [Figure("encoder", "224 px, batch 8", 40.0, "images/s"),
                              Figure("start", "first embedding", 0.5, "s"),
                              Figure("search", "gone", 3.0, "s")])  # fmt: skip
    second = stored("b.json", [Figure("start", "first embedding", 0.25, "s"),
                               Figure("encoder", "224 px, batch 8 *", 60.0, "images/s"),
                               Figure("search", "new", 0.0, "B")],
                    quick=True, chip="Apple M5", packages={"mlx": "0.33"})  # fmt: skip
    outcome = run("bench", "--compare", first, second, "--json")
    assert outcome.code == 0, outcome.err
    (record,) = outcome.records
    assert [(each["name"], each["ratio"]) for each in record["figures"]] == [
        ("224 px, batch 8", 1.5), ("first embedding", 0.5), ("gone", None), ("new", None),
    ]  # fmt: skip
    assert [each["name"] for each in record["differences"]] == [
        "chip", "version of mlx", "setting: is_quick",
    ]  # fmt: skip
    shown = run("bench", "--compare", first, second)
    assert re.search(r"224 px, batch 8 +40\.0 images/s +60\.0 images/s +1\.50 ×", shown.out)
    assert re.search(r"first embedding +500 ms +250 ms +0\.50 ×", shown.out)
    assert re.search(r"gone +3\.00 s +– +–", shown.out)
    assert "chip was Apple M4, then Apple M5" in shown.err
    assert "version of mlx was 0.32.4, then 0.33" in shown.err
    assert "commit" not in shown.err
    assert not run("bench", "--compare", first, first).err


def test_what_cannot_be_compared(tmp_path):
    first = stored("a.json", [])
    (tmp_path / "b.json").write_text("{}")
    (tmp_path / "d.npz").write_bytes(b"PK\x03\x04\xaf")
    for second, said in (
        ("b.json", "b.json is no report"),
        ("c.json", "c.json is no report of aimv2 bench: No such file"),
        ("d.npz", "d.npz is no report of aimv2 bench: it is no text"),
    ):
        outcome = run("bench", "--compare", first, second)
        assert outcome.code == 2
        assert said in outcome.err
    outcome = run("bench", "--compare", first, first, "--quick")
    assert outcome.code == 2
    assert "--compare measures nothing" in outcome.err


# Repetitions


def test_so_many_runs_of_each_figure(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(suite, "pace_of", pace_of)
    outcome = run("bench", "--model", tiny, "--only", "search", "--quick", "--repeats", "7",
                  "--out", "r.json")  # fmt: skip
    assert outcome.code == 0, outcome.err
    found = reports.read_report(tmp_path / "r.json")
    assert found.settings["repeats"] == found.settings["pace"]["repeats"] == 7
    assert {each.spread["runs"] for each in found.figures if each.spread} == {7}


@pytest.mark.parametrize("number", ["0", "-1", "1001", "x", "1.5"])
def test_no_such_number_of_runs(number):
    outcome = run("bench", "--repeats", number)
    assert outcome.code == 2
    assert "--repeats" in outcome.err


@pytest.mark.parametrize("name", ["results", "some/where", "report.txt", "report", "a.json.gz"])
def test_out_is_a_folder_that_is_there_or_a_json_file(tmp_path, name):
    outcome = run("bench", "--out", name)
    assert outcome.code == 2
    assert f"--out {name} is neither a folder that is there nor a file named .json" in outcome.err
    assert not any(tmp_path.iterdir())


def test_a_folder_may_be_named_like_a_file(tiny, tmp_path):
    (tmp_path / "results.json").mkdir()
    outcome = run("bench", "--model", tiny, "--only", "search", "--out", "results.json")
    assert outcome.code == 0, outcome.err
    assert len(list((tmp_path / "results.json").glob("*.json"))) == 1
