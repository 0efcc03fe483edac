"""The benchmark's peer on torch computes what ours does, from the weights that it is handed."""

from mlx_aimv2.bench import peers, subject
from mlx_aimv2.bench.encoder import Case
from mlx_aimv2.models.aimv2.config import VisionConfig
from tests.support.tolerances import FEATURES


def test_transformers_in_its_process(tmp_path):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    config = VisionConfig(76, 101, 3, 2, image_size=35, patch_size=7)
    subject.make_checkpoint(config, folder)
    model = subject.subject_of(str(folder), False, folder).model
    figures, failures = peers.compare(model, Case(35, 2, 3), tmp_path, repeats=1)
    assert not failures
    (theirs,) = (each for each in figures if each.about["peer"] == peers.TRANSFORMERS)
    assert theirs.about["largest_difference"] < FEATURES
    assert theirs.about["device"] == "cpu"
    assert theirs.about["theirs_images_per_s"] > 0
