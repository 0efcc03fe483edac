"""The entries of keyword fields in a packet: read, added and taken out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mlx_aimv2.images.metadata import xmp_packet
from mlx_aimv2.images.metadata.xmp_packet import RDF, Element, Name, Packet

from .keywords import Field, Tag


@dataclass(frozen=True)
class Entry:
    """A keyword as a field has it."""

    text: str
    item: Element | None  # none where the property has no rdf:Bag or rdf:Seq


def name_of(field: Field) -> Name:
    """A field's name as a packet has it."""
    return field.uri, field.name


def entries_of(file: Packet, field: Field) -> list[Entry]:
    """All entries of a field, in items or alone, as an element's text or as an attribute."""
    found = [
        Entry(parent.attributes[name_of(field)], None)
        for parent in file.descriptions
        if name_of(field) in parent.attributes
    ]
    for element in file.properties(name_of(field)):
        for container in element.children:
            if container.name not in {(RDF, "Bag"), (RDF, "Seq"), (RDF, "Alt")}:
                raise file.refused(f"has a {field.prefix}:{field.name} of an unknown form")
            items = [item for item in container.children if item.name == (RDF, "li")]
            found += [Entry(item.text, item) for item in items]
        if not element.children and element.text.strip():
            found.append(Entry(element.text, None))
    return found


def change(
    file: Packet, field: Field, others: list[Entry], ours: list[Entry], wanted: Sequence[str]
) -> None:
    """Change what this program added to a field: unwanted entries go, missing ones are added."""
    keys = {field.key(text) for text in wanted}
    kept: dict[Tag, Entry] = {}
    for entry in ours:
        if field.key(entry.text) in keys:
            kept.setdefault(field.key(entry.text), entry)
    dropped = [entry for entry in ours if entry not in kept.values()]
    new = [text for text in wanted if field.key(text) not in kept]
    if not dropped and not new:
        return
    elements = file.properties(name_of(field))
    staying = [*others, *kept.values()]
    containers = [container for element in elements for container in element.children]
    if containers and all(entry.item for entry in (*staying, *dropped)):
        _change_items(file, field, elements, dropped, new)
        return
    for element in elements:
        file.remove(element)
    for parent in file.descriptions:
        file.remove_attribute(parent, name_of(field))
    texts = [*(entry.text for entry in staying), *new]
    if texts:
        _add_property(file, field, texts)


def _change_items(
    file: Packet,
    field: Field,
    elements: list[Element],
    dropped: list[Entry],
    new: Sequence[str],
) -> None:
    items = {entry.item for entry in dropped}
    for element in elements:
        held = [item for container in element.children for item in container.children]
        if held and not new and items.issuperset(held):
            file.remove(element)
        else:
            for item in held:
                if item in items:
                    file.remove(item)
    container = next(container for element in elements for container in element.children)
    for text in new:
        file.append(container, _item(container.scope, field, text))


def _item(scope: Mapping[str, str], field: Field, text: str) -> Callable[[bytes], bytes]:
    # Of an rdf:Alt each item says its language, and one is for all.
    language = b' xml:lang="x-default"' if field.container == "Alt" else b""
    item = xmp_packet.element(scope, (RDF, "li"), "rdf", xmp_packet.text(text), language)
    return lambda line: item


def _add_property(file: Packet, field: Field, texts: Sequence[str]) -> None:
    with_keywords = (parent for parent in file.descriptions if parent.children)
    home = next(with_keywords, file.descriptions[0])
    scope = home.scope
    if not xmp_packet.prefix_of(scope, field.uri):
        scope = {**scope, field.prefix: field.uri}

    def render(line: bytes) -> bytes:
        below, deeper = (line and line + b" " * depth for depth in (1, 2))
        items = b"".join(deeper + _item(scope, field, text)(deeper) for text in texts)
        container = xmp_packet.element(scope, (RDF, field.container), "rdf", items + below)
        return xmp_packet.element(
            home.scope, name_of(field), field.prefix, below + container + line
        )

    file.append(home, render)
