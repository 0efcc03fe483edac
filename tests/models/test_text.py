"""The text encoder's properties: causality, the end token, dtypes, what it refuses."""

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_aimv2.checkpoints.load import DTYPES
from mlx_aimv2.errors import TextError
from mlx_aimv2.models.aimv2.text import TextEncoder
from tests.support.makers import TEXT, random_ids
from tests.support.networks import assert_close, assert_same, lit, product_dtypes, to_numpy
from tests.support.tolerances import BATCH_MATES, BATCH_MATES_HALF

EOS, POSITIONS, BLOCKS = TEXT["vocab"] - 1, TEXT["positions"], TEXT["blocks"]
ENCODER: TextEncoder = lit().text_encoder
IDS = mx.array(random_ids(np.random.default_rng(0), 5))


def features(ids: mx.array) -> np.ndarray:
    return to_numpy(ENCODER(ids, hidden_states=[0]).last_hidden_state)


# later tokens never leak back


@settings(deadline=None, max_examples=50)
@given(k=st.integers(1, POSITIONS - 1), seed=st.integers(0, 99))
def test_later_ids_leave_earlier_features_alone(k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, EOS, (3, POSITIONS))
    ids[:, -1] = EOS
    other = ids.copy()
    other[:, k:-1] = rng.integers(0, EOS, other[:, k:-1].shape)
    before, after = features(mx.array(ids)), features(mx.array(other))
    np.testing.assert_array_equal(before[:, :k], after[:, :k])
    if (ids != other).any():
        assert np.abs(before - after).max() > 1e-3


@settings(deadline=None, max_examples=50)
@given(length=st.integers(0, POSITIONS - 1), seed=st.integers(0, 99))
def test_what_follows_the_first_end_token_changes_nothing(length: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = np.full((1, POSITIONS), EOS)
    ids[0, :length] = rng.integers(0, EOS, length)
    other = ids.copy()
    other[0, length + 1 :] = rng.integers(0, EOS + 1, POSITIONS - length - 1)
    assert_same(ENCODER(mx.array(ids)), ENCODER(mx.array(other)))
    # nor does the length of the batch it is padded to
    alone = ENCODER(mx.array(ids[:, : length + 1]))
    assert_close(ENCODER(mx.array(ids)), alone, BATCH_MATES)


def test_attention_maps_are_lower_triangular() -> None:
    output = ENCODER(IDS, attentions=True)
    assert list(output.attentions) == list(range(BLOCKS))
    for maps in output.attentions.values():
        shares = to_numpy(maps)
        assert shares.shape == (5, TEXT["heads"], POSITIONS, POSITIONS)
        np.testing.assert_allclose(shares.sum(axis=-1), 1, rtol=0, atol=1e-5)
        assert not np.triu(shares, 1).any()
        assert (shares[..., 0, 0] == 1).all()


# the rest


def test_the_feature_is_at_the_first_end_token() -> None:
    output = ENCODER(IDS, hidden_states=True)
    assert list(output.hidden_states) == list(range(BLOCKS))
    ends = (np.array(IDS) == EOS).argmax(axis=1)
    assert len(set(ends)) > 2  # ragged, and the last row has it in its last place
    assert ends[-1] == POSITIONS - 1
    expected = to_numpy(output.last_hidden_state)[np.arange(5), ends]
    np.testing.assert_array_equal(to_numpy(output.pooler_output), expected)
    assert_same(ENCODER(IDS), output.pooler_output)
    last = output.hidden_states[BLOCKS - 1]
    assert_same(ENCODER.trunk.post_trunk_norm(last), output.last_hidden_state)


@pytest.mark.parametrize("dtype", DTYPES)
def test_batch_mates_change_nothing(dtype: str) -> None:
    encoder = lit(dtype).text_encoder
    tolerance = BATCH_MATES if dtype == "float32" else BATCH_MATES_HALF[dtype]
    together = encoder(IDS)
    for i in range(len(IDS)):
        assert_close(together[i : i + 1], encoder(IDS[i : i + 1]), tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_result_has_the_dtype_of_the_weights(dtype: str) -> None:
    encoder = lit(dtype).text_encoder
    output = encoder(IDS, hidden_states=True, attentions=True)
    results = [
        encoder(IDS),
        output.last_hidden_state,
        output.pooler_output,
        *output.hidden_states.values(),
        *output.attentions.values(),
    ]
    assert {result.dtype for result in results} == {DTYPES[dtype]} == {encoder.dtype}


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_is_promoted_inside(dtype: str) -> None:
    encoder = lit(dtype).text_encoder
    products = product_dtypes(lambda x: encoder.trunk(x, "causal"), encoder.preprocessor(IDS))
    assert encoder.preprocessor(IDS).dtype == DTYPES[dtype]
    assert products - {mx.bool_} == {DTYPES[dtype]}


@pytest.mark.parametrize("dtype", [mx.int32, mx.uint32, mx.int64, mx.uint8])
def test_any_integers_are_ids(dtype: mx.Dtype) -> None:
    assert_same(ENCODER(IDS.astype(dtype)), ENCODER(IDS))


BAD_IDS = {
    "no end token": ([[1, 2], [EOS, 3], [4, 5]], f"text 0 lacks its end token, id {EOS}"),
    "no end token in one": ([[1, EOS], [EOS, 3], [4, 5]], "text 2 lacks its end token"),
    "nothing at all": ([[]], "text 0 lacks its end token"),
    "too large": ([[TEXT["vocab"], EOS]], f"outside the vocabulary of {TEXT['vocab']}"),
    "negative": ([[-1, EOS]], "outside the vocabulary"),
    "large after the end": ([[EOS, 10**6]], "outside the vocabulary"),
    "too long": ([[1] * POSITIONS + [EOS]], rf"at most {POSITIONS} tokens\): got \(1, 14\)"),
    "one text": ([1, EOS], r"must be \(batch, at most"),
    "floats": ([[1.0, float(EOS)]], "must be integers, not mlx.core.float32"),
}


@pytest.mark.parametrize(("ids", "message"), BAD_IDS.values(), ids=BAD_IDS)
def test_ids_that_cannot_be_encoded(ids: list, message: str) -> None:
    ids = mx.array(ids) if ids != [[]] else mx.zeros((1, 0), mx.int32)
    for request in ({}, {"hidden_states": True}):
        with pytest.raises(TextError, match=message):
            ENCODER(ids, **request)


@pytest.mark.parametrize(
    "request_", [{"hidden_states": [BLOCKS]}, {"attentions": [-1 - BLOCKS]}], ids=str
)
def test_blocks_that_do_not_exist(request_: dict) -> None:
    with pytest.raises(ValueError, match=r"is not run: the blocks are 0 to 1"):
        ENCODER(IDS, **request_)
