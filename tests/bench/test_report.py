"""Reports: there and back, as a table, as Markdown, as a picture, in the README's table."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks import readme_table
from mlx_aimv2.bench import suite
from mlx_aimv2.bench.figure import Figure, Timing, amount, rate, seconds
from mlx_aimv2.bench.reports import plot, report
from mlx_aimv2.bench.reports.report import Report
from mlx_aimv2.errors import OutputError, UsageError

CONDITIONS = {
    "date": "2026-11-21T09:08:07+00:00", "chip": "Apple M4 Max", "backend": "Metal",
    "gpu_cores": 40, "cpu_cores": 16, "memory_bytes": 64_000_000_000, "system": "macOS",
    "machine": "arm64", "python": "3.13.1", "packages": {"mlx": "0.32.4"}, "blas": None,
    "blas_threads": None, "commit": "abc123", "power": "AC Power", "load": [0.1, 0.1, 0.1],
}  # fmt: skip
SUBJECT = {"name": "aimv2-large-patch14-224", "is_random": True, "dtype": "bfloat16"}


def encoder_figure(batch, side_px=224, value=50.0, dtype="bfloat16", blocks=24, **about):
    return Figure(
        "encoder", f"{side_px} px, batch {batch}", value, "images/s",
        Timing((1.0, 1.1)).summary(), 2 * value, "products alone", "compute",
        {"batch": batch, "side_px": side_px, "tokens": (side_px or 336) ** 2 // 196,
         "dtype": dtype, "blocks": 24, "blocks_measured": blocks,
         "gemm": {"tflop_per_s": 12.3}, "shares": {}, **about},
    )  # fmt: skip


def made(*figures, notes=(), **conditions):
    return Report(CONDITIONS | conditions, SUBJECT, {"source": "large"}, list(figures), list(notes))


FULL = made(
    encoder_figure(1, value=30.0),
    encoder_figure(8, value=70.0),
    encoder_figure(2, 448, value=12.0),
    rate("decoding", "exact, 1 thread", 7, "photos/s", Timing((1.0,)),
         about={"mode": "exact", "threads": 1}),
    rate("decoding", "fast, 1 thread", 31, "photos/s", Timing((1.0,)),
         about={"mode": "fast", "threads": 1}),
    seconds("start", "process to first embedding (demo)", Timing((0.5, 0.4, 0.6))),
    notes=["a note"],
)  # fmt: skip

NUMBERS = st.floats(1e-3, 1e12)
TEXTS = st.text(max_size=30)


@given(st.lists(st.tuples(TEXTS, TEXTS, NUMBERS, TEXTS, st.none() | NUMBERS), max_size=5))
def test_a_report_comes_back_as_it_was(parts):
    before = made(*(Figure(*cells[:4], ceiling=cells[4]) for cells in parts))
    assert report.from_dict(json.loads(json.dumps(before.to_dict()))) == before


def test_a_file_comes_back_as_it_was(tmp_path):
    report.write_json(FULL, tmp_path / "r.json")
    assert report.read_report(tmp_path / "r.json") == FULL
    stored = json.loads((tmp_path / "r.json").read_text())
    assert (stored["schema"], stored["kind"]) == (1, "aimv2 bench")
    assert stored["figures"][0]["fraction"] == 0.5


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda stored: stored.pop("kind"), "kind"),
        (lambda stored: stored.update(schema=2), "schema is 2"),
        (lambda stored: stored.update(schema="1"), "schema"),
        (lambda stored: stored.pop("figures"), "figures"),
        (lambda stored: stored.update(conditions=[]), "conditions"),
        (lambda stored: stored["figures"].append({"name": "x"}), "missing"),
        (lambda stored: stored.update(figures=[1]), "figure 1 is none"),
        (lambda stored: stored["figures"][0].update(value="fast"), "value"),
        (lambda stored: stored["figures"][0].update(name=["a", "b"]), "name"),
        (lambda stored: stored["figures"][0].update(about=None), "about"),
        (lambda stored: stored["conditions"].update(packages="mlx"), "packages"),
        (lambda stored: stored["settings"].update(pace=[5]), "pace"),
        (lambda stored: stored["conditions"].pop("date"), "date"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path, change, reason):
    stored = json.loads(json.dumps(FULL.to_dict()))
    change(stored)
    (tmp_path / "r.json").write_text(json.dumps(stored))
    with pytest.raises(UsageError, match=reason):
        report.read_report(tmp_path / "r.json")
    (tmp_path / "r.json").write_text("no json")
    with pytest.raises(UsageError, match="no report"):
        report.read_report(tmp_path / "r.json")
    with pytest.raises(UsageError, match="no report"):
        report.read_report(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.043, "s", "43.0 ms"), (1.234, "s", "1.23 s"), (12.34, "images/s", "12.3 images/s"),
        (1234.5, "×", "1,234 ×"), (0.04, "images/s", "0.040 images/s"), (0.97, "", "0.97"),
        (1.75e9, "B", "1.75 GB"), (523e6, "B", "523 MB"), (-2.5e6, "B", "-2.50 MB"),
        (0, "B", "0.000 MB"),
    ],
)  # fmt: skip
def test_amounts_are_read_at_a_glance(value, unit, text):
    assert amount(value, unit) == text


def test_the_table_has_a_heading_for_each_section_that_was_measured():
    cells = list(report.rows(FULL))
    headings = [each[0] for each in cells if not any(each[1:])]
    assert headings == ["image encoder", "photographs to pixels (12 megapixels)", "start"]
    assert len(cells) == len(FULL.figures) + len(headings)
    assert ("  224 px, batch 8", "70.0 images/s", "140", "50%", "compute") in cells


def test_every_section_of_the_suite_has_a_heading():
    from mlx_aimv2.bench.suite import SECTIONS  # noqa: PLC0415

    assert set(report.HEADINGS) == set(SECTIONS)


def test_the_head_of_a_report():
    name, machine, software, _ = report.headline(FULL)
    assert name == "aimv2-large-patch14-224, random weights, bfloat16"
    assert machine == "Apple M4 Max, Metal, 40 GPU cores, 16 CPU cores, 64 GB, AC Power"
    assert software == "MLX 0.32.4, Python 3.13.1, commit abc123"
    linux = made(chip=None, gpu_cores=None, power=None, blas="libmkl_rt.so.2", blas_threads=2,
                 commit=None)  # fmt: skip
    assert report.headline(linux)[1].startswith("arm64, Metal, 16 CPU cores")
    assert "libmkl_rt.so.2, 2 threads" in report.headline(linux)[2]


def test_remarks_tell_where_time_goes_and_of_drift():
    shares = {"matrix products": 0.6, "attention": 0.3, "the rest": 0.1}
    slowing = replace(
        encoder_figure(8, shares=shares), spread=Timing((1.0, 1.0, 1.5, 1.5)).summary()
    )
    remarks = report.remarks(made(slowing, notes=["last"]))
    assert remarks[0] == (
        "Time of 224 px, batch 8: matrix products 60%, attention 30%, the rest 10%."
    )
    assert "Ceiling of encoder: products alone." in remarks
    assert not any("Too small" in remark for remark in remarks)
    assert any("slowed down" in remark and "224 px, batch 8" in remark for remark in remarks)
    assert remarks[-1] == "last"


def test_what_is_too_small_to_tell_is_said_once():
    small = [
        replace(encoder_figure(batch, is_too_small=True), ceiling=None, ceiling_name="")
        for batch in (1, 2)
    ]
    (remark,) = report.remarks(made(*small))
    assert remark.startswith("Too small to tell")
    assert "224 px, batch 1; 224 px, batch 2" in remark
    assert report.row(small[0])[2:4] == ("", "")


def test_files_are_called_by_date_and_chip():
    assert report.stem_of(FULL) == "2026-11-21-apple-m4-max"
    other = made(chip="Intel(R) Xeon(R) CPU @ 2.20GHz")
    assert report.stem_of(other) == "2026-11-21-intel-r-xeon-r-cpu-2-20ghz"
    assert report.stem_of(made(chip=None)) == "2026-11-21-arm64"


# Markdown


def unescaped(text):
    return "".join(text.split("\\"))


@given(TEXTS.filter(lambda text: "\\" not in text))
def test_markdown_is_escaped_and_on_one_line(text):
    shown = report.escaped(text)
    assert "\n" not in shown
    assert unescaped(shown) == " ".join(text.split())
    for character in "`*_[]<>|#":
        assert shown.count(character) == shown.count(f"\\{character}")


def test_a_hostile_name_breaks_no_table():
    evil = made(replace(encoder_figure(1), name="a|b\n<script>*x*"), notes=["<b>|"])
    page = report.to_markdown(evil)
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert "<script>" not in page.replace("\\<", "")


def test_markdown_holds_every_figure():
    page = report.to_markdown(FULL)
    assert all(amount(each.value, each.unit) in page for each in FULL.figures)
    assert "| **image encoder** |" in page
    assert "- a note" in page


# Pictures


def test_a_plot_is_a_real_picture(tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    plot.draw(FULL, tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as image:
        assert image.format == "PNG"
        assert min(image.size) > 300
        assert len(image.convert("RGB").getcolors(1 << 20)) > 10
    plot.draw(FULL, tmp_path / "p.SVG")
    root = ElementTree.parse(tmp_path / "p.SVG").getroot()
    assert root.tag.endswith("svg")


def test_a_plot_has_its_ceilings_in(monkeypatch, tmp_path):
    axes_module = pytest.importorskip("matplotlib.axes", reason="needs matplotlib")
    lines = []
    real = axes_module.Axes.plot

    def spy(self, places, values, *others, **options):
        lines.append((list(places), list(values), options.get("linestyle")))
        return real(self, places, values, *others, **options)

    monkeypatch.setattr(axes_module.Axes, "plot", spy)
    plot.draw(FULL, tmp_path / "p.png")
    assert lines == [
        ([1, 8], [30.0, 70.0], None),
        ([1, 8], [60.0, 140.0], "--"),
        ([256, 1024], [70.0, 12.0], None),
        ([256, 1024], [140.0, 24.0], "--"),
    ]


def test_a_plot_without_ceilings(tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    plot.draw(made(replace(encoder_figure(8), ceiling=None)), tmp_path / "p.svg")
    assert "matrix products" not in (tmp_path / "p.svg").read_text()


@pytest.mark.parametrize("name", ["p.jpg", "p", "p.pdf"])
def test_a_plot_of_another_kind(tmp_path, name):
    with pytest.raises(UsageError, match=name):
        plot.draw(FULL, tmp_path / name)


def test_a_plot_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(UsageError, match="matplotlib") as error:
        plot.check_plot(tmp_path / "p.png")
    assert "pip install" in error.value.hint


def test_a_plot_of_nothing_and_of_nowhere(tmp_path):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    with pytest.raises(UsageError, match="nothing to draw"):
        plot.draw(made(), tmp_path / "p.png")
    with pytest.raises(OutputError):
        plot.draw(FULL, tmp_path / "no" / "p.png")


# The README's table


def test_the_readme_has_measured_rows_only():
    table = readme_table.table([FULL])
    head, _, row = table.splitlines()
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert len(cells) == len(readme_table.COLUMNS) == head.count("|") - 1
    assert cells == [
        "Apple M4 Max, Metal, 40 GPU cores, 16 CPU cores",
        "aimv2-large-patch14-224 (random weights)", "bfloat16",
        "70.0 (batch 8)", "12.3", "50%", "–", "7.00, 31.0", "12.8",
    ]  # fmt: skip


def test_few_blocks_are_no_row():
    quick = made(encoder_figure(8, value=99.0, blocks=3), encoder_figure(4, value=40.0))
    (row,) = readme_table.rows(quick)
    assert row[3] == "40.0 (batch 4)"


def test_a_row_for_each_precision_and_the_ratio_of_it():
    peer = Figure(
        "peers",
        "x",
        1.25,
        "×",
        about={"peer": "transformers", "dtype": "float16", "blocks_measured": 24},
    )
    found = made(encoder_figure(8), encoder_figure(8, dtype="float16", value=71.0), peer)
    assert [(row[2], row[6]) for row in readme_table.rows(found)] == [
        ("bfloat16", "–"), ("float16", "1.25 ×"),
    ]  # fmt: skip


def test_a_ratio_of_few_blocks_is_in_no_row():
    peer = Figure("peers", "x", 1.25, "×", about={"peer": "transformers", "dtype": "bfloat16",
                                                  "blocks_measured": 3})  # fmt: skip
    (row,) = readme_table.rows(made(encoder_figure(8), peer))
    assert row[6] == "–"


def test_quick_makes_no_row():
    quick = replace(made(encoder_figure(8), chip="another"), settings={"is_quick": True})
    assert readme_table.table([FULL, quick]) == readme_table.table([FULL])


PARTIAL = [
    {"settings": {"is_quick": True}}, {"settings": {"sections": ["encoder"]}},
    {"settings": {"batch_sizes": [8]}}, {"settings": {"dtypes": ["float16"]}},
    {"notes": [suite.FAILED_NOTE.format("folder", "it broke")]},
    {"notes": [suite.LATE_NOTE.format("peers")]},
]  # fmt: skip


@pytest.mark.parametrize("changes", PARTIAL)
def test_a_partial_report_takes_no_whole_one_s_place(changes):
    later = made(encoder_figure(8, value=99.0), date="2027-01-01T00:00:00+00:00")
    partial = replace(later, **changes)
    assert FULL.is_whole
    assert later.is_whole
    assert not partial.is_whole
    assert readme_table.table([FULL, partial]) == readme_table.table([FULL])
    assert readme_table.table([partial, FULL]) == readme_table.table([FULL])
    assert readme_table.table([FULL, later]) == readme_table.table([later])
    alone = readme_table.table([partial])
    assert ("99.0" in alone) is not partial.settings.get("is_quick", False)


def test_the_one_figure_for_a_machine():
    """The best batch of whole networks at 224 px, in text, JSON and Markdown alike."""
    few = encoder_figure(16, value=500.0, blocks=3)
    other = encoder_figure(4, side_px=448, value=400.0)
    found = made(few, other, *FULL.figures)
    best = {"images_per_s": 70.0, "side_px": 224, "batch": 8, "dtype": "bfloat16", "fraction": 0.5}
    assert found.to_dict()["best"] == best
    words = "70.0 images/s at 224 px (batch 8, bfloat16), 50% of the ceiling"
    assert report.headline(found)[-1] == words
    assert words in report.to_markdown(found).replace("\\", "")
    none = made(few, other)
    assert none.to_dict()["best"] is None
    assert not any("images/s" in line for line in report.headline(none))


def test_macs_of_other_gpus_are_other_machines():
    small = made(encoder_figure(8), gpu_cores=32)
    table = readme_table.table([FULL, small])
    assert "40 GPU cores" in table
    assert "32 GPU cores" in table


def test_a_figure_without_a_ceiling_has_a_row():
    (row,) = readme_table.rows(made(replace(encoder_figure(8), ceiling=None)))
    assert row[5] == "–"


def test_others_figures_are_for_metal_only():
    (row,) = readme_table.rows(made(encoder_figure(8), backend="CPU"))
    assert row[-1] == "–"


def test_the_newest_report_of_a_machine_counts():
    old = made(encoder_figure(8, value=1.0), date="2026-01-01T00:00:00+00:00")
    assert readme_table.table([FULL, old]) == readme_table.table([old, FULL])
    assert readme_table.table([FULL, old]) == readme_table.table([FULL])


def test_the_table_goes_between_its_markers():
    before = f"top\n{readme_table.START}\nold\n{readme_table.END}\nend\n"
    after = readme_table.with_table(before, r"| new \1 |")
    assert after == f"top\n{readme_table.START}\n\n| new \\1 |\n\n{readme_table.END}\nend\n"
    assert readme_table.with_table(after, r"| new \1 |") == after
    with pytest.raises(ValueError, match="README has no"):
        readme_table.with_table("nothing", "x")


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(readme_table, "README", tmp_path / "README.md")
    monkeypatch.setattr(readme_table, "RESULTS", tmp_path / "results")
    (tmp_path / "results").mkdir()
    report.write_json(FULL, tmp_path / "results" / "a.json")
    (tmp_path / "README.md").write_text(f"{readme_table.START}\n{readme_table.END}\n")
    return tmp_path / "README.md"


def test_checking_and_writing(files, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["readme_table", "--check"])
    before = files.read_text()
    assert readme_table.main() == 1
    assert files.read_text() == before
    assert "python -m benchmarks.readme_table" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["readme_table"])
    assert readme_table.main() == 0
    assert "Apple M4 Max" in files.read_text()
    monkeypatch.setattr("sys.argv", ["readme_table", "--check"])
    assert readme_table.main() == 0
    files.write_text("no markers")
    assert readme_table.main() == 2


@pytest.mark.parametrize(
    "text",
    ["{", '{"kind": "aimv2 bench"}', json.dumps(made(Figure("encoder", "x", 1, "")).to_dict())],
)
def test_a_report_that_makes_no_row_is_named(files, monkeypatch, capsys, text):
    (files.parent / "results" / "b.json").write_text(text)
    monkeypatch.setattr("sys.argv", ["readme_table"])
    assert readme_table.main() == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("error: ")
    assert "b.json" in said


def test_every_kept_report_can_be_read():
    for file in sorted((readme_table.ROOT / "benchmarks" / "results").glob("*.json")):
        found = report.read_report(file)
        assert found.figures, file
        assert file.name.startswith(report.stem_of(found)), file
