"""The Native DICOM Model (PS3.19 A.1), XML, to and from the JSON model (PS3.18 annex F)."""

from collections.abc import Iterator
from typing import Any, Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from pydicom.datadict import keyword_for_tag

from cxr_node.domain.dicom_json import Attributes
from cxr_node.errors import Permanent

NAMESPACE: Final = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
_DECLARATION: Final = b'<?xml version="1.0" encoding="UTF-8"?>'
_FORMS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_PARTS: Final = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_WHOLE: Final = frozenset({"IS", "SL", "SS", "SV", "UL", "US", "UV"})
_REAL: Final = frozenset({"DS", "FD", "FL"})


def write(attributes: Attributes) -> bytes:
    """A data set as XML."""
    ElementTree.register_namespace("", NAMESPACE)
    root = Element(_name("NativeDicomModel"))
    _write(root, attributes)
    return _DECLARATION + ElementTree.tostring(root)


def read(text: bytes) -> Attributes:
    """A data set from XML. Raises Permanent("FORM_INVALID") for what is none."""
    if b"<!" in text.replace(b"<!--", b""):  # no entity of a stranger is ever looked at
        raise Permanent("FORM_INVALID", "XML with a document type is not taken")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - without a document type there is nothing to expand
        return dict(_read(root))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise Permanent("FORM_INVALID", "this is not XML of the Native DICOM Model") from error


def _name(tag: str) -> str:
    return f"{{{NAMESPACE}}}{tag}"


def _write(parent: Element, attributes: Attributes) -> None:
    for tag, found in sorted(attributes.items()):
        known = {"tag": tag, "vr": found["vr"]}
        if keyword := keyword_for_tag(int(tag, 16)):
            known["keyword"] = keyword
        element = SubElement(parent, _name("DicomAttribute"), known)
        for number, value in enumerate(found.get("Value", ()), start=1):
            _write_value(element, found["vr"], number, value)


def _write_value(element: Element, vr: str, number: int, value: Any) -> None:
    at = {"number": str(number)}
    if vr == "SQ":
        _write(SubElement(element, _name("Item"), at), value)
    elif vr == "PN":
        _write_person(SubElement(element, _name("PersonName"), at), value or {})
    else:
        SubElement(element, _name("Value"), at).text = "" if value is None else str(value)


def _write_person(element: Element, value: Attributes) -> None:
    for form in _FORMS:
        if name := value.get(form):
            group = SubElement(element, _name(form))
            for part, text in zip(_PARTS, str(name).split("^"), strict=False):
                if text:
                    SubElement(group, _name(part)).text = text


def _read(parent: Element) -> Iterator[tuple[str, dict[str, Any]]]:
    for element in parent.findall(_name("DicomAttribute")):
        vr = element.attrib["vr"]
        given = [_value(vr, one) for one in element]
        yield element.attrib["tag"].upper(), {"vr": vr, "Value": given} if given else {"vr": vr}


def _value(vr: str, element: Element) -> Any:
    if vr == "SQ":
        return dict(_read(element))
    if vr == "PN":
        return {form: name for form in _FORMS if (name := _person(element.find(_name(form))))}
    text = element.text or ""
    if vr in _WHOLE:
        return int(text)
    return float(text) if vr in _REAL else text


def _person(group: Element | None) -> str:
    if group is None:
        return ""
    return "^".join(group.findtext(_name(part)) or "" for part in _PARTS).rstrip("^")
