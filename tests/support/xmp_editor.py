"""Another program that edits keywords in sidecars: the standard library's XML, none of our code."""

from collections.abc import Iterator
from pathlib import Path
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


def add_keyword(sidecar: Path, tag: str, program: str) -> set[Entry]:
    """Add a tag as a program does; returns the entries that were not there, nor noted as ours."""
    root = ElementTree.fromstring(sidecar.read_bytes() if sidecar.exists() else NEW)
    home = next(root.iter(f"{{{_RDF}}}Description"))
    added = set()
    for prefix in PROGRAMS[program]:
        uri, name, kind, separator = _FIELDS[prefix]
        text = _entry(tag, separator)
        if text in _texts(root, prefix):
            continue
        field = next(root.iter(f"{{{uri}}}{name}"), None)
        if field is None:
            field = ElementTree.SubElement(home, f"{{{uri}}}{name}")
        container = next(iter(field), None)
        if container is None:
            container = ElementTree.SubElement(field, f"{{{_RDF}}}{kind}")
        ElementTree.SubElement(container, f"{{{_RDF}}}li").text = text
        added.add((prefix, text))
    if added:
        _save(root, sidecar)
        added -= noted_entries(sidecar.read_bytes())
    return added


def remove_keyword(sidecar: Path, tag: str) -> set[Entry]:
    """Take a tag out of every field; returns the entries that went. Notes of others stay."""
    root = ElementTree.fromstring(sidecar.read_bytes())
    gone = set()
    for prefix, (uri, name, _, separator) in _FIELDS.items():
        for home in root.iter(f"{{{_RDF}}}Description"):
            for field in home.findall(f"{{{uri}}}{name}"):
                for container in field:
                    for item in list(container):
                        if item.text == _entry(tag, separator):
                            container.remove(item)
                            gone.add((prefix, item.text or ""))
                if not any(len(container) for container in field):
                    home.remove(field)
    if gone:
        _save(root, sidecar)
    return gone


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


def _save(root: ElementTree.Element, sidecar: Path) -> None:
    sidecar.write_bytes(ElementTree.tostring(root, "utf-8", xml_declaration=True))
