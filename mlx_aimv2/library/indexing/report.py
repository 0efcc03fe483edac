"""What a run of the index tells: while it works, at its end, and before it begins."""

from collections.abc import Callable
from dataclasses import dataclass, field

from mlx_aimv2.errors import Aimv2Error


@dataclass
class Report:
    """What a run found and did; ``left`` files have no vector in the set yet.

    ``empty`` are folders that held photos and hold nothing now: those photos stay in the library.
    ``away`` photos are known and could not be looked at just now: they stay as they were.
    ``notes`` tell what of a photo was not read, each with the photos' paths.
    ``excluded`` photos are known and there, and passed over from now on: they keep their tags.
    ``had_photos``: some were known there before, or are. ``recoloured`` have to be embedded again,
    because their colour profiles were ignored when they were read, or a TIFF was read wrong;
    ``colours_unread`` may have to be, but are not in these folders, or out of reach.
    ``unsettled`` keywords of this program were taken out of sidecars by another one: too many to be
    rejected by that without being asked. ``keywords_edit`` is the number of the edit by which
    others that were taken out or added again count as the owner's word.
    """

    found: int = 0
    unchanged: int = 0
    embedded: int = 0
    recognised: int = 0
    missing: int = 0
    failed: int = 0
    away: int = 0
    excluded: int = 0
    left: int = 0
    recoloured: int = 0
    colours_unread: int = 0
    unsettled: int = 0
    keywords_edit: int | None = None
    is_serving: bool = True
    had_photos: bool = False
    empty: list[str] = field(default_factory=list)
    errors: list[Aimv2Error] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Estimate:
    """What a run would take. Units: seconds, bytes of disk.

    ``download`` is a checkpoint that would be fetched first; else it is empty.
    """

    count: int
    sampled: int
    seconds: float
    size_bytes: int
    download: str = ""
    download_bytes: int = 0


@dataclass(frozen=True)
class Progress:
    """Who wants to know: called with each picture found, how many are to be read, and each read."""

    counted: Callable[[], None] = lambda: None
    started: Callable[[int], None] = lambda total: None
    done: Callable[[Aimv2Error | None], None] = lambda error: None
