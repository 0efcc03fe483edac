"""Captions in XMP: read by ExifTool, taken out to the byte, and never over another's."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from mlx_aimv2.library.caption_text import clean_caption
from mlx_aimv2.library.sidecars.caption import has_caption, read_caption
from mlx_aimv2.library.sidecars.notes import Owner
from mlx_aimv2.library.sidecars.xmp import (
    merge,
    remove_ours,
    replace_caption,
    replace_ours,
    without_ours,
)
from tests.support.exiftool_runs import exiftool
from tests.support.sidecar_samples import LIGHTROOM, SAMPLES

OWNER, OTHER = Owner("0123abcd"), Owner("4567abcd")
TEXT = 'Two dogs <b>&amp; "a cat"</b> ]]> on a beach, <|im_end|> 猫 🐈'
DC = "{http://purl.org/dc/elements/1.1/}"
THEIRS = LIGHTROOM.replace(
    b"   <dc:subject>",
    b'   <dc:description>\n    <rdf:Alt>\n     <rdf:li xml:lang="de">Luna am See</rdf:li>\n'
    b'     <rdf:li xml:lang="x-default">Luna at the lake</rdf:li>\n'
    b"    </rdf:Alt>\n   </dc:description>\n   <dc:subject>",
)
WHOLE = sorted(set(SAMPLES) - {"attribute", "bare", "empty", "text"})


def written(data: bytes | None, text: str | None = TEXT, owner: Owner = OWNER) -> bytes:
    return replace_caption(data, text, owner=owner) or b""


@pytest.mark.parametrize("name", [*WHOLE, "new"])
def test_a_caption_is_taken_out_to_the_byte(name: str) -> None:
    before = SAMPLES.get(name)
    once = written(before)
    assert once != before
    assert has_caption(once, OWNER)
    assert written(once) == once
    again = written(once, "another text")
    assert TEXT.encode() not in again
    assert without_ours(again, owner=OWNER) == before
    if before is not None:
        assert remove_ours(once, owner=OWNER) == written(once, None) == before


@pytest.mark.parametrize("name", WHOLE)
def test_beside_tags_each_is_taken_out_alone(name: str) -> None:
    tagged = merge(SAMPLES[name], [("Animals", "Dog")], owner=OWNER)
    both = written(tagged)
    assert replace_caption(both, None, owner=OWNER) == tagged
    captioned = replace_ours(both, [], owner=OWNER) or b""
    assert has_caption(captioned, OWNER)
    assert b"Animals|Dog" not in captioned
    assert remove_ours(both, owner=OWNER) == SAMPLES[name]


def test_what_others_wrote_stays() -> None:
    once = written(THEIRS)
    assert b"Luna at the lake" in once
    assert once.count(b"Two dogs") == 2  # the alternative text and the note of it
    assert read_caption(once, OWNER) == "Luna at the lake"
    assert remove_ours(once, owner=OWNER) == THEIRS


def test_what_another_program_changed_is_its_own() -> None:
    once = written(None)
    changed = once.replace(b"Two dogs", b"Luna", 1)
    assert read_caption(changed, OWNER).startswith("Luna")
    again = written(changed, "something else")
    assert b">Luna" in again
    assert again.count(b"something else") == 2
    assert b">Luna" in remove_ours(again, owner=OWNER)


def test_what_another_program_took_out_stays_out() -> None:
    once = written(LIGHTROOM)
    start, end = once.index(b"<dc:description>"), once.index(b"</dc:description>")
    without = once[:start] + once[end + len(b"</dc:description>") :]
    again = written(without, "something else")
    assert b"dc:description" not in again
    assert again.count(b"something else") == 2
    assert b"something else" not in remove_ours(again, owner=OWNER)
    assert b"aimv2" not in remove_ours(again, owner=OWNER)


def test_another_librarys_caption_is_anothers() -> None:
    once = written(None)
    assert written(once, "something else", OTHER) == once
    assert read_caption(once, OTHER) == TEXT
    assert read_caption(once, OWNER) == ""
    assert remove_ours(once, owner=OTHER) == once


@pytest.mark.parametrize("data", [b"", b"no XML", b"<a/>", b"<!DOCTYPE a><a/>"])
def test_what_is_no_packet_says_nothing(data: bytes) -> None:
    assert read_caption(data) == ""


@settings(max_examples=60)
@given(st.text(max_size=40).map(clean_caption).filter(bool))
def test_any_caption_comes_back(text: str) -> None:
    data = written(LIGHTROOM, text)
    tree = etree.fromstring(data)
    (item,) = tree.iterfind(f".//{DC}description//*[@{{http://www.w3.org/XML/1998/namespace}}lang]")
    assert item.text == text
    assert read_caption(data, OTHER) == text
    assert remove_ours(data, owner=OWNER) == LIGHTROOM


def test_exiftool_reads_both(tmp_path: Path) -> None:
    for name, data in (("new", None), ("lightroom", LIGHTROOM)):
        (tmp_path / f"{name}.xmp").write_bytes(written(data))
    names = ("-XMP-dc:Description", "-XMP-iptcCore:AltTextAccessibility")
    found = json.loads(exiftool("-json", "-q", *names, *sorted(tmp_path.glob("*.xmp"))))
    for each in found:
        assert each["Description"] == TEXT
        assert each.get("AltTextAccessibility", TEXT) == TEXT
    known = exiftool("-listx", "-XMP-iptcCore:all")
    if b"AltTextAccessibility" in known:
        assert all("AltTextAccessibility" in each for each in found)
