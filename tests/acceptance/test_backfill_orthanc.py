"""Priors out of Orthanc: by C-FIND and C-MOVE into a running node, and by DICOMweb; judged in shadow."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cxr_node.backfill.table import FOLDER
from tests.films import chest
from tests.node import Node
from tests.orthanc import Orthanc

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(not PLUGIN.exists(), reason="Debian's orthanc-dicomweb is not installed"),
]


def test_priors_come_by_either_way_and_nothing_is_sent(tmp_path: Path) -> None:
    more = {"Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}}
    with Orthanc(tmp_path, settings=more) as orthanc:
        studies = []
        for number, day in ((1, "20260105"), (2, "20260106"), (3, "20260401")):
            film = chest(number)
            film.StudyDate = day
            film.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
            orthanc.store(tmp_path / f"{number}.dcm")
            studies.append(str(film.StudyInstanceUID))
        with Node(tmp_path / "node", destinations=[orthanc.destination()]) as node:
            node.analysing()
            days = ("--since", "2026-01-01", "--until", "2026-01-31", "--per-minute", "6000")
            unknown = node.command("backfill", "pacs", *days)
            assert (unknown.returncode, "it must know this node" in unknown.stderr) == (1, True), unknown.stderr
            orthanc.knows("node", "CXR_NODE", node.port)
            moved = node.command("backfill", "pacs", *days)
            assert (moved.returncode, moved.stderr) == (0, ""), moved.stderr
            assert "2 films taken in; 2 done, 0 left out, 0 failed" in moved.stdout
            assert "0 films taken in" in node.command("backfill", "pacs", *days).stdout, "it is not done twice"

            april = ("--since", "2026-04-01", "--until", "2026-04-02")
            web = node.command("backfill", orthanc.web, *april)
            assert "1 films taken in; 1 done" in web.stdout, web.stderr
            table = node.command("backfill", orthanc.web, *april, "--ray", "--output", str(tmp_path / "results"))
            assert "1 of 1 films" in table.stdout, table.stderr
            node.wait_idle()
            for study in studies:
                found = node.study(study)
                assert found["state"] == "read"
                assert [each["model"] for each in found["results"]] == ["cxr-pneumonia"]
                assert (found["outputs"], found["deliveries"]) == ([], [])
            (row,) = pq.read_table(tmp_path / "results" / FOLDER).to_pylist()
            assert (row["state"], row["study_instance_uid"]) == ("analysed", studies[2])
            judged = node.study(studies[2])["results"][0]
            assert row["probability"] == pytest.approx(judged["probability"], abs=1e-5), "as the node itself judged it"
            assert node.worklist() == []
            assert len(node.events("peer.queried")) >= 31 * 2
            assert orthanc.modalities(studies[0]) == ["DX"], "nothing of ours was sent"
