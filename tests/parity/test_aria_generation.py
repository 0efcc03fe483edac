"""Greedy answers of Aria: the tokens that transformers' own loop takes."""

import mlx.core as mx
import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from mlx_aimv2.checkpoints.load import load_checkpoint  # noqa: E402
from mlx_aimv2.describe.generation import generate  # noqa: E402
from mlx_aimv2.describe.options import AnswerOptions  # noqa: E402
from tests.support.tiny_aria import tiny_config, write_tiny_aria  # noqa: E402

COUNT = 32
LEAST_LEAD = 1e-4  # of a token over the next likeliest: ten times what float32 makes of a logit


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("text", "vision"),
    [
        ({}, {}),
        ({"num_hidden_layers": 3, "moe_num_experts": 5, "moe_topk": 2}, {"num_hidden_layers": 1}),
    ],
)
def test_32_tokens_of_a_picture_are_those_of_transformers(tmp_path, seed, text, vision):
    folder = write_tiny_aria(tmp_path / "aria", tiny_config(text, vision), seed=seed)
    rng = np.random.default_rng(seed)
    pixels = rng.standard_normal((2, 3, 56, 56)).astype(np.float32)
    words = rng.integers(10, 160, 9).tolist()
    ids = [1, *words[:3], *[9] * 8, *words[3:]]

    theirs = transformers.AriaForConditionalGeneration.from_pretrained(folder).eval()
    with torch.no_grad():
        done = theirs.generate(
            input_ids=torch.tensor([ids]),
            pixel_values=torch.tensor(pixels),
            max_new_tokens=COUNT,
            do_sample=False,
            eos_token_id=None,
            output_logits=True,
            return_dict_in_generate=True,
        )
    best = torch.stack(done.logits)[:, 0].topk(2).values
    assert (best[:, 0] - best[:, 1]).min() > LEAST_LEAD, "choose another seed"

    network = load_checkpoint(folder, dtype="float32").network
    features = network.encode_images(mx.array(pixels.transpose(0, 2, 3, 1)))
    prompt = network.embed(mx.array([ids]), features)
    found = [*generate(network, network.make_cache(), prompt, AnswerOptions(max_tokens=COUNT))]
    assert found == done.sequences[0, len(ids) :].tolist()
