"""In a real browser no name and no EXIF of a contact sheet becomes a script."""

import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from mlx_aimv2.library.contact_sheet import SheetGroup, write_sheet
from tests.support.commands import PATIENCE_S
from tests.support.pages import Page
from tests.support.pictures import photo
from tests.support.sheet_rows import sheet_row

NAMES = ("chromium", "chromium-browser", "google-chrome")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

SCRIPT = "<script>document.title='pwned'</script>"
IMAGE = "<img src=x onerror=document.title='pwned'>"
QUOTED = "\"'><svg onload=document.title='pwned'>"


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and MAC.exists():
        found = str(MAC)
    if found is None:
        pytest.skip("needs Chromium")
    return found


def open_in(browser: str, page: Path, profile: Path) -> Page:
    """The page as it is after its scripts, if any, have run."""
    command = [browser, *QUIET, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
    ended = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=True)
    return Page(ended.stdout.decode())


def title_of(page: Page) -> str:
    return page.text.strip().splitlines()[0].strip()


def write_hostile(folder: Path) -> Path:
    """A sheet with scripts wherever a stranger's file can bring them."""
    exif = Image.Exif()
    exif[0x010E] = exif[0x0132] = SCRIPT
    rows = []
    for name in (SCRIPT, IMAGE, QUOTED):  # the stroke of the first makes a folder
        path = folder / f"{name}.jpg"
        path.parent.mkdir(exist_ok=True)
        photo(31, 23).save(path, "JPEG", exif=exif, comment=SCRIPT.encode())
        rows.append(sheet_row(path, taken_at=SCRIPT, note=IMAGE))
    (folder / f"{IMAGE}.png").write_text(SCRIPT)  # shown with the reason
    groups = [SheetGroup(QUOTED + SCRIPT, [sheet_row(folder / f"{IMAGE}.png")])]
    target = folder / "sheet.html"
    write_sheet(target, f"Safe </title>{SCRIPT}", rows, groups=groups)
    return target


def test_no_script_of_a_sheet_runs(browser: str, tmp_path: Path) -> None:
    page = open_in(browser, write_hostile(tmp_path), tmp_path / "profile")
    assert title_of(page) == f"Safe </title>{SCRIPT}"
    assert not {"script", "svg"} & {tag for tag, _ in page.elements}
    assert len(page.all("img")) == 3
    assert all((image["src"] or "").startswith("data:image/jpeg") for image in page.all("img"))
    assert page.text.count(SCRIPT) >= 6
    assert page.text.count(IMAGE) >= 5
    assert QUOTED in page.text


@pytest.mark.parametrize("has_policy", [True, False])
def test_a_script_that_slips_through_is_stopped_by_the_policy(
    has_policy: bool, browser: str, tmp_path: Path
) -> None:
    target = write_hostile(tmp_path)
    source = target.read_text(encoding="utf-8").replace("<main>", f"<main>{SCRIPT}")
    if not has_policy:  # which also shows that this test would see a script that runs
        source = source.replace("Content-Security-Policy", "other")
    target.write_text(source, encoding="utf-8")
    page = open_in(browser, target, tmp_path / "profile")
    assert len(page.all("script")) == 1
    assert title_of(page) == (f"Safe </title>{SCRIPT}" if has_policy else "pwned")
