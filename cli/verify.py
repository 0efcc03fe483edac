"""``aimv2 verify``: whether this port, and a checkpoint, are right on this machine."""

import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlx_aimv2.files.paths import printable
from mlx_aimv2.inference.image_options import MODEL
from mlx_aimv2.options import option

from . import output
from .exit_codes import FAILED
from .options import JSON, YES, confirm_download, path_at_home

if TYPE_CHECKING:
    from mlx_aimv2.verification.check import Check

EXAMPLES = """
aimv2 verify
aimv2 verify --out report.json
aimv2 verify --model ./lit-fp16 --against lit
aimv2 verify --model lit --against report.json
"""

_COLOURS = {"ok": "32", "skipped": "33", "FAILED": "31"}


@dataclass(frozen=True)
class Options:
    """What ``aimv2 verify`` takes."""

    model: str | None = MODEL(
        help="The checkpoint to verify: a name from `aimv2 models`, a hub id[@revision], or a "
        "folder.",
        show_default="demo, and the published ones that are here",
    )
    against: str | None = option(
        help="What the checkpoint is compared with: another copy, named as for --model, or a "
        "report.",
        metavar="SOURCE|REPORT",
    )
    out: str | None = option(
        help="Write a report, to contribute or to compare other copies with.",
        metavar="FILE",
        parser=path_at_home,
    )
    as_json: bool = JSON()
    yes: bool = YES()


def verify(options: Options) -> int:
    """Verify that this port is right on this machine, and that a checkpoint's weights are.

    Pixels, texts and every block are compared with other implementations, the GPU with the CPU,
    weights with what is known of them. A wrong weight is named with its block. The exit code is
    1 if anything failed.
    """
    # MLX reads this as it is imported: without it an M5 multiplies float32 with 10 bits.
    os.environ.setdefault("MLX_ENABLE_TF32", "0")
    from mlx_aimv2.bench.conditions import conditions  # noqa: PLC0415
    from mlx_aimv2.files.whole_file import check_new  # noqa: PLC0415
    from mlx_aimv2.verification.report import write_report  # noqa: PLC0415
    from mlx_aimv2.verification.run import Run  # noqa: PLC0415

    if options.out is not None:
        check_new(Path(options.out))
    started_s = time.monotonic()
    run = Run(options.model, options.against, confirm=confirm_download(options.yes))
    about: str | None = ""
    for check in run:
        if options.as_json:
            output.record(asdict(check))
            continue
        if check.checkpoint != about:
            about = check.checkpoint
            output.line(f"{printable(about or 'this port')}:")
        _print(check)
    if options.out is not None:
        write_report(Path(options.out), conditions(), run.checks, run.records)
        output.say(f"report: {options.out}")
    output.say(_summary(run.checks, run.unheld, time.monotonic() - started_s))
    return FAILED if run.has_failed else 0


def _print(check: "Check") -> None:
    status = output.paint(output.pad(check.status, 8), _COLOURS[check.status], sys.stdout)
    output.line(f"  {status} {output.pad(check.name, 21)} {printable(check.detail)}")
    for finding in check.findings:
        output.line(printable(f"           {finding}"))
    if check.hint:
        output.line(printable(f"           next: {check.hint}"))


def _summary(checks: "Sequence[Check]", unheld: Sequence[str], elapsed_s: float) -> str:
    counted = Counter(check.status for check in checks)
    failed = counted["FAILED"]
    verdict = "all is right"
    if failed:
        verdict = f"{output.counted(failed, 'check')} FAILED"
    elif unheld:
        names = printable(", ".join(unheld))
        verdict = (
            f"nothing wrong found; the weights of {names} were compared with no copy "
            "(--against COPY)"
        )
    return f"{verdict}: {counted['ok']} ok, {counted['skipped']} skipped, {elapsed_s:.0f} s"
