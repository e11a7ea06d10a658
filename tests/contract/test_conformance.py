"""The conformance statement against what the node does: its tables, and a listener that is really called."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import (
    JPEG2000,
    MPEG2MPML,
    CTImageStorage,
    ExplicitVRBigEndian,
    HTJ2KLossless,
)
from pynetdicom import AE, build_role
from pynetdicom.presentation import build_context

from cxr_node.config import Config
from cxr_node.conformance import sample, tables
from cxr_node.conformance.statement import statement
from cxr_node.dimse import commitment, contexts
from cxr_node.dimse.endpoint import Endpoint
from cxr_node.dimse.listener import Listener
from cxr_node.dimse.mpps import PerformedProcedureStep
from cxr_node.dimse.workitems import ModalityWorklist, UnifiedProcedureStep
from cxr_node.documents import SOP_CLASSES
from cxr_node.domain.report_class import REPORT_CLASSES, ReportClass
from cxr_node.plan import Plan, open_store
from cxr_node.profiles import profile_of
from cxr_node.stages.procedure import Procedure
from cxr_node.workstations import desk_of
from tests.unit.test_listener import Recorder

FOREIGN_CLASSES = (CTImageStorage, "1.2.840.10008.5.1.4.1.2.1.1")
FOREIGN_SYNTAXES = (ExplicitVRBigEndian, HTJ2KLossless, MPEG2MPML)
PACS = {"name": "pacs", "ae_title": "PACS", "host": "pacs.example.org"}
Proposal = tuple[str, str]


def plan(folder: Path, **receive: Any) -> Plan:
    tables = {"node": {"data_dir": folder}, "destination": [PACS], "ups": {"modality_worklist": True}}
    return Plan.of(Config.model_validate(tables | {"receive": receive}))


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Plan, int]]:
    """The node's listener with its services, which asks PACS for X-ray machines, and its port."""
    folder = tmp_path_factory.mktemp("node")
    found = plan(folder, storage_commitment="pacs")
    store = open_store(found.config)
    procedure = Procedure(store, found.judging(), found.waiting(), lambda: 0.0, lambda: None, str)
    endpoint = Endpoint("CXR_NODE", "127.0.0.1", 0, max_associations=8, max_pdu=131072, timeout=60.0)
    desk = desk_of(lambda: found.config, store, found.judging, lambda: None, by_web=False)
    assert desk is not None
    services = [
        PerformedProcedureStep(procedure),
        *found.commitment(store),
        UnifiedProcedureStep(desk),
        ModalityWorklist(desk),
    ]
    listener = Listener(endpoint, Recorder(), folder / "incoming", services, refused=[].append)
    (folder / "incoming").mkdir()
    listener.start()
    yield found, listener.port
    listener.stop(0.0)
    store.close()


def accepted(port: int, proposals: Sequence[Proposal]) -> set[Proposal]:
    """What of these pairs of SOP class and transfer syntax the listener takes, each proposed alone."""
    taken: set[Proposal] = set()
    for some in (proposals[begin : begin + 100] for begin in range(0, len(proposals), 100)):
        ae = AE()
        ae.requested_contexts = [build_context(sop_class, syntax) for sop_class, syntax in some]
        role = build_role(commitment.PUSH_MODEL, scu_role=True, scp_role=True)
        association = ae.associate("127.0.0.1", port, ext_neg=[role])
        taken |= {(str(one.abstract_syntax), str(one.transfer_syntax[0])) for one in association.accepted_contexts}
        if association.is_established:
            association.release()
    return taken


def test_the_listener_takes_what_the_statement_says_and_nothing_else(listening: tuple[Plan, int]) -> None:
    found, port = listening
    services = tables.accepted(found)
    said = {(one.sop_class, syntax) for one in services for syntax in one.transfer_syntaxes}
    classes = [*(one.sop_class for one in services), *FOREIGN_CLASSES]
    syntaxes = [*contexts.UNCOMPRESSED, *contexts.COMPRESSED, *FOREIGN_SYNTAXES]
    assert accepted(port, [(str(one), str(two)) for one, two in product(classes, syntaxes)]) == said
    assert (contexts.FILMS[0], str(JPEG2000)) in said
    assert commitment.PUSH_MODEL in {one.sop_class for one in services}


def test_without_destinations_nothing_is_said_of_commitment(tmp_path: Path) -> None:
    alone = Plan.of(Config.model_validate({"node": {"data_dir": tmp_path}}))
    assert commitment.PUSH_MODEL not in {
        one.sop_class for one in [*tables.accepted(alone), *tables.proposed(alone, [])]
    }
    asking = plan(tmp_path)
    assert [one.roles for one in tables.accepted(asking) if one.sop_class == commitment.PUSH_MODEL] == [
        "SCU: takes reports, as role selection has it"
    ]


def test_every_class_that_documents_are_written_in_is_proposed(tmp_path: Path) -> None:
    found = plan(tmp_path)
    made = [first for first, _ in sample.pairs(found.manifest, profile_of(found, "full"))]
    assert {document.kind for document in made} == {"sr", "sc", "pdf", "pr", "seg", "ko", "rn"}
    proposed = {one.sop_class for one in tables.proposed(found, made)}
    assert proposed >= {document.sop_class_uid for document in made} | set(REPORT_CLASSES.values())
    assert set(SOP_CLASSES) == {document.sop_class_uid for document in made} | set(REPORT_CLASSES.values())


@pytest.mark.parametrize("name", REPORT_CLASSES)
def test_content_items_are_those_of_a_report_that_was_built(tmp_path: Path, name: ReportClass) -> None:
    found = plan(tmp_path)
    made = sample.reports(found.manifest, profile_of(found, "full"), name)
    items = tables.content_items(made)
    assert items[0].depth == 0
    assert all(later.depth <= item.depth + 1 for item, later in pairwise(items))
    types = {item.value_type for item in items}
    assert ("SCOORD" in types, "NUM" in types) == (name != "basic_text", name != "basic_text")
    (status,) = (item for item in items if "(111017, DCM" in item.name)
    assert {value[1:7] for value in status.values} == {"111241", "111242", "111244"}
    count = {id(item) for document in made for item in _all(tables.read(document))}
    assert len(items) < len(count)


def _all(item: Any) -> list[Any]:
    return [item, *(each for child in item.get("ContentSequence", []) for each in _all(child))]


def test_values_that_differ_between_films_are_not_called_fixed(tmp_path: Path) -> None:
    found = plan(tmp_path)
    (pair,) = (each for each in sample.pairs(found.manifest, profile_of(found, "full")) if each[0].kind == "sc")
    fixed = {each.name: each.value for each in tables.attributes(*pair)}
    assert fixed["Modality"] == "OT"
    assert fixed["Photometric Interpretation"] == "RGB"
    for name in ("Patient's Name", "Patient ID", "SOP Instance UID", "Study Date", "Columns", "Pixel Data"):
        assert fixed[name] is None


def test_the_command_prints_the_statement_and_says_nothing_else(tmp_path: Path) -> None:
    settings = tmp_path / "node.toml"
    settings.write_text('[node]\nae_title = "CHEST_AI"\n', "utf-8")
    command = [sys.executable, "-m", "cxr_node", "conformance", "-c", str(settings)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout.startswith("# DICOM Conformance Statement")
    assert "`CHEST_AI`" in done.stdout
    assert done.stdout == statement(Plan.of(Config.model_validate({"node": {"ae_title": "CHEST_AI"}})))
    rows = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert all(row.endswith("|") for row in rows)
