"""Requests to a DICOMweb server (PS3.18), each with its failures told as everywhere: now, later, or never."""

import json
import ssl
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2

from cxr_node.domain.multipart import boundary_of, parts
from cxr_node.errors import ConfigError, Permanent, Transient
from cxr_node.message import Message

JSON: Final = "application/dicom+json"
DICOM: Final = "application/dicom"
_CHUNK: Final = 1 << 16
_LONGEST: Final = 64 << 20  # bytes of an answer that is not made of objects
_PAGE: Final = 100
_FAILED, _STORED = "00081198", "00081199"
_REASON, _WARNING = "00081197", "00081196"
_CLASS_NOT_SUPPORTED: Final = 0x0122
_LATER: Final = frozenset({0x0110, 0x0213})


@dataclass(frozen=True, slots=True)
class Server:
    """A DICOMweb server. `url` is what its resources are below; `timeout` in seconds, for connecting and every answer.

    `authorization` is a file with what stands in the header Authorization, such as `Bearer ...`; it is read for each
    request, since tokens are renewed. `tls` as for a DICOM peer.
    """

    name: str
    url: str
    timeout: float = 30.0
    authorization: Path | None = None
    tls: Callable[[], ssl.SSLContext] | None = None


class ClassRefused(Permanent):
    """The server does not take objects of this SOP class."""


def store(server: Server, path: Path) -> int:
    """STOW-RS of a Part 10 file, byte by byte (PS3.18 10.5): 0, or the Warning Reason of the server.

    Raises Transient when it may work later, ClassRefused or Permanent when the server does not take this object.
    """
    boundary = uuid.uuid4().hex
    head = f"--{boundary}\r\nContent-Type: {DICOM}\r\n\r\n".encode()
    tail = f"\r\n--{boundary}--\r\n".encode()
    size = len(head) + path.stat().st_size + len(tail)

    def body() -> Iterator[bytes]:
        yield head
        with path.open("rb") as stream:
            while data := stream.read(_CHUNK):
                yield data
        yield tail

    headers = {
        "Content-Type": f'multipart/related; type="{DICOM}"; boundary={boundary}',
        "Content-Length": str(size),
        "Accept": JSON,
    }
    with requested(server, "POST", "/studies", headers=headers, content=body()) as answer:
        if answer.status_code not in (200, 202, 409):
            raise refusal(server, answer.status_code)
        said = content(server, answer)
    return _stored(server, said, answer.status_code)


def _stored(server: Server, said: Any, status: int) -> int:
    """Of the answer (PS3.18 table 10.5.3-2): the warning, or why the object failed."""
    found: Mapping[str, Any] = said[0] if isinstance(said, list) and said else said if isinstance(said, dict) else {}
    for item in _items(found, _FAILED):
        reason = _number(item, _REASON)
        why = Message("{peer} did not store it: reason 0x{reason:04X}", peer=server.name, reason=reason)
        if reason == _CLASS_NOT_SUPPORTED:
            raise ClassRefused("NO_CONTEXT", why)
        if reason >> 8 == 0xA7:
            raise Transient("PEER_OUT_OF_RESOURCES", why)
        if reason in _LATER:
            raise Transient("PEER_FAULT", why)
        raise Permanent("PEER_REFUSED", why)
    if status == 409:
        raise Permanent("PEER_REFUSED", Message("{peer} did not store it, and does not say why", peer=server.name))
    return next((_number(item, _WARNING) for item in _items(found, _STORED)), 0)


def search(server: Server, path: str, query: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    """QIDO-RS (PS3.18 10.6), page by page: each match as a data set of the DICOM JSON model. Raises Transient."""
    offset = 0
    while True:
        asked = {**query, "limit": str(_PAGE), "offset": str(offset)}
        with requested(server, "GET", path, headers={"Accept": JSON}, params=asked) as answer:
            if answer.status_code == 204:
                return
            if answer.status_code != 200:
                raise refusal(server, answer.status_code)
            found = content(server, answer)
        if not isinstance(found, list):
            raise Transient("QUERY_IGNORED", Message("{peer} answers a search with no list", peer=server.name))
        yield from (one for one in found if isinstance(one, dict))
        if len(found) < _PAGE:
            return
        offset += len(found)


def holds(server: Server, study: str, series: str, instance: str) -> bool:
    """Whether the server finds an instance. Raises Transient."""
    path = f"/studies/{study}/series/{series}/instances" if study and series else "/instances"
    return any(instance in value_of(found, "00080018") for found in search(server, path, {"SOPInstanceUID": instance}))


def retrieve(server: Server, path: str, write: Callable[[Iterable[bytes]], None]) -> int:
    """WADO-RS (PS3.18 10.4): each object below a path is given to `write` as chunks of a Part 10 file; how many.

    In whatever transfer syntax the server keeps them. Raises Transient.
    """
    accept = f'multipart/related; type="{DICOM}"; transfer-syntax=*'
    with requested(server, "GET", path, headers={"Accept": accept}) as answer:
        if answer.status_code != 200:
            raise refusal(server, answer.status_code)
        boundary = boundary_of(answer.headers.get("content-type", ""))
        if boundary is None:
            raise Transient("ANSWER_INVALID", Message("{peer} answers with no multipart", peer=server.name))
        count = 0
        for part in parts(answer.iter_bytes(_CHUNK), boundary):
            write(part)
            count += 1
        return count


def reach(server: Server) -> None:
    """Raises Transient with why a search for nothing in particular is not answered."""
    with requested(server, "GET", "/studies", headers={"Accept": JSON}, params={"limit": "1"}) as answer:
        if answer.status_code not in (200, 204):
            raise refusal(server, answer.status_code)


def value_of(found: Mapping[str, Any], tag: str) -> list[str]:
    """The values of an attribute of the DICOM JSON model, as text."""
    element = found.get(tag)
    values = element.get("Value", []) if isinstance(element, dict) else []
    return [str(value) for value in values if isinstance(value, str | int | float)]


@contextmanager
def requested(server: Server, method: str, path: str, **more: Any) -> Iterator[httpx2.Response]:
    """The answer to a request, whatever its status; `more` as httpx2 has it, with `headers`. Raises Transient."""
    headers = more.pop("headers")
    try:
        if server.authorization is not None:
            headers["Authorization"] = server.authorization.read_text("utf-8").strip()
        verify = server.tls() if server.tls else True
    except (ConfigError, OSError) as error:  # somebody is renewing it
        raise Transient("TLS_FAILED", str(error)) from error
    where = Message("{peer} ({url})", peer=server.name, url=server.url)
    try:
        with (
            httpx2.Client(verify=verify, timeout=server.timeout, trust_env=False) as client,
            client.stream(method, server.url.rstrip("/") + path, headers=headers, **more) as answer,
        ):
            yield answer
    except httpx2.ConnectError as error:
        code = "TLS_FAILED" if "ssl" in str(error).lower() or "certificate" in str(error).lower() else "UNREACHABLE"
        raise Transient(code, Message("no connection with {where}: {error}", where=where, error=error)) from error
    except httpx2.TimeoutException as error:
        raise Transient("NO_ANSWER", Message("{where} does not answer in time", where=where)) from error
    except httpx2.TransportError as error:
        raise Transient(
            "ASSOCIATION_LOST", Message("the connection with {where} broke off: {error}", where=where, error=error)
        ) from error


def refusal(server: Server, status: int) -> Transient | Permanent:
    """What an HTTP status that was not hoped for means: later, or never."""
    why = Message("{peer} answered with HTTP status {status}", peer=server.name, status=status)
    if status in (401, 403, 407):
        return Transient("REJECTED", Message("{why}: is what it takes for a login right?", why=why))
    if status in (503, 507, 429):
        return Transient("PEER_OUT_OF_RESOURCES", why)
    if status >= 500 or status in (408, 425):
        return Transient("PEER_FAULT", why)
    return Permanent("PEER_REFUSED", why)


def content(server: Server, answer: httpx2.Response) -> Any:
    """What an answer says in JSON; None for nothing. Raises Transient."""
    data = b""
    for chunk in answer.iter_bytes(_CHUNK):
        data += chunk
        if len(data) > _LONGEST:
            raise Transient("QUERY_IGNORED", Message("{peer} answers with more than 64 MB", peer=server.name))
    try:
        return json.loads(data) if data.strip() else None
    except ValueError as error:
        raise Transient("ANSWER_INVALID", Message("{peer} answers with no JSON", peer=server.name)) from error


def _items(found: Mapping[str, Any], tag: str) -> list[Mapping[str, Any]]:
    element = found.get(tag)
    values = element.get("Value", []) if isinstance(element, dict) else []
    return [one for one in values if isinstance(one, dict)]


def _number(item: Mapping[str, Any], tag: str) -> int:
    try:
        return int(next(iter(value_of(item, tag)), "0"))
    except ValueError:
        return 0
