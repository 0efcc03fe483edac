"""An evening with the photo library: pictures with keywords of their own, and the guide's commands.

    python -m tests.support.evening

types the commands on 200 drawings and 100 photographs, writes into docs/photo-library.md what they
print, and says if anything of the owner's was lost.
"""

import hashlib
import os
import random
import re
import shlex
import struct
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

from lxml import etree
from PIL import Image, IptcImagePlugin, PngImagePlugin

from benchmarks.foreign import photographs
from mlx_aimv2.training.drawings.album import write_album
from tests.support.commands import AIMV2, PATIENCE_S
from tests.support.documents import read
from tests.support.keyword_packet import PACKET
from tests.support.sidecar_samples import ADOBE_PACKET, DARKTABLE, DIGIKAM, LIGHTROOM

_DC, _LR, _DIGIKAM = (
    "http://purl.org/dc/elements/1.1/",
    "http://ns.adobe.com/lightroom/1.0/",
    "http://www.digikam.org/ns/1.0/",
)
_FIELDS = (f"{{{_DC}}}subject", f"{{{_LR}}}hierarchicalSubject", f"{{{_DIGIKAM}}}TagsList")
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_SIDECARS = (
    (".xmp", LIGHTROOM),
    (".jpg.xmp", DARKTABLE),
    (".jpg.xmp", DIGIKAM),
    (".XMP", ADOBE_PACKET),
)


GUIDE = read("docs/photo-library.md")
_PROMPT = "$ "
_MOST_LINES = 6
REFUSED = [["tag", "--vocabulary", "my-tags.txt", "--replace"]]  # it asks, and nobody answers
_FIRST_REJECTED = 3  # number of its edit: an index, tags, a confirmation


def commands() -> list[list[str]]:
    """The words of the commands of the evening, in order."""
    shown = "".join(text for kind, text in GUIDE.blocks if kind == "console")
    lines = [line for line in shown.splitlines() if line.startswith(_PROMPT)]
    return [
        [os.path.expanduser(word) for word in shlex.split(line.removeprefix(_PROMPT))]  # noqa: PTH111
        for line in lines
    ]


def make_pictures(folder: Path, drawings: int, photos: int) -> None:
    """Drawings, every tenth with what it shows in a sidecar, and photographs with keywords.

    Of eight photographs one has IPTC, one XMP, one both, one is a PNG with XMP, and four have a
    sidecar of another program each; two of these have keywords inside too.
    """
    for file in write_album(folder / "Drawings", drawings)[::10]:
        shown = file.stem.split("-")[-1].encode()
        Path(f"{file}.xmp").write_bytes(DIGIKAM.replace(b"Animals/Cat", b"Drawn/" + shown))
    album = folder / "Photos"
    album.mkdir()
    kinds = cycle(range(8))
    for number, image in enumerate(photographs(photos, random.Random(7)), 1):
        kind, name = next(kinds), f"IMG_{number:04}"
        own = f"Shoot {number}"
        if kind == 3:
            texts = PngImagePlugin.PngInfo()
            texts.add_itxt("XML:com.adobe.xmp", _named(PACKET, own).decode())
            image.save(album / f"{name}.png", pnginfo=texts)
            continue
        packet = {"xmp": _named(PACKET, own)} if kind in {1, 2, 7} else {}
        image.save(album / f"{name}.jpg", quality=90, **packet)
        if kind in {0, 2, 4}:
            _add_iptc(album / f"{name}.jpg", ["Holiday", "Café", own])
        if kind >= 4:
            suffix, sidecar = _SIDECARS[kind - 4]
            (album / f"{name}{suffix}").write_bytes(sidecar)


def sums(folder: Path) -> dict[str, str]:
    """The sum of each file's bytes, by its name; sidecars are not among them."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.suffix.lower() != ".xmp"
    }


def sidecars(folder: Path) -> dict[str, bytes]:
    """The sidecars' bytes, by their names."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() == ".xmp"
    }


def keywords(folder: Path) -> dict[str, Counter[tuple[str, str]]]:
    """The entries of each file's keyword fields as Pillow and lxml read them, by its name."""
    found = {name: _entries(data) for name, data in sidecars(folder).items()}
    for name in sums(folder):
        if name.endswith((".jpg", ".png")):
            with Image.open(folder / name) as image:
                iptc = (IptcImagePlugin.getiptcinfo(image) or {}).get((2, 25), [])
                packet = image.info.get("xmp", b"")
            texts = iptc if isinstance(iptc, list) else [iptc]
            found[name] = Counter(("IPTC", text.decode()) for text in texts)
            found[name] += _entries(packet)
    return {name: each for name, each in found.items() if each}


def _entries(packet: bytes) -> Counter[tuple[str, str]]:
    """The entries in the keyword fields of a packet."""
    if not packet:
        return Counter()
    root = etree.fromstring(packet)
    return Counter(
        (field, item.text or "")
        for field in _FIELDS
        for element in root.iter(field)
        for item in element.iter(f"{_RDF}li")
    )


def _named(packet: bytes, name: str) -> bytes:
    return packet.replace("Café".encode(), name.encode())


def _add_iptc(file: Path, words: list[str]) -> None:
    """Put IPTC keywords into a JPEG as Photoshop does, in UTF-8."""
    sets = [b"\x1c\x01\x5a\x00\x03\x1b%G"]
    sets += [
        struct.pack(">BBBH", 0x1C, 2, 25, len(word.encode())) + word.encode() for word in words
    ]
    data = b"".join(sets)
    block = b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(data)) + data + b"\0" * (len(data) % 2)
    segment = b"Photoshop 3.0\0" + block
    whole = file.read_bytes()
    head = struct.pack(">HH", 0xFFED, len(segment) + 2)
    file.write_bytes(whole[:2] + head + segment + whole[2:])


class Evening:
    """Pictures of a home as they were at first, to see what is lost and what came back."""

    def __init__(self, home: Path, drawings: int, photos: int) -> None:
        self._folder = home / "Pictures"
        make_pictures(self._folder, drawings, photos)
        (tags,) = (text for kind, text in GUIDE.blocks if not kind and "Family|" in text)
        (home / "my-tags.txt").write_text(tags)
        self._sums, self._keywords = sums(self._folder), keywords(self._folder)
        self._sidecars = sidecars(self._folder)
        self._rejected: dict[tuple[str, str], None] = {}  # a photo's name and a tag's last name

    def check(self, command: Sequence[str]) -> None:
        """That nothing of the owner's is lost, and nothing is there that was rejected."""
        match command:
            case ["aimv2", "tag", "reject", tag, *files]:
                self._rejected |= {(Path(file).name, tag.split("|")[-1]): None for file in files}
            case ["aimv2", "tag", "undo", "--all"]:
                assert sidecars(self._folder) == self._sidecars
            case ["aimv2", "tag", "undo", number]:
                del self._rejected[list(self._rejected)[int(number) - _FIRST_REJECTED]]
        assert sums(self._folder) == self._sums
        now = keywords(self._folder)
        assert not {name: lost for name, own in self._keywords.items() if (lost := own - now[name])}
        for photo, tag in self._rejected:
            for name in now:
                new = now[name] - self._keywords.get(name, Counter())
                if Path(name).name.startswith(photo.split(".")[0]):
                    assert tag not in {re.split("[|/]", text)[-1] for _, text in new}


def main() -> None:
    """Have the evening, and write it into the guide."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(os.path.realpath(name))
        evening = Evening(home, 200, 100)
        environment = os.environ | {
            "HOME": str(home),
            "PATH": f"{AIMV2.parent}:{os.environ['PATH']}",
            "COLUMNS": "100",
        }
        for variable in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
            environment.pop(variable, None)

        def typed(line: str) -> str:
            done = subprocess.run(
                ["bash", "-c", line.removeprefix(_PROMPT)],
                cwd=home,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
            evening.check(shlex.split(line.removeprefix(_PROMPT)))
            return f"{line}\n{_shortened(done.stdout.replace(str(home), '/Users/you'))}"

        def block(found: re.Match[str]) -> str:
            lines = [each for each in found[1].splitlines() if each.startswith(_PROMPT)]
            return "```console\n" + "\n".join(map(typed, lines)) + "```\n"

        text = GUIDE.path.read_text(encoding="utf-8")
        new = re.sub(r"^```console\n(.*?)^```\n", block, text, flags=re.DOTALL | re.MULTILINE)
        GUIDE.path.write_text(new, encoding="utf-8")


def _shortened(printed: str) -> str:
    """What a command printed, without the middle of what is long."""
    lines = printed.splitlines(keepends=True)
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES // 2 : -_MOST_LINES // 2] = ["…\n"]
    return "".join(lines)


if __name__ == "__main__":
    main()
