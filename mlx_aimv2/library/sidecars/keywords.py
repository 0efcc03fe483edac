"""Keywords in the three fields that photo programs read, one flat and two as paths; and captions'.

A tag is a path of names, ``("Animals", "Dog")``, written ``Animals|Dog`` in our own texts.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mlx_aimv2.errors import UsageError

from ..tag_names import STAND_INS, fold

Tag = tuple[str, ...]

_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Field:
    """A property that holds keywords or a text; ``separator`` joins the names of a path.

    Source: https://developer.adobe.com/xmp/docs/XMPNamespaces/dc/, the XMP that Lightroom and
    digiKam write, and ExifTool's tables of XMP tags.
    """

    uri: str
    prefix: str
    name: str
    container: str
    separator: str = ""

    def entry(self, tag: Tag) -> str:
        """A tag as this field writes it; a flat field holds only its last name."""
        if not self.separator:
            return tag[-1]
        stand_in = STAND_INS[self.separator]
        return self.separator.join(name.replace(self.separator, stand_in) for name in tag)

    def tag(self, entry: str) -> Tag:
        """The tag of an entry, without empty names; () for an empty entry."""
        names = entry.split(self.separator) if self.separator else [entry]
        return tuple(name for name in names if name.strip())

    def key(self, entry: str) -> Tag:
        """A key that is equal for entries of one meaning in this field."""
        return key(self.tag(entry))


SUBJECT = Field("http://purl.org/dc/elements/1.1/", "dc", "subject", "Bag")
HIERARCHICAL = Field(
    "http://ns.adobe.com/lightroom/1.0/", "lr", "hierarchicalSubject", "Bag", separator="|"
)
TAGS_LIST = Field(
    "http://www.digikam.org/ns/1.0/", "digiKam", "TagsList", "Seq", separator="/"
)  # fmt: skip
FIELDS = (SUBJECT, HIERARCHICAL, TAGS_LIST)
PATH_FIELDS = (HIERARCHICAL, TAGS_LIST)
# What a picture shows. Source: the XMP specification, part 1; IPTC Photo Metadata Standard 2021.1.
DESCRIPTION = Field(SUBJECT.uri, "dc", "description", "Alt")
ALT_TEXT = Field(
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/", "Iptc4xmpCore", "AltTextAccessibility", "Alt"
)
# How many stars a picture has, and when it was made. Source: as above.
RATING = Field("http://ns.adobe.com/xap/1.0/", "xmp", "Rating", "")
DATE = Field("http://ns.adobe.com/photoshop/1.0/", "photoshop", "DateCreated", "")
VALUES = {"rating": RATING, "date": DATE}


def key(tag: Tag) -> Tag:
    """A key that is equal for two spellings of a tag."""
    return tuple(fold(name) for name in tag)


def joined(paths: Iterable[Tag], flat: Iterable[str]) -> dict[Tag, Tag]:
    """The keywords of a file by their keys: its paths, and flat names that are in none of them.

    Lightroom writes the names above a keyword flat too: they are no keywords of their own.
    """
    found: dict[Tag, Tag] = {}
    for tag in paths:
        found.setdefault(key(tag), tag)
    found.pop((), None)
    said = {fold(name) for tag in found.values() for name in tag}
    said |= {separator.join(each) for each in found for separator in "|/"}
    for text in flat:
        name = " ".join(text.split())
        if name and fold(name) not in said:
            found.setdefault(key((name,)), (name,))
    return found


def clean(tag: Tag) -> Tag:
    """A tag as it can be written: each name on one line, without spaces around it.

    Errors: UsageError for no name, an empty one, or one with characters that XML cannot hold.
    """
    for name in tag:
        if found := _NOT_IN_XML.search(name):
            raise UsageError(
                f"the tag {'|'.join(tag)!a} holds {found[0]!a}, which no sidecar can hold",
                hint="take the character out of the tag's name",
            )
    names = tuple(" ".join(name.split()) for name in tag)
    if not names or not all(names):
        raise UsageError(f"the tag {'|'.join(tag)!a} has an empty name", hint="write: Animals|Dog")
    return names
