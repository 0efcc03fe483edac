"""The formats of output files, each in the module of its extension's name.

Embeddings of texts have ``texts`` for ``paths`` and ``text`` for ``path``. ``metadata`` says what
made the file and ends with ``failed``, the inputs left out with their reasons, and ``notes`` on
single rows (in ``.jsonl`` these two are in the lines). Paths are escaped, see ``path_text``.
Nothing is dated: equal inputs give equal bytes.
"""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlx_aimv2.errors import OutputError

if TYPE_CHECKING:
    from ..embeddings import Table

_QUOTES_BYTES = 6  # of a name in a list in a string of JSON: \\"…\\", and a comma
Contents = tuple[dict[str, Any], list[str]]


@dataclass(frozen=True)
class Format:
    """One kind of file, as far as it is known without its module: help shows it, and is quick.

    ``companion`` is the extension of a second file beside it, ``package`` what an extra brings;
    with ``has_columns`` a row has room for the facts of a table.
    """

    extension: str
    companion: str = ""
    holds_grids: bool = False
    package: str = ""
    has_columns: bool = False
    max_names_bytes: int | None = None

    def parts(self, target: Path) -> list[Path]:
        """The files of an output, the one that was asked for last."""
        beside = target.with_name(target.name + self.companion)
        return [beside, target] if self.companion else [target]

    def write(self, table: "Table", file: Path) -> None:
        """Write a table row by row."""
        self._module().write(table, file)

    def read(self, file: Path) -> Contents:
        """What a finished file says of itself: its metadata, and its rows' names, escaped."""
        contents: Contents = self._module().read(file)
        return contents

    def check_names(self, count: int, names_bytes: int) -> None:
        """Refuse more names than such a file has room for. Errors: OutputError."""
        names_bytes += count * _QUOTES_BYTES
        if self.max_names_bytes is not None and names_bytes > self.max_names_bytes:
            unlimited = [name for name, each in FORMATS.items() if each.max_names_bytes is None]
            raise OutputError(
                f"a {self.extension} file has room for {self.max_names_bytes:,} bytes of names, "
                f"and there are {names_bytes:,}",
                hint=f"{', '.join(unlimited)} have no such limit",
            )

    def _module(self) -> Any:
        return import_module(f".{self.extension[1:]}", __name__)


FORMATS = {
    format.extension: format
    for format in (
        Format(".npz"),
        Format(".npy", companion=".json"),
        Format(
            ".safetensors", holds_grids=True, max_names_bytes=100_000_000
        ),  # readers refuse more
        Format(".jsonl", has_columns=True),
        Format(".parquet", package="pyarrow", has_columns=True),
    )
}
KNOWN = " or ".join(", ".join(FORMATS).rsplit(", ", 1))
