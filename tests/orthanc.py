"""Debian's Orthanc as the PACS of a test."""

import json
import subprocess
import urllib.error
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
        """As a [[destination]] of a node; it would commit to what it was sent only if it `knows` the node."""
        known = {"name": "pacs", "ae_title": self.ae_title, "host": "127.0.0.1", "port": self.port}
        return known | {"storage_commitment": "off"} | more

    @property
    def web(self) -> str:
        """Where its DICOMweb resources are, with that plugin."""
        return f"http://127.0.0.1:{self._http}/dicom-web"

    def instances(self, study: str) -> list[dict[str, Any]]:
        """The attributes of each instance of a study."""
        query = {"Level": "Instance", "Query": {"StudyInstanceUID": str(study)}}
        return [self.get(f"/instances/{one}/simplified-tags") for one in self.get("/tools/find", query)]

    def modalities(self, study: str) -> list[str]:
        """The modality of each instance of a study, sorted."""
        return sorted(one["Modality"] for one in self.instances(study))

    def knows(self, name: str, ae_title: str, port: int) -> None:
        """From now on there is a DICOM peer of this name, which Orthanc may ask, and which may ask for commitment."""
        peer = {"AET": ae_title, "Host": "127.0.0.1", "Port": port}
        self._call(f"/modalities/{name}", peer, method="PUT")

    def store(self, film: Path) -> None:
        """Put a film into it, as if it had come from elsewhere."""
        self._call("/instances", film.read_bytes())

    def delete(self, study: str) -> None:
        """Take a study out of it."""
        for one in self.get("/tools/find", {"Level": "Study", "Query": {"StudyInstanceUID": str(study)}}):
            self._call(f"/studies/{one}", method="DELETE")

    def file(self, instance: str) -> bytes:
        """An instance as the file that it is kept as."""
        return self._call(f"/instances/{instance}/file")

    def asked(self, path: str, accept: str) -> tuple[str, bytes]:
        """What it answers to a GET, with the type of that; nothing, where it fails."""
        request = urllib.request.Request(f"http://127.0.0.1:{self._http}{path}", headers={"Accept": accept})
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310 - our own Orthanc
                return str(answer.headers["Content-Type"]), bytes(answer.read())
        except urllib.error.HTTPError as error:
            return "text/plain", str(error.reason).encode()

    def get(self, path: str, query: dict[str, Any] | None = None) -> Any:
        return json.loads(self._call(path, query))

    def _call(self, path: str, query: dict[str, Any] | bytes | None = None, method: str | None = None) -> bytes:
        body = json.dumps(query).encode() if isinstance(query, dict) else query
        request = urllib.request.Request(f"http://127.0.0.1:{self._http}{path}", body, method=method)
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310 - our own Orthanc
            return bytes(answer.read())

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
