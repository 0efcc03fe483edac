"""What a search is asked for, as options of the command and words of the page's box."""

from dataclasses import dataclass
from typing import Literal

from mlx_aimv2.options import argument, group, option

from .filters import Filters

Sort = Literal["best", "date"]


@dataclass(frozen=True)
class SearchRequest:
    """What to look for, in which photos and in which order."""

    words: tuple[str, ...] = argument(
        (),
        help="What to look for; + and - stand between terms, a picture's path is a term too, and "
        "tag:Luna a tag: taught, by what it was taught; else by its name.",
        metavar="QUERY",
    )
    like: tuple[str, ...] = option(
        (), help="Find photos that look like this picture.", metavar="FILE"
    )
    min_score: float | None = option(
        help="Lowest score to show; at 0.5 a photo fits the text no better than any text.",
        flags="-t --min-score",
        metavar="SCORE",
        show_default="0.5 for texts, none for pictures",
    )
    sort: Sort | None = option(
        help="Order: by score, or the newest of the photos that fit.",
        show_default="best; date without words",
    )
    unique: bool = option(False, help="Of photos that show the same picture, show only the first.")
    captions_only: bool = option(
        False, help="Search the words of captions alone, without a checkpoint."
    )
    filters: Filters = group(Filters)
