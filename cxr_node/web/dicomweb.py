"""What DICOMweb requests and answers have in common (PS3.18 8): media types, payloads, and the keys of a query."""

import json
import uuid
from collections.abc import Iterable, Sequence
from typing import Final

from pydicom.datadict import dictionary_VR, tag_for_keyword
from starlette.requests import Request
from starlette.responses import Response

from cxr_node.domain import dicom_json
from cxr_node.domain.dicom_json import Attributes, element
from cxr_node.errors import Permanent
from cxr_node.web import native
from cxr_node.web.guard import BODY

JSON: Final = "application/dicom+json"
XML: Final = "application/dicom+xml"
_NO_KEYS: Final = frozenset({"limit", "offset", "includefield", "fuzzymatching", "accept", "charset"})
_MOST_KEYS: Final = 50
_DEEPEST: Final = 5


def payload(request: Request) -> Attributes:
    """The data set of a request, in JSON or XML; empty without one. Raises Permanent("FORM_INVALID")."""
    body: bytes = request.scope[BODY]
    if not body.strip():
        return {}
    if "xml" in request.headers.get("content-type", ""):
        found: object = native.read(body)
    else:
        try:
            found = json.loads(body)
        except ValueError as error:
            raise Permanent("FORM_INVALID", "this is not JSON") from error
        if isinstance(found, list):
            if len(found) != 1:
                raise Permanent("FORM_INVALID", "one data set at a time")
            found = found[0]
    if why := dicom_json.fault(found):
        raise Permanent("FORM_INVALID", why)
    assert isinstance(found, dict)  # noqa: S101 - else there would be a fault
    return found


def wants_xml(request: Request) -> bool:
    """Whether XML is asked for and JSON is not."""
    accept = request.query_params.get("accept") or request.headers.get("accept", "")
    return "xml" in accept and "json" not in accept


def one(request: Request, attributes: Attributes) -> Response:
    """A data set as the answer."""
    if wants_xml(request):
        return Response(native.write(attributes), media_type=XML)
    return Response(json.dumps([attributes], ensure_ascii=False).encode(), media_type=JSON)


def several(request: Request, found: Sequence[Attributes], headers: dict[str, str]) -> Response:
    """Data sets as the answer; as XML in a part each (PS3.18 8.7.3)."""
    if not found:
        return Response(status_code=204, headers=headers)
    if not wants_xml(request):
        return Response(json.dumps(found, ensure_ascii=False).encode(), media_type=JSON, headers=headers)
    boundary = uuid.uuid4().hex
    parts = (f"--{boundary}\r\nContent-Type: {XML}\r\n\r\n".encode() + native.write(each) + b"\r\n" for each in found)
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    kind = f'multipart/related; type="{XML}"; boundary={boundary}'
    return Response(body, headers=headers | {"Content-Type": kind})


def keys(given: Iterable[tuple[str, str]]) -> Attributes:
    """The matching keys of query parameters (PS3.18 8.3.4): tags or keywords, those within sequences with dots.

    Raises Permanent("FORM_INVALID") for a name that is none.
    """
    query: Attributes = {}
    pairs = [(name, value) for name, value in given if name.lower() not in _NO_KEYS]
    if len(pairs) > _MOST_KEYS:
        raise Permanent("FORM_INVALID", f"more than {_MOST_KEYS} keys")
    for name, value in pairs:
        path = [_tag(part) for part in name.split(".")]
        if len(path) > _DEEPEST:
            raise Permanent("FORM_INVALID", "a key stands too deep in sequences")
        _put(query, path, value)
    return query


def number(request: Request, name: str, default: int) -> int:
    """A whole number of the query parameters. Raises Permanent("FORM_INVALID")."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isdecimal() and text.isascii() and len(text) < 8):
        raise Permanent("FORM_INVALID", f"{name} is a whole number")
    return int(text)


def _tag(name: str) -> int:
    tag = tag_for_keyword(name)
    if tag is None:
        try:
            tag = int(name, 16) if len(name) == 8 else None
        except ValueError:
            tag = None
    if tag is None:
        raise Permanent("FORM_INVALID", "a key is named by its keyword or by the eight digits of its tag")
    return int(tag)


def _put(query: Attributes, path: Sequence[int], value: str) -> None:
    tag, rest = f"{path[0]:08X}", path[1:]
    try:
        vr = dictionary_VR(path[0])
    except KeyError as error:
        raise Permanent("FORM_INVALID", f"{tag} is not in the dictionary") from error
    if rest:
        inner = query.setdefault(tag, {"vr": "SQ", "Value": [{}]})
        _put(inner.setdefault("Value", [{}])[0], rest, value)
    elif vr == "SQ":
        query.setdefault(tag, {"vr": "SQ"})
    elif vr == "PN":
        query[tag] = element(vr, {"Alphabetic": value}) if value else {"vr": vr}
    else:
        query[tag] = element(vr, *value.split(",")) if vr == "UI" else element(vr, value)
