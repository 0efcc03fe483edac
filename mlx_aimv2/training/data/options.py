"""How the fields of a source are called, as options of a command."""

from dataclasses import dataclass

from mlx_aimv2.options import option


@dataclass(frozen=True)
class PairOptions:
    """How the fields of a source are called; None is what its layout has."""

    image_key: str | None = option(
        help="Column of the picture's file.",
        metavar="NAME",
        show_default="file_name, filepath in a CSV",
    )
    caption_key: str | None = option(
        help="Column of the caption, or its field in the JSON of shards.",
        metavar="NAME",
        show_default="text, title in a CSV, .txt in shards",
    )
    separator: str = option(
        "\t",
        help="What stands between the columns of a CSV.",
        metavar="CHARACTER",
        show_default="a tab",
    )
