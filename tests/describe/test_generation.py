"""The loop that makes tokens, over a network whose next token is known."""

import mlx.core as mx
import numpy as np
import pytest

from mlx_aimv2.describe import generation
from mlx_aimv2.describe.generation import Sampler, generate
from mlx_aimv2.describe.options import AnswerOptions
from mlx_aimv2.errors import NumericsError, UsageError

VOCABULARY = 11


class Counting:
    """After token n comes n + 1; each embedding is its token's number."""

    def __init__(self):
        self.seen = []
        self.text = self

    def embed(self, ids):
        return ids[..., None].astype(mx.float32)

    def decode(self, embeddings, cache, attention_mask=None, *, last_only=False):
        assert attention_mask is None
        self.seen.append(embeddings.shape[1])
        cache.append(embeddings)
        following = (embeddings[:, -1:, 0] + 1) % VOCABULARY if last_only else None
        return mx.where(mx.arange(VOCABULARY) == following[..., None], 5.0, 0.0)


def prompt(*ids):
    return mx.array(ids, mx.float32)[None, :, None]


def test_tokens_follow_one_another():
    cache = []
    found = [*generate(Counting(), cache, prompt(3, 1), AnswerOptions(max_tokens=4))]
    assert found == [2, 3, 4, 5]
    assert sum(each.shape[1] for each in cache) == 2 + 3  # the last token is not looked at


@pytest.mark.parametrize("length", [1, 2, 6, 7, 8, 13, 14, 15])
def test_a_prompt_goes_in_by_chunks(monkeypatch, length):
    monkeypatch.setattr(generation, "CHUNK", 7)
    network, cache = Counting(), []
    ids = [each % VOCABULARY for each in range(length)]
    assert [*generate(network, cache, prompt(*ids), AnswerOptions(max_tokens=2))] == [
        length % VOCABULARY,
        (length + 1) % VOCABULARY,
    ]
    assert network.seen[-1] == 1
    assert max(network.seen) <= 7
    assert sum(network.seen) == length + 1
    assert mx.concatenate(cache, axis=1)[0, :length, 0].tolist() == ids


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_no_word(wrong):
    class Broken(Counting):
        def decode(self, embeddings, cache, attention_mask=None, *, last_only=False):
            logits = super().decode(embeddings, cache, last_only=last_only)
            return mx.where(mx.argmax(logits) == 4, wrong, logits)

    tokens = generate(Broken(), [], prompt(1), AnswerOptions())
    assert [next(tokens), next(tokens)] == [2, 3]
    with pytest.raises(NumericsError, match="not finite"):
        next(tokens)


LOGITS = mx.log(mx.array([[0.5, 0.05, 0.25, 0.15, 0.05]]))


def drawn(count, **options):
    sampler = Sampler(AnswerOptions(**options))
    return [sampler(LOGITS).item() for _ in range(count)]


def test_without_a_temperature_the_likeliest_is_taken():
    assert drawn(5, seed=3) == [0] * 5


def test_the_same_seed_draws_the_same():
    first = drawn(30, temperature=1.0, seed=7)
    assert drawn(30, temperature=1.0, seed=7) == first
    assert drawn(30, temperature=1.0, seed=8) != first
    mx.random.seed(1)
    others = drawn(30, temperature=1.0)
    assert drawn(30, temperature=1.0) != others


def test_draws_have_the_shares_of_the_softmax():
    sampler = Sampler(AnswerOptions(temperature=1.0, seed=1))
    many = np.array(sampler(mx.repeat(LOGITS, 4000, axis=0)))
    shares = np.bincount(many, minlength=5) / len(many)
    # 4 standard deviations of the largest share
    np.testing.assert_allclose(shares, np.exp(np.array(LOGITS))[0], atol=0.032)


def test_a_high_temperature_levels_and_a_low_one_sharpens():
    wide = mx.repeat(LOGITS, 4000, axis=0)
    hot = np.array(Sampler(AnswerOptions(temperature=1e6, seed=1))(wide))
    np.testing.assert_allclose(np.bincount(hot) / len(hot), 0.2, atol=0.026)
    for cold in (1e-3, 1e-5, 1e-300):
        assert set(Sampler(AnswerOptions(temperature=cold, seed=1))(wide).tolist()) == {0}


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [(1e-9, {0}), (0.5, {0}), (0.51, {0, 2}), (0.75, {0, 2}), (0.76, {0, 2, 3})],
)
def test_top_p_leaves_the_least_words_that_have_the_share(top_p, kept):
    # Shares that float32 can hold, so that a limit is met and not missed by a rounding.
    shares = mx.array([[0.5, 0.0625, 0.25, 0.125, 0.0625]])
    sampler = Sampler(AnswerOptions(temperature=1.0, top_p=top_p, seed=1))
    assert set(sampler(mx.repeat(mx.log(shares), 500, axis=0)).tolist()) == kept


def test_top_p_keeps_the_shares_of_what_is_left():
    sampler = Sampler(AnswerOptions(temperature=1.0, top_p=0.7, seed=1))
    many = np.array(sampler(mx.repeat(LOGITS, 4000, axis=0)))
    np.testing.assert_allclose(np.bincount(many)[[0, 2]] / len(many), [2 / 3, 1 / 3], atol=0.03)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", 0),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_p", 0.0),
        ("top_p", 1.01),
        ("top_p", float("nan")),
        ("seed", -1),
        ("seed", 2**64),
        ("split", "both"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(name, value):
    with pytest.raises(UsageError, match=str(value)):
        AnswerOptions(**{name: value})
