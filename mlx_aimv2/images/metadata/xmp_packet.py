"""An XMP packet as bytes: its keyword properties are found and changed, all else stays as it is.

Nothing is written anew from a tree: changes are made in place, so that attributes, quotes,
comments, processing instructions, padding and line ends of other programs stay byte for byte.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import escape

from mlx_aimv2.errors import OutputError
from mlx_aimv2.files.paths import FilePath, printable

MAX_BYTES = 16 << 20
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"

# What a sidecar of 16 MB can be made of to fill the memory or to take minutes.
_MAX_KEPT = 100_000
_MAX_NAMESPACES = 500

Name = tuple[str, str]  # namespace, local name
Render = Callable[[bytes], bytes]  # from a line's start (line end and indent, or nothing)

_REPAIR = "the sidecar was left as it is: repair it, or move it away and a new one is written"
_MARKS = (  # longer ones first
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
_DECLARATION = re.compile(rb"(<\?xml\s[^>]*?encoding\s*=\s*[\"'])([A-Za-z0-9._-]+)")
_UTF8 = re.compile(rb"utf-?8", re.IGNORECASE)
_SINGLE_BYTE = re.compile(rb"iso-8859-\d+|windows-125\d|us-ascii", re.IGNORECASE)
_TAG = re.compile(rb"<([^\s/>]+)(?:[^>\"']+|\"[^\"]*\"|'[^']*')*>")
_ATTRIBUTE = re.compile(rb"\s+([^\s=/>]+)\s*=\s*(\"[^\"]*\"|'[^']*')")
_SPACE = b" \t\r\n"


@dataclass(eq=False)
class Element:
    """An element and where it stands; ``end`` and ``close`` (its end tag) are known at its end."""

    name: Name
    tag: bytes
    label: bytes
    start: int
    last: int  # where its last child ends, or its start tag
    first: int | None = None  # where its first child starts
    close: int = 0
    end: int = 0
    depth: int = 0  # below rdf:RDF
    is_kept: bool = False  # else only its place is known
    scope: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[Name, str] = field(default_factory=dict)
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    @property
    def is_empty_tag(self) -> bool:
        return self.tag.endswith(b"/>")


class Packet:
    """The keyword properties in a packet, and changes to be made to it.

    Only what can hold keywords is kept: rdf:RDF, its rdf:Descriptions, in those the properties
    that are wanted, their containers and items.

    Errors: OutputError for what is not well-formed, has a DOCTYPE, or is no XMP or too large.
    """

    def __init__(self, data: bytes, wanted: Collection[Name], name: FilePath) -> None:
        self._name = printable(name)
        self._wanted = wanted
        if len(data) > MAX_BYTES:
            size = f"{len(data) / (1 << 20):.0f} MB, more than the {MAX_BYTES >> 20} MB"
            raise self.refused(f"has {size} that are read")
        self._read = data
        self._data = self._in_utf8(data)
        self._edits: list[tuple[int, int, bytes]] = []
        self._appended: dict[Element, list[Render]] = {}
        self._declared: list[tuple[str, str]] = [("xml", "http://www.w3.org/XML/1998/namespace")]
        self._stack: list[Element | None] = []
        self._rdf: Element | None = None
        self._kept = 0
        self.rdf = self._parse()
        self.descriptions = self.rdf.children

    def refused(self, reason: str) -> OutputError:
        """The error to raise for a packet that cannot be used."""
        return OutputError(f"{self._name} {reason}", hint=_REPAIR)

    def properties(self, name: Name) -> list[Element]:
        """The elements of one property, wherever they are."""
        parts = [part for parent in self.descriptions for part in parent.children]
        return [part for part in parts if part.name == name]

    def append(self, parent: Element, render: Render) -> None:
        """Add a last child; what renders it is given the start of its line."""
        self._appended.setdefault(parent, []).append(render)

    def remove(self, element: Element) -> None:
        """Take an element out, with the space before it."""
        self._edits.append((self._space_before(element.start), element.end, b""))

    def remove_attribute(self, element: Element, name: Name) -> None:
        """Take one attribute out of an element's start tag, with the space before it."""
        offset = 1 + len(element.label)
        for found in _ATTRIBUTE.finditer(element.tag, offset):
            prefix, _, local = found[1].decode().rpartition(":")
            if prefix and (element.scope.get(prefix), local) == name:
                start = element.start
                self._edits.append((start + found.start(), start + found.end(), b""))

    def replace_attribute(self, element: Element, name: Name, value: str) -> None:
        """Give one attribute of an element's start tag another value, in the quotes it has."""
        offset = 1 + len(element.label)
        for found in _ATTRIBUTE.finditer(element.tag, offset):
            prefix, _, local = found[1].decode().rpartition(":")
            if prefix and (element.scope.get(prefix), local) == name:
                start, end = (element.start + offset for offset in found.span(2))
                quote = found[2][:1]
                new = text(value).replace(quote, b"&#%d;" % ord(quote))
                self._edits.append((start, end, quote + new + quote))

    def replace_text(self, element: Element, value: str) -> None:
        """Give an element that holds only a text another one."""
        start = element.start + len(element.tag)
        self._edits.append((start, element.close, text(value)))

    def to_bytes(self) -> bytes:
        """The packet with all changes made; the bytes it was read from where there are none."""
        edits = sorted([*self._edits, *map(self._addition, self._appended)])
        if not edits:
            return self._read
        parts, done = [], 0
        for start, end, new in edits:
            parts += [self._data[done:start], new]
            done = end
        return b"".join([*parts, self._data[done:]])

    def _addition(self, parent: Element) -> tuple[int, int, bytes]:
        tail = self._line_start(parent.start)
        is_first = parent.first is None
        line = tail + b" " * bool(tail) if is_first else self._line_start(parent.first or 0)
        new = b"".join(line + render(line) for render in self._appended[parent])
        if parent.is_empty_tag:
            close = b"</" + parent.label + b">"
            return parent.end - 2, parent.end, b">" + new + tail + close
        if is_first and parent.close == parent.last:
            new += tail
        return parent.last, parent.last, new

    def _space_before(self, offset: int) -> int:
        while offset and self._data[offset - 1] in _SPACE:
            offset -= 1
        return offset

    def _line_start(self, offset: int) -> bytes:
        """The line end and the indent before a tag, or nothing where it begins no line."""
        space = self._data[self._space_before(offset) : offset]
        line_end = b"\r\n" if b"\r\n" in space else b"\n"
        return line_end + space.rpartition(b"\n")[2] if b"\n" in space else b""

    def _in_utf8(self, data: bytes) -> bytes:
        codec = next((codec for mark, codec in _MARKS if data.startswith(mark)), "")
        declared = _DECLARATION.match(data)
        if not codec and declared and not _UTF8.fullmatch(declared[2]):
            if not _SINGLE_BYTE.fullmatch(declared[2]):
                raise self.refused(f"is in {declared[2].decode()}, which is not known here")
            codec = declared[2].decode()
        if not codec:
            return data
        try:
            data = data.decode(codec).encode()
        except (UnicodeError, LookupError) as error:
            raise self.refused(f"is not the {codec} text it says it is") from error
        return _DECLARATION.sub(rb"\g<1>UTF-8", data, count=1)

    def _parse(self) -> Element:
        parser = expat.ParserCreate("UTF-8", " ")
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.StartNamespaceDeclHandler = self._declare
        parser.EndNamespaceDeclHandler = lambda prefix: self._declared.pop()
        parser.StartElementHandler = lambda name, attributes: self._start(
            parser.CurrentByteIndex, name, attributes
        )
        parser.EndElementHandler = lambda name: self._end(parser.CurrentByteIndex)
        parser.CharacterDataHandler = self._add_text
        parser.buffer_text = True
        try:
            parser.Parse(self._data, True)
        except expat.ExpatError as error:
            raise self.refused(f"is not well-formed XML: {error}") from error
        if self._rdf is None:
            raise self.refused("is no XMP: it has no rdf:RDF")
        return self._rdf

    def _refuse_doctype(self, *_: object) -> None:
        raise self.refused("has a DOCTYPE, which is refused because it can be a trap")

    def _declare(self, prefix: str | None, uri: str | None) -> None:
        self._declared.append((prefix or "", uri or ""))
        if len(self._declared) > _MAX_NAMESPACES:
            raise self.refused(f"has more than {_MAX_NAMESPACES} namespaces at once")

    def _start(self, offset: int, name: str, attributes: Mapping[str, str]) -> None:
        parent = self._stack[-1] if self._stack else None
        full = _split(name)
        is_rdf = self._rdf is None and full == (RDF, "RDF")
        if not is_rdf and (parent is None or not parent.is_kept):
            self._stack.append(None)
            return
        found = _TAG.match(self._data, offset)
        if found is None:
            raise self.refused("cannot be written back as it was")
        element = Element(full, found[0], found[1], offset, last=found.end())
        element.depth = parent.depth + 1 if parent else 0
        element.is_kept = is_rdf or self._may_hold_keywords(element)
        if element.is_kept:
            element.scope = dict(self._declared)
            element.attributes = {_split(name): value for name, value in attributes.items()}
            self._keep(element, parent)
        if parent and parent.first is None:
            parent.first = offset
        self._stack.append(element)

    def _keep(self, element: Element, parent: Element | None) -> None:
        if parent is None:
            self._rdf = element
            return
        parent.children.append(element)
        self._kept += 1
        if self._kept > _MAX_KEPT:
            raise self.refused(f"has more than {_MAX_KEPT} keywords")

    def _end(self, offset: int) -> None:
        element = self._stack.pop()
        if element is None:
            return
        element.close = offset
        element.end = offset if element.is_empty_tag else self._data.index(b">", offset) + 1
        if parent := self._stack[-1] if self._stack else None:
            parent.last = element.end

    def _add_text(self, text: str) -> None:
        if self._stack and (element := self._stack[-1]) and element.is_kept:
            element.text += text

    def _may_hold_keywords(self, element: Element) -> bool:
        if element.depth == 1:
            return element.name == (RDF, "Description")
        return element.name in self._wanted if element.depth == 2 else element.depth <= 4


def trimmed(data: bytes) -> bytes:
    """A packet without the zeros and the space around it, which no XML has."""
    if b"\0" in data[:4]:  # in UTF-16 they are half of the letters
        return data
    return data.strip(b"\0 \t\r\n")


def prefix_of(scope: Mapping[str, str], uri: str) -> str:
    """A prefix that stands for a namespace there, or nothing."""
    return next((prefix for prefix, known in scope.items() if prefix and known == uri), "")


def element(
    scope: Mapping[str, str], name: Name, prefix: str, content: bytes, attributes: bytes = b""
) -> bytes:
    """An element with the prefix that its namespace has there, or declaring its own."""
    known = prefix_of(scope, name[0])
    label = f"{known or prefix}:{name[1]}".encode()
    if not known:
        attributes = f' xmlns:{prefix}="{name[0]}"'.encode() + attributes
    return b"<" + label + attributes + b">" + content + b"</" + label + b">"


def text(value: str) -> bytes:
    """Character data; a carriage return stays one."""
    return escape(value, {"\r": "&#13;"}).encode()


def _split(name: str) -> Name:
    uri, _, local = name.rpartition(" ")
    return uri, local
