"""Pictures of every screen of the page, light and dark, as docs/page.md shows them.

python -m tests.support.page_pictures FOLDER [--only NAME…] [--all]

Drawings stand for photos. Without ``--all`` only the pictures that the document shows are made.
"""

import argparse
import io
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser
from playwright.sync_api import Page as Tab

import mlx_aimv2 as aimv2
from mlx_aimv2.training.drawings.album import write_album, write_copies
from tests.support.browser import launched
from tests.support.makers import random_vision, vision_config, write_checkpoint
from tests.support.page import running_page

SIZE = {"width": 1280, "height": 800}
QUALITY = 80
PHOTOS, COPIES, MORE = 240, 8, 300


@dataclass(frozen=True)
class Scene:
    """A screen in a state: the library that it is over, its address, what is done before."""

    name: str
    library: str
    hash: str
    act: Callable[[Tab], object] = lambda tab: None
    is_shown: bool = False  # in the document


def find(library: Path, words: str) -> int:
    """The id of the photo that fits best."""
    with aimv2.Library(library) as opened:
        return opened.search(words, count=1, min_score=0).hits[0].file.id


def _press(tab: Tab, key: str) -> None:
    tab.locator("[role=gridcell]").first.focus()
    tab.keyboard.press(key)


def _select(tab: Tab, count: int) -> None:
    _press(tab, "x")
    for _ in range(count - 1):
        tab.keyboard.press("Shift+ArrowRight")


def _start_index(tab: Tab) -> None:
    tab.evaluate(
        "fetch('/api/index', {method: 'POST', body: '{\"do\":\"start\"}',"
        " headers: {'Content-Type': 'application/json', 'X-Aimv2': '1'}})"
    )
    tab.wait_for_timeout(4000)


SCENES = (
    Scene("photos", "full", "#/photos", is_shown=True),
    Scene("selection", "full", "#/photos", lambda tab: _select(tab, 5)),
    Scene("keys", "full", "#/photos", lambda tab: tab.keyboard.press("?")),
    Scene("search", "full", "#/search?q=red car %2B night", is_shown=True),
    Scene("nothing", "full", "#/search?q=a shopping list"),
    Scene("why", "full", "#/search?q=red car %2B night", lambda tab: _press(tab, "w")),
    Scene("viewer", "full", "#/photo/{car}", is_shown=True),
    Scene("tags", "full", "#/tags"),
    Scene("tag-dialog", "full", "#/photos", lambda tab: (_select(tab, 5), tab.keyboard.press("t"))),
    Scene("sure", "full", "#/tag/Bicycle/sure"),
    Scene("ask", "full", "#/tag/Night ride/ask", is_shown=True),
    Scene("duplicates", "full", "#/duplicates/near", is_shown=True),
    Scene("picks", "full", "#/picks"),
    Scene("history", "full", "#/history"),
    Scene("status", "full", "#/status"),
    Scene("empty", "none", "#/photos"),
    Scene("empty-status", "none", "#/status"),
    Scene("indexing", "growing", "#/status", _start_index),
    Scene("indexing-photos", "growing", "#/photos", _start_index),
    Scene("offline", "away", "#/photos"),
    Scene("offline-viewer", "away", "#/photo/1"),
    Scene("offline-status", "away", "#/status"),
    Scene("no-texts", "native", "#/search?"),
)


def make_full(folder: Path) -> Path:
    """Photos with copies, tags by the program and by a person, a taught tag, captions, picks."""
    files = write_album(folder / "Pictures/Drawings", PHOTOS, dated=True)
    write_copies(files[:COPIES], folder / "Pictures/Phone")
    shutil.copy(files[0], folder / f"Pictures/Phone/{files[0].name}")
    library = folder / "full.db"
    with aimv2.Library(library) as opened:
        opened.index(folder / "Pictures", model="demo")
        opened.tag()
        nights = [
            hit.path for hit in opened.search(["bicycle", "+", "night"], count=6, min_score=0).hits
        ]
        opened.teach("Night ride", yes=nights[:4], no=nights[4:])
        opened.edit_tags("add", "Favourite", [str(each) for each in files[3:7]])
        car = opened.search("a red car", count=1, min_score=0).hits[0].path
        opened.edit_caption(car, "A car on the way home, drawn on a Sunday.")
        group = opened.duplicates()[0]
        opened.pick(list(group.files[1:]))
    return library


def make_growing(folder: Path) -> Path:
    """A library of few photos in a folder that has many more by now."""
    write_album(folder / "Pictures/2025", 60, dated=True)
    library = folder / "growing.db"
    with aimv2.Library(library) as opened:
        opened.index(folder / "Pictures", model="demo")
    for file in write_album(folder / "Pictures/2026", MORE, first=60, dated=True):
        with Image.open(file) as small:  # as large as photos, so that the index is seen at work
            small.resize((2400, 2400)).save(file, exif=small.getexif())
    return library


def make_away(folder: Path) -> Path:
    """A library whose disk is not there."""
    write_album(folder / "Archive", 60, dated=True)
    library = folder / "away.db"
    with aimv2.Library(library) as opened:
        opened.index(folder / "Archive", model="demo")
    (folder / "Archive").rename(folder / "unplugged")
    return library


def make_native(folder: Path) -> Path:
    """A library by a checkpoint without texts."""
    write_album(folder / "Pictures", 60, dated=True)
    model = write_checkpoint(
        folder / "native", random_vision(native=True), vision_config(native=True)
    )
    library = folder / "native.db"
    with aimv2.Library(library) as opened:
        opened.index(folder / "Pictures", model=str(model))
    return library


LIBRARIES: dict[str, Callable[[Path], Path]] = {
    "full": make_full,
    "none": lambda folder: folder / "none.db",
    "growing": make_growing,
    "away": make_away,
    "native": make_native,
}


@contextmanager
def opened_tab(browser: Browser, url: str, scheme: str) -> Iterator[Tab]:
    """A tab at the page, in light or dark."""
    assert scheme in ("light", "dark")
    context = browser.new_context(
        viewport={"width": SIZE["width"], "height": SIZE["height"]},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    try:
        tab = context.new_page()
        tab.goto(url)
        yield tab
    finally:
        context.close()


def _settle(tab: Tab) -> None:
    tab.wait_for_timeout(500)  # the grid asks for pictures once it rests
    tab.wait_for_load_state("networkidle")
    tab.wait_for_timeout(500)


def take(tab: Tab, url: str, act: Callable[[Tab], object], target: Path) -> None:
    """One picture, once nothing is loaded any more."""
    tab.goto(url)
    _settle(tab)
    act(tab)
    _settle(tab)
    picture = Image.open(io.BytesIO(tab.screenshot()))
    picture.convert("RGB").save(target, "WEBP", quality=QUALITY, method=6)


def main() -> None:
    """Make the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    scenes = [
        scene
        for scene in SCENES
        if (scene.name in options.only if options.only else options.all or scene.is_shown)
    ]
    with tempfile.TemporaryDirectory() as scratch, launched() as browser:
        for kind in dict.fromkeys(scene.library for scene in scenes):
            place = Path(scratch) / kind
            place.mkdir()
            library = LIBRARIES[kind](place)
            names = {"car": find(library, "a red car")} if kind == "full" else {}
            with running_page(library) as page:
                for scene in scenes:
                    if scene.library == kind:
                        hash = scene.hash.format(**names)
                        for scheme in ("light", "dark"):
                            file = options.folder / f"{scene.name}-{scheme}.webp"
                            with opened_tab(browser, page.url, scheme) as tab:
                                take(tab, f"{page.address}/{hash}", scene.act, file)
                            print(file, flush=True)


if __name__ == "__main__":
    main()
