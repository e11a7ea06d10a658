"""docs/integration.md, Orthanc: its three files as they stand, but for addresses, and a film through both."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from cxr_node.dimse import sender
from cxr_node.dimse.sender import Peer
from tests.films import chest
from tests.node import Node, free_port, wait_for
from tests.orthanc import Orthanc

pytestmark = pytest.mark.peers
PAGE = (Path(__file__).parents[2] / "docs" / "integration.md").read_text("utf-8")


def block(kind: str) -> str:
    """The block of this kind in the part on Orthanc."""
    part = PAGE.partition("\n## Orthanc\n")[2].partition("\n## ")[0]
    (found,) = re.findall(rf"```{kind}\n(.*?)```", part, re.DOTALL)
    return str(found)


def test_a_film_that_is_sent_to_orthanc_comes_back_with_documents(tmp_path: Path) -> None:
    settings: dict[str, Any] = json.loads(block("json"))
    (there,) = tomllib.loads(block("toml"))["destination"]
    assert (there["ae_title"], there["port"]) == (settings["DicomAet"], settings["DicomPort"])
    port, script = free_port(), tmp_path / Path(settings["LuaScripts"][0]).name
    script.write_text(block("lua"))
    ((name, (ae_title, _, wanted)),) = settings["DicomModalities"].items()
    assert (ae_title, wanted) == ("CXR_NODE", 11112)
    here = {"LuaScripts": [str(script)], "DicomModalities": {name: [ae_title, "127.0.0.1", port]}}
    with Orthanc(tmp_path, ae_title=settings["DicomAet"], settings=here) as orthanc:
        destination = {**there, "host": "127.0.0.1", "port": orthanc.port}
        with Node(tmp_path / "node", destinations=[destination], receive__port=port) as node:
            node.analysing()
            film = chest()
            film.save_as(tmp_path / "film.dcm", enforce_file_format=True)
            machine = Peer("orthanc", settings["DicomAet"], "127.0.0.1", orthanc.port)
            assert sender.send(machine, "XRAY1", tmp_path / "film.dcm") == 0x0000
            study = str(film.StudyInstanceUID)
            wait_for(lambda: orthanc.modalities(study) == ["DX", "OT", "SR"], what="film, report and heat map")
            wait_for(lambda: states(node, study) == ["committed"] * 2, what="both to be committed")
            node.wait_idle()
            assert len(node.study(study)["instances"]) == 1
            assert node.events("object.dropped") == []


def states(node: Node, study: str) -> list[str]:
    return [each["state"] for each in node.study(study)["deliveries"]]
