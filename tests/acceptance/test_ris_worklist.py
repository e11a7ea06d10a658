"""A node that asks a RIS for the priority of what comes: dcmtk's worklist server, which speaks no TLS, behind TLS."""

import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from cxr_node.tls import Identity, PemFile, server
from tests.certificates import Authority
from tests.films import chest
from tests.node import Node, free_port, listens, wait_for

pytestmark = pytest.mark.peers


def entry(folder: Path, accession: str, patient: str, priority: str) -> None:
    """A file of a worklist with all that dcmtk asks for."""
    said, step = Dataset(), Dataset()
    said.SpecificCharacterSet, said.AccessionNumber = "ISO_IR 192", accession
    said.PatientID, said.PatientName, said.PatientBirthDate, said.PatientSex = patient, "Müller^Zoë", "19600101", "F"
    said.StudyInstanceUID, said.RequestedProcedureID = generate_uid(), "RP1"
    said.RequestedProcedureDescription, said.RequestedProcedurePriority = "Thorax", priority
    step.ScheduledStationAETitle, step.Modality, step.ScheduledProcedureStepID = "XRAY1", "DX", "SPS1"
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = "20260101", "120000"
    step.ScheduledPerformingPhysicianName, step.ScheduledProcedureStepDescription = "", "Thorax"
    said.ScheduledProcedureStepSequence = [step]
    said.file_meta = FileMetaDataset()
    said.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    said.file_meta.MediaStorageSOPClassUID, said.file_meta.MediaStorageSOPInstanceUID = (
        "1.2.276.0.7230010.3.1.0.1",
        "1.2",
    )
    said.save_as(folder / f"{accession}-{patient}.wl", enforce_file_format=True)


@contextmanager
def wlmscpfs(folder: Path) -> Iterator[tuple[int, Path]]:
    """dcmtk's worklist under the AE title RIS: its port, and where its entries lie."""
    entries, port = folder / "RIS", free_port()
    entries.mkdir(parents=True)
    (entries / "lockfile").touch()
    with subprocess.Popen(["wlmscpfs", "-q", "-csk", "-dfp", str(folder), str(port)]) as process:
        try:
            wait_for(lambda: listens(port), 20, "dcmtk's worklist")
            yield port, entries
        finally:
            process.terminate()


@contextmanager
def behind_tls(context: ssl.SSLContext, port: int) -> Iterator[int]:
    """What is behind a port of this machine, for callers that come by TLS; the port for them."""

    class Passage(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with (
                suppress(OSError),
                context.wrap_socket(self.request, server_side=True) as outside,
                socket.create_connection(("127.0.0.1", port)) as inside,
            ):
                back = threading.Thread(target=_pour, args=(inside, outside))
                back.start()
                _pour(outside, inside)
                back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Passage) as terminator:
        serving = threading.Thread(target=terminator.serve_forever)
        serving.start()
        yield int(terminator.server_address[1])
        terminator.shutdown()
        serving.join()


def _pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


def priority(node: Node, accession: str) -> Any:
    return next((one["priority"] for one in node.worklist() if one["accession_number"] == accession), None)


def test_the_priority_of_a_ris_comes_over_tls_and_moves_the_study(tmp_path: Path) -> None:
    hospital = Authority(tmp_path, "hospital")
    own, ris = hospital.issue("node"), hospital.issue("ris")
    strict = server(
        Identity(PemFile("certificate", ris.certificate), PemFile("key", ris.key)), PemFile("ca", hospital.pem)
    )
    with wlmscpfs(tmp_path / "worklists") as (plain, entries), behind_tls(strict, plain) as port:
        entry(entries, "A1", "P1", "STAT")
        entry(entries, "A2", "P2", "ROUTINE")
        entry(entries, "A3", "SOMEBODY-ELSE", "STAT")
        settings: dict[str, Any] = {
            "worklist__ris": {"ae_title": "RIS", "host": "127.0.0.1", "port": port, "tls": True},
            "tls__certificate": str(own.certificate), "tls__key": str(own.key), "tls__ca": str(hospital.pem),
            "tls__listener": False,
        }  # fmt: skip
        with Node(tmp_path / "node", **settings) as node:
            for number in (2, 1, 3):
                node.send(chest(AccessionNumber=f"A{number}", PatientID=f"P{number}"))
            wait_for(
                lambda: (priority(node, "A1"), priority(node, "A2")) == ("stat", "routine"), 60, "what the RIS says"
            )
            assert node.worklist()[0]["accession_number"] == "A1"
            wait_for(lambda: len(node.events("peer.queried")) == 3, 60, "a third question")
            node.wait_idle()
            assert priority(node, "A3") is None
            checked = node.command("check")
            (line,) = [line for line in checked.stdout.splitlines() if "worklist of the RIS" in line]
            assert line.split()[0] == "ok", line
