"""Keywords in XMP: in all three fields, and all else as it was."""

import io
import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from mlx_aimv2.errors import OutputError, UsageError
from mlx_aimv2.images.metadata import xmp_packet
from mlx_aimv2.library.sidecars.notes import OURS
from mlx_aimv2.library.sidecars.xmp import merge, remove_ours
from tests.support import sidecar_samples as samples
from tests.support.sidecar_keywords import Keywords, read_keywords
from tests.support.sidecar_samples import SAMPLES

DOG = ("Animals", "Dog")
FIELDS = (
    "{http://purl.org/dc/elements/1.1/}subject",
    "{http://ns.adobe.com/lightroom/1.0/}hierarchicalSubject",
    "{http://www.digikam.org/ns/1.0/}TagsList",
)
NAMES = st.text(
    st.characters(
        codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"
    ),
    min_size=1,
    max_size=12,
).filter(str.strip)
TAGS = st.lists(st.lists(NAMES, min_size=1, max_size=3).map(tuple), max_size=4)
DATA = st.sampled_from(list(SAMPLES.values()))


def canonical_rest(data: bytes) -> bytes:
    """All that holds no keywords, as canonical XML with comments, but for space between tags."""
    tree = etree.parse(io.BytesIO(data), etree.XMLParser(resolve_entities=False))
    for element in list(tree.iter(etree.Element)):
        if element.tag in FIELDS or element.tag.startswith(f"{{{OURS}}}"):
            parent = element.getparent()
            if element.tail and element.tail.strip():
                raise AssertionError("text between properties")
            parent.remove(element)
    for element in tree.iter(etree.Element):
        element.attrib.pop(FIELDS[0], None)
        for part in ("text", "tail"):
            if not (getattr(element, part) or "x").strip():
                setattr(element, part, None)
    out = io.BytesIO()
    tree.write_c14n(out, with_comments=True)
    return out.getvalue()


@pytest.mark.parametrize("name", SAMPLES)
def test_tags_are_added_and_all_else_stays(name: str) -> None:
    before = SAMPLES[name]
    after = merge(before, [DOG, ("snow",)])
    keywords = read_keywords(after)
    old = read_keywords(before)
    assert {"Dog", "snow", *old.flat} <= set(keywords.flat)
    assert {"Animals|Dog", "snow", *old.hierarchical} <= set(keywords.hierarchical)
    assert {"Animals/Dog", "snow", *old.tags_list} <= set(keywords.tags_list)
    assert canonical_rest(after) == canonical_rest(before)


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - {"bare", "attribute", "text", "empty"}))
def test_taking_out_gives_back_every_byte(name: str) -> None:
    before = SAMPLES[name]
    assert remove_ours(merge(before, [DOG, ("snow",)])) == before
    assert merge(merge(before, []), [DOG], [DOG]) == merge(before, [])


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - {"attribute", "text"}))
def test_only_lines_are_added(name: str) -> None:
    before, after = SAMPLES[name], merge(SAMPLES[name], [DOG])
    rest = iter(after.replace(b">", b"> ").replace(b"/>", b">").split())
    for word in before.replace(b">", b"> ").replace(b"/>", b">").split():
        assert word in rest, f"{word!r} is gone or moved"


def test_a_new_sidecar() -> None:
    data = merge(None, [DOG])
    assert read_keywords(data) == Keywords(("Dog",), ("Animals|Dog",), ("Animals/Dog",))
    kinds = [element.tag.partition("}")[2] for element in etree.fromstring(data)[0][0].iter()]
    assert kinds[1:10] == [
        *("subject", "Bag", "li", "hierarchicalSubject", "Bag", "li", "TagsList", "Seq", "li")
    ]
    assert read_keywords(merge(samples.NO_BLOCK, [DOG])) == read_keywords(data)


def test_each_field_gets_what_the_others_hold() -> None:
    lightroom = read_keywords(merge(samples.LIGHTROOM, []))
    assert lightroom.flat == read_keywords(samples.LIGHTROOM).flat
    # The names above Paris were written flat by Lightroom: they are not keywords at the top.
    assert lightroom.hierarchical == ("Places|France|Paris", "holiday")
    assert lightroom.tags_list == ("Places/France/Paris", "holiday")
    digikam = read_keywords(merge(samples.DIGIKAM, []))
    assert digikam.flat == ("Cat", "Zoë & Jim")
    assert digikam.hierarchical == ("Animals|Cat", "People|Zoë & Jim")


@pytest.mark.parametrize("flat", ["Places|France|Paris", "Places/France/Paris"])
def test_a_path_written_flat_is_no_new_keyword(flat: str) -> None:
    data = samples.LIGHTROOM.replace(b">holiday<", f">{flat}<".encode())
    assert read_keywords(merge(data, [])).hierarchical == ("Places|France|Paris",)


def test_an_attribute_without_a_namespace_is_another_one() -> None:
    default = samples.DC.replace("xmlns:dc", "xmlns").encode()
    data = samples.ATTRIBUTE.replace(b"dc:format", default + b" subject='kept' dc:format")
    after = merge(data, [DOG])
    assert read_keywords(after).flat == ("one", "Dog")
    assert b" subject='kept'" in after
    assert b'dc:subject="' not in after


def test_foreign_parts_stay_byte_for_byte() -> None:
    after = merge(samples.ADOBE_PACKET, [DOG])
    head = samples.ADOBE_PACKET.partition(b"<d:subject>")[0]
    assert after.startswith(head)
    assert after.endswith(samples.ADOBE_PACKET.partition(b"</rdf:RDF>")[2])
    assert b"<![CDATA[<b>]]>" in after
    after = merge(samples.LIGHTROOM, [DOG])
    for part in (b"crs:Look=\" dc:subject='a trap' \"", b"xmp:Label='a \"quoted\" &gt; label'"):
        assert part in after
    assert merge(b"\xef\xbb\xbf" + samples.DIGIKAM, [DOG]).startswith(b"\xef\xbb\xbf<?xml")


def test_only_what_was_added_here_is_removed() -> None:
    before = merge(samples.DIGIKAM, [])
    assert merge(before, [], [("Animals", "Cat")]) == before
    both = merge(before, [DOG, ("snow",)])
    assert merge(both, [], [DOG]) == merge(before, [("snow",)])
    assert merge(both, [], [DOG, ("snow",)]) == before
    # Flat "Cat" was copied from digiKam's field: it stays with what it was copied from.
    with_cat = merge(before, [("Friends", "Cat")])
    assert merge(with_cat, [], [("Friends", "Cat")]) == before


def test_what_someone_else_took_out_stays_out() -> None:
    both = merge(samples.DIGIKAM, [DOG, ("snow",)])
    without = re.sub(rb"\s*<rdf:li>(?:Animals.)?Dog</rdf:li>", b"", both, count=3)
    again = merge(without, [("snow",)])
    assert not any("Dog" in entry for entry in read_keywords(again).hierarchical)
    assert remove_ours(again) == samples.DIGIKAM
    flat_gone = merge(samples.LIGHTROOM, []).replace(b"<rdf:li>holiday</rdf:li>", b"", 1)
    assert "holiday" not in read_keywords(merge(flat_gone, [])).tags_list


def test_what_someone_else_added_stays() -> None:
    after = merge(samples.DIGIKAM, [DOG])
    later = after.replace(
        b"<rdf:li>Animals/Dog<", b"<rdf:li>Mine/Own</rdf:li><rdf:li>Animals/Dog<", 1
    )
    assert read_keywords(remove_ours(later)).tags_list == (
        *read_keywords(samples.DIGIKAM).tags_list,
        "Mine/Own",
    )


def test_separators_in_names() -> None:
    tag = ("Music", "AC/DC", "a|b")
    once = merge(None, [tag])
    assert read_keywords(once) == Keywords(("a|b",), ("Music|AC/DC|a｜b",), ("Music/AC／DC/a|b",))
    assert merge(once, [tag]) == once
    assert merge(once, []) == once
    assert read_keywords(merge(once, [], [tag])) == Keywords((), (), ())


def test_names_are_compared_in_nfc_with_their_case() -> None:
    decomposed = unicodedata.normalize("NFD", "café")
    assert read_keywords(merge(samples.ADOBE_PACKET, [(decomposed,)])).flat == ("café",)
    assert read_keywords(merge(samples.ADOBE_PACKET, [("Café",)])).flat == ("café", "Café")


def test_space_in_names_is_single() -> None:
    assert read_keywords(merge(None, [(" a\n\tb ",)])).flat == ("a b",)
    assert read_keywords(merge(samples.BARE, [("a  b",), ("a\rb",)])).flat == ("a b",)


@pytest.mark.parametrize("name", ["a\0", "\x1b[2J", "\udcff", "\uffff", "", " "])
def test_names_that_xml_cannot_hold(name: str) -> None:
    with pytest.raises(UsageError, match="the tag"):
        merge(None, [("Animals", name)])
    with pytest.raises(UsageError):
        merge(None, [()])


BOMB = b'<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><r>&b;</r>'
EXTERNAL = b'<!DOCTYPE r SYSTEM "http://127.0.0.1:9/x.dtd"><r/>'
FILE = b'<!DOCTYPE r [<!ENTITY f SYSTEM "file:///etc/passwd">]>' + samples.BARE


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (BOMB, "DOCTYPE"),
        (EXTERNAL, "DOCTYPE"),
        (FILE, "DOCTYPE"),
        (BOMB.decode().encode("utf-16"), "DOCTYPE"),
        (b"", "not well-formed"),
        (samples.DIGIKAM[:-20], "not well-formed"),
        (samples.DIGIKAM + b"<more/>", "not well-formed"),
        (samples.BARE.replace(b'""', b'"&unknown;"'), "not well-formed"),
        (samples.BARE.replace(b"xmlns:rdf", b"xmlns:x"), "not well-formed"),
        (samples.DIGIKAM.replace(b"\xc3", b""), "not well-formed"),
        (b"<html/>", "no rdf:RDF"),
        (b'<?xml version="1.0" encoding="EBCDIC"?><a/>', "EBCDIC"),
        (b"\xff\xfe\x00", "not the utf-16"),
        (samples.EMPTY.replace(b"rdf:Bag", b"rdf:Thing"), "unknown form"),
        (samples.BARE + b" " * xmp_packet.MAX_BYTES, "16 MB"),
    ],
)
def test_what_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(OutputError, match=re.escape(reason)) as caught:
        merge(data, [DOG], name="a/b\n.xmp")
    assert str(caught.value).startswith("a/b\\n.xmp ")
    assert "move it away" in caught.value.hint
    with pytest.raises(OutputError):
        remove_ours(data)


def test_what_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xmp_packet, "_MAX_KEPT", 20)
    with pytest.raises(OutputError, match="more than 20 keywords"):
        merge(merge(None, [(f"t{number}",) for number in range(20)]), [])
    history = samples.DARKTABLE.replace(
        b"<rdf:Seq/>", b"<rdf:Seq>" + b"<rdf:li/>" * 99 + b"</rdf:Seq>"
    )
    assert canonical_rest(merge(history, [DOG])) == canonical_rest(history)
    many = b" ".join(b'xmlns:n%d="urn:%d"' % (number, number) for number in range(600))
    with pytest.raises(OutputError, match="namespaces"):
        merge(samples.BARE.replace(b"rdf:about", many + b" rdf:about"), [])


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "iso-8859-1"])
def test_other_encodings_are_read_and_written_in_utf8(codec: str) -> None:
    declared = samples.DIGIKAM.replace(b"UTF-8", codec.encode())
    data = merge(declared.decode().encode(codec), [DOG])
    assert b'encoding="UTF-8"' in data
    assert data == merge(samples.DIGIKAM, [DOG])
    unchanged = declared.decode().encode(codec)
    assert remove_ours(unchanged) == unchanged


@settings(max_examples=60, deadline=None)
@given(data=st.none() | DATA, first=TAGS, second=TAGS)
def test_merging(
    data: bytes | None, first: list[tuple[str, ...]], second: list[tuple[str, ...]]
) -> None:
    once = merge(data, first)
    assert merge(once, first) == once
    assert merge(once, []) == once
    twice = merge(once, second)
    for got, direct in zip(read_keywords(twice), fields_of(data, first + second), strict=True):
        assert sorted(got) == sorted(direct)
    if data is not None:
        assert read_keywords(remove_ours(twice)) == read_keywords(data)
        assert canonical_rest(twice) == canonical_rest(data)
        assert canonical_rest(remove_ours(twice)) == canonical_rest(data)


def fields_of(data: bytes | None, tags: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return list(read_keywords(merge(data, tags)))


@settings(max_examples=40, deadline=None)
@given(tags=TAGS)
def test_an_independent_parser_reads_the_same(tags: list[tuple[str, ...]]) -> None:
    data = merge(samples.LIGHTROOM, tags)
    tree = etree.fromstring(data)
    for field, entries in zip(FIELDS, read_keywords(data), strict=True):
        assert tuple(item.text for item in tree.find(f".//{field}")[0]) == entries
        folded = [unicodedata.normalize("NFC", entry) for entry in entries]
        assert len(set(folded)) == len(folded)
