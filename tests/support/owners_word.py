"""What the owner of a library said, remembered by a test: plain rules of its own."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

Cell = tuple[str, ...]  # ("word", content, tag) or ("name", tag)
# Whether a later word of another program counts is not this model's to say.
UNSURE = "unsure"
YES = ("added", "confirmed")


@dataclass
class _Change:
    before: str | None
    after: str | None


@dataclass
class Owner:
    """Words on contents of photos, lasting names, and how each edit changed them."""

    cells: dict[Cell, str] = field(default_factory=dict)
    edits: dict[int, dict[Cell, _Change]] = field(default_factory=dict)

    def name(self, tag: str) -> str:
        """A tag's lasting name."""
        seen = set()
        while ("name", tag) in self.cells and tag not in seen:
            seen.add(tag)
            tag = self.cells["name", tag]
        return tag

    def say(self, content: str, tag: str, word: str) -> None:
        self.cells["word", content, self.name(tag)] = word

    def unsay(self, content: str, tag: str) -> None:
        if self.cells.get(("word", content, self.name(tag))) in YES:
            del self.cells["word", content, self.name(tag)]

    def share(self, of: str, also: str) -> None:
        """What was said of a content holds for another too, if that has no word of its own."""
        for words in (self.cells, *self.edits.values()):
            for cell in [cell for cell in words if cell[:2] == ("word", of)]:
                found = words[cell]
                copied = found if isinstance(found, str) else replace(found)
                words.setdefault(("word", also, cell[2]), copied)  # type: ignore[attr-defined]

    def rename(self, was: str, name: str) -> None:
        """A tag has another name; of two words on one tag the yes counts."""
        self.cells["name", was] = name
        if ("name", name) in self.cells:
            self.cells["name", name] = name
        for cell, word in list(self.cells.items()):
            if cell[0] == "word" and (now := self.name(cell[2])) != cell[2]:
                del self.cells[cell]
                other = self.cells.get((*cell[:2], now))
                both = (other, word)
                if UNSURE in both:
                    self.cells[*cell[:2], now] = UNSURE
                elif other is None or (other == "rejected" and word in YES):
                    self.cells[*cell[:2], now] = word

    def change(self, make: Callable[[], None]) -> dict[Cell, _Change]:
        """Make a change; what it did to each cell."""
        before = dict(self.cells)
        make()
        after = self.cells
        return {
            cell: _Change(before.get(cell), after.get(cell))
            for cell in before.keys() | after.keys()
            if before.get(cell) != after.get(cell)
        }

    def undo(self, number: int) -> None:
        """Each cell is as before the edit, unless a later one changed it, whose undoing then is."""
        for cell, change in self.edits.pop(number, {}).items():
            later = [edit for edit in sorted(self.edits) if edit > number]
            next_edit = next((edit for edit in later if cell in self.edits[edit]), None)
            if next_edit is not None:
                self.edits[next_edit][cell].before = change.before
            elif self.cells.get(cell) == UNSURE:
                pass
            elif self.cells.get(cell) == change.after:
                if change.before is None:
                    self.cells.pop(cell, None)
                else:
                    self.cells[cell] = change.before

    def words(self, content: str) -> dict[str, str]:
        return {cell[2]: word for cell, word in self.cells.items() if cell[:2] == ("word", content)}
