"""Multipart messages (RFC 2046 5.1), such as DICOMweb's, part by part as they come in."""

import re
from collections.abc import Iterable, Iterator

from cxr_node.errors import Transient
from cxr_node.message import Message


def boundary_of(content_type: str) -> bytes | None:
    """The boundary that a Content-Type names; None where it is no multipart message, or names none."""
    if not content_type.lower().startswith("multipart/"):
        return None
    # RFC 2046 allows 70 characters; Orthanc sends 73.
    match = re.search(r'boundary=(?:"([^"]{1,200})"|([^";\s]{1,200})(?=[;\s]|$))', content_type, re.IGNORECASE)
    return (match[1] or match[2]).encode("latin-1") if match else None


def parts(chunks: Iterable[bytes], boundary: bytes) -> Iterator[Iterator[bytes]]:
    """The bodies of a multipart message (RFC 2046 5.1) as it comes in, each to be read before the next.

    Raises Transient where it breaks off.
    """
    reader = _Multipart(iter(chunks), b"\r\n--" + boundary)
    while reader.next_part():
        body = reader.body()
        yield body
        for _ in body:  # what the caller left
            pass


class _Multipart:
    def __init__(self, chunks: Iterator[bytes], delimiter: bytes) -> None:
        self._chunks, self._delimiter, self._data = chunks, delimiter, b"\r\n"

    def next_part(self) -> bool:
        """Go behind the next delimiter and the head of its part; False at the end."""
        self._until(self._delimiter)
        while len(self._data) < 2:
            self._more()
        if self._data.startswith(b"--"):
            return False
        self._until(b"\r\n\r\n")
        return True

    def body(self) -> Iterator[bytes]:
        """What stands before the next delimiter, which is left."""
        keep = len(self._delimiter) - 1
        while (at := self._data.find(self._delimiter)) < 0:
            if len(self._data) > keep:
                ready, self._data = self._data[:-keep], self._data[-keep:]
                yield ready
            self._more()
        ready, self._data = self._data[:at], self._data[at:]
        if ready:
            yield ready

    def _until(self, mark: bytes) -> None:
        while (at := self._data.find(mark)) < 0:
            self._data = self._data[-len(mark) :]
            self._more()
        self._data = self._data[at + len(mark) :]

    def _more(self) -> None:
        chunk = next(self._chunks, None)
        if chunk is None:
            raise Transient("ASSOCIATION_LOST", Message("the message broke off"))
        self._data += chunk
