"""A picture of a run's losses, rate and gradient, step by step."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlx_aimv2 import install_hints
from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.paths import printable
from mlx_aimv2.files.whole_file import write_whole

from .gradients import OF_SAMPLES
from .run_folder import RunFolder, read_log

_FORMATS = (".png", ".svg")
_NOT_LOSSES = ("schema", "step", "rate", "norm", "samples", "broken", "seconds", "accuracy",
               "left_out")  # fmt: skip
_WIDTH_IN, _HEIGHT_IN, _DPI = 10, 4.2, 150
_POINTS = 500  # more are drawn as means of so many groups


def draw_losses(folder: Path, file: Path) -> None:
    """Draw the losses of a run, and beside them the rate and the gradient's norm.

    Errors: UsageError where matplotlib is not installed or nothing is logged; OutputError.
    """
    if file.suffix.casefold() not in _FORMATS:
        raise UsageError(f"no picture can be drawn as {file.name}", hint="name it .png or .svg")
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(
            "pictures are drawn with matplotlib, which is not installed",
            hint=install_hints.extra("train"),
        ) from error
    log = RunFolder(folder).log_file
    if not log.is_file():
        raise UsageError(f"there is no run in {printable(folder)}", hint="name a run's folder")
    lines = list(read_log(log))
    if not lines:
        raise UsageError(f"{printable(log)} has no step yet", hint="wait for the first one")
    sheet = Figure(figsize=(_WIDTH_IN, _HEIGHT_IN), layout="constrained")
    losses, others = sheet.subplots(1, 2)
    for name in lines[0]:
        if name not in _NOT_LOSSES and not name.endswith(OF_SAMPLES):
            _line(losses, lines, name)
    losses.set_ylabel("loss")
    _line(others, lines, "norm")
    others.set_ylabel("norm of the gradient")
    _line(others.twinx(), lines, "rate", color="C1").set_ylabel("learning rate")
    for axes in (losses, others):
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        axes.legend()
    drawn = io.BytesIO()
    sheet.savefig(drawn, format=file.suffix[1:].lower(), dpi=_DPI)
    write_whole(file, drawn.getvalue())


def _line(axes: Any, lines: Sequence[dict[str, Any]], name: str, **style: Any) -> Any:
    size = -(-len(lines) // _POINTS)
    groups = [lines[first : first + size] for first in range(0, len(lines), size)]
    steps = [group[-1]["step"] for group in groups]
    means = [sum(line[name] for line in group) / len(group) for group in groups]
    axes.plot(steps, means, label=name.replace("_", " "), **style)
    return axes
