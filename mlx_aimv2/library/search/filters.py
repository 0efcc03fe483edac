"""Which photos a search looks at: folder, date, tag, orientation, format.

How they are looked up: ``fitting``.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from mlx_aimv2.errors import UsageError
from mlx_aimv2.files.paths import FilePath, absolute, several
from mlx_aimv2.options import option

Shape = Literal["landscape", "portrait", "square"]


@dataclass(frozen=True)
class Filters:
    """Conditions that a photo has to meet, all of them, to be found.

    ``places`` are files, folders, or patterns with ``*``, ``?`` and ``[]``, of capitals or not;
    any of them will do.
    ``since`` and ``until`` are years, months or days, both included; photos without a date do
    not fit them.
    ``tags`` are all to be had, and of ``not_tags`` none: of ``Animals|Dog|Poodle``, any part or
    parts that follow one another, of capitals or not; a shot has the tags of all its files. Tags
    that were rejected count as none.
    """

    places: FilePath | Sequence[FilePath] = option(
        (),
        help="Only photos in this folder, whose new photos are indexed first, or of this "
        "pattern (*.heic).",
        flags="--in",
        metavar="PLACE",
    )
    since: str | None = option(
        help="Only photos taken on this day or later: 2024, 2024-05 or 2024-05-31.",
        metavar="DATE",
    )
    until: str | None = option(help="Only photos taken on this day or before.", metavar="DATE")
    tags: str | Sequence[str] = option(
        (), help="Only photos with this tag; several must all fit.", flags="--tag", metavar="TAG"
    )
    shape: Shape | None = option(help="Only photos of this shape.", flags="--orientation")
    formats: str | Sequence[str] = option(
        (),
        help="Only photos of this format: jpeg, heic and so on.",
        flags="--format",
        metavar="NAME",
    )
    is_in_photos: bool = option(False, help="Only photos of Apple's Photos.", flags="--photos")
    not_tags: str | Sequence[str] = option(
        (), help="Only photos without this tag.", flags="--not-tag", metavar="TAG"
    )

    def __post_init__(self) -> None:
        for name in ("places", "tags", "formats", "not_tags"):
            given = tuple(map(os.fsdecode, several(getattr(self, name))))
            object.__setattr__(self, name, given)
        shapes = get_args(Shape)
        if self.shape is not None and self.shape not in shapes:
            raise UsageError(f"{self.shape!r} is no shape", hint=f"one of {', '.join(shapes)}")

    @property
    def named_places(self) -> tuple[str, ...]:
        """The places as text, however they were given."""
        return tuple(map(os.fsdecode, several(self.places)))

    @property
    def has_patterns(self) -> bool:
        """Whether a place is a pattern, so that every path has to be looked at."""
        return any(map(is_pattern, self.named_places))

    @property
    def is_empty(self) -> bool:
        """Whether every photo fits."""
        return self == Filters()


def is_pattern(place: str) -> bool:
    """Whether a place is a pattern: it has signs of one and is no name of a file or folder."""
    return any(char in place for char in "*?[") and not os.path.lexists(absolute_place(place))


def absolute_place(place: str) -> str:
    """A place's absolute path, links and all."""
    return absolute(os.path.expanduser(place))  # noqa: PTH111  (keeps bytes and links)
