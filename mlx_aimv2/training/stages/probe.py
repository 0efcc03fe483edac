"""The attentive probe as a stage: a classifier on the features of a frozen encoder."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import mlx.core as mx
import numpy as np
from mlx import nn
from mlx.utils import tree_flatten

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.paths import printable

from ..data.view import View
from ..data_loader import Arrays
from ..probe import AttentiveProbe
from ..runs.gradients import OF_SAMPLES, Batch, Counts, Logs, PooledGradient, Slope
from ..runs.settings import ProbeSettings
from ..runs.work import NUMBERS
from .beginning import Beginning, dtype_name, dtype_of, load_encoder, load_whole
from .features import batches_of, encoded
from .labelled import LabelledPairs
from .model_files import write_model

PROBE_FILE, CLASSES_FILE = "probe.safetensors", "classes.txt"
# Source: torchvision's ranges for classification; AIMv2 paper, table A2.
_SCALE = (0.08, 1.0)


class ProbeObjective(nn.Module):
    """The probe and its loss; a batch has ``features`` (B, N, D) and ``labels`` (B,).

    Of a native encoder it has ``mask`` (B, 1, 1, N) too.
    Batch norm takes the mean and variance of a chunk, on each process its own, as in PyTorch.
    """

    def __init__(self, probe: AttentiveProbe) -> None:
        super().__init__()
        self.probe = probe

    def counts(self, batch: Batch) -> dict[str, float]:
        """How many samples there are."""
        return {"label": float(len(batch["labels"]))}

    def loss(self, batch: Batch, counts: Counts) -> tuple[mx.array, Logs]:
        """What these samples add to the mean cross-entropy, and to the share that is right."""
        features = mx.array(batch["features"]).astype(self.probe.k.weight.dtype)
        mask = mx.array(batch["mask"]) if "mask" in batch else None
        logits = self.probe(features, mask).astype(mx.float32)
        labels = mx.array(batch["labels"])
        errors = nn.losses.cross_entropy(logits, labels)
        loss = errors.sum() / counts["label"]
        right = (logits.argmax(axis=1) == labels).sum() / counts["label"]
        return loss, {"label": loss, "accuracy": right, f"label{OF_SAMPLES}": errors}


class ProbeWork:
    """The probe beside an encoder that stays as it is.

    The published protocol crops and mirrors at random, with RandAugment, which is not done here;
    without ``augment`` features are kept: cheaper, and not the paper's number.
    """

    def __init__(self, settings: ProbeSettings, beginning: Beginning) -> None:
        start = beginning.start_for("probe")
        if not isinstance(beginning.pairs, LabelledPairs):
            raise UsageError("probe takes a folder with a folder for each class")
        self._settings, self._beginning = settings, beginning
        self._labels = beginning.pairs.labels
        self._encoder = load_encoder(start, dtype_name(settings.precision))
        config = self._encoder.config
        probe = AttentiveProbe(
            config.hidden_size,
            config.num_attention_heads,
            len(beginning.pairs.classes),
            num_queries=settings.queries,
        )
        probe.initialise(settings.seed)
        self.objective = ProbeObjective(probe)
        ranks = beginning.ranks
        self._gradient = PooledGradient(
            self.objective, ["label"], dtype_of(settings.precision), ranks, ["accuracy"]
        )
        view = View(
            beginning.preset,
            config.image_size,
            config.patch_size,
            scale=_SCALE,
            augments=settings.augment,
            decode=settings.decode,
        )
        self.batches = batches_of(settings, beginning, self._encoder, view, None)

    def prepare(self, arrays: Arrays) -> Batch:
        """Features and labels."""
        labels = self._labels[arrays[NUMBERS]]
        if "features" in arrays:
            return arrays | {"labels": labels}
        made = encoded(self._encoder, arrays)
        mx.eval(made)
        return {**made, "labels": labels}

    def slope(self, chunks: Sequence[Batch]) -> Slope:
        """The loss and its gradient."""
        return self._gradient(chunks)

    def name_of(self, number: int) -> str:
        """The name of a picture."""
        return self._beginning.pairs.read(number).key

    def write_model(self, folder: Path) -> None:
        """The encoder's checkpoint as it was, and beside it the probe and the names of classes."""
        from safetensors.numpy import save  # noqa: PLC0415

        network = load_whole(self._beginning.start_for("probe"))
        write_model(folder, network, self._beginning, self._settings)
        parameters = cast(
            "list[tuple[str, mx.array]]", tree_flatten(self.objective.probe.parameters())
        )
        arrays = {name: np.array(array) for name, array in parameters}
        (folder / PROBE_FILE).write_bytes(save(arrays))
        classes = cast(LabelledPairs, self._beginning.pairs).classes
        (folder / CLASSES_FILE).write_text("".join(f"{printable(name)}\n" for name in classes))
