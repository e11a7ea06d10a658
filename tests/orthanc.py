"""Debian's Orthanc as the PACS of a test."""

import json
import subprocess
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from tests.node import TIMEOUT, free_port, wait_for


class Orthanc:
    """Debian's Orthanc as a PACS, with a DICOM port and a REST API of its own; `settings` go before those made here."""

    PROGRAM = Path("/usr/sbin/Orthanc")

    def __init__(self, folder: Path, ae_title: str = "PACS", settings: dict[str, Any] | None = None) -> None:
        self.folder, self.ae_title, self._more = folder / "orthanc", ae_title, settings or {}
        self.port, self._http = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self.folder / "orthanc.json"
        settings.write_text(json.dumps(self._settings()), "utf-8")
        with (self.folder / "orthanc.log").open("ab") as log:
            self._process = subprocess.Popen([self.PROGRAM, settings], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_for(self._answers, what="Orthanc")
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def destination(self, **more: Any) -> dict[str, Any]:
        """As a [[destination]] of a node."""
        return {"name": "pacs", "ae_title": self.ae_title, "host": "127.0.0.1", "port": self.port} | more

    def instances(self, study: str) -> list[dict[str, Any]]:
        """The attributes of each instance of a study."""
        query = {"Level": "Instance", "Query": {"StudyInstanceUID": str(study)}}
        return [self.get(f"/instances/{one}/simplified-tags") for one in self.get("/tools/find", query)]

    def modalities(self, study: str) -> list[str]:
        """The modality of each instance of a study, sorted."""
        return sorted(one["Modality"] for one in self.instances(study))

    def get(self, path: str, query: dict[str, Any] | None = None) -> Any:
        body = None if query is None else json.dumps(query).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http}{path}", body, timeout=TIMEOUT) as answer:
            return json.load(answer)

    def _answers(self) -> bool:
        with suppress(OSError):
            return bool(self.get("/system"))
        return False

    def _settings(self) -> dict[str, Any]:
        return {
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "index"),
            "DicomAet": self.ae_title,
            "DicomPort": self.port,
            "HttpPort": self._http,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowFind": True,
            "StoreDicom": True,
            "Plugins": [],
        } | self._more
