"""One evaluation: a data set read, embedded and judged by a protocol; its record."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlx_aimv2.errors import Aimv2Error, UsageError
from mlx_aimv2.files.path_text import escape
from mlx_aimv2.inference.image_options import ImageOptions
from mlx_aimv2.inference.image_options import Pooling as AnyPooling
from mlx_aimv2.inference.model import Model

from . import linear, paper, probe, retrieval, templates
from .classification import best_classes, classification_figures
from .data_sets.captions import read_captions
from .data_sets.part import (
    TRAIN,
    Part,
    held_out,
    part_of,
    read_class_names,
    read_classes,
    validation_of,
)
from .features import Features, Kept, default_folder, open_cache, read_features
from .nearest_neighbours import vote
from .probe_settings import ProbeSettings, completed
from .views import Views

Record = dict[str, Any]
Pooling = Literal["mean", "head"]
Tell = Callable[[str, int, int], None]
"""Told what is counted (a part's name, or steps), how much of it is done, and of how much."""

_TENTH = f"a tenth of {TRAIN}"
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
        checked, is_held = self._to_choose_on(train, part)
        known, asked = self._features(train, pooling), self._features(part, pooling)
        found = known if checked is train else self._features(checked, pooling)
        labels, classes = train.labels[known.places], len(train.classes)
        learns = ~is_held[known.places]
        chooses = ~learns if checked is train else np.full(len(found.places), True)
        vectors, right = found.vectors[chooses], checked.labels[found.places][chooses]

        def accuracy(strength: float) -> float:
            fitted = linear.fit(known.vectors[learns], labels[learns], classes, strength)
            return float((best_classes(fitted.scores(vectors))[:, 0] == right).mean())

        strength = linear.choose_strength(accuracy)
        everything = np.concatenate([known.vectors[learns], vectors])
        of = np.concatenate([labels[learns], right])
        fitted = linear.fit(everything, of, classes, strength)
        best = best_classes(fitted.scores(asked.vectors))
        figures = classification_figures(best, part.labels[asked.places], classes) | {
            "trained_on": len(everything),
            "decay": 1 / strength,
            "chosen_on": _TENTH if checked is train else checked.name,
            "is_converged": fitted.is_converged,
            "normalize": False,  # they are standardised
        }
        return self._record("linear", part, pooling, figures)

    def probe(self, settings: ProbeSettings, *, is_cached: bool) -> Record:
        """Classes by attentive probes, of which one is chosen on a validation part."""
        train, part = self._classes()
        checked, is_held = self._to_choose_on(train, part)
        settings = completed(settings, self.data_set)
        options = self._options("none")
        with self._kept(options) if is_cached else nullcontext() as database:
            views = {
                each.name: Views(
                    each,
                    self.model,
                    options,
                    None if database is None else Kept(each, database, "<f2"),
                )
                for each in (train, checked, part)
            }
            for name, each in views.items():
                each.fill(partial(self.tell, name), is_for_training=name == train.name)
            learnt = np.flatnonzero(~is_held)
            runs = probe.train(
                views[train.name], learnt, len(train.classes), settings, partial(self.tell, "steps")
            )
            tell = partial(self.tell, checked.name)
            chooses = np.flatnonzero(is_held) if checked is train else range(len(checked.labels))
            found, best = probe.best_of(runs, views[checked.name], [*chooses], tell)
            shares = [float((each[:, 0] == checked.labels[found]).mean()) for each in best]
            chosen = runs[int(np.argmax(shares))]
            tell = partial(self.tell, part.name)
            found, (tops,) = probe.best_of(
                [chosen], views[part.name], range(len(part.labels)), tell
            )
        self.errors += [error for each in views.values() for error in each.errors.values()]
        deviations = [f"one probe, chosen on {_TENTH if checked is train else checked.name}; the "
                      "paper has the best on the test data"]  # fmt: skip
        if is_cached:
            deviations.append("features of the middle and its mirror image, not of augmented views")
        figures = classification_figures(tops, part.labels[found], len(train.classes)) | {
            "variant": "cached features" if is_cached else "augmented",
            "trained_on": len(learnt),
            "rate": chosen.rate,
            "decay": chosen.decay,
            "chosen_on": _TENTH if checked is train else checked.name,
            "runs": [
                {"rate": run.rate, "decay": run.decay, "validation_acc1": share}
                for run, share in zip(runs, shares, strict=True)
            ],
            "epochs": settings.epochs,
            "batch": settings.batch,
            "warm_up": settings.warm_up,
            "seed": settings.seed,
            "deviations": deviations,
        }
        return self._record("probe", part, "none", figures)

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

    def _to_choose_on(self, train: Part, part: Part) -> tuple[Part, NDArray[np.bool_]]:
        """The part on which settings are chosen, and which pictures of ``train`` are not learnt.

        It is ``val`` or, where there is none beside the part to measure on, ``train`` itself.
        Errors: UsageError where that has no second picture of a class.
        """
        name = validation_of(self.data, part.name)
        if name is not None:
            return read_classes(self.data, name, train.classes), np.zeros(len(train.labels), bool)
        is_held = held_out(train.labels)
        if not is_held.any():
            raise UsageError(
                f"the part {TRAIN} is too small to choose settings on",
                hint="at least two pictures of a class",
            )
        return train, is_held

    def _kept(self, options: ImageOptions) -> AbstractContextManager[sqlite3.Connection]:
        """The cache of patch features, of half the precision: 1 MB are 512 patches of 1024."""
        settings = self.model.metadata(options) | {"kept_as": "float16"}
        return open_cache(self.cache or default_folder(), settings)

    def _features(self, part: Part, pooling: Pooling) -> Features:
        features = read_features(
            part,
            self.model,
            self._options(pooling),
            self.cache or default_folder(),
            partial(self.tell, part.name),
        )
        self.errors += features.errors
        return features

    def _require_text(self, protocol: str) -> None:
        if not self.model.has_text:
            raise UsageError(
                f"{self.model.name} reads no texts, and {protocol} needs them",
                hint="texts need the LiT checkpoint: --model lit; without texts: aimv2 eval knn",
            )

    def _options(self, pooling: AnyPooling) -> ImageOptions:
        # Pictures are read as in the published evaluations, whose figures these are beside.
        return replace(self.images, pooling=pooling, as_stored=True)

    def _record(
        self,
        protocol: str,
        part: Part,
        pooling: AnyPooling,
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
        record.pop("deviations", None)
        return record | {"paper_acc1": value, "differs": differs}
