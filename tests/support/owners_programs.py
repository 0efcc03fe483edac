"""An index looks at photos and sidecars, and other programs change them."""

from pathlib import Path

from PIL import Image

from mlx_aimv2.library.database.store import Store
from tests.support import xmp_editor
from tests.support.owners_ground import Ground, noise, picture
from tests.support.owners_word import UNSURE


class Programs(Ground):
    """What programs do to photos and sidecars, and what an index makes of that."""

    def index(self, model: str | None = None) -> None:
        given = self._given()
        before = self._numbers()
        report = self.library.index(self.folder, model=model)
        assert not report.errors, report.errors
        self._see(given, before)

    def _see(self, given: dict[str, set[str]], before: set[int]) -> None:
        """An index has looked at all photos and sidecars."""
        for name, content in self.contents.items():
            if self.indexed.get(name, content) != content:
                self.owner.share(self.indexed[name], content)
        self._attribute(before, lambda: self._see_sidecars(given))
        for name in sorted(self.contents, key=lambda each: each.endswith(".dng")):
            for other in self.mates(name):
                was = self.owner.words(self.contents[other])
                self.owner.share(self.contents[name], self.contents[other])
                if self.owner.words(self.contents[other]) != was:
                    self._doubt_sidecars([self.contents[other]])
        self.indexed = dict(self.contents)
        self.has_old_names = False

    def _see_sidecars(self, given: dict[str, set[str]]) -> None:
        """What is gone from sidecars is rejected, if the library said it; words since may count."""
        for side, gone in list(self.gone.items()):
            photo = self.photo_of(side)
            if photo is None or not (self.folder / side).exists():
                continue
            contents = [self.contents[each] for each in self.mates(photo)]
            said = set().union(
                *(xmp_editor.entries(self.data(each)) for each in self.sidecars()
                  if self.photo_of(each) == photo)
            )  # fmt: skip
            for tag, may_be in gone.items():
                if ("lr", tag) not in said:
                    is_sure = may_be and tag in given.get(photo, ())
                    is_sure &= ("dc", tag.rpartition("|")[2]) not in said
                    word = "rejected" if is_sure else UNSURE
                    for content in contents:
                        self.owner.say(content, tag, word)
                        self.rejected_elsewhere.add((content, self.owner.name(tag)))
                    self._doubt_sidecars(contents)
            del self.gone[side]
        for name, tag in self.added:  # which was later is not this model's to say
            for each in self.mates(name):
                if self.owner.words(self.contents[each]).get(self.owner.name(tag)) == "rejected":
                    self.owner.say(self.contents[each], tag, UNSURE)
        self.added.clear()

    def _given(self) -> dict[str, set[str]]:
        """What the library itself says of the photos."""
        return {
            name: {tag for tag, each in shown.items() if not {"file", "sidecar"}.issuperset(each)}
            for name, shown in self.shown(self.known()).items()
        }

    def _index_what_changed(self, name: str) -> None:
        """What is changed and moved at once is a new photo to the library: nobody could tell."""
        if any(self.indexed.get(each, self.contents[each]) != self.contents[each]
               for each in self.mates(name)):  # fmt: skip
            self.index()

    def _index_what_is_new(self, name: str) -> None:
        """What is copied and changed before an index is another photo to the library, likewise."""
        of_copies = [each for each in self.contents if self.contents[each] == self.contents[name]]
        if not self.known().issuperset(of_copies) and (
            len(of_copies) > 1 or name not in self.indexed
        ):
            self.index()

    def edit_pixels(self, name: str) -> None:
        """Another program changes a picture; the keywords inside stay."""
        self._index_what_is_new(name)
        with Image.open(self.folder / name) as image:
            packet = image.info.get("xmp")
        self._next()
        self._save(name, picture(noise(self.count), packet))

    def run_exiftool(self, arguments: bytes) -> None:
        """ExifTool takes an argument file; RAWs are left out here."""
        lines = [line for line in arguments.decode().splitlines() if not line.startswith("#")]
        while lines:
            end = lines.index("-execute")
            *changes, path = lines[:end]
            lines = lines[end + 1 :]
            name = Path(path).name
            if name not in self.contents or name.endswith(".dng"):
                continue
            self._index_what_is_new(name)
            with Image.open(self.folder / name) as image:
                packet = xmp_editor.apply_arguments(image.info.get("xmp"), changes)
                self._save(name, picture(image.copy(), packet))

    def add_keyword(
        self, name: str, tag: str, program: str = "simple", *, is_short: bool = False
    ) -> None:
        """Another program adds a keyword to the sidecar of a photo."""
        stem = name.partition(".")[0]
        side = f"{stem}.xmp" if is_short else f"{name}.xmp"
        if self.photo_of(side) != name:
            return
        path = self.folder / side
        before = path.read_bytes() if path.exists() else None
        data, entries = xmp_editor.add_keyword(before, tag, program)
        path.write_bytes(data)
        self.foreign.setdefault(side, set()).update(entries - xmp_editor.noted_entries(data))
        self._written(side)
        self.added.add((name, tag))

    def add_keyword_inside(self, name: str, tag: str, program: str = "simple") -> None:
        """Another program adds a keyword to a picture itself."""
        self._index_what_is_new(name)
        with Image.open(self.folder / name) as image:
            packet, entries = xmp_editor.add_keyword(image.info.get("xmp"), tag, program)
            edited = picture(image.copy(), packet)
        with Store(self.library.path) as store:
            was = self.indexed.get(name)
            emitted = store.emitted(bytes.fromhex(was)) if was else set()
        said = tag if "lr" in xmp_editor.PROGRAMS[program] else tag.rpartition("|")[2]
        if said.casefold() not in emitted:
            self.inside.setdefault(name, {}).setdefault(said, set()).update(entries)
        self._save(name, edited)
        self.added.add((name, tag))

    def remove_keyword(self, side: str, which: int = 0, tag: str | None = None) -> None:
        """Another program takes a keyword out of a sidecar: of ours, where there are any."""
        data = self.data(side)
        there = sorted(xmp_editor.noted(data) or {text for _, text in xmp_editor.entries(data)})
        if not there:
            return
        tag = tag or there[which % len(there)]
        after, gone = xmp_editor.remove_keyword(data, tag)
        (self.folder / side).write_bytes(after)
        self.foreign.get(side, set()).difference_update(gone)
        is_sure = side not in self.stale and not self.others_have_tagged
        self._written(side)
        if tag in xmp_editor.noted(data):
            self.gone.setdefault(side, {})[tag] = is_sure

    def write_in_utf16(self, side: str) -> None:
        """Another program writes a sidecar as it is, in another encoding."""
        text = xmp_editor.text_of(self.data(side))
        (self.folder / side).write_bytes(text.encode("utf-16"))
        self._written(side)

    def back_up(self, side: str) -> None:
        self.old[side] = self.data(side), set(self.foreign.get(side, set()))

    def restore(self, side: str) -> None:
        """An old sidecar is there again."""
        data, keywords = self.old[side]
        photo = self.photo_of(side)
        if photo is None:
            return
        self.write(side, data)
        self.foreign[side] = set(keywords)
        self.gone.pop(side, None)
        for tag in {self.owner.name(each) for each in xmp_editor.noted(data)}:
            for content in self._shot(photo):
                if (content, tag) in self.rejected_elsewhere:
                    self.owner.say(content, tag, UNSURE)
