"""One evaluation: a data set read, embedded and judged by a protocol; its record."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
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
from mlx_aimv2.models.aimv2.published import find

from . import linear, paper, probe, retrieval, templates
from .classification import best_classes, calibration_figures, classification_figures
from .data_sets.captions import read_captions
from .data_sets.part import (
    TRAIN,
    Division,
    Part,
    divide,
    part_of,
    read_class_names,
    read_classes,
)
from .features import (
    Features,
    Kept,
    default_folder,
    digest,
    open_cache,
    read_features,
    stamped,
)
from .nearest_neighbours import vote
from .probe_settings import ProbeSettings, completed
from .views import Views

Record = dict[str, Any]
Pooling = Literal["mean", "head"]
Tell = Callable[[str, int, int], None]
"""Told what is counted (a part's name, or steps), how much of it is done, and of how much."""

HEADLINE_COUNT = 20  # of neighbours: usually the best, say DINO's authors


@dataclass
class Evaluation:
    """A data set, a checkpoint and how its pictures are prepared; ``errors`` are of pictures.

    ``hits`` are those of the last protocol of classes: whether each picture that could be read got
    its class, in the order of the part. Shapes: (n,).
    """

    model: Model
    data: Path
    images: ImageOptions
    split: str | None = None
    cache: Path | None = None
    data_set: str | None = None
    tell: Tell = lambda part, done, total: None
    errors: list[Aimv2Error] = field(default_factory=list)
    hits: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))

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
        scores, labels = features.units @ words.T, part.labels[features.places]
        figures = self._classified(best_classes(scores), labels, len(names))
        figures |= calibration_figures(self.model.logit_scale * scores, labels)
        return self._record("zero-shot", part, "head", figures | {"templates": prompts})

    def knn(self, counts: Sequence[int], pooling: Pooling) -> Record:
        """Classes by the nearest pictures of the part ``train``."""
        train = read_classes(self.data, part_of(self.data, TRAIN))
        part = read_classes(self.data, part_of(self.data, self.split), train.classes)
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
        figures = self._classified(votes[headline], labels, len(train.classes)) | {
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
        parts = divide(self.data, self.split)
        known = self._features(parts.train, pooling)
        found = known
        if parts.checked is not parts.train:
            found = self._features(parts.checked, pooling)
        asked = self._features(parts.asked, pooling)
        learns = np.isin(known.places, parts.learns)
        chooses = np.isin(found.places, parts.chooses)
        learnt, of = known.vectors[learns], parts.train.labels[known.places[learns]]
        tried, right = found.vectors[chooses], parts.checked.labels[found.places[chooses]]
        classes = len(parts.train.classes)
        if not len(right):
            raise Aimv2Error(f"of {parts.chosen_on}, to choose a decay on, no picture can be read")

        def accuracy(strength: float) -> float:
            scores = linear.fit(learnt, of, classes, strength).scores(tried)
            return float((best_classes(scores)[:, 0] == right).sum())

        strength = linear.choose_strength(accuracy)
        everything = np.concatenate([learnt, tried])
        fitted = linear.fit(everything, np.concatenate([of, right]), classes, strength)
        best = best_classes(fitted.scores(asked.vectors))
        figures = self._classified(best, parts.asked.labels[asked.places], classes) | {
            "trained_on": len(everything),
            "decay": 1 / strength,
            "chosen_on": parts.chosen_on,
            "is_converged": fitted.is_converged,
            "normalize": False,  # they are standardised
        }
        return self._record("linear", parts.asked, pooling, figures)

    def probe(self, settings: ProbeSettings, *, is_cached: bool) -> Record:
        """Classes by attentive probes, of which one is chosen on a validation part."""
        parts = divide(self.data, self.split)
        settings = completed(settings, self.data_set)
        classes = len(parts.train.classes)
        with self._views(parts, is_cached=is_cached) as (learnt, checked, asked):
            file = self._progress_file(learnt, parts.learns, settings)
            tell = partial(self.tell, "steps")
            runs = probe.train(learnt, parts.learns, classes, settings, tell, file)
            tell = partial(self.tell, checked.part.name)
            found, best = probe.best_of(runs, checked, parts.chooses.tolist(), tell)
            right = checked.part.labels[found]
            shares = [float((each[:, 0] == right).mean()) for each in best]
            run = runs[int(np.argmax(shares))]
            tell = partial(self.tell, asked.part.name)
            found, (tops,) = probe.best_of([run], asked, range(len(parts.asked.labels)), tell)
        file.unlink(missing_ok=True)
        deviations = [
            f"one probe, chosen on {parts.chosen_on}; the paper has the best on the test data"
        ]
        if is_cached:
            deviations.append("features of the middle and its mirror image, not of augmented views")
        figures = self._classified(tops, parts.asked.labels[found], classes) | {
            "variant": "cached features" if is_cached else "augmented",
            "trained_on": len(parts.learns),
            "rate": run.rate,
            "decay": run.decay,
            "chosen_on": parts.chosen_on,
            "runs": [
                {"rate": each.rate, "decay": each.decay, "validation_acc1": share}
                for each, share in zip(runs, shares, strict=True)
            ],
            "epochs": settings.epochs,
            "batch": settings.batch,
            "warm_up": settings.warm_up,
            "seed": settings.seed,
            "deviations": deviations,
        }
        return self._record("probe", parts.asked, "none", figures)

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

    def _classified(
        self, best: NDArray[np.int64], labels: NDArray[np.int64], classes: int
    ) -> dict[str, Any]:
        self.hits = best[:, 0] == labels
        return classification_figures(best, labels, classes)

    def _progress_file(
        self, learnt: Views, places: NDArray[np.int64], settings: ProbeSettings
    ) -> Path:
        """Where probes are kept after each epoch: another file for whatever would change them."""
        made_by = {
            "settings": asdict(settings),
            "checkpoint": self.model.metadata(learnt.options),
            "is_cached": learnt.kept is not None,
            "pictures": stamped(learnt.part),
            "classes": learnt.part.labels.tolist(),
            "places": places.tolist(),
        }
        return (self.cache or default_folder()) / f"probe-{digest(made_by)}.safetensors"

    @contextmanager
    def _views(self, parts: Division, *, is_cached: bool) -> Iterator[tuple[Views, Views, Views]]:
        """What is learnt, what a run is chosen on and what is measured, ready to be asked for."""
        options = self._options("none")
        # Of half the precision: an L at 224 px has 512 kB a picture.
        settings = self.model.metadata(options) | {"kept_as": "float16"}
        folder = self.cache or default_folder()
        with open_cache(folder, settings) if is_cached else nullcontext() as database:

            def views_of(part: Part) -> Views:
                kept = None if database is None else Kept(part, database, "<f2")
                views = Views(part, self.model, options, kept)
                views.fill(partial(self.tell, part.name), is_for_training=part is parts.train)
                return views

            learnt = views_of(parts.train)
            checked = learnt if parts.checked is parts.train else views_of(parts.checked)
            asked = views_of(parts.asked)
            yield learnt, checked, asked
        for views in (learnt, asked) if checked is learnt else (learnt, checked, asked):
            self.errors += views.errors.values()

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

    def _name_in_paper(self) -> str:
        """The checkpoint's name, and at another side than its own that side too."""
        checkpoint = find(self.model.name)
        side_px = self.model.config.vision_config.image_size
        if checkpoint is None or checkpoint.side_px == side_px:
            return self.model.name
        return f"{self.model.name} at {side_px} px"

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
        value = paper.published(protocol, self._name_in_paper(), self.data_set)
        differs = [] if value is None else paper.differences(record)
        record.pop("deviations", None)
        return record | {"paper_acc1": value, "differs": differs}
