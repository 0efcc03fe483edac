"""Another program that edits keywords in sidecars: the standard library's XML, none of our code."""

import re
from collections.abc import Iterator
from xml.etree import ElementTree

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_OURS = "https://github.com/mlx-aimv2/ns/1.0/"
# Of each field: namespace, name, what holds its items, what stands between the names of a path.
_FIELDS = {
    "dc": ("http://purl.org/dc/elements/1.1/", "subject", "Bag", None),
    "lr": ("http://ns.adobe.com/lightroom/1.0/", "hierarchicalSubject", "Bag", "|"),
    "digiKam": ("http://www.digikam.org/ns/1.0/", "TagsList", "Seq", "/"),
}
PROGRAMS = {"digikam": ("dc", "lr", "digiKam"), "lightroom": ("dc", "lr"), "simple": ("dc",)}
NEW = f"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}">
  <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="3"/>
</rdf:RDF></x:xmpmeta>
""".encode()

for _prefix, (_uri, *_) in _FIELDS.items():
    ElementTree.register_namespace(_prefix, _uri)
ElementTree.register_namespace("rdf", _RDF)
ElementTree.register_namespace("x", "adobe:ns:meta/")

Entry = tuple[str, str]  # the prefix of its field, its text


def add_keyword(data: bytes | None, tag: str, program: str) -> tuple[bytes, set[Entry]]:
    """A packet with a tag as a program adds it, and the entries that were not there."""
    root = ElementTree.fromstring(data or NEW)
    added = {
        (prefix, text)
        for prefix in PROGRAMS[program]
        if (text := _entry(tag, _FIELDS[prefix][3])) not in _texts(root, prefix)
    }
    for prefix, text in sorted(added):
        _add(root, prefix, text)
    return (_bytes(root) if added else data or NEW), added


def remove_keyword(data: bytes, tag: str) -> tuple[bytes, set[Entry]]:
    """A packet without a tag in any field, and the entries that went. Notes of others stay."""
    root = ElementTree.fromstring(data)
    gone = set()
    for prefix, (*_, separator) in _FIELDS.items():
        if _remove(root, prefix, _entry(tag, separator)):
            gone.add((prefix, _entry(tag, separator)))
    return (_bytes(root) if gone else data), gone


def apply_arguments(data: bytes | None, lines: list[str]) -> bytes:
    """A photo's packet after ExifTool took the lines of an argument file; IPTC is not kept here."""
    root = ElementTree.fromstring(data or NEW)
    prefixes = {f"XMP-{prefix}:{name}".lower(): prefix for prefix, (_, name, *_) in _FIELDS.items()}
    for line in lines:
        found = re.fullmatch(r"-([\w:-]+?)([+-])=(.*)", line)
        assert found is not None, line
        prefix = prefixes.get(found[1].lower())
        if prefix is None:
            assert found[1] == "IPTC:Keywords", line
        elif found[2] == "-":
            _remove(root, prefix, found[3])
        else:
            _add(root, prefix, found[3])
    return _bytes(root)


def entries(data: bytes) -> set[Entry]:
    """All keywords of a sidecar, by their fields."""
    root = ElementTree.fromstring(data)
    return {(prefix, text) for prefix in _FIELDS for text in _texts(root, prefix)}


def noted(data: bytes, library: str = "") -> set[str]:
    """The tags that are there and by its notes are this program's, or this library's of it."""
    root = ElementTree.fromstring(data)
    return {
        item.text or ""
        for element in root.iter()
        if element.tag.startswith(f"{{{_OURS}{library}") and element.tag.endswith("}keywords")
        for item in element.iter(f"{{{_RDF}}}li")
        if item.text in _texts(root, "lr")
    }


def noted_entries(data: bytes) -> set[Entry]:
    """The entries that a sidecar's notes say this program added, whether they are there or not."""
    prefixes = {name: prefix for prefix, (_, name, *_) in _FIELDS.items()}
    return {
        (prefixes[name], item.text or "")
        for element in ElementTree.fromstring(data).iter()
        if element.tag.startswith(f"{{{_OURS}")
        and (name := element.tag.rpartition("}")[2]) in prefixes
        for item in element.iter(f"{{{_RDF}}}li")
    }


def others_part(data: bytes) -> str:
    """A sidecar as XML without what its notes say that this program added, and the notes."""
    root = ElementTree.fromstring(data)
    ours = [
        (element.tag.rpartition("}")[2], item.text)
        for element in root.iter()
        if element.tag.startswith(f"{{{_OURS}")
        for item in element.iter(f"{{{_RDF}}}li")
    ]
    for home in root.iter(f"{{{_RDF}}}Description"):
        for field in list(home):
            uri, _, name = field.tag[1:].rpartition("}")
            if uri.startswith(_OURS):
                home.remove(field)
                continue
            for container in field:
                for item in reversed(list(container)):
                    if (name, item.text) in ours and uri in {each for each, *_ in _FIELDS.values()}:
                        ours.remove((name, item.text))
                        container.remove(item)
            if len(field) and not any(len(container) for container in field):
                home.remove(field)
    return ElementTree.canonicalize(ElementTree.tostring(root, "unicode"), strip_text=True)


def _texts(root: ElementTree.Element, prefix: str) -> Iterator[str]:
    uri, name, *_ = _FIELDS[prefix]
    for field in root.iter(f"{{{uri}}}{name}"):
        for item in field.iter(f"{{{_RDF}}}li"):
            yield item.text or ""


def _entry(tag: str, separator: str | None) -> str:
    return tag.replace("|", separator) if separator else tag.rpartition("|")[2]


def _add(root: ElementTree.Element, prefix: str, text: str) -> None:
    uri, name, kind, _ = _FIELDS[prefix]
    field = next(root.iter(f"{{{uri}}}{name}"), None)
    if field is None:
        home = next(root.iter(f"{{{_RDF}}}Description"))
        field = ElementTree.SubElement(home, f"{{{uri}}}{name}")
    container = next(iter(field), None)
    if container is None:
        container = ElementTree.SubElement(field, f"{{{_RDF}}}{kind}")
    ElementTree.SubElement(container, f"{{{_RDF}}}li").text = text


def _remove(root: ElementTree.Element, prefix: str, text: str) -> bool:
    """Take an entry out of a field; whether it was there."""
    uri, name, *_ = _FIELDS[prefix]
    found = False
    for home in root.iter(f"{{{_RDF}}}Description"):
        for field in home.findall(f"{{{uri}}}{name}"):
            for container in field:
                for item in list(container):
                    if item.text == text:
                        container.remove(item)
                        found = True
            if not any(len(container) for container in field):
                home.remove(field)
    return found


def _bytes(root: ElementTree.Element) -> bytes:
    return ElementTree.tostring(root, "utf-8", xml_declaration=True)


def text_of(data: bytes) -> str:
    """A packet as text, in no encoding yet."""
    return ElementTree.tostring(ElementTree.fromstring(data), "unicode")
