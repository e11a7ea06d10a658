"""HL7 v2 messages as text: read with the separators that MSH names, written with the usual ones (HL7 v2.5.1, 2.5).

Fields are cut when they are asked for, so that a message of separators alone costs no more than its bytes.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cxr_node.domain.order import Fault, Place
from cxr_node.hl7 import charsets

Value = str | Sequence["Value"]
"""What a field is written from: text; a tuple of components, each of which may be one of subcomponents; or a list of
repetitions."""

_MOST_REPETITIONS, _MOST_SEGMENTS = 100, 10_000
_WRITTEN = "|^~\\&"
_NAMES = {"F": 0, "S": 1, "R": 2, "E": 3, "T": 4}  # of the escapes for the separators (2.7.1), by their place in MSH
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}")
_BREAK = re.compile(r"\.(br|sp|ce)\+?[0-9]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Unreadable(Exception):
    """A message that cannot be taken for what it should be; `fault` says where and why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.sentence)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class _Code:
    """How one message is written: field separator, then component, repetition, escape, subcomponent; its codec."""

    separators: str
    codec: str

    def plain(self, text: str) -> str:
        """Text without escapes (2.7). What only formats, or switches character sets inside a field, is left out."""
        escape = re.escape(self.separators[3])
        return re.sub(f"{escape}([^{escape}]*){escape}", lambda found: self._meant(found[1]), text)

    def _meant(self, name: str) -> str:
        if name in _NAMES:
            return self.separators[_NAMES[name]]
        if name[:1] == "X" and re.fullmatch(r"X([0-9A-Fa-f]{2})+", name):
            return bytes.fromhex(name[1:]).decode(self.codec, "replace")
        return "\n" if _BREAK.fullmatch(name) else ""


@dataclass(frozen=True, slots=True)
class Segment:
    """One line. `number` counts those of its name from 1; fields are numbered as in the standard, from 1."""

    name: str
    number: int
    fields: tuple[str, ...]
    code: _Code

    def text(self, field: int, component: int = 1, *, repetition: int = 1) -> str:
        """A component without its escapes, the first subcomponent of it; empty where it is absent or null ("")."""
        components = self._cut(self._repetitions(field), repetition, self.code.separators[1])
        part = self._cut(components, component, self.code.separators[4])[0]
        return "" if part == '""' else self.code.plain(part).strip()

    def whole(self, field: int) -> str:
        """A field as it stands, but for its escapes: for texts in which separators were not escaped."""
        return self.code.plain(self.fields[field]).strip() if field < len(self.fields) else ""

    def repetitions(self, field: int) -> range:
        """The numbers of the repetitions of a field, the first 100 of them: each is looked for in the whole field."""
        return range(1, min(_MOST_REPETITIONS, len(self._repetitions(field))) + 1)

    def place(self, field: int, component: int | None = None, repetition: int = 1) -> Place:
        return Place(self.name, self.number, field, repetition, component)

    def _repetitions(self, field: int) -> list[str]:
        text = self.fields[field] if field < len(self.fields) else ""
        return text.split(self.code.separators[2], _MOST_REPETITIONS)

    @staticmethod
    def _cut(parts: list[str], number: int, separator: str) -> list[str]:
        return parts[number - 1].split(separator) if number <= len(parts) else [""]


@dataclass(frozen=True, slots=True)
class Message:
    """A message; the first of its segments is MSH."""

    segments: tuple[Segment, ...]

    @property
    def header(self) -> Segment:
        return self.segments[0]

    def first(self, name: str) -> Segment | None:
        return next((segment for segment in self.segments if segment.name == name), None)

    @property
    def kind(self) -> str:
        """Message code and trigger event (MSH-9), such as ORU^R01."""
        return f"{self.header.text(9)}^{self.header.text(9, 2)}"

    @property
    def sender(self) -> str:
        """Sending application and facility (MSH-3, MSH-4), such as RIS^HOSPITAL."""
        return f"{self.header.text(3)}^{self.header.text(4)}".strip("^")

    @property
    def control_id(self) -> str:
        return self.header.text(10)


def parse(data: bytes, otherwise: str) -> Message:
    """A message; `otherwise` is the character set (table 0211) of one that names none. Raises Unreadable."""
    lines = [line for line in re.split(b"\r\n|\r|\n", data) if line.strip()]
    if not lines or lines[0][:3] != b"MSH":
        raise Unreadable(Fault(100, "a message begins with the segment MSH", Place("MSH", 1)))
    separators = _separators(lines[0].decode("latin-1"))
    codec = _codec(lines[0].decode("latin-1"), separators, otherwise)
    try:
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        said = "the message is not in the character set that it names here, or that is agreed where it names none"
        raise Unreadable(Fault(102, said, Place("MSH", 1, 18))) from error
    return Message(tuple(_segments(text, _Code(separators, codec))))


def _separators(line: str) -> str:
    """Field separator and encoding characters (MSH-1, MSH-2); a fifth one, of later versions, is passed over."""
    encoding = line[4 : 4 + 5].partition(line[3])[0] if len(line) > 3 else ""
    found = line[3:4] + encoding[:4]
    if len(found) < 5 or len(set(found)) < 5 or any(each.isalnum() or not each.isprintable() for each in found):
        said = "MSH-1 and MSH-2 are to name five different characters that are no letters or figures, such as |^~\\&"
        raise Unreadable(Fault(102, said, Place("MSH", 1, 2)))
    return found


def _codec(line: str, separators: str, otherwise: str) -> str:
    fields = line.split(separators[0])
    named = fields[17].split(separators[2]) if len(fields) > 17 else []
    codec = charsets.codec_of(named if any(name.strip() for name in named) else [otherwise])
    if codec is None:
        said = f"this character set is not known here; known are {', '.join(sorted(charsets.KNOWN))}"
        raise Unreadable(Fault(103, said, Place("MSH", 1, 18)))
    return codec


def _segments(text: str, code: _Code) -> Iterator[Segment]:
    numbers: dict[str, int] = {}
    lines = re.split("\r\n|\r|\n", text, maxsplit=_MOST_SEGMENTS)
    if len(lines) > _MOST_SEGMENTS:
        raise Unreadable(Fault(100, f"a message has at most {_MOST_SEGMENTS} segments here", Place("MSH", 1)))
    for line in lines:
        if not line.strip():
            continue
        cells = line.split(code.separators[0])
        name = cells[0].strip("\ufeff")
        numbers[name] = numbers.get(name, 0) + 1
        if not _SEGMENT.fullmatch(name) or (name == "MSH" and numbers[name] > 1):
            raise Unreadable(Fault(100, "a line is no segment, or a second message", Place("MSH", 1)))
        if name == "MSH":  # the separator is its own first field
            cells.insert(1, code.separators[0])
        yield Segment(name, numbers[name], tuple(cells), code)


def build(segments: Sequence[tuple[str, Mapping[int, Value]]], charset: str) -> bytes:
    """A message as bytes; each segment is given by its name and its fields by number, MSH without MSH-1, 2 and 18.

    Raises ValueError where `charset` (table 0211) cannot say it.
    """
    codec = charsets.codec_of([charset])
    if codec is None:
        raise ValueError(f"{charset!r} is no character set of table 0211 that is known here")
    named = "" if charset == "ASCII" else ["", charset] if codec.startswith("iso2022") else charset
    lines = [_line(name, {**fields, 18: named} if name == "MSH" else fields) for name, fields in segments]
    return "".join(f"{line}\r" for line in lines).encode(codec)


def _line(name: str, fields: Mapping[int, Value]) -> str:
    cells = [_field(fields.get(number, "")) for number in range(1, max(fields) + 1)]
    while cells and not cells[-1]:
        cells.pop()
    if name == "MSH":
        cells[:2] = [_WRITTEN[1:]]
    return _WRITTEN[0].join([name, *cells])


def _field(value: Value) -> str:
    if isinstance(value, list):
        return _WRITTEN[2].join(_joined(each, _WRITTEN[1]) for each in value)
    return _joined(value, _WRITTEN[1])


def _joined(value: Value, separator: str) -> str:
    if isinstance(value, str):
        return escaped(value)
    parts = [_joined(each, _WRITTEN[4]) for each in value]
    while parts and not parts[-1]:
        parts.pop()
    return separator.join(parts)


def escaped(text: str) -> str:
    """Text as it stands in a field: separators and what is no text escaped (2.7.1, 2.7.4)."""
    written = text.replace("\\", "\\E\\")
    for name, place in _NAMES.items():
        if name != "E":
            written = written.replace(_WRITTEN[place], f"\\{name}\\")
    return _CONTROL.sub(lambda found: f"\\X{ord(found[0]):02X}\\", written)
