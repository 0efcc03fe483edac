"""What the program and its owner do to a library, with a model beside it of what that says."""

import os
import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal

import pytest

from mlx_aimv2.errors import UsageError
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.library import Library
from tests.support import xmp_editor
from tests.support.owners_kills import KilledError, Place, killed
from tests.support.owners_programs import Programs
from tests.support.owners_word import UNSURE, YES
from tests.support.sidecar_samples import LIGHTROOM
from tests.support.stand_in_checkpoint import use_stand_ins

VOCABULARIES = {"one": ("Dog", "Sea", "Animals|Cat"), "two": ("Luna", "Sea", "Places|Beach")}
Action = Literal["add", "confirm", "reject", "remove"]

_SAID = {"add": "added", "confirm": "confirmed", "reject": "rejected"}


class World(Programs):
    """All that is done, by name."""

    def begin(self) -> None:
        """Two photos with sidecars that others wrote, in both libraries."""
        self.write(self.new_photo() + ".xmp", LIGHTROOM)
        text = LIGHTROOM.decode().replace("<x:xmpmeta", "<?xml version='1.0'?><x:xmpmeta", 1)
        self.write(self.new_photo() + ".xmp", text.encode("utf-16"))
        self.index("first")
        self.other.index(self.folder, model="first")

    def copy(self, name: str, *, with_sidecars: bool) -> None:
        stem = self._next()
        for each in self.mates(name):
            self._carry(each, stem + each[each.index(".") :], shutil.copy2, with_sidecars)

    def move(self, name: str, *, with_sidecars: bool, is_indexed: bool) -> None:
        self._index_what_changed(name)
        stem = self._next()
        for each in self.mates(name):
            new = stem + each[each.index(".") :]
            self._carry(each, new, shutil.move, with_sidecars)
            del self.contents[each], self.bytes[each]
            self.inside.pop(each, None)
        if is_indexed:
            self.index()

    def take_away_and_prune(self, name: str) -> None:
        self._index_what_changed(name)
        aside = {each: self.contents.pop(each) for each in self.mates(name)}
        for each in aside:
            shutil.move(self.folder / each, self.scratch / each)
        self.index()
        self.library.prune()
        for each in aside:
            shutil.move(self.scratch / each, self.folder / each)
        self.contents |= aside
        self.index()

    def tag(
        self,
        vocabulary: str | None,
        *,
        replace: bool = False,
        sidecars: Any = None,
        dice: int | None = None,
    ) -> None:
        """A run of the program over all photos."""
        self._run(self.library, vocabulary, replace, sidecars, dice)
        if sidecars:
            self.stale -= {side for side in self.sidecars() if self.photo_of(side) in self.known()}

    def tag_by_another_library(self, dice: int | None = None) -> None:
        self.others_have_tagged = True
        self.other.index(self.folder)
        self._run(self.other, "two", False, "full", dice)

    def undo_by_another_library(self) -> None:
        """What the other library gave goes, and nothing else."""
        id, own = self.id_of(self.other), self.id_of(self.library)
        noted = {side: xmp_editor.noted(self.data(side), own) for side in self.sidecars()}
        self.other.index(self.folder)
        self.other.undo_tags("all")
        for side, tags in noted.items():
            if (self.folder / side).exists():
                data = self.data(side)
                assert not xmp_editor.noted(data, id), side
                assert xmp_editor.noted(data, own) == tags, side
            else:
                assert not tags, side

    def tag_by_exiftool(
        self, vocabulary: str | None, *, dice: int | None = None, is_run: bool = True
    ) -> bytes:
        """A run that gives lines for ExifTool, which is run with them or is not."""
        for name, shown in self.shown(self.contents.keys() & self.indexed).items():
            for tag, origins in shown.items():
                if "sidecar" in origins:  # what others say of a photo is theirs inside it, too
                    self.inside.setdefault(name, {}).setdefault(tag, set())
        lines: list[bytes] = []
        self._run(self.library, vocabulary, False, None, dice, lines)
        if is_run:
            self.run_exiftool(b"".join(lines))
        return b"".join(lines)

    def say(self, action: Action, tag: str, name: str, *, waits: bool = False) -> None:
        self._doubt_what_is_gone()

        def said() -> None:
            for content in self._shot(name):
                if action == "remove":
                    self.owner.unsay(content, tag)
                else:
                    self.owner.say(content, tag, _SAID[action])

        def edit() -> None:
            photo = self.folder / name
            if not waits:
                self.library.edit_tags(action, tag, photo)
                return
            with Store(self.library.path, can_write=True):
                assert self.library.edit_tags(action, tag, photo).is_waiting
            with self.library._writing():
                pass

        try:
            self._made(edit, said)
        except UsageError:  # nobody knows the tag
            assert action != "add"

    def teach(self, tag: str, yes: str, no: str | None, words: Any = None) -> None:
        self._doubt_what_is_gone()
        with Store(self.library.path) as store:
            had = {
                content: tag in store.origins_of([file.id])[file.id]
                for name, content in self.indexed.items()
                if (file := store.file_at(os.fsencode(self.folder / name)))
            }

        def said() -> None:
            for name, is_yes in ((yes, True), (no, False)):
                for content in self._shot(name) if name else ():
                    before = self.owner.words(content).get(self.owner.name(tag))
                    word = ("confirmed" if had[content] else "added") if is_yes else "rejected"
                    if before in (None, UNSURE) or (before in YES) != is_yes:
                        self.owner.say(content, tag, word)

        def edit() -> None:
            photos = [self.folder / each for each in (yes, no) if each]
            self.library.teach(tag, yes=photos[0], no=photos[1:], words=words)

        with suppress(UsageError):  # one picture has the tag and has it not
            self._made(edit, said)

    def rename(self, was: str, name: str, *, merges: bool = False) -> None:
        meant = self.owner.name(was)
        target = self.owner.name(name) if merges else name

        def edit() -> None:
            if merges:
                self.library.merge_tags([was], name)
            else:
                self.library.rename_tag(was, name)

        with suppress(UsageError):  # nobody knows the tag, or another one has the name
            self._made(edit, lambda: self.owner.rename(meant, target))

    def undo(self, number: int | None = None) -> None:
        """Undo an edit by its number; without one, the program's last run, if there is any."""
        self._doubt_what_is_gone()
        if number is not None:
            try:
                self.library.undo_tags(number)
            except UsageError as error:
                assert "has another name since edit" in str(error)
                return
            self.has_old_names |= any(
                cell[0] == "name" for cell in self.owner.edits.get(number, ())
            )
            self.owner.undo(number)
            return
        words = dict(self.owner.cells)
        with suppress(UsageError):
            self.library.undo_tags()
        assert self.owner.cells == words

    def undo_all(self) -> None:
        self._doubt_what_is_gone()
        self.library.undo_tags("all")
        for side in self.sidecars():
            data = self.data(side)
            if self.photo_of(side) not in self.known() or self.others_have_tagged:
                continue
            _, alone = self.base.get(side, ("", None))
            if alone is not None:
                assert data == alone, side
            assert not xmp_editor.noted(data), side

    def edits_left(self) -> list[int]:
        """The numbers of edits that can be undone; undoings are for test_edits."""
        edits = (each for each in self.library.tag_history() if each.undone_at is None)
        return [each.number for each in edits if each.undoes is None]

    def kill(self, place: Place, nth: int, edit: Callable[[], object]) -> bool:
        """End in the midst of an edit; whether the place was reached."""
        self._doubt_what_is_gone()
        try:
            with killed(place, nth, self._keep_files):
                edit()
        except KilledError:
            self.library.close()
            for file in self._killable():
                file.unlink()
            kept = self.scratch / "kept"
            shutil.copytree(kept, self.scratch, dirs_exist_ok=True)
            shutil.rmtree(kept)
            self.library = Library(self.library.path)
            self.stale.update(self.sidecars())
            return True
        return False

    def kill_a_run(self, place: Place, nth: int, dice: int | None = None) -> bool:
        return self.kill(place, nth, lambda: self._run(self.library, "one", False, "full", dice))

    def kill_undoing(self, place: Place, nth: int) -> bool:
        return self.kill(place, nth, lambda: self.library.undo_tags("all"))

    def kill_a_word(
        self, place: Place, nth: int, action: Literal["add", "reject"], tag: str, name: str
    ) -> bool:
        """The word counts if the library has its edit."""
        before, is_killed = self._numbers(), False
        with suppress(UsageError):
            photo = self.folder / name
            is_killed = self.kill(place, nth, lambda: self.library.edit_tags(action, tag, photo))
        if self._numbers() - before:
            shot = self._shot(name)
            self._attribute(
                before, lambda: [self.owner.say(each, tag, _SAID[action]) for each in shot]
            )
        return is_killed

    def kill_while_folding_in(
        self, nth: int, words: Iterable[tuple[Literal["add", "reject"], str, str]]
    ) -> None:
        """Words wait for an index that is killed when it has taken some of them; all count."""
        kept = []
        with Store(self.library.path, can_write=True):
            for action, tag, name in words:
                with suppress(UsageError):  # nobody knows the tag
                    assert self.library.edit_tags(action, tag, self.folder / name).is_waiting
                    kept.append((action, tag, self._shot(name)))
        if not kept:
            return
        before = self._numbers()
        nth = min(nth, len(kept) - 1)
        assert self.kill("folded", nth, lambda: self.library.index(self.folder))
        with self.library._writing():
            pass
        assert self.library.waiting_edits() == 0
        new = [each for each in self.library.tag_history() if each.number not in before]
        for action, tag, shot in kept:
            changes = self.owner.change(
                lambda a=action, t=tag, s=shot: [self.owner.say(c, t, _SAID[a]) for c in s]
            )
            if new and new[-1].kind == action:
                self.owner.edits[new.pop().number] = changes
        assert not new

    def _run(
        self,
        library: Library,
        name: str | None,
        replace: bool,
        sidecars: Any,
        dice: int | None,
        lines: list[bytes] | None = None,
    ) -> None:
        self.dice = None if dice is None else random.Random(dice)
        if name is None and library.store.one("SELECT 1 FROM vocabularies LIMIT 1") is None:
            name = "one"  # not that of the package
        path = None
        if name is not None:
            path = self.scratch / f"{name}.txt"
            path.write_text("\n".join(VOCABULARIES[name]), encoding="utf-8")

        def told(tagged: Any, written: Any) -> None:
            if lines is not None and written is not None:
                lines.extend(written.arguments)

        library.tag(
            vocabulary=path,
            replace=replace and path is not None,
            sidecars=sidecars,
            exiftool=lines is not None,
            told=told,
        )

    def _keep_files(self) -> None:
        for file in self._killable():
            target = self.scratch / "kept" / file.relative_to(self.scratch)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target)

    def _killable(self) -> list[Path]:
        found = [*self.scratch.glob("library.db*"), *self.folder.glob("*.xmp")]
        return [file for file in found if file.is_file() and not file.name.endswith("-shm")]


@contextmanager
def worlds(folder: Path) -> Iterator[Callable[[], World]]:
    """A function that makes worlds, all at one place: each is there until the next one is made."""
    scratch, kept = folder / "world", folder / "kept"
    scratch.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        use_stand_ins(patch)
        first = World(scratch, patch)
        first.begin()
        first.close()
        shutil.copytree(scratch, kept)
        places = ("scratch", "folder", "library", "other")
        known = {name: value for name, value in vars(first).items() if name not in places}

        def make() -> World:
            shutil.rmtree(scratch)
            shutil.copytree(kept, scratch)
            world = World(scratch, patch)
            vars(world).update(deepcopy(known))
            return world

        yield make
