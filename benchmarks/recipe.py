"""The paper's recipe at toy size: small encoders by four objectives, on drawings.

    python -m benchmarks.recipe [--keep FOLDER] [--plot FILE] [--seeds N] [--demo] [--json]

Captions only with full attention, captions only with prefix attention, pixels only, and the paper's
objective: the same first weights, the same drawings in the same order, as many steps. Each encoder,
and one that is not trained, is then frozen and measured on held-out drawings of single things: by
an attentive probe, chosen on a tenth of the drawings that it may learn from, and by LiT, zero-shot.
Differences have standard errors, of the same drawings and, of several seeds, of seeds. Beside them
are the paper's figures (table 9a).

Then the demo checkpoint, the best of these LiTs and, with ``--demo``, one by the same recipe of
the demo's size. ``--keep`` keeps what is finished: the same command goes on from there. ``--plot``
needs matplotlib.
"""

import mlx_aimv2  # noqa: F401  # isort: skip  (before MLX, so that its BLAS is the one MLX finds)

import json
import os
import sys
import tempfile
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from benchmarks.checks import positive, reported
from benchmarks.recipe_report import (
    OBJECTIVES,
    UNTRAINED,
    Result,
    conditions_table,
    demo_table,
    draw,
    tables,
)
from mlx_aimv2.bench.conditions import conditions
from mlx_aimv2.errors import UsageError
from mlx_aimv2.evaluation.probe_settings import ProbeSettings
from mlx_aimv2.evaluation.run import Evaluation
from mlx_aimv2.files.checkpoint_files import SINGLE_FILE
from mlx_aimv2.files.whole_file import write_whole
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.inference.model import load
from mlx_aimv2.training.data.batches import Broken
from mlx_aimv2.training.data.options import PairOptions
from mlx_aimv2.training.drawings.album import METADATA_FILE, write_data_set
from mlx_aimv2.training.drawings.captions import with_article
from mlx_aimv2.training.drawings.nouns import NOUNS
from mlx_aimv2.training.drawings.places import PLACES
from mlx_aimv2.training.drawings.scene import Scene, paint, plan
from mlx_aimv2.training.evaluate import Figures, encoders_of, measure
from mlx_aimv2.training.runs.run_folder import RunFolder, read_log
from mlx_aimv2.training.runs.settings import Stage
from mlx_aimv2.training.stages.run import Order, train

SIZES = ("side_px=84", "width=128", "mlp_width=384", "blocks=4", "heads=2")
DEMO_SIZES = ("side_px=112", "width=192", "mlp_width=512", "blocks=5", "heads=3")
DECODER = ("decoder_width=128", "decoder_mlp_width=384", "decoder_blocks=2", "decoder_heads=2")
PRETRAINING = ("batch_size=32", "peak_rate=2e-3", "caption_tokens=12")
LIT = ("batch_size=64", "peak_rate=1e-3", "caption_tokens=12")
# A step of no length: the first weights stay as they are.
NO_STEP = ("steps=1", "warm_up_steps=0", "peak_rate=1e-12", "last_rate=0", "weight_decay=0")
PROBE = ProbeSettings(rates=(2e-3, 5e-3, 1e-2), decays=(0.1,), batch=64)
DRAWN_PX = 112
LABEL = "a {}"  # as captions begin
SHORT = "short"
PAIRS, MEASURED, SETTINGS_FILE = "pairs", "measured", "settings.json"


class Progress:
    """Tells on stderr how far a run is, ten times."""

    def __init__(self, name: str) -> None:
        self._name = name

    def joined(self, rank: int) -> None:
        """There is one process."""

    def stepped(self, step: int, steps: int, loss: float) -> None:
        """A step is done."""
        if not step % max(1, steps // 10):
            self.note(f"step {step}/{steps}, loss {loss:.3f}")

    def kept(self, step: int, steps: int, loss: float) -> None:
        """A checkpoint is on the disk."""

    def broken(self, sample: Broken) -> None:
        """A drawing cannot be read."""
        self.note(sample.reason)

    def note(self, text: str) -> None:
        """A remark."""
        print(f"{self._name}: {text}", file=sys.stderr, flush=True)


class Recipe:
    """The runs of one folder."""

    def __init__(self, options: Namespace, folder: Path) -> None:
        self._options, self._folder = options, folder
        self._drawings = folder / "drawings"

    def prepare(self) -> dict[str, Any]:
        """Draw what is learnt and what is measured; the conditions of the first of these runs.

        Errors: UsageError for a folder that keeps runs of other settings.
        """
        names = ("classes", "count", "tests", "steps", "lit_steps", "epochs")
        settings = {name: getattr(self._options, name) for name in names}
        settings["words"] = [*SIZES, *DECODER, *PRETRAINING, *LIT]
        file = self._folder / SETTINGS_FILE
        if not file.is_file():
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(file, json.dumps({"settings": settings, "conditions": conditions()}))
        kept = json.loads(file.read_bytes())
        if kept["settings"] != settings:
            raise UsageError(
                f"{self._folder} keeps runs of other settings: {kept['settings']}",
                hint="give the same ones, or choose another folder",
            )
        if not self._drawings.is_dir():
            with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
                drawn = Path(scratch) / "drawn"
                write_pairs(drawn / PAIRS, self._options.classes, self._options.count)
                write_data_set(drawn / MEASURED, self._options.classes, self._options.tests)
                drawn.rename(self._drawings)
        return dict(kept["conditions"])

    def results(self) -> Iterator[Result]:
        """Every objective, seed by seed; what is kept is not done again."""
        for seed in range(self._options.seeds):
            for objective in (UNTRAINED, *OBJECTIVES):
                file = self._folder / f"{objective}-{seed}.json"
                if not file.is_file():
                    result = self._result(objective, seed)
                    write_whole(file, json.dumps(asdict(result)) + "\n")
                yield Result(**json.loads(file.read_bytes()))

    def losses(self) -> Mapping[str, Sequence[dict[str, Any]]]:
        """The log of each objective's first seed."""
        logs = {name: RunFolder(self._folder / f"{name}-0").log_file for name in OBJECTIVES}
        return {name: list(read_log(log)) for name, log in logs.items()}

    def beside_the_demo(self, results: Sequence[Result]) -> dict[str, Figures]:
        """Figures of the demo, of the best LiT and, if asked for, of one of the demo's size."""
        best = max(results, key=lambda each: each.shares["zero-shot"])
        sources = {
            "demo": "demo",
            f"{best.title}, seed {best.seed}": f"{self._folder}/{best.objective}-{best.seed}-lit",
        }
        if self._options.demo_steps:
            settings = (*DEMO_SIZES, *lasting(self._options.demo_steps))
            lit = self._tuned("demo-size", settings, self._options.demo_lit_steps, 0)
            sources["the recipe at the demo's size"] = str(lit)
        return {
            name: measure(*encoders_of(load(source, dtype="float32")), number=self._options.number)
            for name, source in sources.items()
        }

    def _result(self, objective: str, seed: int) -> Result:
        """An encoder that is trained, probed and tuned."""
        started, computed = perf_counter(), process_time()
        settings = (*SIZES, *(NO_STEP if objective == UNTRAINED else lasting(self._options.steps)))
        if objective in OBJECTIVES:
            settings += OBJECTIVES[objective].words
        name = f"{objective}-{seed}"
        lit = self._tuned(name, settings, self._options.lit_steps, seed)
        shares, hits = {}, {}
        for protocol, source in (("probe", self._folder / name), ("zero-shot", lit)):
            model = load(str(source), dtype="float32")
            with tempfile.TemporaryDirectory() as cache:
                run = Evaluation(
                    model, self._drawings / MEASURED, ImageOptions(), cache=Path(cache)
                )
                if protocol == "probe":
                    probe = replace(PROBE, epochs=self._options.epochs, seed=seed)
                    shares[protocol] = run.probe(probe, is_cached=True)["acc1"]
                else:
                    shares[protocol] = run.zero_shot(LABEL, None)["acc1"]
            hits[protocol] = "".join(map(str, run.hits.astype(int)))
        elapsed = perf_counter() - started
        cores = (process_time() - computed) / elapsed
        load_s = os.getloadavg()[1]
        return Result(objective, seed, shares, hits, elapsed / 60, cores, load_s)

    def _tuned(self, name: str, settings: Sequence[str], lit_steps: int, seed: int) -> Path:
        """The LiT of an encoder, both trained unless they are there."""
        encoder, lit = self._folder / name, self._folder / f"{name}-lit"
        self._train("pretraining", encoder, (*DECODER, *PRETRAINING, *settings, f"seed={seed}"))
        self._train("lit", lit, (*LIT, *lasting(lit_steps), f"seed={seed}"), str(encoder))
        for file in RunFolder(lit).path.glob("features-*"):  # 9 kB a drawing
            file.unlink()
        return lit

    def _train(
        self, stage: Stage, out: Path, settings: Sequence[str], start: str | None = None
    ) -> None:
        if not (out / SINGLE_FILE).is_file():
            is_begun = RunFolder(out).is_there
            names = PairOptions(caption_key=SHORT) if stage == "lit" else PairOptions()
            data = str(self._drawings / PAIRS)
            order = Order(stage, out, data, start, None, settings, names, resume=is_begun)
            train(order, Progress(out.name))


def lasting(steps: int) -> tuple[str, ...]:
    """The settings of a run's length: a tenth of it is warm-up."""
    return f"steps={steps}", f"warm_up_steps={steps // 10}"


def write_pairs(folder: Path, classes: int, count: int) -> None:
    """Draw ``count`` single things of each noun into a folder, each with captions of two kinds."""
    folder.mkdir(parents=True)
    lines = []
    for number in range(classes * count):
        scene = plan(number, kind="single", noun=NOUNS[number % classes])
        file = folder / f"{number}.png"
        paint(scene, DRAWN_PX, DRAWN_PX)[0].save(file)
        lines.append(json.dumps({"file_name": file.name} | captions(scene)) + "\n")
    (folder / METADATA_FILE).write_text("".join(lines), encoding="utf-8")


def captions(scene: Scene) -> dict[str, list[str]]:
    """What pre-training reads: colour, noun and place; and LiT: most often the noun alone."""
    noun, colour = scene.kinds[0]
    short, said = with_article(noun), with_article(f"{colour} {noun}")
    where = "" if scene.place is None else PLACES[scene.place].where[0]
    return {"text": [f"{said} {where}".strip()], SHORT: [short, short, said]}


def report(options: Namespace, folder: Path) -> int:
    """Do what is not done yet, and print the tables."""
    recipe = Recipe(options, folder)
    before = recipe.prepare()
    if not options.as_json:
        print(json.dumps(before), end="\n\n", flush=True)
    results = list(recipe.results())
    if options.plot is not None:
        draw(results, recipe.losses(), options.plot)
    figures = recipe.beside_the_demo(results)
    if options.as_json:
        found = {name: asdict(each) for name, each in figures.items()}
        everything = {"results": list(map(asdict, results)), "demo": found}
        print(json.dumps({"conditions": before} | everything))
        return 0
    for lines in (tables(results), conditions_table(results), demo_table(figures)):
        print("\n".join(lines), end="\n\n")
    return 0


def main() -> int:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep runs, go on with them")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw accuracies and losses")
    parser.add_argument("--seeds", type=positive, default=2)
    parser.add_argument("--steps", type=positive, default=1500, help="of each pre-training")
    parser.add_argument("--lit-steps", type=positive, default=1500, help="of each LiT")
    parser.add_argument("--epochs", type=positive, default=10, help="of each probe")
    parser.add_argument("--classes", type=positive, default=len(NOUNS), help="number of nouns")
    parser.add_argument("--count", type=positive, default=435, help="drawings of a noun to learn")
    parser.add_argument("--tests", type=positive, default=100, help="of a noun, for probes as many")
    parser.add_argument("--number", type=positive, default=1000, help="drawings beside the demo")
    parser.add_argument("--demo-steps", type=positive, help="also one of the demo's size")
    parser.add_argument("--demo-lit-steps", type=positive, default=2000)
    parser.add_argument("--json", action="store_true", dest="as_json", help="one line, no tables")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        return reported(lambda: report(options, options.keep or Path(scratch)))


if __name__ == "__main__":
    sys.exit(main())
