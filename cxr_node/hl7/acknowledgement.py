"""What a message is answered: ACK with MSA and ERR (HL7 v2.5.1, 2.9, 2.14.2, 2.15.5, 2.15.8)."""

import hashlib
import re
from dataclasses import dataclass

from cxr_node.domain.clock import moment
from cxr_node.domain.order import Fault, Place
from cxr_node.hl7.message import Message, Segment, Value, build

_MEANINGS = {
    100: "Segment sequence error",
    101: "Required field missing",
    102: "Data type error",
    103: "Table value not found",
    200: "Unsupported message type",
    201: "Unsupported event code",
    202: "Unsupported processing id",
    203: "Unsupported version id",
    204: "Unknown key identifier",
    206: "Application record locked",
    207: "Application internal error",
}
_ACCEPTS = {"AL", "ER", "SU"}  # MSH-15: the sender wants an accept acknowledgement (enhanced mode, 2.9.3)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What the peer answered. `code` is AA, AE or AR; `error` is the code of table 0357 where one is given.

    `text` may hold anything that the peer wrote, patients included: it is for the database alone.
    """

    code: str
    control_id: str
    error: str
    place: str
    text: str


def answer(heard: Message | None, fault: Fault | None, now: float, charset: str = "UNICODE UTF-8") -> bytes:
    """The answer to a message, or to what was none; AA without a fault. `now` in seconds since 1970 UTC."""
    msh = heard.header if heard else None
    code = "A" if fault is None else "R" if fault.rejected else "E"
    mode = "C" if msh and msh.text(15) in _ACCEPTS else "A"
    control_id = msh.text(10) if msh else ""
    own = hashlib.sha256(f"{msh.text(3) if msh else ''}\0{control_id}\0{code}\0{now}".encode()).hexdigest()[:20]
    event = msh.text(9, 2) if msh else ""
    header: dict[int, Value] = {
        3: _hd(msh, 5), 4: _hd(msh, 6), 5: _hd(msh, 3), 6: _hd(msh, 4), 7: stamp(now),
        9: ("ACK", event, "ACK"), 10: own, 11: "P", 12: "2.5.1",
    }  # fmt: skip
    segments: list[tuple[str, dict[int, Value]]] = [("MSH", header), ("MSA", {1: mode + code, 2: control_id})]
    if fault is not None:
        meaning = (str(fault.code), _MEANINGS[fault.code], "HL70357")
        segments.append(("ERR", {2: _erl(fault.place), 3: meaning, 4: "E", 8: fault.sentence}))
    return build(segments, charset)


def read(message: Message) -> Acknowledgement | None:
    """What an answer says; None for a message that is none."""
    msa, err = message.first("MSA"), message.first("ERR")
    if msa is None or not re.fullmatch("[AC][AER]", msa.text(1)):
        return None
    place = f"{err.text(2)}-{err.text(2, 3)}".strip("-") if err else ""
    return Acknowledgement(
        code=f"A{msa.text(1)[1]}",
        control_id=msa.text(2),
        error=_figures(err.text(3) if err else ""),
        place=place if re.fullmatch(r"[A-Z][A-Z0-9]{2}(-[0-9]{1,3})?", place) else "",
        text="; ".join(filter(None, (err.whole(8) if err else "", msa.whole(3)))),
    )


def stamp(at: float) -> str:
    """A time as messages have it (TS), UTC to the second."""
    return moment(at).strftime("%Y%m%d%H%M%S+0000")


def _hd(msh: Segment | None, field: int) -> Value:
    return tuple(msh.text(field, component) for component in (1, 2, 3)) if msh else ""


def _erl(place: Place | None) -> Value:
    if place is None:
        return ""
    found = [place.segment, str(place.number)]
    if place.field is not None:
        found += [str(place.field), str(place.repetition)]
        found += [str(place.component)] if place.component is not None else []
    return tuple(found)


def _figures(text: str) -> str:
    return text if re.fullmatch("[0-9]{1,4}", text) else ""
