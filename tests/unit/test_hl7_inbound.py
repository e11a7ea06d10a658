"""What messages of a RIS are understood as; what they lack is said with its place."""

import time
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from cxr_node.domain.order import Deed, Fault, Procedure, Said
from cxr_node.domain.patient import Identifier, Person
from cxr_node.domain.priority import Priority
from cxr_node.hl7.inbound import Terms, read
from cxr_node.hl7.message import Unreadable, parse
from tests.ris import message, order, report

TERMS = Terms(
    accession=("IPC-1", "OBR-18", "OBR-3", "OBR-2"),
    priorities={"S": Priority.STAT, "A": Priority.HIGH, "R": Priority.ROUTINE},
    cancel=frozenset({"CA", "OC", "DC"}),
    status="OBR-25",
    final=frozenset({"F", "C"}),
    reopen=frozenset({"X", "W"}),
)


def said(text: str, terms: Terms = TERMS) -> tuple[Said, ...]:
    return read(parse(text.encode(), "ASCII"), terms).said


def fault(text: str) -> Fault:
    with pytest.raises(Unreadable) as caught:
        said(text)
    return caught.value.fault


def test_an_order_with_its_priority() -> None:
    found = read(parse(order("7", "ACC1", patient="P1^^^HOSP~X9^^^NAT").encode(), "ASCII"), TERMS)
    assert (found.sender, found.control_id, found.kind) == ("RIS^HOSPITAL", "7", "ORM^O01")
    patients = (Identifier("P1", "HOSP"), Identifier("X9", "NAT"))
    procedure = Procedure("XCHEST", "Chest PA", "99LOCAL")
    assert found.said == (Said(Deed.ORDER, "ACC1", "", patients, Priority.STAT, "S", procedure=procedure),)


def test_an_imaging_order_with_ipc_and_tq1() -> None:
    text = message(
        "OMI^O23^OMI_O23", "8", "PID|||P1", "ORC|XO|PL1", "TQ1|1||||||202603010800||A^ASAP^HL70485",
        "OBR|1|PL1||36643-5^Chest^LN",
        "IPC|ACC^HOSP|RP1|1.2.840.9|SPS1",
    )  # fmt: skip
    more: dict[str, Any] = {"day": date(2026, 3, 1), "procedure": Procedure("36643-5", "Chest", "LN"), "changes": True}
    assert said(text) == (Said(Deed.ORDER, "ACC", "1.2.840.9", (Identifier("P1"),), Priority.HIGH, "A", **more),)


@pytest.mark.parametrize(
    ("lines", "day"),
    [
        (["TQ1|1||||||20260301"], date(2026, 3, 1)), (["ORC|NW||||||^^^202603020900^^S"], date(2026, 3, 2)),
        (["OBR|1|A" + "|" * 25 + "^^^20260303"], date(2026, 3, 3)),
        (["OBR|1|A" + "|" * 34 + "202603040800"], date(2026, 3, 4)),
        (["TQ1|1||||||2026"], None), (["TQ1|1||||||20261301"], None), ([], None),
    ],
)  # fmt: skip
def test_for_when_an_order_is_planned(lines: list[str], day: date | None) -> None:
    named = {line[:3] for line in lines}
    whole = [*([] if "ORC" in named else ["ORC|NW"]), *lines, *([] if "OBR" in named else ["OBR|1|A"])]
    (found,) = said(message("ORM^O01", "1", *whole))
    assert found.day == day


@pytest.mark.parametrize(
    ("field", "procedure"),
    [
        ("", None), ("^Chest", None), ("X" * 17, None), ("X^Y^" + "Z" * 17, None),
        ("XC", Procedure("XC", "XC", "99LOCAL")), ("XC^Chest^L", Procedure("XC", "Chest", "99LOCAL")),
        ("XC^" + "C" * 80 + "^99RIS", Procedure("XC", "C" * 64, "99RIS")),
        (r"X\S\C^Ch\E\est", Procedure("X C", "Ch est", "99LOCAL")),
    ],
)  # fmt: skip
def test_what_is_ordered_is_a_code_that_dicom_can_hold(field: str, procedure: Procedure | None) -> None:
    (found,) = said(message("ORM^O01", "1", "ORC|NW", f"OBR|1|A||{field}"))
    assert found.procedure == procedure


@pytest.mark.parametrize(
    ("orc", "obr", "tq1", "code"),
    [
        ("ORC|NW||||||^^^^^S", "OBR|1|A", None, "S"),
        ("ORC|NW||||||^^^^^R", f"OBR|1|A{'|' * 25}^^^^^S", None, "S"),
        ("ORC|NW", "OBR|1|A|||a", None, "A"),
        ("ORC|NW||||||^^^^^R", "OBR|1|A", "TQ1|1||||||||S", "S"),
        ("ORC|NW", "OBR|1|A", None, ""),
    ],
)
def test_the_priority_stands_where_its_version_has_it(orc: str, obr: str, tq1: str | None, code: str) -> None:
    (found,) = said(message("ORM^O01", "1", orc, *([tq1] if tq1 else []), obr))
    assert (found.accession, found.code) == ("A", code)


@pytest.mark.parametrize(
    ("control", "status", "deed"),
    [("CA", "", Deed.CANCEL), ("OC", "", Deed.CANCEL), ("SC", "CA", Deed.CANCEL), ("SC", "IP", Deed.ORDER),
     ("NW", "", Deed.ORDER), ("XO", "CA", Deed.ORDER)],
)  # fmt: skip
def test_what_cancels_an_order(control: str, status: str, deed: Deed) -> None:
    (found,) = said(
        message(
            "ORM^O01",
            "1",
            f"ORC|{control}||||{status}",
            "OBR|1|ACC",
        )
    )
    assert found.deed is deed


@pytest.mark.parametrize(
    ("status", "deed"), [("F", Deed.FINAL), ("C", Deed.FINAL), ("P", Deed.NOTE), ("", Deed.NOTE), ("X", Deed.REOPEN)]
)
def test_the_state_of_a_report(status: str, deed: Deed) -> None:
    (found,) = said(report("1", "ACC", status))
    assert (found.deed, found.accession) == (deed, "ACC")


@pytest.mark.parametrize(
    ("states", "deed"), [("FF", Deed.FINAL), ("FP", Deed.NOTE), ("FW", Deed.REOPEN), ("", Deed.NOTE)]
)
def test_the_state_of_a_report_by_its_observations(states: str, deed: Deed) -> None:
    lines = [f"OBX|{number}|TX|1||x||||||{state}" for number, state in enumerate(states, 1)]
    (found,) = said(message("ORU^R01", "1", "OBR|1|ACC", *lines), replace(TERMS, status="OBX-11"))
    assert found.deed is deed


@pytest.mark.parametrize(
    "line", ["ZDS|1.2.3^^Application^DICOM", "IPC||RP|1.2.3|S", "OBX|1|ST|113014^Study^DCM||1.2.3",
             "OBX|1|HD|113014^Study^DCM||^1.2.3^ISO"],
)  # fmt: skip
def test_where_a_study_uid_may_stand(line: str) -> None:
    (found,) = said(message("ORU^R01", "1", "OBR|1", line))
    assert (found.study_instance_uid, found.accession) == ("1.2.3", "")


def test_a_message_of_several_orders_and_patients() -> None:
    text = message(
        "ORM^O01",
        "1",
        "PID|||P1",
        "ORC|NW",
        "OBR|1|A1",
        "ORC|CA",
        "OBR|2|A2",
        "OBR|3|A3",
        "PID|||P2",
        "ORC|NW",
        "OBR|1|A4",
    )
    with pytest.raises(Unreadable, match="no order control code"):
        said(text)
    found = said(text.replace("OBR|3|A3", "ORC|XO\rOBR|3|A3"))
    assert [(one.accession, one.deed.value, one.patients[0].value) for one in found] == [
        ("A1", "order", "P1"), ("A2", "cancel", "P1"), ("A3", "order", "P1"), ("A4", "order", "P2"),
    ]  # fmt: skip


def test_the_first_place_of_the_accession_number_that_is_filled_counts() -> None:
    text = message("ORM^O01", "1", "ORC|NW", f"OBR|1|PL|FI{'|' * 15}ACC")
    assert said(text)[0].accession == "ACC"
    assert said(text, replace(TERMS, accession=("OBR-2", "OBR-18")))[0].accession == "PL"


@pytest.mark.parametrize(
    ("kind", "lines", "more", "code", "place"),
    [
        ("MDM^T02", ["PID|||1"], {}, 200, "MSH-9"),
        ("ADT^A01", ["PID|||1"], {}, 201, "MSH-9"),
        ("ADT^A08", ["PV1|"], {}, 100, "PID"),
        ("ADT^A08", ["PID||||"], {}, 101, "PID-3"),
        ("ADT^A40", ["PID|||1"], {}, 100, "MRG"),
        ("ADT^A40", ["PID|||1", "MRG|"], {}, 101, "MRG-1"),
        ("ORM^O02", ["ORC|NW"], {}, 201, "MSH-9"),
        ("ORM^O01", ["PID|||1"], {}, 100, "OBR"),
        ("ORM^O01", ["ORC|", "OBR|1|A"], {}, 101, "ORC-1"),
        ("ORM^O01", ["ORC|NW", "OBR|1"], {}, 101, "IPC-1"),
        ("ORM^O01", ["ORC|NW", "TQ1|1||||||||Q", "OBR|1|A"], {}, 103, "TQ1-9"),
        ("ORU^R01", ["ORC|RE"], {}, 101, "OBR"),
        ("ORM^O01", ["ORC|NW", "OBR|1|A"], {"|P|": "|T|"}, 202, "MSH-11"),
        ("ORM^O01", ["ORC|NW", "OBR|1|A"], {"|2.5.1|": "|3|"}, 203, "MSH-12"),
        ("ORM^O01", ["ORC|NW", "OBR|1|A"], {"|1|P|": "||P|"}, 101, "MSH-10"),
    ],
)
def test_what_a_message_lacks_is_said_with_its_place(
    kind: str, lines: list[str], more: dict[str, Any], code: int, place: str
) -> None:
    text = message(kind, "1", *lines)
    for old, new in more.items():
        text = text.replace(old, new, 1)
    found = fault(text)
    assert (found.code, str(found.place)) == (code, place)
    assert found.rejected == (code in (200, 201, 202, 203))


def test_an_update_says_how_a_patient_is() -> None:
    pid = "PID|||P1^^^HOSP~N2^^^NAT||O\\T\\Doe&van^Jane^M^Jr^Dr||19600229083000|f"
    (change,) = read(parse(message("ADT^A08^ADT_A01", "1", "EVN", pid).encode(), "UNICODE UTF-8"), TERMS).changes
    assert change.prior == ()
    assert change.person == Person(
        (Identifier("P1", "HOSP"), Identifier("N2", "NAT")), "O&Doe^Jane^M^Dr^Jr", "19600229", "F"
    )


def test_what_an_update_does_not_say_is_empty() -> None:
    text = message("ADT^A08", "1", 'PID|||P1||""||1960|U')
    (change,) = read(parse(text.encode(), "ASCII"), TERMS).changes
    assert change.person == Person((Identifier("P1"),))


@pytest.mark.parametrize("kind", ["ADT^A40^ADT_A39", "ADT^A47^ADT_A30"])
def test_a_merge_says_who_each_patient_was(kind: str) -> None:
    text = message(kind, "1", "PID|||P1||Doe^Jane", "PD1|", "MRG|T1^^^HOSP", "PID|||P2", "MRG|T2~T3")
    notice = read(parse(text.encode(), "ASCII"), TERMS)
    found = [([one.value for one in c.prior], [one.value for one in c.person.identifiers]) for c in notice.changes]
    assert found == [(["T1"], ["P1"]), (["T2", "T3"], ["P2"])]
    assert notice.at == 1_767_268_800.0  # 2026-01-01T12:00:00 in MSH-7


def test_a_message_of_many_patients_is_refused() -> None:
    assert fault(message("ADT^A08", "1", *["PID|||1"] * 101)).code == 102


def test_a_message_without_measure_is_read_or_refused_in_no_time() -> None:
    began = time.thread_time()
    assert fault(message("ORM^O01", "1", *["ORC|NW", "OBR|1|A"] * 101)).code == 102
    assert fault(message("ORM^O01", "1", *["NTE"] * 250_000)).code == 100
    (found,) = said(message("ORM^O01", "1", f"PID|||{'A~' * 400_000}", "ORC|NW", "OBR|1|A"))
    assert len(found.patients) == 100
    for filling in ("|", "^", "&", "\\", "\\.sp999999999"):
        (found,) = said(message("ORM^O01", "1", "ORC|NW", f"OBR|1|A{filling * 60_000}"))
    assert time.thread_time() - began < 20  # as good as none, but for a slow machine


def test_what_is_wrong_is_said_without_the_patient() -> None:
    text = message("ORM^O01", "1", "PID|||SECRET1||Secret^Name", "ORC|NW", "TQ1|1||||||||Q", "OBR|1|A")
    assert "ecret" not in fault(text).sentence.lower()


@pytest.mark.parametrize(
    ("lines", "truth"),
    [
        (["OBX|1|CWE|IMP^Impression||J18.9^Pneumonia^I10||||||F"], True),
        (["OBX|1|CWE|IMP^Impression||Z03.8^Nothing^I10||||||F"], False),
        (["OBX|1|CWE|IMP^Impression||Z03.8^Nothing^I10~J18.9^Pneumonia^I10||||||F"], True),
        (["OBX|1|TX|IMP^Impression||J18.9 is what I think||||||F"], None),
        (["OBX|1|TX|IMP^Impression||Nothing acute.||||||F", "DG1|1||J18.9^Pneumonia^I10"], True),
        (["OBX|1|TX|IMP^Impression||Nothing acute.||||||F"], None),
    ],
)
def test_the_codes_of_a_final_report_say_what_is_so(lines: list[str], truth: bool | None) -> None:
    terms = replace(TERMS, labels={"J18.9": True, "Z03.8": False})
    obr = f"OBR|1|PL1|FI1|XCHEST^Chest PA^L{'|' * 14}ACC1{'|' * 7}"
    (final,) = said(message("ORU^R01^ORU_R01", "7", "PID|||P1", obr + "F", *lines), terms)
    assert (final.deed, final.truth) == (Deed.FINAL, truth)
    (note,) = said(message("ORU^R01^ORU_R01", "8", "PID|||P1", obr + "P", *lines), terms)
    assert (note.deed, note.truth) == (Deed.NOTE, None)
