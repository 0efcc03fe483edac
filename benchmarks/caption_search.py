"""How photos are found by picture and caption together, on drawings with true captions.

    python -m benchmarks.caption_search [--number 400] [--wrong 0.15] [--json]

So many held-out drawings are indexed with the demo checkpoint; each gets one true caption of its
own, some that of another drawing. Queries are the nouns, and other true captions of the drawings.
The figures are the mean average precision of several ways to rank, with all drawings captioned and
with every second one, and precision and recall of what the search's own way shows.
"""

import mlx_aimv2 as aimv2  # isort: skip  (before MLX, so that its BLAS is the one MLX finds)

import argparse
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.checks import Check, four_digits, positive, run, share
from mlx_aimv2.library.database.captions import Caption
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.search.captions import shares
from mlx_aimv2.library.text_cache import TextCache
from mlx_aimv2.training.drawings.captions import label_caption, truth
from mlx_aimv2.training.drawings.nouns import NOUNS
from mlx_aimv2.training.drawings.scene import HELD_OUT, Drawing, draw

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]

FIRST = 970_000  # of the held-out seeds
QUERIES = 150  # captions of drawings, beside the nouns
RANK_CONSTANT = 60  # of reciprocal ranks. Source: Cormack, Clarke and Büttcher, SIGIR 2009
LINE = 0.5  # the score from which a search shows a photo


def average_precision(scores: Floats, is_true: Truth) -> float:
    """Mean over the true ones of the precision down to each."""
    ranked = is_true[np.argsort(-scores, kind="stable")]
    return float((np.cumsum(ranked)[ranked] / (np.flatnonzero(ranked) + 1)).mean())


def ranks(scores: Floats) -> Floats:
    """The place of each, from 1; of those without a score none."""
    places = np.empty(len(scores))
    places[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return np.where(scores > 0, places, np.inf)


def write_captions(library: Path, drawings: list[Drawing], every: int, wrong: float) -> None:
    """Give every so-many-th drawing a caption, a share of them that of another drawing."""
    rng = random.Random(5)
    with Store(library, can_write=True) as store, store.transaction():
        store.run("DELETE FROM captions")
        for file in store.files():
            at = int(Path(file.path_str).stem)
            said = rng.randrange(len(drawings)) if rng.random() < wrong else at
            if at % every == 0 and file.hash is not None:
                store.caption(file.hash, Caption(drawings[said].captions[0].text, "program"))


def scores_of(library: Library, query: str, number: int) -> Floats:
    """The search's score of every drawing. Shapes: (number,)."""
    scores = np.zeros(number)
    for hit in library.search(query, count=number, min_score=0).hits:
        scores[int(Path(hit.path).stem)] = hit.score or 0.0
    return scores


def said_by_captions(library: Library, query: str, number: int) -> Floats:
    """The share of the query's words that each caption has. Shapes: (number,)."""
    found = np.zeros(number)
    captions = library.store.count_captioned()
    for id, value in shares(library.store, query, captions).items():
        [file] = library.store.files_of([id]).values()
        found[int(Path(file.path_str).stem)] = value
    return found


def measure(options: argparse.Namespace) -> Iterator[Check]:
    """Index drawings, and search them with no captions, with all and with half of them."""
    number = options.number
    drawings = [draw(HELD_OUT + FIRST + at) for at in range(number)]
    rng = random.Random(6)
    queries = [label_caption(noun, rng) for noun in NOUNS]
    step = max(1, number // QUERIES)
    queries += [drawings[at].captions[1 + at % 3] for at in range(0, number, step)]
    is_true = truth(drawings, queries)
    asked = [at for at in range(len(queries)) if 0 < is_true[:, at].sum() < number / 2]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "album").mkdir()
        for at, drawing in enumerate(drawings):
            drawing.image.save(folder / "album" / f"{at:04}.png")
        with Library(folder / "library.db", cache=TextCache(folder / "texts.db")) as library:
            library.index(folder / "album", model=aimv2.load("demo").source)
            pictures = [scores_of(library, queries[at].text, number) for at in asked]
            of_all = [is_true[:, at] for at in asked]
            alone = np.mean(
                [average_precision(*each) for each in zip(pictures, of_all, strict=True)]
            )
            yield share("pictures alone, mean average precision", float(alone))
            for every, what in ((1, "all captioned"), (2, "half captioned")):
                write_captions(folder / "library.db", drawings, every, options.wrong)
                texts = [queries[at].text for at in asked]
                both = [scores_of(library, text, number) for text in texts]
                said = [said_by_captions(library, text, number) for text in texts]
                fused = [
                    1 / (RANK_CONSTANT + ranks(one)) + 1 / (RANK_CONSTANT + ranks(other))
                    for one, other in zip(pictures, said, strict=True)
                ]
                ways = {"captions alone": said, "reciprocal ranks": fused}
                for way, scores in ways.items():
                    pairs = zip(scores, of_all, strict=True)
                    mean = np.mean([average_precision(*pair) for pair in pairs])
                    yield share(f"{way}, {what}", float(mean))
                pairs = zip(both, of_all, strict=True)
                mean = np.mean([average_precision(*pair) for pair in pairs])
                yield share(f"search, {what}", float(mean), float(alone))
                shown, true = np.stack(both) >= LINE, np.stack(of_all)
                yield share(f"search from {LINE}, precision, {what}", float(true[shown].mean()))
                yield share(f"search from {LINE}, recall, {what}", float(shown[true].mean()))
            before = np.stack(pictures) >= LINE
            yield share(f"pictures from {LINE}, precision", float(true[before].mean()))
            yield share(f"pictures from {LINE}, recall", float(before[true].mean()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=positive, default=400, help="drawings to search")
    parser.add_argument("--wrong", type=float, default=0.15, help="share of captions not its own")
    return run(parser, measure, four_digits)


if __name__ == "__main__":
    raise SystemExit(main())
