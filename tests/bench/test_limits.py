"""Limits: what is met and what is missed, of any figure and of a machine's report."""

import json
import math
from argparse import ArgumentParser
from dataclasses import replace

import pytest

from benchmarks import (
    decoding,
    duplicates,
    encoder_steps,
    help_time,
    kill_test,
    library_quality,
    library_scale,
    limits,
    readme_table,
    tagging,
)
from benchmarks.checks import Check, run, show
from mlx_aimv2.bench.figure import Figure, Timing, seconds
from mlx_aimv2.bench.reports.report import NOT_MEASURED, read_report, write_json
from mlx_aimv2.errors import UsageError

KEPT = read_report(sorted(readme_table.RESULTS.glob("*.json"))[0])
# What it missed is set to what would be met.
REPORT = replace(
    KEPT,
    figures=[
        replace(each, value=5.0) if each.name == "fast against exact" else each
        for each in KEPT.figures
    ],
)


@pytest.mark.parametrize(
    ("value", "least", "most", "is_met"),
    [(1.0, 1.0, None, True), (0.99, 1.0, None, False), (0.65, None, 0.65, True),
     (0.66, None, 0.65, False), (5.0, None, None, True)],
)  # fmt: skip
def test_limits(value, least, most, is_met):
    check = Check(Figure("start", "x", value, "×"), least, most)
    assert check.is_met is is_met
    assert ("(missed)" in check.limit()) is not is_met
    assert show([check]) == int(not is_met)


def test_what_is_not_measured_misses_its_limit(capsys):
    missing = Figure("peers", "against transformers", math.nan, "×")
    assert show([Check(missing, at_least=1.0)]) == 1
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == "| against transformers | not measured |  | at least 1.00 × (missed) |"


def test_a_table_shows_every_figure_and_its_runs(capsys):
    ratios = Figure("peers", "ours", 1.1, "×", about={"rounds": [1.0, 1.1, 1.3]})
    first = seconds("start", "first", Timing((0.5, 0.4, 0.6)))
    assert show([Check(ratios, at_least=1.0), Check(first)]) == 0
    head, rule, one, other = capsys.readouterr().out.splitlines()
    assert head.count("|") == rule.count("|") == one.count("|") == other.count("|")
    assert "1.10 × | 3: 1.00 to 1.30 | at least 1.00 ×" in one
    assert "500 ms | 3: 400 ms to 600 ms |" in other


@pytest.mark.parametrize(("value", "code"), [(2.0, 0), (0.5, 1)])
@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_script_s_figures_and_exit_code(monkeypatch, capsys, value, code, arguments):
    monkeypatch.setattr("sys.argv", ["script", *arguments])
    found = [Check(Figure("a", "b", value, "×"), at_least=1.0)]
    assert run(ArgumentParser(), lambda _: iter(found)) == code
    said = capsys.readouterr().out
    if arguments:
        (figure,) = json.loads(said)["figures"]
        assert figure["figure"]["value"] == value
        assert figure["is_met"] is (code == 0)
    else:
        assert json.loads(said.splitlines()[0])["cpu_cores"]
        assert f"{value:.2f} ×" in said


def test_an_error_of_a_script_is_one_line(monkeypatch, capsys):
    def fail(_):
        raise UsageError("no\nsuch thing", hint="another")

    monkeypatch.setattr("sys.argv", ["script"])
    assert run(ArgumentParser(), fail) == 2
    assert capsys.readouterr().err == "error: no such thing (another)\n"


@pytest.mark.parametrize(
    ("main", "option"),
    [(decoding.main, "--runs"), (decoding.main, "--photos"), (encoder_steps.main, "--blocks"),
     (encoder_steps.main, "--batch"), (help_time.main, "--runs"), (library_scale.main, "--rows"),
     (library_scale.main, "--runs"), (library_quality.main, "--number"),
     (kill_test.main, "--kills"), (tagging.main, "--number"), (duplicates.main, "--drawings")],
)  # fmt: skip
@pytest.mark.parametrize("number", ["0", "-1", "x", "²"])
def test_no_runs_are_refused(monkeypatch, capsys, main, option, number):
    monkeypatch.setattr("sys.argv", ["check", f"{option}={number}"])
    with pytest.raises(SystemExit) as error:
        main()
    assert error.value.code == 2
    assert "is not a whole number above 0" in capsys.readouterr().err


# Of a report


def limited(report):
    """The figures of a report that have a limit, and whether it is met."""
    return {
        each.figure.name.strip(): each.is_met
        for each in limits.checks_of(report)
        if each.at_least is not None or each.at_most is not None
    }


def with_figures(change, **changes):
    """The kept report with each figure changed, or left out where the change gives none."""
    changed = (change(figure) for figure in REPORT.figures)
    return replace(REPORT, figures=[each for each in changed if each is not None], **changes)


def test_every_limit_is_looked_at():
    found = limited(REPORT)
    assert all(found.values()), found
    text = " ".join(found)
    for part in (
        "against transformers", "against the plain model", "share of its matrix products",
        "of both on the same cores", "fast against exact", "first embedding", "load float32",
        "load float16",
    ):  # fmt: skip
        assert part in text


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("against transformers", {"value": 0.99}),
        ("against the plain model", {"value": 0.96}),
        ("fast against exact", {"value": 2.9}),
        ("first embedding", {"value": 1.01}),
        ("memory to load float16", {"about": {"of_file": 0.66}}),
        ("memory to load float32", {"about": {"of_file": 1.11}}),
        ("12 MP JPEGs", {"about": {"of_shared": 0.94}}),
    ],
)
def test_each_limit_can_be_missed(part, changes):
    def worse(figure):
        if part not in figure.name:
            return figure
        about = dict(figure.about) | changes.get("about", {})
        return replace(figure, **changes | {"about": about})

    assert list(limited(with_figures(worse)).values()).count(False) == 1


def test_a_share_of_the_ceiling_depends_on_the_device():
    def slower(figure):
        return replace(figure, ceiling=figure.ceiling and figure.value / 0.6)

    on_gpu = dict(REPORT.conditions) | {"backend": "Metal"}
    assert all(limited(with_figures(slower)).values())
    missed = limited(with_figures(slower, conditions=on_gpu))
    assert [name for name, is_met in missed.items() if not is_met] == [
        "224 px, batch 16: share of its matrix products alone"
    ]


@pytest.mark.parametrize(
    "note", [f"{NOT_MEASURED} to its end, because it failed", "transformers cannot be measured: x"]
)
def test_what_a_report_says_is_not_measured_is_missed(note):
    found = limited(replace(REPORT, notes=["a note", note]))
    assert [name for name, is_met in found.items() if not is_met] == [note]


def test_figures_that_were_not_asked_for_have_no_limit():
    part = with_figures(lambda figure: figure if figure.section == "decoding" else None)
    assert list(limited(part)) == ["fast against exact"]


def test_what_is_no_report_is_named(monkeypatch, capsys, tmp_path):
    write_json(REPORT, tmp_path / "good.json")
    (tmp_path / "bad.json").write_text("{}")
    for name, code in (("good.json", 0), ("bad.json", 2)):
        monkeypatch.setattr("sys.argv", ["limits", str(tmp_path / name)])
        assert limits.main() == code
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("error: ")
    assert "bad.json is no report" in said
