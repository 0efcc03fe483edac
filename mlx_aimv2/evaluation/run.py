"""One evaluation: a data set read, embedded and judged by a protocol; its record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mlx_aimv2.errors import Aimv2Error, UsageError
from mlx_aimv2.files.path_text import escape
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.inference.model import Model

from . import linear, paper, retrieval, templates
from .captions import read_captions
from .classification import best_classes, classification_figures
from .data_sets import (
    TRAIN,
    Part,
    held_out,
    part_of,
    read_class_names,
    read_classes,
    validation_of,
)
from .features import Features, default_folder, read_features
from .nearest_neighbours import vote

Record = dict[str, Any]
Pooling = Literal["mean", "head"]
Tell = Callable[[str, int, int], None]
"""Told the name of a part, how many of its pictures are done, and of how many."""

HEADLINE_COUNT = 20  # of neighbours: usually the best, say DINO's authors


@dataclass
class Evaluation:
    """A data set, a checkpoint and how its pictures are prepared; ``errors`` are of pictures."""

    model: Model
    data: Path
    images: ImageOptions
    split: str | None = None
    cache: Path | None = None
    data_set: str | None = None
    tell: Tell = lambda part, done, total: None
    errors: list[Aimv2Error] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.data_set is None:
            self.data_set = paper.data_set_named(self.data.resolve().name)

    def zero_shot(self, sentences: str | None, class_names: Path | None) -> Record:
        """Classes by the texts that name them.

        Errors: UsageError for a checkpoint without texts, or names that do not fit the classes.
        """
        self._require_text("zero-shot")
        part = read_classes(self.data, part_of(self.data, self.split))
        names = read_class_names(self.data, part, class_names)
        prompts = templates.read_templates(sentences or templates.of_data_set(self.data))
        words = np.array(self.model.label_embeddings(names, templates=prompts))
        features = self._features(part, "head")
        best = best_classes(features.units @ words.T)
        figures = classification_figures(best, part.labels[features.places], len(names))
        return self._record("zero-shot", part, "head", figures | {"templates": prompts})

    def knn(self, counts: Sequence[int], pooling: Pooling) -> Record:
        """Classes by the nearest pictures of the part ``train``."""
        train, part = self._classes()
        known, asked = self._features(train, pooling), self._features(part, pooling)
        labels = part.labels[asked.places]
        votes = vote(
            known.units, train.labels[known.places], asked.units, len(train.classes), counts
        )
        by_count = {
            count: classification_figures(best, labels, len(train.classes))
            for count, best in votes.items()
        }
        headline = HEADLINE_COUNT if HEADLINE_COUNT in by_count else counts[0]
        figures = by_count[headline] | {
            "neighbours": headline,
            "trained_on": len(known.places),
            "by_neighbours": {
                str(count): {name: each[name] for name in ("acc1", "acc5")}
                for count, each in by_count.items()
            },
        }
        return self._record("knn", part, pooling, figures)

    def linear(self, pooling: Pooling) -> Record:
        """Classes by logistic regression, whose decay is chosen on a validation part."""
        train, part = self._classes()
        known, asked = self._features(train, pooling), self._features(part, pooling)
        labels, classes = train.labels[known.places], len(train.classes)
        validation = validation_of(self.data, part.name)
        if validation is None:
            is_held = held_out(labels)
            vectors, right = known.vectors[is_held], labels[is_held]
            learnt, of = known.vectors[~is_held], labels[~is_held]
        else:
            checked = read_classes(self.data, validation, train.classes)
            found = self._features(checked, pooling)
            vectors, right = found.vectors, checked.labels[found.places]
            learnt, of = known.vectors, labels
        if not len(right):
            raise UsageError(
                f"the part {TRAIN} is too small to choose a decay on",
                hint="at least two pictures of each class",
            )

        def accuracy(strength: float) -> float:
            scores = linear.fit(learnt, of, classes, strength).scores(vectors)
            return float((best_classes(scores)[:, 0] == right).mean())

        strength = linear.choose_strength(accuracy)
        everything = np.concatenate([learnt, vectors])
        fitted = linear.fit(everything, np.concatenate([of, right]), classes, strength)
        best = best_classes(fitted.scores(asked.vectors))
        figures = classification_figures(best, part.labels[asked.places], classes) | {
            "trained_on": len(everything),
            "decay": 1 / strength,
            "chosen_on": validation or f"a tenth of {TRAIN}",
            "is_converged": fitted.is_converged,
            "normalize": False,  # they are standardised
        }
        return self._record("linear", part, pooling, figures)

    def retrieval(self, sentence: str, images: Path | None) -> Record:
        """Pictures by their captions, and captions by their pictures."""
        self._require_text("retrieval")
        part = read_captions(self.data, self.split, images)
        features = self._features(part, "head")
        kept = [part.captions[place] for place in features.places]
        texts = [sentence.replace("{}", caption) for captions in kept for caption in captions]
        owners = np.repeat(np.arange(len(kept)), [len(captions) for captions in kept])
        words = np.array(self.model.embed_texts(texts))
        figures = retrieval.retrieval_figures(features.units, words, owners)
        return self._record("retrieval", part, "head", figures | {"prompt": sentence})

    def _classes(self) -> tuple[Part, Part]:
        """The part to learn from and the part to measure on."""
        train = read_classes(self.data, part_of(self.data, TRAIN))
        return train, read_classes(self.data, part_of(self.data, self.split), train.classes)

    def _features(self, part: Part, pooling: Pooling) -> Features:
        features = read_features(
            part,
            self.model,
            self._options(pooling),
            self.cache or default_folder(),
            lambda done, total: self.tell(part.name, done, total),
        )
        self.errors += features.errors
        return features

    def _require_text(self, protocol: str) -> None:
        if not self.model.has_text:
            raise UsageError(
                f"{self.model.name} reads no texts, and {protocol} needs them",
                hint="texts need the LiT checkpoint: --model lit; without texts: aimv2 eval knn",
            )

    def _options(self, pooling: Pooling) -> ImageOptions:
        # Pictures are read as in the published evaluations, whose figures these are beside.
        return replace(self.images, pooling=pooling, as_stored=True)

    def _record(
        self,
        protocol: str,
        part: Part,
        pooling: Pooling,
        figures: Mapping[str, Any],
    ) -> Record:
        """What was measured, on what, how; and the paper's figure where it has one."""
        record: Record = {
            "protocol": protocol,
            "data": escape(str(self.data)),
            "data_set": self.data_set,
            "split": part.name,
            **self.model.metadata(self._options(pooling)),
            **figures,
            "failed": len(self.errors),
        }
        value = paper.published(protocol, self.model.name, self.data_set)
        differs = [] if value is None else paper.differences(record)
        return record | {"paper_acc1": value, "differs": differs}
