"""The shapes of what programs get and send, as JSON Schemas. More keys may be added to each, none goes away."""

from typing import Any, Final

from cxr_node.domain import requirements
from cxr_node.domain.finding import Tier
from cxr_node.domain.priority import Group, Priority
from cxr_node.domain.region import Outcome
from cxr_node.domain.study import EntryState
from cxr_node.domain.workitem import State
from cxr_node.web.operations import Schema


def _object(**properties: Schema) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


_TEXT: Final = {"type": "string"}
_TEXT_OR_NULL: Final = {"type": ["string", "null"]}
_NUMBER_OR_NULL: Final = {"type": ["number", "null"]}
_FLAG: Final = {"type": "boolean"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_SHARE: Final = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
_TIME: Final = {"type": "string", "format": "date-time"}
_UID: Final = {"type": "string", "pattern": r"^[0-9.]{1,64}$"}
_ANYTHING: Final = {"type": "object"}

_REFUSED: Final = (Outcome.DECIDED, Outcome.CLOSED)

ENTRY: Final = _object(
    position=_COUNT,
    study_instance_uid=_UID,
    accession_number=_TEXT_OR_NULL,
    patient_id=_TEXT_OR_NULL,
    issuer_of_patient_id=_TEXT_OR_NULL,
    site=_TEXT_OR_NULL,
    state={"enum": list(EntryState)},
    tier={"enum": list(Tier)},
    priority={"enum": [*Priority, None]},
    positive=_FLAG,
    finding=_TEXT_OR_NULL,
    probability=_SHARE,
    threshold=_SHARE,
    reason=_TEXT_OR_NULL,
    received_at=_TIME,
    group={"enum": [group.name.lower() for group in Group]},
    reader=_TEXT_OR_NULL,
    state_since=_or_null(_TIME),
    asked=_or_null(
        _object(
            priority={"enum": [*Priority, None]}, by=_TEXT, at=_TIME, refused={"enum": [*_REFUSED, None]},
        )
    ),
)  # fmt: skip
WORKLIST: Final = _list(ENTRY)
STUDY: Final = _object(
    study_instance_uid=_UID,
    revision=_COUNT,
    state={"enum": [*EntryState, None]},
    instances=_list(_object(sop_instance_uid=_UID, digest=_TEXT, state=_TEXT, refusal=_or_null(_ANYTHING))),
    results=_list(
        _object(
            model=_TEXT, version=_TEXT, finding=_TEXT, probability=_SHARE, shadow=_FLAG,
            probabilities={"type": "object", "additionalProperties": _SHARE},
        )
    ),
    outputs=_list(_object(kind=_TEXT, sop_instance_uid=_UID, path=_TEXT, revision=_COUNT)),
    deliveries=_list(_object(destination=_TEXT, state=_TEXT, attempts=_COUNT, error=_TEXT_OR_NULL)),
    messages=_list(_ANYTHING),
    said=_list(_object(source={"enum": ["film", "ris", "pacs"]}, patient_id=_TEXT, accession_number=_TEXT, date=_TEXT)),
    steps=_list(_ANYTHING),
    events=_list(_object(time=_TIME, event=_TEXT)),
)  # fmt: skip
DONE: Final = _object(done={"const": True})
ALIVE: Final = _object(alive={"const": True})
READY: Final = _object(ready=_FLAG, listening=_FLAG, analysing=_FLAG)
FAILURE: Final = _object(error=_TEXT, message=_TEXT)
TEXT: Final = _TEXT

DATA_SET: Final[Schema] = {
    "type": "object",
    "description": "A data set in the DICOM JSON model (PS3.18 annex F)",
    "propertyNames": {"pattern": "^[0-9A-F]{8}$"},
    "additionalProperties": {
        "type": "object",
        "properties": {"vr": {"type": "string", "pattern": "^[A-Z]{2}$"}, "Value": {"type": "array"}},
        "required": ["vr"],
    },
}
DATA_SETS: Final = _list(DATA_SET)


def _valued(vr: str, *values: str) -> Schema:
    """An element of one value, of these where some are given."""
    one: Schema = {"enum": list(values)} if values else {"type": "string", "pattern": r"^\S+$", "maxLength": 64}
    value = {"type": "array", "items": one, "minItems": 1, "maxItems": 1}
    return {"type": "object", "properties": {"vr": {"const": vr}, "Value": value}, "required": ["vr", "Value"]}


NEW_WORKITEM: Final[Schema] = {
    **DATA_SET,
    "description": "What PS3.4 table CC.2.5-3 asks for at N-CREATE",
    "properties": {
        "00741000": _valued("CS", State.SCHEDULED.value),
        "00741200": _valued("CS", "HIGH", "MEDIUM", "LOW"),
        "00741204": _valued("LO"),
        "00404005": _valued("DT"),
        "00404041": _valued("CS"),
    },
    "required": [*requirements.VALUED, *requirements.PRESENT],
}
CHANGE_OF_STATE: Final[Schema] = {
    **DATA_SET,
    "description": "PS3.4 table CC.2.1-1",
    "properties": {
        "00741000": _valued("CS", *(state.value for state in State if state is not State.SCHEDULED)),
        "00081195": {
            "type": "object",
            "properties": {
                "vr": {"const": "UI"},
                "Value": {"type": "array", "items": {"type": "string", "pattern": "^[0-9.]{1,64}$"}, "minItems": 1},
            },
            "required": ["vr", "Value"],
        },
    },
    "required": ["00741000", "00081195"],
}
