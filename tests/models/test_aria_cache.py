"""What Aria keeps of the tokens before: the same in any pieces, a row by itself, in flat memory."""

from collections.abc import Sequence
from itertools import pairwise

import mlx.core as mx
import numpy as np
import pytest

from mlx_aimv2.checkpoints.load import load_checkpoint
from mlx_aimv2.errors import UsageError
from mlx_aimv2.models.aria import cost, experts, vision
from mlx_aimv2.models.aria.cache import KVCache
from mlx_aimv2.models.aria.network import AriaNetwork
from tests.support.counted import graph_bytes
from tests.support.networks import to_numpy
from tests.support.tiny_aria import GOLDEN_CHECKPOINT, write_tiny_aria
from tests.support.tolerances import ARIA_CACHE, ARIA_QUANTIZED_CACHE

TOKENS = 23


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> AriaNetwork:
    folder = write_tiny_aria(tmp_path_factory.mktemp("aria"))
    network = load_checkpoint(folder, dtype="float32").network
    assert isinstance(network, AriaNetwork)
    return network


def ids(rows: int = 1, tokens: int = TOKENS, seed: int = 0) -> mx.array:
    return mx.array(np.random.default_rng(seed).integers(10, 160, (rows, tokens)))


def in_pieces(
    network: AriaNetwork, tokens: mx.array, cuts: Sequence[int], cache: list[KVCache]
) -> np.ndarray:
    """Logits after each token, where the cache is given the tokens between the cuts at a time."""
    whole = network.embed(tokens)
    parts = [
        network.decode(whole[:, start:end], cache) for start, end in pairwise([0, *cuts, TOKENS])
    ]
    return to_numpy(mx.concatenate(parts, axis=1))


def close(actual: np.ndarray, expected: np.ndarray, tolerance: float = ARIA_CACHE) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    "cuts",
    [[], [TOKENS - 1], [7], [1, 2, 13], [*range(1, TOKENS)]],
    ids=lambda cuts: f"{len(cuts)}",
)
def test_any_pieces_are_the_same(network: AriaNetwork, cuts: list[int]) -> None:
    tokens = ids(2)
    whole = to_numpy(network.decode(network.embed(tokens)))
    cache = network.make_cache()
    close(in_pieces(network, tokens, cuts, cache), whole)
    assert {layer.length for layer in cache} == {TOKENS}


def test_more_tokens_than_the_room_grows_by(network: AriaNetwork) -> None:
    """300 tokens are more than one step of 256, the room then grows again, one token at a time."""
    tokens = ids(tokens=515, seed=1)
    embeddings = network.embed(tokens)
    whole = to_numpy(network.decode(embeddings))
    cache = network.make_cache()
    network.decode(embeddings[:, :300], cache)
    network.decode(embeddings[:, 300:511], cache)
    for place in range(511, 515):
        logits = network.decode(embeddings[:, place : place + 1], cache)
        close(to_numpy(logits[:, 0]), whole[:, place])


def test_the_last_only(network: AriaNetwork) -> None:
    embeddings = network.embed(ids(2))
    last = network.decode(embeddings, last_only=True)
    assert last.shape == (2, 1, 160)
    close(to_numpy(last[:, 0]), to_numpy(network.decode(embeddings)[:, -1]))


def test_what_follows_is_forgotten(network: AriaNetwork) -> None:
    """A chat goes back to where its last answer began."""
    tokens, cache = ids(), network.make_cache()
    embeddings = network.embed(tokens)
    expected = to_numpy(network.decode(embeddings)[:, 11:])
    network.decode(network.embed(ids(seed=2)[:, :4]), cache)
    for layer in cache:
        layer.length = 0
    network.decode(embeddings[:, :11], cache)
    network.decode(network.embed(ids(seed=3)), cache)
    for layer in cache:
        layer.length = 11
    close(to_numpy(network.decode(embeddings[:, 11:], cache)), expected)


@pytest.mark.parametrize("side", ["left", "right"])
def test_batch_mates_and_padding_change_nothing(network: AriaNetwork, side: str) -> None:
    lengths = (5, TOKENS, 13)
    tokens = np.array(ids(len(lengths), seed=4))
    mask = np.zeros(tokens.shape, int)
    places = []
    for row, length in enumerate(lengths):
        part = slice(TOKENS - length, None) if side == "left" else slice(length)
        mask[row, part] = 1
        places.append(part)
    together = to_numpy(network.forward(mx.array(tokens), attention_mask=mx.array(mask)))
    assert np.isfinite(together).all()
    for row, part in enumerate(places):
        alone = to_numpy(network.forward(mx.array(tokens[row : row + 1, part])))
        close(together[row, part], alone[0])


def test_padding_with_a_cache(network: AriaNetwork) -> None:
    """Rows of different lengths go on together, each as it would alone."""
    tokens, more = np.array(ids(2, seed=5)), ids(2, tokens=3, seed=6)
    mask = np.ones((2, TOKENS + 3), int)
    mask[0, :9] = 0
    cache = network.make_cache()
    network.decode(network.embed(mx.array(tokens)), cache, mx.array(mask[:, :TOKENS]))
    for place in range(3):
        given = network.embed(more[:, place : place + 1])
        logits = network.decode(given, cache, mx.array(mask[:, : TOKENS + place + 1]))
    for row, start in enumerate((9, 0)):
        whole = mx.concatenate(
            [mx.array(tokens[row : row + 1, start:]), more[row : row + 1]], axis=1
        )
        close(to_numpy(logits[row]), to_numpy(network.forward(whole)[0, -1:]))


# a quantised cache


@pytest.mark.parametrize("bits", [8, 4])
def test_a_quantised_cache(network: AriaNetwork, bits: int) -> None:
    tokens = ids(2, seed=7)
    whole = to_numpy(network.decode(network.embed(tokens)))
    cache = network.make_cache(bits)
    found = in_pieces(network, tokens, [11, 12, 17], cache)
    assert np.sqrt(((found - whole) ** 2).mean()) < ARIA_QUANTIZED_CACHE[bits] * whole.std()
    plain = network.make_cache()
    network.decode(network.embed(tokens), plain)
    kept, all_of_them = (sum(layer.size_bytes for layer in each) for each in (cache, plain))
    assert kept / all_of_them == pytest.approx((bits + 1) / 32)  # two float32 a group of 64


def test_a_cache_that_cannot_be_quantised() -> None:
    golden = load_checkpoint(GOLDEN_CHECKPOINT, dtype="float32").network
    assert isinstance(golden, AriaNetwork)
    with pytest.raises(UsageError, match="heads of 16 numbers"):
        golden.make_cache(8)


def test_bytes_of_a_cache(network: AriaNetwork) -> None:
    text = network.config.text_config
    for bits, item_bytes in ((None, 4), (8, 1 + 1 / 8)):  # here scales are float32 too
        cache = network.make_cache(bits)
        network.decode(network.embed(ids(tokens=256)), cache)
        stated = cost.cache_bytes(text, 256, item_bytes)
        assert sum(layer.size_bytes for layer in cache) == stated
    # Source: 2 x 28 layers x 20 heads x 128 x 2 bytes; and at 8 bits with a group of 64.
    assert cost.cache_bytes(cost.PUBLISHED.text_config, 1, 2) == 286_720
    assert cost.cache_bytes(cost.PUBLISHED.text_config, 1, 1 + 1 / 16) == 152_320


# flat memory


def test_a_long_prompt_is_read_in_flat_memory(
    network: AriaNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind 7,500 tokens a piece takes what it takes at the beginning, and the cache itself."""
    # What a CPU does with many rows looks at numbers: there is no graph of it.
    monkeypatch.setattr(experts, "is_cpu", lambda: False)
    piece = network.embed(ids(tokens=512, seed=8))
    taken = {}
    for before in (0, 7500):
        cache = network.make_cache()
        if before:
            keys = mx.zeros((1, 2, before, 64))
            for layer in cache:
                layer.extend(keys, keys)
        kept = sum(layer.size_bytes for layer in cache)
        read = lambda given, cache=cache: network.decode(given, cache, last_only=True)  # noqa: E731
        taken[before] = graph_bytes(read, piece, ahead=0) - 2 * kept
    scores = 2 * 512 * 8012 * 4  # all maps of one block: 33 MB
    assert taken[7500] < taken[0] + scores / 2


def test_crops_are_encoded_one_after_the_other(
    network: AriaNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is done before the next is begun, whose memory it would share."""
    begun: list[tuple[int, int]] = []
    compute, evaluate = vision.VisionTower.__call__, mx.eval
    done = 0

    def counted(self: vision.VisionTower, pixels: mx.array) -> mx.array:
        begun.append((len(pixels), done))
        return compute(self, pixels)

    def evaluated(*arrays: mx.array) -> None:
        nonlocal done
        evaluate(*arrays)
        done += 1

    monkeypatch.setattr(vision.VisionTower, "__call__", counted)
    monkeypatch.setattr(mx, "eval", evaluated)
    features = network.encode_images(mx.ones((4, 112, 112, 3)))
    assert begun == [(1, crop) for crop in range(4)]
    assert features.shape == (4, 8, 128)
