"""Audit messages: what is told, in which words, and that every one of them is valid (PS3.15 A.5.1.1)."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from cxr_node.audit.elements import Reporter
from cxr_node.audit.messages import Message, messages
from cxr_node.domain.reading import Actor
from cxr_node.store import reading
from tests.bench import NOON, Bench
from tests.films import chest
from tests.web import PSEUDONYMS, Web, post

SCHEMA = etree.RelaxNG(etree.parse(Path(__file__).parents[1] / "audit_message.rng"))
NODE = Reporter("CXR_NODE", "node.example.org", "Hospital", "CXR1")
PATIENT = {"patient_id": "P1", "issuer_of_patient_id": "HOSP", "accession_number": "A7"}
FILM = {"calling": "XRAY1", "address": "192.0.2.7", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.1", **PATIENT}
EVENTS: dict[str, dict[str, Any]] = {
    "node.started": {"mode": "shadow"},
    "node.stopped": {},
    "user.signed_in": {"by": "ana", "address": "192.0.2.9"},
    "user.signed_out": {"by": "ana", "address": "192.0.2.9", "session": "x"},
    "user.sign_in_failed": {"by": "unknown", "address": "192.0.2.9"},
    "study.viewed": {"by": "ana", "address": "192.0.2.9", **PATIENT},
    "instance.stored": FILM,
    "document.sent": {"ae_title": "PACS", "host": "pacs", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.88.34", **PATIENT},
    "association.rejected": {"calling": "EVIL", "address": "192.0.2.66", "reason": "not allowed", "times": 3},
    "connection.refused": {"calling": "", "address": "2001:db8::66", "reason": "not allowed", "times": 1},
    "object.quarantined": {
        "code": "TRUNCATED",
        "reason": "it ends early",
        "path": "q/1",
        "calling": "X",
        "address": "",
    },
    "instance.quarantined": {"reason": "its pixels differ"},
    "audit.broken": {"sequence": 7},
    "audit.truncated": {"through": 7, "by": "jane"},
    "model.activated": {"model": "cxr-a", "version": "2.0.0", "digest": "d" * 64, "before": "e" * 64, "by": "jane"},
    "audit.read": {"by": "jane"},
    "peer.queried": {
        "ae_title": "PACS",
        "host": "pacs",
        "information_model_uid": "1.2.840.10008.5.1.4.1.2.2.1",
        "transfer_syntax_uid": "1.2.840.10008.1.2",
        "identifier": base64.b64encode(b"an identifier").decode(),
    },
    "message.sent": {"destination": "ris", "host": "ris.example.org", "message": "ORU^R01", **PATIENT},
    "order.received": {"sender": "RIS|HOSP", "kind": "OMI^O23", "deed": "order", **PATIENT},
    "report.received": {"sender": "RIS|HOSP", "kind": "ORU^R01", "deed": "final", **PATIENT},
    "patient.changed": {"sender": "ADT|HOSP", "kind": "ADT^A40", "merged": True, "prior_patient_id": "T1", **PATIENT},
    "study.withdrawn": {"by": "ana", "reason": "withdrawn by ana: wrong patient", **PATIENT},
    "study.held": {"reason": "its films name more than one patient", **PATIENT},
    "study.released": {"by": "ana", **PATIENT},
    "workitem.created": {"by": "VIEWER1 (UPS)", "address": "192.0.2.9", "workitem": "1.2.9", **PATIENT},
    "workitem.changed": {"by": "VIEWER1 (UPS)", "address": "192.0.2.9", "workitem": "1.2.9", **PATIENT},
    "workitem.moved": {"by": "VIEWER1 (UPS)", "address": "192.0.2.9", "state": "COMPLETED", **PATIENT},
    "workitem.cancel_requested": {"by": "program0", "address": "192.0.2.9", "workitem": "1.2.9", **PATIENT},
    "worklist.moved": {
        "by": "ana",
        "address": "192.0.2.9",
        "cause": "claimed",
        "after": {"state": "reading", "tier": "high", "priority": "stat"},
        **PATIENT,
    },
    "worklist.asked": {"by": "ana", "address": "192.0.2.9", "site": "north", "priority": "stat", **PATIENT},
    "worklist.answered": {"by": "ana (hub)", "asked_at": 1.5, "priority": None, "outcome": "given", **PATIENT},
    "worklist.frozen": {"by": "root", "address": "192.0.2.9"},
    "worklist.unfrozen": {"by": "root", "address": ""},
    "export.made": {"by": "jane", "folder": "/mnt/x", "classes": {"1.2.840.10008.5.1.4.1.1.1.1": 2}, **PATIENT},
}


def row(number: int, event: str, study: str | None = "1.2.3", /, **detail: Any) -> dict[str, Any]:
    return {
        "sequence": number, "time": NOON + number, "event": event, "study_instance_uid": study,
        "detail": json.dumps(detail), "hash": "",
    }  # fmt: skip


def parsed(message: Message) -> Any:
    """The message as a tree; AssertionError where it is no valid one."""
    assert len(message.xml.splitlines()) == 1
    root = etree.fromstring(message.xml.encode())
    assert SCHEMA.validate(root), SCHEMA.error_log
    return root


def told(*rows: dict[str, Any]) -> list[Any]:
    return [parsed(each) for each in messages(rows, NODE)]


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_that_is_told_gives_a_valid_message(event: str) -> None:
    (root,) = told(row(1, event, **EVENTS[event]))
    source = root.find("AuditSourceIdentification")
    assert (source.get("AuditSourceID"), source.get("AuditEnterpriseSiteID")) == ("CXR1", "Hospital")
    assert root.find("EventIdentification").get("EventDateTime") == "2026-01-01T12:00:01.000Z"


@pytest.mark.parametrize(("event", "code", "kind", "action", "outcome"), [
    ("node.started", "110100", "110120", "E", "0"),
    ("node.stopped", "110100", "110121", "E", "0"),
    ("user.signed_in", "110114", "110122", "E", "0"),
    ("user.signed_out", "110114", "110123", "E", "0"),
    ("user.sign_in_failed", "110114", "110122", "E", "4"),
    ("study.viewed", "110103", None, "R", "0"),
    ("instance.stored", "110104", None, "C", "0"),
    ("document.sent", "110104", None, "R", "0"),
    ("association.rejected", "110113", "110126", "E", "4"),
    ("connection.refused", "110113", "110126", "E", "4"),
    ("object.quarantined", "110113", "object-quarantined", "E", "4"),
    ("instance.quarantined", "110113", "instance-disputed", "E", "8"),
    ("audit.broken", "110113", "trail-broken", "E", "12"),
    ("audit.truncated", "110113", "trail-truncated", "E", "0"),
    ("audit.read", "110101", None, "R", "0"),
    ("export.made", "110106", None, "R", "0"),
    ("peer.queried", "110112", None, "E", "0"),
    ("message.sent", "110106", None, "R", "0"),
    ("order.received", "110109", None, "U", "0"),
    ("report.received", "110111", None, "U", "0"),
    ("patient.changed", "110110", None, "U", "0"),
    ("study.withdrawn", "110111", None, "U", "0"),
    ("study.held", "110111", None, "U", "0"),
    ("study.released", "110111", None, "U", "0"),
    ("workitem.created", "110111", None, "C", "0"),
    ("workitem.changed", "110111", None, "U", "0"),
    ("workitem.moved", "110111", None, "U", "0"),
    ("workitem.cancel_requested", "110111", None, "U", "0"),
    ("worklist.moved", "110111", None, "U", "0"),
    ("worklist.asked", "110111", None, "U", "0"),
    ("worklist.answered", "110111", None, "U", "0"),
    ("worklist.frozen", "110113", "110131", "E", "0"),
    ("worklist.unfrozen", "110113", "110131", "E", "0"),
])  # fmt: skip
def test_the_codes_are_those_of_the_standard(event: str, code: str, kind: str, action: str, outcome: str) -> None:
    (root,) = told(row(1, event, **EVENTS[event]))
    identification = root.find("EventIdentification")
    of_type = identification.find("EventTypeCode")
    assert identification.find("EventID").get("csd-code") == code
    assert (None if of_type is None else of_type.get("csd-code")) == kind
    assert (identification.get("EventActionCode"), identification.get("EventOutcomeIndicator")) == (action, outcome)


def test_what_went_to_a_ris_and_what_came_from_it() -> None:
    for event, source, destination in (
        ("message.sent", "CXR_NODE", "ris"), ("order.received", "RIS|HOSP", "CXR_NODE"),
        ("report.received", "RIS|HOSP", "CXR_NODE"),
    ):  # fmt: skip
        (root,) = told(row(1, event, **EVENTS[event]))
        names = [one.get("UserID") for one in root.findall("ActiveParticipant")]
        roles = [one.find("RoleIDCode").get("csd-code") for one in root.findall("ActiveParticipant")]
        assert (names, roles) == ([source, destination], ["110153", "110152"])
        study, patient = root.findall("ParticipantObjectIdentification")
        assert (study.get("ParticipantObjectID"), patient.get("ParticipantObjectID")) == ("1.2.3", "P1^^^HOSP")


def test_an_urgent_order_and_one_that_is_canceled_are_records_of_orders() -> None:
    urgent = EVENTS["message.sent"] | {"message": "OMI^O23"}
    canceled = EVENTS["order.received"] | {"deed": "cancel"}
    first, second = told(row(1, "message.sent", **urgent), row(2, "order.received", None, **canceled))
    assert [one[0].find("EventID").get("csd-code") for one in (first, second)] == ["110109", "110109"]
    assert [one[0].get("EventActionCode") for one in (first, second)] == ["U", "D"]
    (patient,) = second.findall("ParticipantObjectIdentification")  # of no study that is here
    assert patient.find("ParticipantObjectIDTypeCode").get("csd-code") == "2"


def test_who_did_what_with_a_workitem() -> None:
    (root,) = told(row(1, "workitem.moved", **EVENTS["workitem.moved"]))
    person, node = root.findall("ActiveParticipant")
    assert (person.get("UserID"), person.get("NetworkAccessPointID")) == ("VIEWER1 (UPS)", "192.0.2.9")
    assert node.get("UserID") == "CXR_NODE"


def test_who_moved_a_study_and_where_it_stands_now() -> None:
    (root,) = told(row(1, "worklist.moved", **EVENTS["worklist.moved"]))
    person, node = root.findall("ActiveParticipant")
    assert (person.get("UserID"), person.get("NetworkAccessPointID")) == ("ana", "192.0.2.9")
    assert node.get("UserID") == "CXR_NODE"
    study, patient = root.findall("ParticipantObjectIdentification")
    assert (study.get("ParticipantObjectID"), patient.get("ParticipantObjectID")) == ("1.2.3", "P1^^^HOSP")
    detail = study.find("ParticipantObjectDetail")
    assert (detail.get("type"), base64.b64decode(detail.get("value"))) == (
        "Worklist",
        b"claimed, reading, priority stat",
    )


def test_who_froze_the_list() -> None:
    (root,) = told(row(1, "worklist.frozen", None, **EVENTS["worklist.frozen"]))
    _, person = root.findall("ActiveParticipant")
    assert (person.get("UserID"), person.get("NetworkAccessPointID")) == ("root", "192.0.2.9")
    (subject,) = root.findall("ParticipantObjectIdentification")
    assert subject.get("ParticipantObjectID") == "urn:cxr-node:worklist"
    assert "frozen" in root[0].find("EventOutcomeDescription").text


def test_what_people_do_with_the_list_is_told_once_whatever_way_they_take(tmp_path: Path) -> None:
    """At the page and at the command line; what another system says is told by its own message alone."""
    web = Web(tmp_path, workitems=False)
    study, client = web.film(0.9, PatientID="P1", AccessionNumber="A7"), web.client()
    name = PSEUDONYMS.study(study)
    for action, fields in (
        ("claim", {}), ("claim", {}), ("release", {}), ("read", {}), ("reopen", {}), ("priority", {"priority": "stat"}),
    ):  # fmt: skip
        assert post(client, f"/studies/{name}/{action}", **fields).status_code == 303
    post(client, "/worklist/freeze", frozen="1")
    for action, fields in (("withdraw", {"reason": "wrong patient"}), ("reinstate", {})):
        assert post(client, f"/studies/{name}/{action}", **fields).status_code == 303
    with web.bench.store.transaction() as tx:
        reading.prioritise(tx, study, None, Actor("jane", overrules=True, address=""), NOON)
        reading.mark_read(tx, study, Actor("RIS (HL7)", overrules=True), NOON)
    found = told(*web.bench.rows("SELECT * FROM event ORDER BY sequence"))
    moves = [root for root in found if root[0].find("EventID").get("csd-code") == "110111"]
    details = [
        [base64.b64decode(one.get("value")).decode() for one in root.iter("ParticipantObjectDetail")] for root in moves
    ]
    assert [one[0] if one else None for one in details] == [
        "claimed, reading, priority none", "released, analysed, priority none", "read, read, priority none",
        "reopened, analysed, priority none", "priority, analysed, priority stat",
        None, None,  # withdrawn, and standing again
        "priority, analysed, priority none",
    ]  # fmt: skip
    participants = [root.find("ActiveParticipant") for root in moves]
    assert [one.get("UserID") for one in participants] == ["local"] * 7 + ["jane"]
    assert [one.get("NetworkAccessPointID") for one in participants] == ["127.0.0.1"] * 7 + [None]
    patients = {root.findall("ParticipantObjectIdentification")[1].get("ParticipantObjectID") for root in moves}
    assert patients == {"P1"}
    assert [root[0].find("EventID").get("csd-code") for root in found].count("110113") == 1


def test_a_merge_names_the_patient_by_both_numbers() -> None:
    (root,) = told(row(1, "patient.changed", **EVENTS["patient.changed"]))
    assert [one.get("UserID") for one in root.findall("ActiveParticipant")] == ["ADT|HOSP", "CXR_NODE"]
    objects = [one.get("ParticipantObjectID") for one in root.findall("ParticipantObjectIdentification")]
    assert objects == ["1.2.3", "P1^^^HOSP", "T1"]
    (root,) = told(row(1, "patient.changed", **EVENTS["patient.changed"] | {"prior_patient_id": "", "merged": False}))
    assert len(root.findall("ParticipantObjectIdentification")) == 2


def test_who_withdrew_a_study_and_why_or_that_nobody_did() -> None:
    withdrawn, held = told(
        *(row(n, name, **EVENTS[name]) for n, name in enumerate(("study.withdrawn", "study.held"), 1))
    )
    assert withdrawn[0].findtext("EventOutcomeDescription") == "withdrawn by ana: wrong patient"
    for root, expected in ((withdrawn, [("ana", "true"), ("CXR_NODE", "false")]), (held, [("CXR_NODE", "true")])):
        found = root.findall("ActiveParticipant")
        assert [(one.get("UserID"), one.get("UserIsRequestor")) for one in found] == expected
        study, patient = root.findall("ParticipantObjectIdentification")
        assert (study.get("ParticipantObjectID"), patient.get("ParticipantObjectID")) == ("1.2.3", "P1^^^HOSP")


def test_who_looked_at_which_study() -> None:
    (root,) = told(row(1, "study.viewed", **EVENTS["study.viewed"]))
    person, node = root.findall("ActiveParticipant")
    assert (person.get("UserID"), person.get("UserIsRequestor")) == ("ana", "true")
    assert (person.get("NetworkAccessPointID"), person.get("NetworkAccessPointTypeCode")) == ("192.0.2.9", "2")
    assert node.get("UserID") == "CXR_NODE"
    study, patient = root.findall("ParticipantObjectIdentification")
    assert (study.get("ParticipantObjectID"), patient.get("ParticipantObjectID")) == ("1.2.3", "P1^^^HOSP")


def test_films_of_a_study_that_came_together_are_one_message() -> None:
    other = FILM | {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7"}
    (root,) = told(*(row(n, "instance.stored", **FILM) for n in (1, 2)), row(3, "instance.stored", **other))
    counts = {each.get("UID"): each.get("NumberOfInstances") for each in root.iter("SOPClass")}
    assert counts == {FILM["sop_class_uid"]: "2", other["sop_class_uid"]: "1"}
    assert root[0].get("EventDateTime") == "2026-01-01T12:00:03.000Z"  # when the transfer was complete

    study, patient = root.findall("ParticipantObjectIdentification")
    assert (study.get("ParticipantObjectID"), patient.get("ParticipantObjectID")) == ("1.2.3", "P1^^^HOSP")
    assert study.find("ParticipantObjectIDTypeCode").get("csd-code") == "110180"
    assert next(study.iter("Accession")).get("Number") == "A7"


@pytest.mark.parametrize(
    ("study", "other"), [("1.2.4", {}), ("1.2.3", {"calling": "XRAY2"}), ("1.2.3", {"address": "192.0.2.8"})]
)
def test_films_of_another_study_or_sender_are_another_message(study: str, other: dict[str, str]) -> None:
    assert len(told(row(1, "instance.stored", **FILM), row(2, "instance.stored", study, **(FILM | other)))) == 2


def test_who_sent_and_who_received() -> None:
    (came,) = told(row(1, "instance.stored", **FILM))
    (left,) = told(row(1, "document.sent", **EVENTS["document.sent"]))
    (asked,) = told(row(1, "peer.queried", **EVENTS["peer.queried"]))
    to_the_pacs = [("CXR_NODE", "110153", "true", NODE.host, "1"), ("PACS", "110152", "false", "pacs", "1")]
    for root, expected in (
        (came, [("XRAY1", "110153", "true", "192.0.2.7", "2"), ("CXR_NODE", "110152", "false", NODE.host, "1")]),
        (left, to_the_pacs),
        (asked, to_the_pacs),
    ):
        found = [
            (each.get("UserID"), each.find("RoleIDCode").get("csd-code"), each.get("UserIsRequestor"),
             each.get("NetworkAccessPointID"), each.get("NetworkAccessPointTypeCode"))
            for each in root.findall("ActiveParticipant")
        ]  # fmt: skip
        assert found == expected


def test_messages_stand_in_the_order_in_which_things_were_complete() -> None:
    rows = [
        row(1, "instance.stored", **FILM), row(2, "node.stopped"), row(3, "instance.stored", **FILM),
        row(4, "job.failed"), row(5, "worklist.moved"),
    ]  # fmt: skip
    found = messages(rows, NODE)
    assert [message.time - NOON for message in found] == [2, 3]


def test_a_refusal_says_who_knocked_and_how_often() -> None:
    (root,) = told(row(1, "association.rejected", None, **EVENTS["association.rejected"]))
    (subject,) = root.findall("ParticipantObjectIdentification")
    detail = subject.find("ParticipantObjectDetail")
    assert subject.get("ParticipantObjectID") == "192.0.2.66"
    assert detail.get("type") == "Alert Description"
    assert base64.b64decode(detail.get("value")) == b"EVIL got no association: not allowed; 3 times"


def test_who_put_which_model_in_service() -> None:
    (root,) = told(row(1, "model.activated", None, **EVENTS["model.activated"]))
    assert root.find("EventIdentification/EventTypeCode").get("csd-code") == "110131"
    assert "jane" in [each.get("UserID") for each in root.findall("ActiveParticipant")]
    (model,) = root.findall("ParticipantObjectIdentification")
    assert model.get("ParticipantObjectID") == "urn:cxr-node:model"
    assert f"cxr-a 2.0.0 is in service, build {'d' * 64}" in str(etree.tostring(root))


def test_a_query_is_told_with_its_words() -> None:
    (root,) = told(row(1, "peer.queried", **EVENTS["peer.queried"]))
    (asked,) = root.findall("ParticipantObjectIdentification")
    assert asked.get("ParticipantObjectID") == "1.2.840.10008.5.1.4.1.2.2.1"
    assert (asked.get("ParticipantObjectTypeCode"), asked.get("ParticipantObjectTypeCodeRole")) == ("2", "3")
    assert asked.find("ParticipantObjectIDTypeCode").get("csd-code") == "110181"
    assert base64.b64decode(asked.find("ParticipantObjectQuery").text) == b"an identifier"
    syntax = asked.find("ParticipantObjectDetail")
    assert (syntax.get("type"), base64.b64decode(syntax.get("value"))) == ("TransferSyntax", b"1.2.840.10008.1.2")


def test_an_alert_is_a_warning_and_a_transfer_is_none() -> None:
    rows = [row(1, "audit.broken", sequence=7), row(2, "instance.stored", **FILM)]
    assert [message.warning for message in messages(rows, NODE)] == [True, False]


def test_a_film_without_patient_or_sender_is_told_all_the_same() -> None:
    (root,) = told(row(1, "instance.stored", sop_class_uid="1.2", patient_id=None))
    assert root.findall("ParticipantObjectIdentification")[1].get("ParticipantObjectID") == "unknown"


TEXTS = sorted({key for each in EVENTS.values() for key in each} - {"classes", "sop_class_uid", "identifier", "after"})


@given(st.dictionaries(st.sampled_from(TEXTS), st.text()))
def test_whatever_a_peer_says_the_message_is_valid(said: dict[str, str]) -> None:
    for number, (event, detail) in enumerate(EVENTS.items(), 1):
        told(row(number, event, **(detail | said)))


def test_what_the_intake_records_is_enough_to_tell(tmp_path: Path) -> None:
    bench, film = Bench(tmp_path), chest(AccessionNumber="A7", IssuerOfPatientID="HOSP")
    bench.send(film, calling_ae_title="XRAY1")
    (root,) = told(*bench.rows("SELECT * FROM event"))
    study, patient = root.findall("ParticipantObjectIdentification")
    assert study.get("ParticipantObjectID") == film.StudyInstanceUID
    assert patient.get("ParticipantObjectID") == f"{film.PatientID}^^^HOSP"
    assert next(root.iter("SOPClass")).get("UID") == film.SOPClassUID
    assert next(root.iter("Accession")).get("Number") == "A7"
    assert root.find("ActiveParticipant").get("NetworkAccessPointID") == "192.0.2.7"
