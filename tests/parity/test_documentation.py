"""The usage examples of transformers' AIMv2 documentation, run by both with the same weights.

Source: huggingface.co/docs/transformers/model_doc/aimv2, "Usage Example". The checkpoints are
random and local, the picture is drawn; the calls are the documentation's.
"""

from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from transformers import AutoImageProcessor, AutoModel, AutoProcessor  # noqa: E402

import mlx_aimv2 as aimv2  # noqa: E402
from tests.parity import lively  # noqa: E402
from tests.parity.lively import FEW_WORDS, SMALL, difference  # noqa: E402
from tests.support.tolerances import LOGITS, SMALL_FEATURES  # noqa: E402
from tests.support.vocabulary import BEGIN, END, clip_vocabulary  # noqa: E402

VOCABULARY = clip_vocabulary()
TEXT = ["Picture of a dog.", "Picture of a cat.", "Picture of a horse."]
RAGGED = ["Picture of a dog.", "a cat", "Picture of a small white horse on a beach."]


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def image() -> Image.Image:
    """A picture of the size of the documentation's, with edges and gradients."""
    y, x = np.mgrid[:480, :640].astype(np.float32)
    waves = [np.sin(x / 31 + y / 17), np.cos(x / 7) * np.sin(y / 53), (x + y) % 97 / 48 - 1]
    return Image.fromarray((127.5 + 127.5 * np.stack(waves, axis=-1)).astype(np.uint8))


def save_vision(folder: Path, processor: dict, **options) -> str:
    """A checkpoint with its image processor."""
    lively.saved(lively.vision(num_hidden_layers=2, **options, **SMALL), folder)
    transformers.CLIPImageProcessorPil(**processor).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> str:
    whole = {"do_resize": False, "do_center_crop": False}
    return save_vision(tmp_path_factory.mktemp("native"), whole, is_native=True)


@pytest.fixture(scope="module")
def resized(tmp_path_factory: pytest.TempPathFactory) -> str:
    side = {"size": {"shortest_edge": 112}, "crop_size": {"height": 112, "width": 112}}
    return save_vision(tmp_path_factory.mktemp("resized"), side, image_size=112)


@pytest.fixture(scope="module")
def lit(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A LiT checkpoint with its processor."""
    folder = tmp_path_factory.mktemp("lit")
    words = {
        "vocab_size": len(VOCABULARY.ids),
        "eos_token_id": VOCABULARY.eos_token_id,
        "max_position_embeddings": 77,
        "num_hidden_layers": 2,
    }
    image = {"image_size": 112, "use_head": True, "num_hidden_layers": 2, **SMALL}
    lively.saved(lively.lit(image, words | FEW_WORDS, 37), folder)
    (folder / "vocabulary").mkdir()
    files = VOCABULARY.write_parts(folder / "vocabulary")
    tokenizer = transformers.CLIPTokenizer(
        vocab=str(files / "vocab.json"),
        merges=str(files / "merges.txt"),
        bos_token=BEGIN,
        eos_token=END,
        pad_token=END,
        unk_token=END,
        model_max_length=77,
    )
    pictures = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 112}, crop_size={"height": 112, "width": 112}
    )
    transformers.CLIPProcessor(pictures, tokenizer).save_pretrained(folder)
    return str(folder)


# feature extraction


@pytest.mark.parametrize("kind", ["native", "resized"])
def test_image_feature_extraction(request, image: Image.Image, kind: str) -> None:
    source = request.getfixturevalue(kind)
    processor = AutoImageProcessor.from_pretrained(source)
    theirs = AutoModel.from_pretrained(source)
    inputs = processor(images=image, return_tensors="pt")
    outputs = theirs(**inputs)

    model = aimv2.load(source, dtype="float32")
    pixels = model.preprocess(image)
    features = model.vision(pixels[None])

    tokens = {"native": 1530, "resized": 64}[kind]
    assert outputs.last_hidden_state.shape == (1, tokens, SMALL["hidden_size"])
    assert difference(features, outputs.last_hidden_state) < SMALL_FEATURES
    # the same in one call, as rows of patches and as one vector
    (grid,) = model.embed_images([image], pooling="none")
    assert grid.shape[:2] == {"native": (34, 45), "resized": (8, 8)}[kind]
    patches = grid.reshape(1, tokens, -1)
    assert difference(patches, outputs.last_hidden_state) < SMALL_FEATURES
    mean = model.embed_images([image], normalize=False)
    assert difference(mean, outputs.last_hidden_state.mean(dim=1)) < SMALL_FEATURES


# zero-shot classification


@pytest.mark.parametrize("text", [TEXT, RAGGED], ids=["as documented", "ragged"])
def test_zero_shot_classification(lit: str, image: Image.Image, text: list[str]) -> None:
    processor = AutoProcessor.from_pretrained(lit)
    # With its default attention transformers' text tower is not causal where nothing is padded.
    theirs = AutoModel.from_pretrained(lit, attn_implementation="eager")
    inputs = processor(
        images=image,
        text=text,
        add_special_tokens=True,
        truncation=True,
        padding=True,
        return_tensors="pt",
    )
    outputs = theirs(**inputs)
    probs = outputs.logits_per_image.softmax(dim=-1)

    model = aimv2.load(lit, dtype="float32")
    ours = model(images=image, texts=text)

    assert np.array_equal(np.array(model.tokenize(text)), inputs["input_ids"].numpy())
    assert difference(ours.image_embeds, outputs.image_embeds) < SMALL_FEATURES
    assert difference(ours.text_embeds, outputs.text_embeds) < SMALL_FEATURES
    assert difference(ours.logits_per_image, outputs.logits_per_image) < LOGITS
    assert difference(ours.logits_per_text, outputs.logits_per_text) < LOGITS
    assert difference(mx.softmax(ours.logits_per_image, axis=-1), probs) < LOGITS
    assert difference(model.classify(image, text, templates="plain"), probs) < LOGITS


def test_their_default_attention_agrees_where_something_is_padded(
    lit: str, image: Image.Image
) -> None:
    processor = AutoProcessor.from_pretrained(lit)
    theirs = AutoModel.from_pretrained(lit)
    assert theirs.config._attn_implementation == "sdpa"
    inputs = processor(images=image, text=RAGGED, padding=True, return_tensors="pt")
    assert not inputs["attention_mask"].all()
    ours = aimv2.load(lit, dtype="float32")(images=image, texts=RAGGED)
    assert difference(ours.logits_per_image, theirs(**inputs).logits_per_image) < LOGITS
