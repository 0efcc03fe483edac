"""Whatever is done to a library, the owner's word holds and what others wrote stays.

A machine that does at random what people and programs do to photos, sidecars and the library; a
model beside it remembers what was said, by plain rules of its own.
"""

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from safetensors.numpy import load_file, save_file

from mlx_aimv2.checkpoints.hub import DEMO, resolve
from mlx_aimv2.errors import UsageError
from mlx_aimv2.library.database.store import Store
from mlx_aimv2.library.database.text_cache import TextCache
from mlx_aimv2.library.library import Library
from mlx_aimv2.library.sidecars import sidecar
from mlx_aimv2.library.tagging import calibration
from tests.support import xmp_editor
from tests.support.albums import noise
from tests.support.owners_word import UNSURE, YES, Owner
from tests.support.sidecar_samples import LIGHTROOM

ALL = bool(os.environ.get("AIMV2_TEST_ALL"))
VOCABULARIES = {"one": ("Dog", "Sea", "Animals|Cat"), "two": ("Luna", "Sea", "Places|Beach")}
TAGS = ("Dog", "Sea", "Animals|Cat", "Luna")
NAMES = (*TAGS, "Küche")

tags = st.sampled_from(TAGS)
numbers = st.integers(0, 1 << 16)
T = TypeVar("T")


class KilledError(BaseException):
    """The process ends here."""


class OwnersWord(RuleBasedStateMachine):
    """Photos, their sidecars, a library that is watched and another one on the same folder."""

    def __init__(self, checkpoints: tuple[str, str], cache: TextCache) -> None:
        super().__init__()
        self.scratch = Path(tempfile.mkdtemp(dir=cache_folder(cache)))
        self.folder = self.scratch / "photos"
        self.folder.mkdir()
        self.checkpoints, self.cache = checkpoints, cache
        self.library = Library(self.scratch / "library.db", cache=cache)
        self.other = Library(self.scratch / "other.db", cache=cache)
        self.owner = Owner()
        self.contents: dict[str, str] = {}  # of photos, by name
        self.indexed: dict[str, str] = {}  # as the library knows them
        self.bytes: dict[str, bytes] = {}  # of contents
        self.foreign: dict[str, set[xmp_editor.Entry]] = {}  # keywords of others, by sidecar
        # What others wrote, as XML, and as bytes where this program had no part in them.
        self.base: dict[str, tuple[str, bytes | None]] = {}
        self.old: dict[str, tuple[bytes, set[xmp_editor.Entry]]] = {}  # backups of sidecars
        self.stale: set[str] = set()  # sidecars of which only the next writing can be judged
        self.gone: dict[str, dict[str, bool]] = {}  # ours that others took out of sidecars
        self.added: set[tuple[str, str]] = set()  # by others, and not yet looked at
        self.given: dict[str, set[str]] = {}  # what the library itself says of photos
        self.rejected_elsewhere: set[tuple[str, str]] = set()
        self.used: set[str] = set()  # vocabularies
        self.others_have_tagged = False
        self.count = 0
        self.dice = random.Random(0)

    def teardown(self) -> None:
        self.library.close()
        self.other.close()
        shutil.rmtree(self.scratch)

    # Photos

    @initialize()
    def begin(self) -> None:
        for number in range(2):
            self.new_photo()
            if number == 0:
                self.write("0.png.xmp", LIGHTROOM)
            if number == 1:
                text = LIGHTROOM.decode().replace(
                    "<x:xmpmeta", "<?xml version='1.0'?><x:xmpmeta", 1
                )
                self.write("1.png.xmp", text.encode("utf-16"))
        self.index()
        self.other.index(self.folder, model=self.checkpoints[0])

    def new_photo(self) -> None:
        name = f"{self.count}.png"
        noise(self.folder / name, self.count)
        self.contents[name] = name
        self.bytes[name] = (self.folder / name).read_bytes()
        self.count += 1

    @precondition(lambda self: len(self.contents) < 4)
    @rule(is_copy=st.booleans(), with_sidecar=st.booleans(), at=numbers)
    def add_photo(self, is_copy: bool, with_sidecar: bool, at: int) -> None:
        if not (is_copy and self.contents):
            self.new_photo()
            return
        name, copy = self.photo(at), f"{self.count}.png"
        self.count += 1
        shutil.copy2(self.folder / name, self.folder / copy)
        self.contents[copy] = self.contents[name]
        if with_sidecar:
            self.carry(name, copy, shutil.copy2)

    @precondition(lambda self: self.contents)
    @rule(at=numbers, with_sidecar=st.booleans(), is_indexed=st.booleans())
    def move_photo(self, at: int, with_sidecar: bool, is_indexed: bool) -> None:
        name, new = self.photo(at), f"{self.count}.png"
        self.count += 1
        shutil.move(self.folder / name, self.folder / new)
        self.contents[new] = self.contents.pop(name)
        if with_sidecar:
            self.carry(name, new, shutil.move)
        if is_indexed:
            self.index()

    @precondition(lambda self: len(self.contents) > 1)
    @rule(at=numbers)
    def take_away_and_prune(self, at: int) -> None:
        name = self.photo(at)
        aside = self.scratch / "aside.png"
        shutil.move(self.folder / name, aside)
        content = self.contents.pop(name)
        self.index()
        self.library.prune()
        shutil.move(aside, self.folder / name)
        self.contents[name] = content
        self.index()

    # The program

    @rule(newer=st.booleans())
    def index(self, newer: bool = False) -> None:
        model = {"model": self.checkpoints[1]} if newer else {}
        if not self.library.path.exists():
            model = {"model": self.checkpoints[0]}
        self.note_given()
        self.made(lambda: self.library.index(self.folder, **model), self.see_sidecars)
        self.indexed = dict(self.contents)

    @rule(
        name=st.sampled_from([None, "one", "two"]),
        replace=st.booleans(),
        sidecars=st.sampled_from([None, "full", "full"]),
        dice=numbers,
    )
    def tag(self, name: str | None, replace: bool, sidecars: Any, dice: int) -> None:
        self.run_tag(self.library, name, replace, sidecars, dice)

    @rule(dice=numbers)
    def tag_by_another_library(self, dice: int) -> None:
        self.others_have_tagged = True
        self.other.index(self.folder)
        self.run_tag(self.other, "two", False, "full", dice)

    def run_tag(
        self, library: Library, name: str | None, replace: bool, sidecars: Any, dice: int
    ) -> None:
        self.dice.seed(dice)
        if name is None and not self.used:
            name = "one"  # not the checkpoint's own, whose tags have the same last names
        if name is not None and library is self.library:
            self.used.add(name)
        vocabulary = None if name is None else self.vocabulary(name)
        replace = replace and name is not None
        self.made(
            lambda: library.tag(vocabulary=vocabulary, replace=replace, sidecars=sidecars),
            lambda: None,
        )
        if library is self.library and sidecars:
            self.stale -= {f"{name}.xmp" for name in self.known()}

    def vocabulary(self, name: str) -> Path:
        path = self.scratch / f"{name}.txt"
        path.write_text("\n".join(VOCABULARIES[name]), encoding="utf-8")
        return path

    # The owner

    @precondition(lambda self: self.known())
    @rule(action=st.sampled_from(["add", "confirm", "reject", "reject", "remove"]), tag=tags,
          at=numbers, waits=st.booleans())  # fmt: skip
    def say(self, action: Any, tag: str, at: int, waits: bool) -> None:
        name = sorted(self.known())[at % len(self.known())]
        content = self.indexed[name]

        self.doubt_what_is_gone()

        def said() -> None:
            if action == "remove":
                self.owner.unsay(content, tag)
            else:
                self.owner.say(content, tag, {"add": "added"}.get(action, action + "ed"))

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
            self.made(edit, said)
        except UsageError:  # nobody knows the tag
            assert action != "add"

    @rule(was=tags, name=st.sampled_from(NAMES), merges=st.booleans())
    def rename(self, was: str, name: str, merges: bool) -> None:
        meant = self.owner.name(was)
        target = self.owner.name(name) if merges else name

        def edit() -> None:
            if merges:
                self.library.merge_tags([was], name)
            else:
                self.library.rename_tag(was, name)

        with suppress(UsageError):  # nobody knows the tag, or another one has the name
            self.made(edit, lambda: self.owner.rename(meant, target))

    @precondition(lambda self: any(each.undone_at is None for each in self.history()))
    @rule(at=numbers)
    def undo(self, at: int) -> None:
        left = [each.number for each in self.history() if each.undone_at is None]
        number = left[at % len(left)]
        self.used.clear()  # it may have been the first of a vocabulary
        self.doubt_what_is_gone()
        self.library.undo_tags(number)
        self.owner.undo(number)

    @rule()
    def undo_all(self) -> None:
        self.doubt_what_is_gone()
        self.library.undo_tags("all")
        self.used.clear()
        for name in self.sidecars():
            data = (self.folder / name).read_bytes()
            _, alone = self.base.get(name, ("", None))
            if (
                alone is not None
                and name.removesuffix(".xmp") in self.known()
                and not self.others_have_tagged
            ):
                assert data == alone, name
            if name.removesuffix(".xmp") in self.known() and not self.others_have_tagged:
                assert not xmp_editor.noted(data), name

    # Other programs

    @precondition(lambda self: self.contents)
    @rule(at=numbers, tag=tags, program=st.sampled_from(sorted(xmp_editor.PROGRAMS)))
    def write_keyword_elsewhere(self, at: int, tag: str, program: str) -> None:
        name = f"{self.photo(at)}.xmp"
        added = xmp_editor.add_keyword(self.folder / name, tag, program)
        self.foreign.setdefault(name, set()).update(added)
        self.written(name)
        content = self.contents[self.photo(at)]
        self.added.add((content, tag))

    @precondition(lambda self: self.sidecars())
    @rule(at=numbers, which=numbers)
    def remove_keyword_elsewhere(self, at: int, which: int) -> None:
        names = self.sidecars()
        name = names[at % len(names)]
        data = (self.folder / name).read_bytes()
        there = sorted(xmp_editor.noted(data) or {text for _, text in xmp_editor.entries(data)})
        if not there:
            return
        tag = there[which % len(there)]
        gone = xmp_editor.remove_keyword(self.folder / name, tag)
        self.foreign.get(name, set()).difference_update(gone)
        is_sure = name not in self.stale and not self.others_have_tagged
        self.written(name)
        if tag in xmp_editor.noted(data):
            self.gone.setdefault(name, {})[tag] = is_sure

    @precondition(lambda self: self.sidecars())
    @rule(at=numbers)
    def back_up_a_sidecar(self, at: int) -> None:
        names = self.sidecars()
        name = names[at % len(names)]
        data = (self.folder / name).read_bytes()
        self.old[name] = data, set(self.foreign.get(name, set()))

    @precondition(lambda self: self.old)
    @rule(at=numbers)
    def restore_a_sidecar(self, at: int) -> None:
        name = sorted(self.old)[at % len(self.old)]
        data, keywords = self.old[name]
        if name.removesuffix(".xmp") in self.contents:
            self.write(name, data)
            self.foreign[name] = set(keywords)
            self.gone.pop(name, None)
            content = self.contents[name.removesuffix(".xmp")]
            for tag in {self.owner.name(each) for each in xmp_editor.noted(data)}:
                if (content, tag) in self.rejected_elsewhere:
                    self.owner.cells["word", content, tag] = UNSURE
            self.stale.add(name)

    # Kills

    @precondition(lambda self: self.known())
    @rule(place=st.sampled_from(["before", "after", "noted"]), nth=st.integers(0, 2), dice=numbers,
          what=st.sampled_from(["tag", "reject", "add", "undo all"]), tag=tags)  # fmt: skip
    def kill(self, place: str, nth: int, dice: int, what: str, tag: str) -> None:
        self.doubt_what_is_gone()
        before = {each.number for each in self.history()}
        name = sorted(self.known())[dice % len(self.known())]
        self.dice.seed(dice)
        try:
            with self.killed(place, nth):
                if what == "tag":
                    self.library.tag(vocabulary=self.vocabulary("one"), sidecars="full")
                elif what == "undo all":
                    self.used.clear()
                    self.library.undo_tags("all")
                else:
                    self.library.edit_tags(what, tag, self.folder / name)  # type: ignore[arg-type]
        except KilledError:
            self.stale.update(self.sidecars())
        except UsageError:
            return
        new = [each.number for each in self.history() if each.number not in before]
        if what in ("reject", "add"):
            word = {"reject": "rejected", "add": "added"}[what]
            changes = self.owner.change(
                lambda: self.owner.say(self.indexed[name], tag, word) if new else None
            )
            if new:
                self.owner.edits[new[0]] = changes

    @contextmanager
    def killed(self, place: str, nth: int) -> Iterator[None]:
        """End at the nth time that a place is passed; files stay as after a kill."""
        left, kept = nth, self.scratch / "kept"

        def die() -> None:
            nonlocal left
            left -= 1
            if left >= 0:
                return
            kept.mkdir()
            for file in self.killable():
                target = kept / file.relative_to(self.scratch)
                target.parent.mkdir(exist_ok=True)
                shutil.copy2(file, target)
            raise KilledError

        def dying(call: Callable[..., T], *, first: bool) -> Callable[..., T]:
            def instead(*arguments: Any) -> T:
                if first:
                    die()
                done = call(*arguments)
                if not first:
                    die()
                return done

            return instead

        with pytest.MonkeyPatch.context() as patch:
            if place == "noted":
                patch.setattr(Store, "remember_sidecar", dying(Store.remember_sidecar, first=False))
            else:
                write = dying(sidecar.write_sidecar, first=place == "before")
                patch.setattr(sidecar, "write_sidecar", write)
            try:
                yield
            except KilledError:
                self.library.close()
                for file in self.killable():
                    file.unlink()
                shutil.copytree(kept, self.scratch, dirs_exist_ok=True)
                self.library = Library(self.library.path, cache=self.cache)
                raise
            finally:
                shutil.rmtree(kept, ignore_errors=True)

    def killable(self) -> list[Path]:
        found = [*self.scratch.glob("library.db*"), *self.folder.glob("*.xmp")]
        return [file for file in found if file.is_file() and not file.name.endswith("-shm")]

    # What has to hold

    @invariant()
    def the_owners_word_holds(self) -> None:
        if not self.library.path.exists():
            return
        with Store(self.library.path) as store:
            for name in self.known():
                file = store.file_at(os.fsencode(self.folder / name))
                assert file is not None
                words = self.owner.words(self.indexed[name])
                shown = store.origins_of([file.id])[file.id]
                for tag, word in words.items():
                    if word in YES:
                        assert "you" in shown.get(tag, []), (name, tag, word, shown)
                    elif word == "rejected":
                        assert tag not in shown, (name, tag, word, shown)

    @invariant()
    def what_others_wrote_stays(self) -> None:
        for name in self.sidecars():
            data = (self.folder / name).read_bytes()
            missing = self.foreign.get(name, set()) - xmp_editor.entries(data)
            assert not missing, (name, missing)
            if name in self.base:
                assert xmp_editor.others_part(data) == self.base[name][0], name
        for name in self.foreign:
            if name.removesuffix(".xmp") in self.contents and self.foreign[name]:
                assert (self.folder / name).exists(), name

    @invariant()
    def nothing_rejected_is_in_a_sidecar(self) -> None:
        for name in self.sidecars():
            photo = name.removesuffix(".xmp")
            if name in self.stale or photo not in self.known():
                continue
            id = self.library.store.setting("library_id") or ""
            ours = xmp_editor.noted((self.folder / name).read_bytes(), id)
            words = self.owner.words(self.indexed[photo])
            bad = {tag for tag in ours if words.get(tag) == "rejected"}
            assert not bad, (name, bad)

    @invariant()
    def photos_are_never_touched(self) -> None:
        for name, content in self.contents.items():
            assert (self.folder / name).read_bytes() == self.bytes[content], name

    # How this is done

    def photo(self, at: int) -> str:
        return sorted(self.contents)[at % len(self.contents)]

    def known(self) -> set[str]:
        """The photos that the library knows where they are."""
        return {name for name in self.contents if self.indexed.get(name) == self.contents[name]}

    def sidecars(self) -> list[str]:
        """The sidecars beside their photos."""
        names = (f"{name}.xmp" for name in self.contents)
        return sorted(name for name in names if (self.folder / name).exists())

    def history(self) -> list[Any]:
        return self.library.tag_history() if self.library.path.exists() else []

    def made(self, edit: Callable[[], object], said: Callable[[], None]) -> None:
        """Make an edit, and in the model what it says."""
        before = {each.number for each in self.history()}
        edit()
        new = sorted(each.number for each in self.history() if each.number not in before)
        changes = self.owner.change(said)
        if new and changes:
            self.owner.edits[new[-1]] = changes

    @staticmethod
    def is_noted(data: bytes) -> bool:
        """Whether a sidecar has notes of this program."""
        return any(b"mlx-aimv2/ns" in each for each in (data, data.replace(b"\0", b"")))

    def doubt_what_is_gone(self) -> None:
        """Before the index has looked, something else may have taken it out, or said more."""
        for gone in self.gone.values():
            gone.update(dict.fromkeys(gone, False))

    def see_sidecars(self) -> None:
        """What is gone from sidecars is rejected, if the library said it; words since may count."""
        for name, gone in list(self.gone.items()):
            photo = name.removesuffix(".xmp")
            if photo not in self.contents or not (self.folder / name).exists():
                continue
            content = self.contents[photo]
            there = xmp_editor.entries((self.folder / name).read_bytes())
            for tag, is_sure in gone.items():
                if ("lr", tag) not in there:
                    word = "rejected" if is_sure and tag in self.given.get(photo, ()) else UNSURE
                    self.owner.say(content, tag, word)
                    self.rejected_elsewhere.add((content, self.owner.name(tag)))
                    # Sidecars of its copies follow with the next edit or run.
                    known = self.indexed | self.contents
                    self.stale |= {f"{one}.xmp" for one in known if known[one] == content}
            del self.gone[name]
        for content, tag in self.added:  # which was later is not told within a second
            if self.owner.words(content).get(self.owner.name(tag)) == "rejected":
                self.owner.say(content, tag, UNSURE)
        self.added.clear()

    def note_given(self) -> None:
        """What the library itself says of the photos."""
        self.given = {}
        if not self.library.path.exists():
            return
        with Store(self.library.path) as store:
            for name in self.known():
                file = store.file_at(os.fsencode(self.folder / name))
                assert file is not None
                shown = store.origins_of([file.id])[file.id]
                outside = {"file", "sidecar"}
                self.given[name] = {
                    tag for tag, each in shown.items() if not outside.issuperset(each)
                }

    def write(self, name: str, data: bytes) -> None:
        (self.folder / name).write_bytes(data)
        self.foreign[name] = xmp_editor.entries(data)
        self.written(name)

    def written(self, name: str) -> None:
        """Another program wrote a sidecar."""
        data = (self.folder / name).read_bytes()
        is_alone = not self.is_noted(data)
        self.base[name] = xmp_editor.others_part(data), data if is_alone else None
        self.stale.add(name)

    def carry(self, name: str, new: str, how: Callable[[Path, Path], object]) -> None:
        was, now = f"{name}.xmp", f"{new}.xmp"
        if not (self.folder / was).exists():
            return
        how(self.folder / was, self.folder / now)
        if was in self.gone:
            self.gone[now] = dict.fromkeys(self.gone[was], False)
        self.foreign[now] = set(self.foreign.get(was, set()))
        if was in self.base:  # undone by its own notes, as the same XML
            self.base[now] = self.base[was][0], None
        self.stale.add(now)


def cache_folder(cache: TextCache) -> Path:
    return Path(cache.path).parent


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The demo checkpoint, and one after it whose vectors differ."""
    newer = tmp_path_factory.mktemp("newer") / "demo"
    shutil.copytree(resolve(DEMO).folder, newer)
    (weights,) = newer.glob("*.safetensors")
    tensors = load_file(weights)
    name = next(name for name in sorted(tensors) if tensors[name].dtype == np.float32
                or tensors[name].dtype == np.float16)  # fmt: skip
    tensors[name] = tensors[name] * 1.01
    save_file(tensors, weights, {"format": "pt"})
    return "demo", str(newer)


@pytest.mark.filterwarnings("ignore:sidecars of")
def test_the_owners_word_holds(
    checkpoints: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = TextCache(tmp_path / "texts.db")
    machines: list[OwnersWord] = []

    def machine() -> OwnersWord:
        machines[:] = [OwnersWord(checkpoints, cache)]
        return machines[0]

    def choose(sure: Any, *options: Any) -> Any:
        """Tags at random, as good as any: which are given is not what is tested."""
        dice = machines[0].dice
        return np.array([[dice.random() < 0.5 for _ in row] for row in sure], bool).reshape(
            sure.shape
        )

    monkeypatch.setattr(calibration, "choose", choose)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=600 if ALL else 40,
            stateful_step_count=60 if ALL else 30,
            deadline=None,
            derandomize=not ALL,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
