"""`aimv2 eval`: the figures of the library's own functions, printed; errors and exit codes."""

import json
from pathlib import Path

import numpy as np
import pytest

import mlx_aimv2 as aimv2
from mlx_aimv2.evaluation.run import Evaluation
from mlx_aimv2.evaluation.templates import read_templates
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.models.aimv2.published import find
from mlx_aimv2.training.drawings.album import write_data_set
from tests.support.commands import run
from tests.support.makers import random_vision, vision_config, write_checkpoint

CLASSES, COUNT = 6, 5


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("drawings") / "data"
    write_data_set(folder, CLASSES, COUNT)
    return str(folder)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("cache"))


def measured(*arguments: str) -> dict[str, object]:
    outcome = run("eval", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    (record,) = outcome.records
    return record


def test_zero_shot(data: str, cache: str) -> None:
    record = measured("zero-shot", data, "--model", "demo", "--cache", cache, "--templates", "pets")
    folders = sorted(path.name for path in (Path(data) / "test").iterdir() if path.is_dir())
    files = [sorted((Path(data) / "test" / name).iterdir()) for name in folders]
    model = aimv2.load("demo")
    prompts = read_templates("pets")
    scores = np.array(
        model.classify(
            [file for each in files for file in each],
            [name.replace("_", " ") for name in folders],
            templates=prompts,
        )
    )
    labels = np.repeat(np.arange(CLASSES), COUNT)
    right = scores.argmax(axis=1) == labels
    assert record["acc1"] == pytest.approx(right.mean())
    assert record["acc1"] > 0.5  # the demo knows drawings
    assert record["mean_per_class_recall"] == pytest.approx(record["acc1"])  # as many of each
    assert record["acc5"] >= record["acc1"]
    assert (record["n"], record["classes"], record["split"]) == (30, CLASSES, "test")
    assert record["templates"] == ["a photo of a {}, a type of pet."]
    assert record["preprocessing"]["colours"] == "as stored"


def test_hits_are_of_each_picture_in_its_order(data: str, cache: str) -> None:
    model = aimv2.load("demo")
    evaluation = Evaluation(model, Path(data), ImageOptions(), cache=Path(cache))
    record = evaluation.zero_shot("plain", None)
    assert evaluation.hits.mean() == record["acc1"]
    record = evaluation.knn([1], "mean")
    assert evaluation.hits.mean() == record["acc1"]
    known, asked = (vectors_of(data, part, "mean") for part in ("train", "test"))
    nearest = known[1][(asked[0] @ known[0].T).argmax(axis=1)]
    assert evaluation.hits.tolist() == (nearest == asked[1]).tolist()


def vectors_of(
    data: str, part: str, pooling: str, normalize: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of a part's drawings by the model itself, and their classes."""
    folders = sorted(path for path in (Path(data) / part).iterdir() if path.is_dir())
    files = [file for folder in folders for file in sorted(folder.iterdir())]
    vectors = aimv2.load("demo").embed_images(files, pooling=pooling, normalize=normalize)
    return np.array(vectors, np.float64), np.repeat(np.arange(CLASSES), COUNT)


def test_scikit_learn_s_neighbours_on_drawings(data: str, cache: str) -> None:
    neighbors = pytest.importorskip("sklearn.neighbors")
    (known, labels), (asked, right) = (vectors_of(data, part, "mean") for part in ("train", "test"))
    record = measured("knn", data, "--model", "demo", "--cache", cache, "--k", "1,5,10,20")
    for count in (1, 5, 10, 20):
        theirs = neighbors.KNeighborsClassifier(
            count, metric="cosine", weights=lambda far: np.exp((1 - far) / 0.07)
        ).fit(known, labels)
        share = theirs.score(asked, right)
        assert record["by_neighbours"][str(count)]["acc1"] == pytest.approx(share)


def test_scikit_learn_s_regression_on_drawings(data: str, cache: str) -> None:
    models = pytest.importorskip("sklearn.linear_model")
    record = measured("linear", data, "--model", "demo", "--cache", cache, "--pooling", "head")
    (known, labels), (asked, right) = (
        vectors_of(data, part, "head", normalize=False) for part in ("train", "test")
    )
    mean, deviation = known.mean(axis=0), known.std(axis=0)
    theirs = models.LogisticRegression(C=1 / record["decay"], max_iter=1000)
    theirs.fit((known - mean) / deviation, labels)
    assert record["acc1"] == pytest.approx(theirs.score((asked - mean) / deviation, right))


def test_knn(data: str, cache: str, tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    record = measured(
        *("knn", data, "--model", "demo", "--cache", cache, "--k", "1,20", "--out", str(out)),
        *("--dataset", "cifar10"),
    )
    assert record["neighbours"] == 20
    assert record["trained_on"] == 30
    assert record["by_neighbours"]["20"]["acc1"] == record["acc1"]
    written = json.loads(out.read_text())
    assert written.pop("skipped") == []
    assert {"schema": 1} | written == record
    again = run("eval", "knn", data, "--model", "demo", "--cache", cache, "--out", str(out))
    assert again.code == 1
    assert "exists already" in again.err


def test_linear(data: str, cache: str) -> None:
    pytest.importorskip("sklearn")
    record = measured("linear", data, "--model", "demo", "--cache", cache)
    assert record["acc1"] > 2 / CLASSES
    assert record["trained_on"] == 30
    assert record["chosen_on"] == "a tenth of train"
    assert 1e-2 <= record["decay"] <= 1e6


@pytest.mark.parametrize("variant", ["augmented", "cached features"])
def test_probe(variant: str, data: str, cache: str) -> None:
    record = measured(
        *("probe", data, "--model", "demo", "--cache", cache, "--epochs", "2", "--batch", "8"),
        *("--rates", "1e-3,2e-3", "--decays", "0.1"),
        *["--cached"] * (variant == "cached features"),
    )
    assert record["variant"] == variant
    assert (record["n"], record["trained_on"]) == (30, 24)  # one of five of each class chooses
    assert (record["batch"], record["warm_up"], record["epochs"]) == (8, 0, 2)
    tried = {run["rate"]: run["validation_acc1"] for run in record["runs"]}
    assert [*tried] == [1e-3, 2e-3]
    assert tried[record["rate"]] == max(tried.values())
    assert 0 <= record["acc1"] <= record["acc5"] <= 1


def test_all_rates_and_decays_of_the_paper(data: str, cache: str) -> None:
    record = measured(
        *("probe", data, "--model", "demo", "--cache", cache, "--cached", "--epochs", "1")
    )
    tried = {(run["rate"], run["decay"]) for run in record["runs"]}
    rates = (5e-5, 1e-4, 2e-4, 3e-4, 5e-4, 1e-3, 2e-3)
    assert tried == {(rate, decay) for rate in rates for decay in (0.05, 0.1)}
    assert record["batch"] == 512
    assert not list(Path(cache).glob("*.safetensors"))  # where it stands, until it has ended


def test_the_cheap_probe_is_named_beside_the_paper_s_figure(
    data: str, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlx_aimv2.evaluation.paper.published", lambda *_: 0.866)
    outcome = run(
        *("eval", "probe", data, "--model", "demo", "--cache", cache, "--dataset", "Pets"),
        *("--cached", "--epochs", "1", "--batch", "8", "--rates", "1e-3", "--decays", "0.1"),
    )
    assert outcome.code == 0, outcome.err
    for words in (
        "probe (cached features)",
        "86.6%",
        "not of augmented views",
        "chosen on a tenth",
    ):
        assert words in outcome.out


def test_a_decay_is_chosen_on_the_part_val(cache: str, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    write_data_set(tmp_path / "data", 3, 4)
    (tmp_path / "data" / "test").rename(tmp_path / "data" / "val")
    write_data_set(tmp_path / "more", 3, 2)
    (tmp_path / "more" / "test").rename(tmp_path / "data" / "test")
    record = measured("linear", str(tmp_path / "data"), "--model", "demo", "--cache", cache)
    assert (record["split"], record["n"]) == ("test", 6)
    assert (record["chosen_on"], record["trained_on"]) == ("val", 24)


def test_retrieval(data: str, cache: str) -> None:
    record = measured("retrieval", data, "--model", "demo", "--cache", cache)
    assert (record["n"], record["captions"]) == (30, 60)
    lines = (Path(data) / "test" / "metadata.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    model = aimv2.load("demo")
    texts = np.array(model.embed_texts([text for row in rows for text in row["text"]]))
    images = np.array(model.embed_images([Path(data) / "test" / row["file_name"] for row in rows]))
    scores, positive = texts @ images.T, np.repeat(np.eye(30, dtype=bool), 2, axis=0)
    for way, seen, true in (("image", scores, positive), ("text", scores.T, positive.T)):
        best = np.argsort(-seen, axis=1, kind="stable")
        for k in (1, 5, 10):
            found = np.take_along_axis(true, best[:, :k], axis=1).any(axis=1)
            assert record[f"{way}_retrieval_recall@{k}"] == pytest.approx(found.mean())
    values = [value for name, value in record.items() if "recall@" in name]
    assert record["mean_recall"] == pytest.approx(np.mean(values))
    plain = run("eval", "retrieval", data, "--model", "demo", "--cache", cache)
    assert f"{100 * record['image_retrieval_recall@10']:.1f}%" in plain.out


def test_the_paper_s_figure_and_what_differs(
    data: str, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlx_aimv2.evaluation.paper.published", lambda *_: 0.77)
    outcome = run(
        *("eval", "zero-shot", data, "--model", "demo", "--cache", cache, "--dataset", "IN-1k")
    )
    assert "77.0%" in outcome.out
    assert "6 classes, the paper has 1000" in outcome.out
    assert "--preset ml-aim" in outcome.out


def test_without_a_figure_of_the_paper(data: str, cache: str) -> None:
    outcome = run("eval", "knn", data, "--model", "demo", "--cache", cache)
    assert outcome.code == 0
    assert "the paper has no figure" in outcome.out
    assert "30 pictures of test, demo in float32, preset hub" in outcome.out


def test_a_checkpoint_at_another_side(data: str, cache: str) -> None:
    words = ("knn", data, "--model", "demo", "--cache", cache)
    outcome = run("eval", *words, "--side", "56", "--json")
    assert outcome.code == 0, outcome.err
    assert "a 112 px checkpoint at 56 px" in outcome.err
    (record,) = outcome.records
    assert record["preprocessing"]["side_px"] == 56
    assert record["by_neighbours"] != measured(*words)["by_neighbours"]  # no vectors of the other
    refused = run("eval", *words, "--side", "57")
    assert (refused.code, "no multiple of the patch" in refused.err) == (2, True)


def test_the_paper_s_figure_is_that_of_the_side(
    data: str, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        "mlx_aimv2.evaluation.paper.published", lambda _, name, __: asked.append(name)
    )
    monkeypatch.setattr("mlx_aimv2.evaluation.run.find", lambda _: find("large"))
    run("eval", "knn", data, "--model", "demo", "--cache", cache)
    assert asked == ["demo at 112 px"]


def test_a_broken_picture_is_counted_and_named(cache: str, tmp_path: Path) -> None:
    write_data_set(tmp_path / "data", 4, 2)
    broken = sorted((tmp_path / "data" / "test").glob("*/*.png"))[3]
    broken.write_bytes(b"no picture")
    outcome = run(
        *("eval", "zero-shot", str(tmp_path / "data"), "--model", "demo", "--cache", cache),
        "--json",
    )
    assert outcome.code == 3
    assert f"skipped: {broken}" in outcome.err
    (record,) = outcome.records
    assert (record["n"], record["failed"], record["acc5"]) == (7, 1, None)


def test_a_published_checkpoint_without_texts_is_not_fetched(data: str) -> None:
    for protocol in ("zero-shot", "retrieval"):
        outcome = run("eval", protocol, data, "--model", "large")
        assert outcome.code == 2
        assert "aimv2-large-patch14-224 reads no texts" in outcome.err


def test_a_checkpoint_without_texts(data: str, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "vision", random_vision(), vision_config())
    for protocol in ("zero-shot", "retrieval"):
        outcome = run("eval", protocol, data, "--model", str(tmp_path / "vision"))
        assert outcome.code == 2
        assert "vision reads no texts" in outcome.err
        assert "aimv2 eval knn" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["zero-shot", "nowhere"], "nowhere does not exist"),
        (["knn", "DATA", "--k", "0,x"], "--k is '0,x'"),
        (["knn", "DATA", "--dataset", "other"], "the paper has no data set 'other'"),
        (["probe", "DATA", "--rates", "1e-3,x"], "--rates is '1e-3,x'"),
        (["probe", "DATA", "--decays", "0"], "--decays is '0'"),
        (["probe", "DATA", "--rates", "inf"], "--rates is 'inf'"),
        (["retrieval", "DATA", "--prompt", "a photo"], "has no place for the caption"),
        (["zero-shot", "DATA", "--split", "other"], "has no folder other"),
        (["zero-shot", "DATA", "--templates", "other"], "no set of templates and no file"),
        (["knn", "DATA", "--out", "none/out.json"], "there is no folder none"),
    ],
)
def test_wrong_options(arguments: list[str], told: str, data: str) -> None:
    words = [data if word == "DATA" else word for word in arguments]
    outcome = run("eval", *words, "--model", "demo")
    assert outcome.code in (1, 2)
    assert told in outcome.err
    assert not outcome.out
