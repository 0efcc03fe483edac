"""The table of published checkpoints: complete, consistent, and found by every name."""

import re

import pytest

from mlx_aimv2.models.aimv2.published import ARCHITECTURES, CHECKPOINTS, find, for_side, nearest

# Source: tensor counts of the published files, measured with transformers' and Apple's modules.


def test_sixteen_with_nothing_twice() -> None:
    assert len(CHECKPOINTS) == 16
    for field in ("name", "alias", "revision", "repo_id"):
        assert len({getattr(checkpoint, field).casefold() for checkpoint in CHECKPOINTS}) == 16


@pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=lambda checkpoint: checkpoint.alias)
def test_name_says_what_the_columns_say(checkpoint) -> None:
    size = {"L": "large", "H": "huge"}.get(checkpoint.architecture, checkpoint.architecture)
    side = checkpoint.side_px or "native"
    assert checkpoint.name.startswith(f"aimv2-{size}-patch14-{side}")
    assert checkpoint.name.endswith("-lit") == checkpoint.has_text
    assert re.fullmatch("[0-9a-f]{40}", checkpoint.revision)
    assert checkpoint.licence == "apple-amlr"


@pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=lambda checkpoint: checkpoint.alias)
def test_found_by_every_name_in_any_case(checkpoint) -> None:
    for key in (checkpoint.alias, checkpoint.name, f"apple/{checkpoint.name}"):
        assert find(key) is checkpoint
        assert find(key.upper()) is checkpoint


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("lit", "aimv2-large-patch14-224-lit"),
        ("native", "aimv2-large-patch14-native"),
        ("large", "aimv2-large-patch14-224"),
        ("large-224", "aimv2-large-patch14-224"),
        ("large-224-lit", "aimv2-large-patch14-224-lit"),
        ("1B", "aimv2-1B-patch14-224"),
        ("3B-448", "aimv2-3B-patch14-448"),
        ("large-336-distilled", "aimv2-large-patch14-336-distilled"),
    ],
)
def test_documented_aliases(alias: str, name: str) -> None:
    found = find(alias)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("word", ["", "demo", "apple", "apple/", "other/aimv2-large-patch14-224"])
def test_other_words_are_not_found(word: str) -> None:
    assert find(word) is None


@pytest.mark.parametrize(
    ("typo", "alias"),
    [
        ("litt", "lit"),
        ("nativ", "native"),
        ("larg", "large"),
        ("3b448", "3B-448"),
        ("large224", "large"),
        ("aimv2-1B-patch-224", "1B"),
        ("apple/aimv2-huge-patch-336", "huge-336"),
    ],
)
def test_typos_find_their_neighbour(typo: str, alias: str) -> None:
    suggested = nearest(typo)
    assert suggested is not None
    assert suggested.alias == alias


def test_nothing_is_near_a_word_of_its_own() -> None:
    assert nearest("resnet50") is None
    assert nearest("") is None


def test_head_width_is_128_everywhere() -> None:
    for architecture in ARCHITECTURES.values():
        assert architecture.hidden_size == 128 * architecture.num_attention_heads


@pytest.mark.parametrize(
    ("hidden_size", "side_px", "alias"),
    [
        (1024, 224, "large"),
        (1024, 336, "large-336"),
        (3072, 448, "3B-448"),
        (1024, 300, "native"),
        (1536, 300, None),
        (768, 224, None),
    ],
)
def test_checkpoint_for_another_side(hidden_size: int, side_px: int, alias: str | None) -> None:
    better = for_side(hidden_size, side_px)
    assert (better.alias if better else None) == alias
