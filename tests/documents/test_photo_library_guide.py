"""What docs/photo-library.md says can be typed, in its order, and what it shows is printed."""

import re
from pathlib import Path

from tests.support.commands import run
from tests.support.documents import UUID, Home, alike, has_worked, read

GUIDE = read("docs/photo-library.md")
TEXT = GUIDE.path.read_text(encoding="utf-8")
# There are no RAW files in the drawn album.
REFUSED = {"*.NEF": "no photo in the library fits *.NEF"}


def test_its_commands_work_in_their_order_and_print_what_it_shows(tmp_path):
    home = Home(tmp_path)
    home.write_tags(GUIDE)
    typed = {}
    for line in GUIDE.lines:
        done = typed[line] = home.type(line)
        reason = next((reason for name, reason in REFUSED.items() if name in line), None)
        if reason is None:
            assert has_worked(done), (line, done.stderr)
        else:
            assert reason in done.stderr
    assert len(GUIDE.shown) >= 6
    for command, shown in GUIDE.shown:
        printed = home.printed(typed[command])
        assert alike(shown, printed), (
            f"{command}\n{printed}\nnow: python -m tests.support.documents"
        )

    found = home.type("aimv2 search receipt -t 0 --uuid --library ~/photos-app.db")
    assert found.stdout == f"{UUID}\n"
    (code,) = GUIDE.python
    done = home.run_python(code)
    assert done.returncode == 0, done.stderr
    first, second, *_ = done.stdout.splitlines()
    assert first == "63 0 []"
    assert re.fullmatch(r"0\.\d+ .*boat.*", second)
    assert len((home.folder / "vectors.jsonl").read_text().splitlines()) > 60


def test_options_in_its_text_are_there():
    commands = (
        "index", "search", "tag", "tag add", "tag undo", "duplicates", "library prune",
        "library export")  # fmt: skip
    helps = "".join(run(*name.split(), "--help").out for name in commands)
    prose = re.sub(r"^```.*?^```$", "", TEXT, flags=re.DOTALL | re.MULTILINE)
    named = {
        option
        for quoted in re.findall(r"`([^`]*)`", prose)
        if not quoted.startswith(("osxphotos", "exiftool"))
        for option in re.findall(r"(?<!\S)--?[a-z0][a-z-]*", quoted)
    }
    assert len(named) > 10
    for option in named:
        assert re.search(rf"(^|[ ,]){option}\b", helps, re.MULTILINE), option


def test_its_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert links
    for target in links:
        assert target.startswith("https://") or Path(GUIDE.path.parent / target).exists(), target
