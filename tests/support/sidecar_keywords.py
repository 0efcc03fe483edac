"""The keywords in a sidecar, read by the standard library's XML: not by the code under test."""

from typing import NamedTuple
from xml.etree import ElementTree

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_FIELDS = (
    "{http://purl.org/dc/elements/1.1/}subject",
    "{http://ns.adobe.com/lightroom/1.0/}hierarchicalSubject",
    "{http://www.digikam.org/ns/1.0/}TagsList",
)


class Keywords(NamedTuple):
    """The three fields, with their entries as they are in the file."""

    flat: tuple[str, ...]
    hierarchical: tuple[str, ...]
    tags_list: tuple[str, ...]


def read_keywords(data: bytes) -> Keywords:
    """Entries as items of a list, or alone: as an element's text or as an attribute."""
    descriptions = list(ElementTree.fromstring(data).iter(f"{_RDF}Description"))
    found: list[list[str]] = [[], [], []]
    for entries, field in zip(found, _FIELDS, strict=True):
        entries += [each.attrib[field] for each in descriptions if field in each.attrib]
        for element in (element for each in descriptions for element in each.findall(field)):
            if len(element):
                entries += [item.text or "" for item in element.iter(f"{_RDF}li")]
            elif (element.text or "").strip():
                entries.append(element.text or "")
    return Keywords(*map(tuple, found))
