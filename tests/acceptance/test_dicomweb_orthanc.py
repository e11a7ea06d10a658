"""A node and Orthanc's DICOMweb server: documents arrive by STOW-RS, and are looked up."""

import json
from pathlib import Path

import pytest

from tests.films import chest
from tests.node import Node, free_port, wait_for
from tests.orthanc import Orthanc

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(not PLUGIN.exists(), reason="Debian's orthanc-dicomweb is not installed"),
]


def test_documents_arrive_by_http_and_are_found_there(tmp_path: Path) -> None:
    more = {"Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}}
    with Orthanc(tmp_path, settings=more) as orthanc:
        there = {"name": "web", "dicomweb": orthanc.web, "sr_class": "comprehensive_3d"}
        film = chest()
        with Node(tmp_path / "node", destinations=[there]) as node:
            node.analysing()
            node.send(film)
            study = str(film.StudyInstanceUID)
            wait_for(lambda: len(orthanc.instances(study)) == 2, what="two documents")
            node.wait_idle()
            deliveries = node.study(study)["deliveries"]
            assert [(each["state"], each["error"]) for each in deliveries] == [("sent", None)] * 2
            assert {each["confirmed_by"] for each in deliveries} == {"query"}
            sent = {path.stem for path in node.files("outbox")}
            assert {one["SOPInstanceUID"] for one in orthanc.instances(study)} == {
                each["sop_instance_uid"] for each in node.study(study)["outputs"]
            }
            assert sent
            checked = node.command("check").stdout
            assert f"ok      destination web: answers at {orthanc.web}" in checked
            assert json.loads(node.command("status", "--json").stdout)["destinations"][0]["reachable"] is True
        with Node(tmp_path / "away", destinations=[{**there, "dicomweb": "http://127.0.0.1:9/dicom-web"}]) as node:
            node.analysing()
            node.send(film)
            wait_for(lambda: node.study(study).get("deliveries"))
            assert wait_for(lambda: [e["error"] for e in node.study(study)["deliveries"] if e["error"]])
            assert node.study(study)["deliveries"][0]["state"] == "pending"


def test_films_come_by_http_and_documents_are_fetched_so(tmp_path: Path) -> None:
    """Orthanc as the one who asks: it sends a film by STOW-RS, and fetches what the node wrote by WADO-RS."""
    port = free_port()
    node_web = {"Servers": {"node": [f"http://127.0.0.1:{port}/dicom-web/"]}}
    more = {"Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/", **node_web}}
    film = chest(1)
    study = str(film.StudyInstanceUID)
    film.save_as(tmp_path / "film.dcm", enforce_file_format=True)
    with (
        Orthanc(tmp_path, settings=more) as orthanc,
        Node(tmp_path / "node", web__enabled=True, web__port=port, web__stow=True) as node,
    ):
        node.analysing()
        wait_for(lambda: node.logged("web.ready"), what="the web side")
        orthanc.store(tmp_path / "film.dcm")
        (kept,) = orthanc.get("/instances")
        orthanc.get("/dicom-web/servers/node/stow", {"Resources": [kept], "Synchronous": True})
        (found,) = node.wait_final(study)
        assert [each["state"] for each in found["instances"]] == ["current"]
        assert len(found["outputs"]) == 2
        orthanc.get("/dicom-web/servers/node/retrieve", {"Resources": [{"Study": study}], "Synchronous": True})
        assert orthanc.modalities(study) == ["DX", "OT", "SR"]
        asked = {"Uri": "/studies", "Arguments": {"PatientID": str(film.PatientID)}}
        matches = orthanc.get("/dicom-web/servers/node/qido", asked)
        assert json.dumps(matches).count(study) >= 1
