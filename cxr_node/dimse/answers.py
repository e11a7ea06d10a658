"""Answers to C-FIND, many of which differ in their data set alone: an adapter over pynetdicom's messages.

pynetdicom makes and encodes the command set of each answer anew, which takes longer than all else of it.
"""

from typing import Any

from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_FIND_RSP
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.pdu_primitives import P_DATA

_PDV_HEADER = 6  # length, context id, message control header (PS3.8 9.3.5.1 and E.2)
_PENDING = 0xFF00
_LAST_OF_COMMAND, _LAST_OF_DATA = b"\x03", b"\x02"


class Answers(DIMSEServiceProvider):
    """The messages of one association; the command set of the last answer is kept for those that are like it."""

    _known: tuple[object, bytes] | None = None

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """As the original; an answer whose command set is that of the one before, and which fits into a PDU, faster."""
        data = primitive.Identifier.getvalue() if self._is_match(primitive) else b""
        if not data or 0 < self.maximum_pdu_size < len(data) + _PDV_HEADER:
            super().send_msg(primitive, context_id)
            return
        command = self._command_of(primitive, context_id)
        for control, fragment in ((_LAST_OF_COMMAND, command), (_LAST_OF_DATA, data)):
            part = P_DATA()
            part.presentation_data_value_list.append((context_id, control + fragment))
            self.dul.send_pdu(part)

    def _is_match(self, primitive: Any) -> bool:
        return isinstance(primitive, C_FIND) and primitive.Status == _PENDING and primitive.Identifier is not None

    def _command_of(self, primitive: Any, context_id: int) -> bytes:
        key = (primitive.MessageIDBeingRespondedTo, str(primitive.AffectedSOPClassUID))
        if self._known is None or self._known[0] != key:
            message = C_FIND_RSP()
            message.primitive_to_message(primitive)
            (_, encoded), *_ = next(message.encode_msg(context_id, 0)).presentation_data_value_list
            self._known = key, encoded[1:]
        return self._known[1]
