"""Recalls against another statement of CLIP_benchmark's, and what equal scores do."""

import numpy as np
import pytest

from mlx_aimv2.evaluation import retrieval
from mlx_aimv2.evaluation.retrieval import retrieval_figures


def units(count: int, seed: int, width: int = 7) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def recall_at(scores: np.ndarray, positive: np.ndarray, k: int) -> np.ndarray:
    """CLIP_benchmark's ``recall_at_k``: of the true pairs of a row, how many are in its k best."""
    best = np.argsort(-scores, axis=1)[:, :k]
    chosen = np.zeros(scores.shape, bool)
    np.put_along_axis(chosen, best, True, axis=1)
    return (chosen & positive).sum(axis=1) / positive.sum(axis=1)


@pytest.mark.parametrize("seed", range(3))
def test_another_statement_has_the_same_numbers(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "_ROWS", 17)
    rng = np.random.default_rng(seed)
    owners = rng.permutation(np.concatenate([np.arange(41), rng.integers(0, 41, 83)]))
    images = units(41, seed)
    texts = images[owners] + 0.5 * units(len(owners), seed + 100)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    figures = retrieval_figures(images, texts.astype(np.float32), owners)
    scores = texts.astype(np.float32) @ images.T
    positive = owners[:, None] == np.arange(41)
    for k in (1, 5, 10):
        theirs = {
            "image": (recall_at(scores, positive, k) > 0).mean(),
            "text": (recall_at(scores.T, positive.T, k) > 0).mean(),
        }
        for way, value in theirs.items():
            assert figures[f"{way}_retrieval_recall@{k}"] == value
    recalls = [value for name, value in figures.items() if "recall@" in name]
    assert figures["mean_recall"] == np.mean(recalls)
    assert (figures["n"], figures["captions"]) == (41, 124)
    own = scores[positive][:, None]
    assert figures["image_retrieval_median_rank"] == np.median((scores > own).sum(axis=1)) + 1


def test_one_caption_of_several_is_enough() -> None:
    images = np.eye(3, dtype=np.float32)
    texts = images[[0, 1, 1, 2]]
    figures = retrieval_figures(images, texts, np.array([0, 0, 1, 2]))
    assert figures["text_retrieval_recall@1"] == 2 / 3  # the first of equal texts is another's
    assert figures["image_retrieval_recall@1"] == 3 / 4


def test_of_equal_scores_the_first_counts() -> None:
    images, texts = np.ones((4, 1), np.float32), np.ones((4, 1), np.float32)
    figures = retrieval_figures(images, texts, np.arange(4))
    assert figures["image_retrieval_recall@1"] == figures["text_retrieval_recall@1"] == 1 / 4
    assert figures["text_retrieval_median_rank"] == 2.5
