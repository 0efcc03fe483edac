"""The published checkpoints of Aria, one table."""

from dataclasses import dataclass
from typing import ClassVar

LICENCE = "apache-2.0"  # of the weights and of Rhymes AI's own code


@dataclass(frozen=True)
class Checkpoint:
    """One published checkpoint; ``revision`` is a commit, None where none is known for it.

    Units: ``context`` in tokens.
    """

    model_type: ClassVar[str] = "aria"

    name: str
    alias: str
    revision: str | None = None
    context: int = 65_536

    @property
    def repo_id(self) -> str:
        return f"rhymes-ai/{self.name}"

    @property
    def licence(self) -> str:
        return LICENCE


# Source: Rhymes AI's repositories on the Hub. The commit is the one that Rhymes AI's own training
# guide pins: the same weights as today's, under the names they were first published with.
CHECKPOINTS = (
    Checkpoint("Aria", "aria", "4844f0b5ff678e768236889df5accbe4967ec845"),
    Checkpoint("Aria-Chat", "aria-chat", context=8192),
    Checkpoint("Aria-sequential_mlp", "aria-sequential"),
    Checkpoint("Aria-Base-64K", "aria-base-64k"),
    Checkpoint("Aria-Base-8K", "aria-base-8k"),
)

BY_NAME = {
    key.casefold(): checkpoint
    for checkpoint in CHECKPOINTS
    for key in (checkpoint.alias, checkpoint.name, checkpoint.repo_id)
}
