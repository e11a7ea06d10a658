"""Values of a data set as it came from a modality, read without trusting it.

Text is decoded here and not by pydicom, whose warnings quote the values they are about: patient data, which may not
reach standard error.
"""

import re
from collections.abc import Sequence
from typing import Any

from pydicom import DataElement, Dataset
from pydicom.charset import CODES_TO_ENCODINGS, python_encoding
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.sequence import Sequence as SequenceOfItems
from pydicom.tag import Tag
from pydicom.valuerep import PersonName

from cxr_node.imaging.header import numbers, read

_ASCII = {"", "ISO_IR 6", "ISO 2022 IR 6"}
_TEXT = {"AE", "AS", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"}
_KEEP_ESCAPE = {"iso2022_jp", "iso2022_jp_2"}
_FRAGMENT = re.compile(rb"^[^\x1b]+|\x1b[^\x1b]*")
_ESCAPE = re.compile(rb"\x1b(?:\$[()]?.|[()-].)")


def decode(value: bytes, charsets: Sequence[str]) -> str:
    """`value` as Unicode, by the defined terms of Specific Character Set (PS3.3 C.12.1.1.2, PS3.5 6.1.2.4 and 6.1.2.5).

    Raises UnicodeError when the bytes do not fit and LookupError when an escape sequence is not known.
    """
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii")
    first = charsets[0] if charsets else ""
    initial = "ascii" if first in _ASCII else python_encoding.get(first, "ascii")
    if b"\x1b" not in value:
        return value.decode(initial)
    return "".join(_decode_fragment(fragment, initial) for fragment in _FRAGMENT.findall(value))


def _decode_fragment(fragment: bytes, initial: str) -> str:
    escape = _ESCAPE.match(fragment)
    if escape is None:
        return fragment.decode(initial)
    codec = CODES_TO_ENCODINGS[escape.group()]
    return fragment.decode(codec) if codec in _KEEP_ESCAPE else fragment[escape.end() :].decode(codec)


class Received:
    """A reader of one data set, or of an item in it. `notes` collects what it had to work around, without values."""

    def __init__(self, dataset: Dataset, charsets: Sequence[str] = (), notes: list[str] | None = None) -> None:
        self._dataset = dataset
        self._charsets = charsets
        self.notes: list[str] = [] if notes is None else notes
        self._charsets = self.values("SpecificCharacterSet") or charsets

    @property
    def transfer_syntax(self) -> str:
        """The transfer syntax that the data set was received in; empty where it did not come as a Part 10 file."""
        meta = getattr(self._dataset, "file_meta", None)
        return "" if meta is None else Received(meta).text("TransferSyntaxUID")

    def note(self, keyword: str, what: str) -> None:
        """Records, once, that something was done about the attribute `keyword`."""
        sentence = f"{keyword}: {what}"
        if sentence not in self.notes:
            self.notes.append(sentence)

    def text(self, keyword: str) -> str:
        """The value as Unicode without its padding, backslashes and all; empty where there is none."""
        element = self._dataset.get_item(keyword)
        value = None if element is None else element.value
        if isinstance(value, PersonName):
            value = value.original_string or str(value)  # one that was put there has no bytes
        if isinstance(value, bytes):
            value = self._unicode(keyword, value)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            value = "\\".join(map(str, value))
        return "" if value is None else str(value).rstrip(" \0")

    def _unicode(self, keyword: str, value: bytes) -> str:
        try:
            return decode(value, self._charsets)
        except (UnicodeError, LookupError):
            self.note(keyword, "does not fit the Specific Character Set (PS3.3 C.12.1.1.2); read as UTF-8 or Latin-1")
        try:
            return value.decode("utf-8")
        except UnicodeError:
            return value.decode("latin-1")

    def values(self, keyword: str) -> list[str]:
        """The values of a multi-valued attribute, each without padding; empty where there is none."""
        text = self.text(keyword)
        return [value.strip() for value in text.split("\\")] if text else []

    def items(self, keyword: str) -> list["Received"]:
        """The items of a sequence; empty where there is none, or something that is not a sequence."""
        value = read(self._dataset, keyword)
        if not isinstance(value, SequenceOfItems):
            return []
        return [Received(item, self._charsets, self.notes) for item in value]

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """The values of a numeric attribute; empty where it is absent or one of them is not a finite number."""
        return numbers(self._dataset, keyword)

    def copy(self) -> Dataset:
        """All standard text of this item and of the items in it, in Unicode and otherwise as it came."""
        copy = Dataset()
        for tag in sorted(self._dataset.keys()):
            keyword = keyword_for_tag(tag)
            if not keyword or keyword == "SpecificCharacterSet":
                continue
            vr = dictionary_VR(tag)
            if vr == "SQ":
                put(copy, keyword, [item.copy() for item in self.items(keyword)])
            elif vr in _TEXT:
                put(copy, keyword, self.text(keyword))
        return copy


def put(dataset: Dataset, keyword: str, value: Any) -> None:
    """Sets an attribute without the checks of pydicom: identity is carried over as it came, valid or not."""
    tag = Tag(keyword)
    dataset[tag] = DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE)
