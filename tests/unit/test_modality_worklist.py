"""The worklist as a Modality Worklist, asked by dcmtk's findscu and by pynetdicom."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE

from cxr_node.dimse.listener import Endpoint, Listener
from cxr_node.dimse.workitems import MODALITY_WORKLIST, ModalityWorklist
from cxr_node.domain.priority import Priority
from cxr_node.domain.reading import Actor
from cxr_node.store import reading
from tests import films
from tests.bench import Bench, desk


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def port(bench: Bench) -> Iterator[int]:
    endpoint = Endpoint("CXR_NODE", "127.0.0.1", 0, max_associations=8, max_pdu=131072, timeout=60.0)
    listener = Listener(
        endpoint, bench.intake, bench.spool.incoming, [ModalityWorklist(desk(bench))], refused=bench.turned_away.note
    )
    listener.start()
    yield listener.port
    listener.stop(grace=5.0)


def film(bench: Bench, accession: str, priority: Priority | None = None) -> str:
    bench.clock.turn(1)
    sent = films.chest(AccessionNumber=accession, PatientID=f"P{accession}", PatientName="Müller^Zoë")
    bench.send(sent)
    study = str(sent.StudyInstanceUID)
    with bench.store.transaction() as tx:
        reading.prioritise(tx, study, priority, Actor("dr.adams"), bench.clock())
    return study


def by_findscu(port: int, folder: Path, *keys: str) -> list[Dataset]:
    """What dcmtk finds."""
    folder.mkdir()
    asked = [part for key in keys for part in ("-k", key)]
    command = ["findscu", "-W", "-aec", "CXR_NODE", "-X", "-od", str(folder), *asked, "127.0.0.1", str(port)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return [dcmread(path, force=True) for path in sorted(folder.iterdir())]


@pytest.mark.peers
def test_dcmtk_finds_the_studies_that_wait_in_reading_order(bench: Bench, port: int, tmp_path: Path) -> None:
    film(bench, "A1")
    film(bench, "A2", Priority.STAT)
    done = film(bench, "A3")
    with bench.store.transaction() as tx:
        reading.mark_read(tx, done, Actor("dr.adams"), bench.clock())
    every = by_findscu(port, tmp_path / "all", "AccessionNumber", "RequestedProcedurePriority", "PatientName")
    assert [(one.AccessionNumber, one.RequestedProcedurePriority) for one in every] == [
        ("A2", "HIGH"),
        ("A1", "ROUTINE"),
    ]
    assert str(every[0].PatientName) == "Müller^Zoë"
    one = by_findscu(
        port, tmp_path / "one", "AccessionNumber=A1", "StudyInstanceUID",
        "ScheduledProcedureStepSequence[0].Modality=DX",
        "ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate=20260101-20260102",
    )  # fmt: skip
    assert [found.AccessionNumber for found in one] == ["A1"]
    assert len(one[0].ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate) == 8
    assert by_findscu(port, tmp_path / "none", "ScheduledProcedureStepSequence[0].Modality=CT") == []


def test_every_required_return_key_is_there(bench: Bench, port: int) -> None:
    """Type 1 of PS3.4 table K.6-1, as far as it has a value for a film that is there."""
    film(bench, "A1")
    query, step = Dataset(), Dataset()
    for keyword in ("ScheduledStationAETitle", "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime",
                    "Modality", "ScheduledProcedureStepDescription", "ScheduledProcedureStepID"):  # fmt: skip
        setattr(step, keyword, "")
    query.ScheduledProcedureStepSequence = [step]
    for keyword in ("RequestedProcedureID", "RequestedProcedureDescription", "StudyInstanceUID", "PatientName",
                    "PatientID"):  # fmt: skip
        setattr(query, keyword, "")
    ae = AE()
    ae.add_requested_context(MODALITY_WORKLIST)
    association = ae.associate("127.0.0.1", port)
    found = [one for _, one in association.send_c_find(query, MODALITY_WORKLIST) if one is not None]
    association.release()
    assert len(found) == 1
    assert all(element.value for element in found[0])
    assert all(element.value for element in found[0].ScheduledProcedureStepSequence[0])


def test_it_is_off_unless_it_is_wanted(bench: Bench) -> None:
    from cxr_node.config import Config
    from cxr_node.conformance.tables import accepted
    from cxr_node.plan import Plan

    plan = Plan.of(Config.model_validate({"node": {"data_dir": bench.root}}))
    assert MODALITY_WORKLIST not in {one.sop_class for one in accepted(plan)}
