"""The upper layer's PDUs and DIMSE messages, encoded by hand, so that they can be wrong (PS3.8 9.3, PS3.7 E)."""

import struct
from collections.abc import Iterator, Sequence

IMPLICIT = b"1.2.840.10008.1.2"
VERIFICATION, DX = b"1.2.840.10008.1.1", b"1.2.840.10008.5.1.4.1.1.1.1"
COMMITMENT, MPPS = b"1.2.840.10008.1.20.1", b"1.2.840.10008.3.1.2.3.3"
N_EVENT_REPORT, N_SET, N_ACTION, N_CREATE = 0x0100, 0x0120, 0x0130, 0x0140
"""Command Fields (PS3.7 E.1)."""
RELEASE = b"\x05\0\0\0\0\x04\0\0\0\0"
ABORT = b"\x07\0\0\0\0\x04\0\0\0\0"
_PDU_LENGTH = 16384
_COMMAND, _LAST = 0x01, 0x02


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBI", kind, 0, len(body)) + body


def item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def user_information() -> list[bytes]:
    """Maximum length, implementation class and version, asynchronous window, one role selection."""
    role = struct.pack(">H", len(COMMITMENT)) + COMMITMENT + b"\x01\x01"
    return [
        item(0x51, struct.pack(">I", _PDU_LENGTH)),
        item(0x52, b"1.2.826.0.1.3680043.9.9"),
        item(0x53, b"\0\x01\0\x01"),
        item(0x54, role),
        item(0x55, b"FUZZ"),
    ]


def contexts(pairs: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """Presentation contexts 1, 3, 5 ... for these (SOP class, transfer syntax) pairs."""
    return [
        item(0x20, bytes((2 * number + 1, 0, 0, 0)) + item(0x30, sop_class) + item(0x40, syntax))
        for number, (sop_class, syntax) in enumerate(pairs)
    ]


def associate(
    items: Sequence[bytes], user: Sequence[bytes], called: bytes = b"CXR_NODE", calling: bytes = b"FUZZ"
) -> bytes:
    """A-ASSOCIATE-RQ with the application context, these presentation contexts and this user information."""
    head = b"\0\x01\0\0" + called.ljust(16) + calling.ljust(16) + bytes(32)
    return pdu(0x01, head + item(0x10, b"1.2.840.10008.3.1.1.1") + b"".join(items) + item(0x50, b"".join(user)))


def command(
    kind: int, sop_class: bytes, instance: bytes = b"", *, data: bool, more: Sequence[tuple[int, bytes]] = ()
) -> bytes:
    """A command set (PS3.7 E.1): Command Field `kind`, the SOP class and instance as affected ones, and `more`."""
    elements = [
        (0x0002, sop_class),
        (0x0100, struct.pack("<H", kind)),
        (0x0110, struct.pack("<H", 7)),
        (0x0700, struct.pack("<H", 2)),
        (0x0800, struct.pack("<H", 0x0001 if data else 0x0101)),
        *([(0x1000, instance)] if instance else []),
        *more,
    ]
    body = b"".join(_element(number, value) for number, value in sorted(elements))
    return _element(0x0000, struct.pack("<I", len(body))) + body


def message(context: int, command_set: bytes, data: bytes | None = None) -> Iterator[bytes]:
    """The P-DATA-TF PDUs of a message, a fragment each."""
    for part, flag in ((command_set, _COMMAND), (data, 0)):
        if part is not None:
            pieces = range(0, max(1, len(part)), _PDU_LENGTH - 6)
            for start in pieces:
                last = _LAST if start == pieces[-1] else 0
                yield p_data(context, flag | last, part[start : start + _PDU_LENGTH - 6])


def p_data(context: int, header: int, fragment: bytes) -> bytes:
    return pdu(0x04, struct.pack(">IBB", len(fragment) + 2, context, header) + fragment)


def _element(number: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHI", 0, number, len(value)) + value
