"""Streams of images and texts: order, errors, shapes, overlap, dtypes, threads."""

import io
import json
import os
import subprocess
import sys
import textwrap
import threading
import warnings
from itertools import count, islice

import mlx.core as mx
import numpy as np
import pytest
from PIL import Image

import mlx_aimv2 as aimv2
from mlx_aimv2.errors import Aimv2Warning, CheckpointError, ImageError, NumericsError, UsageError
from mlx_aimv2.inference import encoder, padding
from tests.support.commands import PATIENCE_S
from tests.support.makers import (
    PROJECTION,
    TEXT,
    VISION,
    lit_config,
    random_lit,
    random_vision,
    vision_config,
    write_checkpoint,
)
from tests.support.tolerances import BATCH_MATES, MIN_COSINE
from tests.support.vocabulary import clip_vocabulary


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    return {
        "lit": write_checkpoint(root / "lit", random_lit(), lit_config()),
        "fixed": write_checkpoint(root / "fixed", random_vision(), vision_config()),
        "native": write_checkpoint(
            root / "native", random_vision(native=True), vision_config(native=True)
        ),
    }


@pytest.fixture(scope="module")
def models(folders):
    return {name: aimv2.load(str(folder)) for name, folder in folders.items()}


def pictures(number, seed=3, low=30, high=150):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(low, high, (number, 2))
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


@pytest.mark.parametrize("kind", ["lit", "fixed", "native"])
def test_a_stream_keeps_the_order_and_gives_bad_images_their_error(models, kind):
    images = pictures(23)
    mixed = [*images[:5], "no-such.jpg", *images[5:20], "no-such-either.png", *images[20:]]
    items = list(models[kind].stream(mixed, batch_size=4))
    assert [item.index for item in items] == list(range(25))
    assert [item.index for item in items if item.error] == [5, 21]
    assert all(isinstance(item.error, ImageError) for item in items if item.error)
    assert items[5].path == "no-such.jpg"
    good = [np.array(item.embedding) for item in items if item.embedding is not None]
    for image, embedding in zip(images, good, strict=True):
        alone = np.array(models[kind].embed_images(image))[0]
        np.testing.assert_allclose(embedding, alone, atol=BATCH_MATES, rtol=0)


@pytest.mark.parametrize("kind", ["lit", "fixed", "native"])
def test_embeddings_are_those_of_the_encoder_itself(models, kind):
    model, images = models[kind], pictures(3)
    actual = np.array(model.embed_images(images, normalize=False))
    for image, row in zip(images, actual, strict=True):
        features = model.vision(model.preprocess(image)[None])
        expected = model.vision.pool(features)
        if kind == "lit":
            expected = model.network.image_projector(expected)
        np.testing.assert_allclose(row, np.array(expected[0]), atol=BATCH_MATES, rtol=0)


def test_embeddings_are_unit_float32_unless_told_otherwise(models):
    images = pictures(3)
    for kind, width in (("lit", PROJECTION), ("fixed", VISION["width"])):
        embeddings = models[kind].embed_images(images)
        assert embeddings.shape == (3, width)
        assert embeddings.dtype == mx.float32
        np.testing.assert_allclose(np.linalg.norm(np.array(embeddings), axis=1), 1, atol=1e-6)
    raw = np.array(models["lit"].embed_images(images, normalize=False))
    unit = np.array(models["lit"].embed_images(images))
    np.testing.assert_allclose(raw / np.linalg.norm(raw, axis=1, keepdims=True), unit, atol=1e-6)


def test_no_images_and_no_texts_make_empty_tables(models):
    assert models["lit"].embed_images([]).shape == (0, PROJECTION)
    assert models["lit"].embed_images([], pooling="none") == []
    assert models["fixed"].embed_images([]).shape == (0, VISION["width"])
    assert models["lit"].embed_texts([]).shape == (0, PROJECTION)
    assert list(models["native"].stream([])) == []


def test_one_image_of_any_kind_needs_no_list(models, tmp_path):
    array = pictures(1)[0]
    path = tmp_path / "one.png"
    Image.fromarray(array).save(path)
    expected = np.array(models["lit"].embed_images([array]))
    content = path.read_bytes()
    with path.open("rb") as file:
        sources = [array, Image.fromarray(array), path, str(path), content, bytearray(content)]
        sources += [memoryview(content), io.BytesIO(content), file, file, mx.array(array)]
        sources += [mx.array(array).transpose(2, 0, 1), array.transpose(2, 0, 1)]
        single = [np.array(models["lit"].embed_images(image)) for image in sources]
        together = np.array(models["lit"].embed_images(sources))
    for embedding in [*single, *together[:, None]]:
        np.testing.assert_allclose(embedding, expected, atol=BATCH_MATES, rtol=0)


def test_pooling_mean_and_none_agree_and_tiles_make_one_grid(models):
    model, images = models["lit"], pictures(3)
    side = VISION["side"] // VISION["patch"]
    grids = model.embed_images(images, pooling="none")
    assert [grid.shape for grid in grids] == [(side, side, VISION["width"])] * 3
    means = np.array(model.embed_images(images, pooling="mean", normalize=False))
    for grid, mean in zip(grids, means, strict=True):
        np.testing.assert_allclose(np.array(grid).mean(axis=(0, 1)), mean, atol=BATCH_MATES)
    tiled = model.embed_images(images, pooling="none", tiles=3)
    assert [grid.shape for grid in tiled] == [(3 * side, 3 * side, VISION["width"])] * 3


def test_native_grids_have_the_shape_of_the_picture(models):
    patch = VISION["patch"]
    images = pictures(4, low=80, high=150)
    for image, grid in zip(
        images, models["native"].embed_images(images, pooling="none"), strict=True
    ):
        assert grid.shape[:2] == (image.shape[0] // patch, image.shape[1] // patch)


def test_a_long_stream_is_one_batch_shape(models, monkeypatch):
    shapes = []
    model = models["fixed"]
    features = model.vision.features
    monkeypatch.setattr(
        model.vision, "features", lambda pixels: shapes.append(pixels.shape) or features(pixels)
    )
    # A CPU takes images one by one: test_parts.py.
    monkeypatch.setattr(
        encoder, "one_by_one", lambda compute, count, needed=None: compute(slice(0, count))
    )
    list(model.stream(pictures(11), batch_size=4))
    assert set(shapes) == {(4, VISION["side"], VISION["side"], 3)}
    shapes.clear()
    list(model.stream(pictures(3), batch_size=4))
    assert shapes == [(3, VISION["side"], VISION["side"], 3)]  # nothing is padded for a single one


def test_a_stream_takes_images_as_it_needs_them(models):
    image = pictures(1)[0]
    taken = count()

    def endless():
        while True:
            next(taken)
            yield image

    items = list(islice(models["fixed"].stream(endless(), batch_size=4), 9))
    assert len(items) == 9
    assert next(taken) <= 512  # one Buffer's worth


def test_a_rare_size_does_not_hold_up_a_native_stream(models, monkeypatch):
    monkeypatch.setattr(padding, "WINDOW_TOKENS", 8192)
    rare, common = pictures(1, low=60, high=61)[0], pictures(1, low=140, high=141)[0]
    taken = count()

    def endless():
        next(taken)
        yield rare
        while True:
            next(taken)
            yield common

    items = list(islice(models["native"].stream(endless()), 20))
    assert [item.index for item in items] == list(range(20))
    assert next(taken) <= 512


def test_kept_errors_keep_no_pictures(models, tmp_path):
    path = tmp_path / "truncated.jpg"
    Image.fromarray(pictures(1, low=200, high=300)[0]).save(path)
    path.write_bytes(path.read_bytes()[:-500])
    (item,) = models["lit"].stream([path])
    error = item.error
    assert "truncated" in str(error)
    assert error.__traceback__ is error.__cause__ is error.__context__ is None


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_dtypes_stay_close_and_public_results_are_float32(folders, models, dtype):
    images = pictures(5)
    narrow = aimv2.load(str(folders["lit"]), dtype=dtype)
    actual, expected = (model.embed_images(images) for model in (narrow, models["lit"]))
    assert actual.dtype == mx.float32
    assert mx.sum(actual * expected, axis=1).min() >= MIN_COSINE[dtype]
    assert narrow.metadata()["dtype"] == dtype


def outliers(tmp_path, factor):
    """A checkpoint whose activations leave float16, or float32 too."""
    tensors = random_lit()
    for tower in ("image_encoder", "text_encoder"):
        tensors[f"{tower}.trunk.blocks.1.mlp.fc2.weight"] *= factor
        tensors[f"{tower}.trunk.blocks.1.mlp.fc3.weight"] *= factor
    return str(write_checkpoint(tmp_path / "outliers", tensors, lit_config()))


def test_what_overflows_in_float16_is_done_again_in_float32(tmp_path):
    source, images = outliers(tmp_path, 300.0), pictures(3)
    model = aimv2.load(source, dtype="float16")
    with pytest.warns(Aimv2Warning, match="not finite in float16: going on in float32"):
        actual = model.embed_images(images)
    assert np.isfinite(np.array(actual)).all()
    assert (model.dtype, model.widened_from) == ("float32", "float16")
    assert model.metadata()["widened_from"] == "float16"
    expected = aimv2.load(source, dtype="float32").embed_images(images)
    assert mx.sum(actual * expected, axis=1).min() >= MIN_COSINE["float16"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.embed_images(images)  # once is enough


def test_trained_weights_that_overflow_in_float16_are_kept_in_float32(folders):
    images, made = pictures(3), []
    for dtype in ("float16", "float32"):
        model = aimv2.load(str(folders["fixed"]), dtype=dtype)
        mlp = model.vision.trunk.blocks[1].mlp  # as training would leave it
        mlp.fc2.weight, mlp.fc3.weight = mlp.fc2.weight * 300, mlp.fc3.weight * 300
        mx.eval(model.network.parameters())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made.append(model.embed_images(images))
        assert model.dtype == "float32"
    assert mx.sum(made[0] * made[1], axis=1).min() >= MIN_COSINE["float16"]
    untrained = aimv2.load(str(folders["fixed"])).embed_images(images)
    assert mx.sum(made[0] * untrained, axis=1).max() < MIN_COSINE["float16"]


@pytest.mark.parametrize("kind", ["lit", "fixed", "native"])
@pytest.mark.parametrize("pooling", ["mean", "none"])
def test_a_device_that_is_handed_the_next_batch_early_gives_the_same(
    models, kind, pooling, monkeypatch
):
    images = pictures(9)
    options = {"batch_size": 2, "pooling": pooling}
    expected = [np.array(item.embedding) for item in models[kind].stream(images, **options)]
    monkeypatch.setattr(encoder, "is_cpu", lambda: False)
    actual = [np.array(item.embedding) for item in models[kind].stream(images, **options)]
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_was_begun_before_another_batch_overflowed_is_done_again_too(tmp_path, monkeypatch):
    monkeypatch.setattr(encoder, "is_cpu", lambda: False)
    model = aimv2.load(outliers(tmp_path, 300.0), dtype="float16")
    with pytest.warns(Aimv2Warning, match="going on in float32") as warned:
        actual = model.embed_images(pictures(5), batch_size=1)
    assert len(warned) == 1
    assert np.isfinite(np.array(actual)).all()
    assert (model.dtype, model.widened_from) == ("float32", "float16")


def test_weights_that_overflow_float16_are_read_again_in_float32(tmp_path):
    tensors = random_lit()
    tensors["image_encoder.preprocessor.patchifier.proj.bias"][:] = 1e5
    source = str(write_checkpoint(tmp_path / "large", tensors, lit_config()))
    images = pictures(3)
    with pytest.warns(Aimv2Warning, match="at 42 px"):
        model = aimv2.load(source, dtype="float16", side_px=42)
        wide = aimv2.load(source, dtype="float32", side_px=42)
    with pytest.warns(Aimv2Warning, match="going on in float32"):
        actual = np.array(model.embed_images(images))
    expected = np.array(wide.embed_images(images))
    np.testing.assert_array_equal(actual, expected)


def test_what_overflows_in_float32_too_is_an_error_and_never_a_nan(tmp_path):
    model = aimv2.load(outliers(tmp_path, 1e25))
    items = list(model.stream(pictures(2)))
    assert all(item.embedding is None for item in items)
    assert all(isinstance(item.error, NumericsError) for item in items)
    ids = np.array([[1, 2, 96]], np.int32)
    spelled = {"encode_and_cut": lambda self, texts: (ids, (None,))}
    model.tokenizer = type("Ids", (), spelled)()
    with pytest.raises(NumericsError, match="not finite"):
        model.embed_texts(["x"])


def test_skipped_images_are_warned_of_and_raised_by_default(models):
    images = [pictures(1)[0], "missing.jpg"]
    with pytest.raises(ImageError, match=r"missing\.jpg"):
        models["lit"].embed_images(images)
    with pytest.warns(Aimv2Warning, match=r"missing\.jpg"):
        assert models["lit"].embed_images(images, on_error="skip").shape == (1, PROJECTION)


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("fixed", {"pooling": "head"}, "no pooling head"),
        ("fixed", {"pooling": "max"}, "unknown pooling"),
        ("fixed", {"max_patches": 256}, "native"),
        ("fixed", {"tiles": 4}, "tile"),
        ("lit", {"tiles": 2, "pooling": "head"}, "head"),
        ("native", {"tiles": 2}, "native"),
        ("native", {"max_patches": 5}, "max_patches"),
        ("lit", {"preset": "nope"}, "preset"),
        ("lit", {"batch_size": 0}, "batch_size"),
        ("lit", {"threads": 0}, "threads"),
        ("lit", {"batch_size": 2.5}, "batch_size is 2.5"),
        ("lit", {"threads": "3"}, "threads is '3'"),
        ("lit", {"tiles": True}, "tiles is True"),
        ("lit", {"tiles": 2.0}, "tiles is 2.0"),
        ("lit", {"max_pixels": 0}, "max_pixels"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_any_image(models, kind, options, says):
    with pytest.raises(UsageError, match=says):
        models[kind].stream(["never-opened.jpg"], **options)
    with pytest.raises(UsageError, match=says):
        models[kind].embed_images(["never-opened.jpg"], **options)


@pytest.mark.parametrize("size", [0, 2.5, "3", True])
def test_texts_come_in_whole_batches(models, size):
    with pytest.raises(UsageError, match="batch_size is"):
        models["lit"].embed_texts(["dog"], batch_size=size)


def test_max_pixels_and_presets_reach_the_pixels(models):
    image = pictures(1)[0]
    with pytest.raises(ImageError, match="limit"):
        models["lit"].embed_images(image, max_pixels=100)
    hub, ml_aim = (models["lit"].embed_images(image, preset=name) for name in ("hub", "ml-aim"))
    assert float(mx.sum(hub * ml_aim)) < 0.9999


def test_a_strip_is_cropped_and_says_so(models):
    strip = np.zeros((2, 2000, 3), np.uint8)
    (item,) = models["lit"].stream([strip])
    assert "middle" in item.note
    with pytest.warns(Aimv2Warning, match="middle"):
        models["lit"].embed_images(strip)


def test_any_thread_may_call_and_any_thread_may_use_the_result(models):
    images = pictures(6)
    expected = np.array(models["lit"].embed_images(images))
    results = []

    def call():
        results.append(models["lit"].embed_images(images))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for made_elsewhere in results:
        np.testing.assert_array_equal(np.array(made_elsewhere + 0.0), expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_is_told_so_and_does_not_hang(folders):
    code = f"""
        import os, sys
        import numpy as np
        import mlx_aimv2 as aimv2
        model = aimv2.load({str(folders["lit"])!r})
        child = os.fork()
        if child == 0:
            try:
                model.embed_images(np.zeros((40, 40, 3), np.uint8))
            except aimv2.Aimv2Error as error:
                os._exit(7 if "fork" in str(error) else 1)
            os._exit(2)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 7, done.stderr


@pytest.mark.parametrize("runs_ahead", [False, True])
def test_leaving_a_stream_unfinished_ends_cleanly(folders, runs_ahead):
    code = f"""
        import sys
        import numpy as np
        import mlx_aimv2 as aimv2
        from mlx_aimv2.inference import encoder
        encoder.is_cpu = lambda: not {runs_ahead}
        model = aimv2.load({str(folders["lit"])!r})
        stream = model.stream([np.zeros((40, 40, 3), np.uint8)] * 300, batch_size=4)
        print(next(stream).embedding.shape)
        sys.exit(5)
    """
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert (done.returncode, done.stdout.strip()) == (5, f"({PROJECTION},)"), done.stderr


def test_a_checkpoint_without_texts_says_where_they_are(models):
    for call in (
        lambda: models["fixed"].embed_texts(["x"]),
        lambda: models["fixed"].tokenize(["x"]),
        lambda: models["fixed"].logit_scale,
        lambda: models["fixed"].classify(pictures(1), ["a", "b"]),
    ):
        with pytest.raises(UsageError, match="only pictures") as caught:
            call()
        assert "lit" in caught.value.hint


def test_a_tokenizer_that_outgrows_the_tower_is_refused(tmp_path):
    vocabulary = clip_vocabulary()
    text = TEXT | {"vocab": len(vocabulary.ids)}
    folder = write_checkpoint(tmp_path / "lit", random_lit(text=text), lit_config(text=text))
    vocabulary.write_parts(folder)
    assert aimv2.load(str(folder)).embed_texts(["a dog", ""]).shape == (2, PROJECTION)
    larger = vocabulary.ids | {"one more": len(vocabulary.ids)}
    (folder / "vocab.json").write_text(json.dumps(larger))
    with pytest.raises(CheckpointError, match="tokens"):
        aimv2.load(str(folder)).embed_texts(["a dog"])


def test_the_other_tower_can_be_left_out(folders, models):
    image_only = aimv2.load(str(folders["lit"]), tower="image")
    assert not image_only.has_text
    images = pictures(2)
    np.testing.assert_array_equal(
        np.array(image_only.embed_images(images)), np.array(models["lit"].embed_images(images))
    )
    text_only = aimv2.load(str(folders["lit"]), tower="text")
    with pytest.raises(UsageError, match="only the text tower"):
        text_only.embed_images(images)
    with pytest.raises(UsageError, match="only the image tower"):
        image_only.embed_texts(["x"])
