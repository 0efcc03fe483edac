"""Stars and a date in a sidecar: written where they are better, and set back byte for byte."""

import pytest

from mlx_aimv2.images.metadata.xmp_values import read_rating, read_taken_at
from mlx_aimv2.library.sidecars import xmp
from mlx_aimv2.library.sidecars.notes import Owner, has_ours
from mlx_aimv2.library.sidecars.value import has_values

OWNER = Owner("0123abcd")
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
HEAD = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">\r\n <rdf:RDF xmlns:rdf="' + RDF + '">\r\n'
    '  <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    ' xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" crs:Exposure="+0.5"'
)
TAIL = "\r\n </rdf:RDF>\r\n</x:xmpmeta>\r\n"
ATTRIBUTE = (HEAD + "\r\n   xmp:Rating='3'/>" + TAIL).encode()
ELEMENT = (
    HEAD + ">\r\n   <xmp:Rating>3</xmp:Rating> <!-- mine -->\r\n  </rdf:Description>" + TAIL
).encode()
NONE = (HEAD + ">\r\n   <crs:Look>x</crs:Look>\r\n  </rdf:Description>" + TAIL).encode()
VALUES = {"rating": "5", "date": "2019-05-06T07:08:09"}


def written(data: bytes | None, values: dict[str, str]) -> bytes:
    done = xmp.replace_values(data, values, owner=OWNER)
    assert done is not None
    return done


def opened(data: bytes) -> bytes:
    """A description that has had properties keeps its end tag."""
    return data.replace(b"'3'/>", b"'3'>\r\n  </rdf:Description>")


@pytest.mark.parametrize("data", [ATTRIBUTE, ELEMENT, NONE, None])
def test_values_are_written_and_set_back(data: bytes | None) -> None:
    after = written(data, VALUES)
    assert (read_rating(after), read_taken_at(after)) == (5, "2019-05-06T07:08:09")
    assert has_values(after, OWNER)
    assert has_ours(after, OWNER)
    assert written(after, VALUES) == after
    assert xmp.without_ours(after, owner=OWNER) == (data and opened(data))
    if data is not None:
        assert b'crs:Exposure="+0.5"' in after
        assert b"<!-- mine -->" in after or data is not ELEMENT


@pytest.mark.parametrize("data", [ATTRIBUTE, ELEMENT])
def test_fewer_stars_are_not_written(data: bytes) -> None:
    assert written(data, {"rating": "2"}) == data
    assert written(data, {"rating": "3"}) == data


def test_another_value_takes_the_place_of_ours_and_what_was_before_is_kept() -> None:
    more = written(written(ATTRIBUTE, {"rating": "4"}), {"rating": "5"})
    assert read_rating(more) == 5
    assert xmp.without_ours(more, owner=OWNER) == opened(ATTRIBUTE)
    less = written(more, {"rating": "4"})
    assert read_rating(less) == 4
    assert written(more, {}) == opened(ATTRIBUTE)


def test_what_another_program_changed_since_is_that_programs() -> None:
    ours = written(ATTRIBUTE, VALUES)
    theirs = ours.replace(b"xmp:Rating='5'", b"xmp:Rating='1'")
    assert theirs != ours
    assert written(theirs, VALUES) == theirs
    cleaned = xmp.without_ours(theirs, owner=OWNER)
    assert cleaned == opened(ATTRIBUTE).replace(b"xmp:Rating='3'", b"xmp:Rating='1'")


def test_a_library_leaves_the_values_of_another_one() -> None:
    first = written(ATTRIBUTE, {"rating": "4"})
    both = xmp.replace_values(first, {"rating": "5"}, owner=Owner("89ab4567"))
    assert both is not None
    assert xmp.without_ours(both, owner=Owner("89ab4567")) == first
    assert read_rating(xmp.without_ours(both, owner=OWNER) or b"") == 5


def test_values_beside_keywords_and_a_caption() -> None:
    data = xmp.merge(NONE, [("Animals", "Dog")], owner=OWNER)
    with_caption = xmp.replace_caption(data, "a dog", owner=OWNER)
    after = written(with_caption, VALUES)
    assert read_rating(after) == 5
    assert written(after, {}) == with_caption
    assert xmp.without_ours(after, owner=OWNER) == NONE


@pytest.mark.parametrize(
    ("text", "stars"),
    [("3", 3), ("4.0", 4), ("-1", 0), ("9", 5), ("nan", 0), ("inf", 0), ("", 0), ("***", 0)],
)
def test_stars(text: str, stars: int) -> None:
    assert read_rating(ATTRIBUTE.replace(b"'3'", f"'{text}'".encode())) == stars
