"""A whole verification: the port, then checkpoint after checkpoint, each check as it is made."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mlx_aimv2.checkpoints import hub
from mlx_aimv2.checkpoints.embedders import resolve_embedder
from mlx_aimv2.checkpoints.hub import Confirm, Resolved
from mlx_aimv2.errors import Aimv2Error, UsageError
from mlx_aimv2.models.aimv2.published import CHECKPOINTS

from . import arithmetic, expected, golden
from .check import Check, judged
from .checkpoint import WEIGHED, Against, examine_checkpoint
from .compare import same_shapes
from .report import Opened, Record, read_report


class Run:
    """What to verify; ``checks`` and ``records`` are what was found so far.

    Without a ``source`` it is the built-in checkpoint and every published one that the cache
    holds. ``against`` is another source, or a report's file.
    """

    def __init__(
        self, source: str | None, against: str | None, *, confirm: Confirm | None = None
    ) -> None:
        """Errors: as loading the source would raise; UsageError where the two do not compare."""
        self.checks: list[Check] = []
        self.records: list[Record] = []
        named = [] if source is None else [Opened.of(resolve_embedder(source, confirm=confirm))]
        self._named: Sequence[Opened] = named
        self._against = None if against is None else _open_against(against, named, confirm)

    def __iter__(self) -> Iterator[Check]:
        """Make the checks, one by one."""
        for check in self._checks():
            self.checks.append(check)
            yield check

    def _checks(self) -> Iterator[Check]:
        is_full = True
        for check in examine_port():
            is_full = is_full and (check.name != arithmetic.PRECISION or check.status == "ok")
            yield check
        for opened in self._named or _here():
            if isinstance(opened, Check):
                yield opened
                continue
            record = Record.of(opened)
            self.records.append(record)
            yield from examine_checkpoint(opened, record, self._against, is_full=is_full)

    @property
    def has_failed(self) -> bool:
        """Whether any check did."""
        return any(check.status == "FAILED" for check in self.checks)

    @property
    def unheld(self) -> list[str]:
        """The checkpoints whose weights no check held against what they should be."""
        held = {
            check.checkpoint
            for check in self.checks
            if check.name in WEIGHED and check.status == "ok"
        }
        return [record.name for record in self.records if record.name not in held]


def examine_port() -> Iterator[Check]:
    """The port as a whole: every check that needs no other checkpoint than the built-in one."""
    precision = arithmetic.float32_products()
    yield precision
    yield expected.pixels()
    yield expected.tokens()
    for name in golden.SHA256:
        yield golden.activations(name, is_full=precision.status == "ok")
    yield arithmetic.attention()


def _here() -> Iterator[Opened | Check]:
    """What can be verified without being named; one that does not open is a failed check."""
    yield Opened.of(hub.resolve(hub.DEMO))
    for published in CHECKPOINTS:
        if folder := hub.cached(published):
            origin = published.repo_id, published.revision
            found = Resolved(published.alias, folder, published.name, *origin, published)
            try:
                yield Opened.of(found)
            except Aimv2Error as error:
                yield judged("opening", False, str(error), error.hint, checkpoint=published.name)


def _open_against(text: str, named: Sequence[Opened], confirm: Confirm | None) -> Against:
    file = Path(text).expanduser()
    if file.is_file():
        reported = Against(file.name, read_report(file))
        opened = named or [made for made in _here() if isinstance(made, Opened)]
        shapes = [one.weights.logical_shapes() for one in opened]
        if not any(same_shapes(ours, record) for ours in shapes for record in reported.records):
            held = ", ".join(record.name for record in reported.records) or "none"
            raise UsageError(
                f"{file.name} has no checkpoint of these sizes (it has: {held})",
                hint="name the checkpoint that it is about: --model SOURCE",
            )
        return reported
    if not named:
        raise UsageError(
            "--against needs to know what is held against it", hint="name it: --model SOURCE"
        )
    other = Opened.of(resolve_embedder(text, confirm=confirm))
    ours, theirs = named[0].weights.logical_shapes(), other.weights.logical_shapes()
    if not any(theirs.get(name) == shape for name, shape in ours.items()):
        raise UsageError(
            f"{named[0].resolved.name} and {other.resolved.name} have no tensor in common",
            hint="give two copies of one checkpoint; aimv2 info tells what each is",
        )
    return Against(other.resolved.name, [Record.of(other)], other)
