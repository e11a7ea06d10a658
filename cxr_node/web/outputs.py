"""QIDO-RS and WADO-RS of what the node wrote (PS3.18 10.4 and 10.6): its documents, never the films of others."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydicom import dcmread
from pydicom.uid import UID
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from cxr_node.domain.dicom_json import Attributes, element, first
from cxr_node.domain.matching import matches
from cxr_node.errors import Permanent
from cxr_node.store import outputs
from cxr_node.store.outputs import Output
from cxr_node.web import dicomweb, shapes
from cxr_node.web.access import Caller
from cxr_node.web.accounts import Role
from cxr_node.web.operations import Operation, Parameter, Schema
from cxr_node.web.parts import Parts, allowed

BASE: Final = "/dicom-web"
DICOM: Final = "application/dicom"
_CHUNK: Final = 1 << 16
_MOST: Final = 100
_LOOKED_AT: Final = 2000
"""Documents that one search looks at, the newest first."""
_PATIENT: Final = ("00100010", "00100020", "00100021", "00100030", "00100040")
_STUDY: Final = (*_PATIENT, "0020000D", "00080020", "00080030", "00080050", "00080061", "00080090", "00080005")
_SERIES: Final = ("0020000E", "00080060", "0008103E", "00200011")
_INSTANCE: Final = ("00080016", "00080018", "00200013", "0040A491", "0040A493", "00080023", "00080033")
_LEVELS: Final = {"studies": "0020000D", "series": "0020000E", "instances": "00080018"}
_SHOWN: Final = {
    "studies": frozenset(_STUDY),
    "series": frozenset((*_STUDY, *_SERIES)),
    "instances": frozenset((*_STUDY, *_SERIES, *_INSTANCE)),
}


@dataclass(frozen=True, slots=True)
class Outputs:
    """The endpoints; viewers may look."""

    parts: Parts

    @allowed(Role.VIEWER)
    def studies(self, request: Request, caller: Caller) -> Response:
        """GET /studies: those of which there is a document."""
        return self._found(request, caller, "studies")

    @allowed(Role.VIEWER)
    def series(self, request: Request, caller: Caller) -> Response:
        """GET /studies/{study}/series"""
        return self._found(request, caller, "series")

    @allowed(Role.VIEWER)
    def instances(self, request: Request, caller: Caller) -> Response:
        """GET /studies/{study}/instances, or of one series"""
        return self._found(request, caller, "instances")

    @allowed(Role.VIEWER)
    def metadata(self, request: Request, caller: Caller) -> Response:
        """GET .../metadata: everything but pixels."""
        documents = self._of_path(request, caller)
        return dicomweb.several(request, [_attributes(path) for _, path in documents], {})

    @allowed(Role.VIEWER)
    def retrieve(self, request: Request, caller: Caller) -> Response:
        """GET /studies/{study}, or of a series or an instance: the files as they were written."""
        documents, boundary = self._of_path(request, caller), uuid.uuid4().hex
        kind = f'multipart/related; type="{DICOM}"; boundary={boundary}'
        return StreamingResponse(_multipart([path for _, path in documents], boundary), headers={"Content-Type": kind})

    def _found(self, request: Request, caller: Caller, level: str) -> Response:
        limit, offset = min(dicomweb.number(request, "limit", _MOST), _MOST), dicomweb.number(request, "offset", 0)
        query = dicomweb.keys(request.query_params.multi_items())
        study = request.path_params.get("study") or first(query, "0020000D") or None
        found: dict[str, Attributes] = {}
        for output, path in self._there(study, request.path_params.get("series"), None):
            attributes = _attributes(path)
            uid = first(attributes, _LEVELS[level])
            if uid not in found and matches(query, attributes):
                found[uid] = self._shown(attributes, level, output)
            if len(found) > offset + limit:
                break
        self.parts.site.looked(caller, study)
        chosen = list(found.values())[offset : offset + limit]
        more = len(found) > offset + limit
        return dicomweb.several(request, chosen, {"Warning": '299 cxr_node "there are more"'} if more else {})

    def _shown(self, attributes: Attributes, level: str, output: Output) -> Attributes:
        shown = {tag: value for tag, value in attributes.items() if tag in _SHOWN[level]}
        where = {"studies": "", "series": f"/series/{output.series}"}
        below = where.get(level, f"/series/{output.series}/instances/{output.instance}")
        return shown | {"00081190": element("UR", f"{BASE}/studies/{output.study}{below}")}

    def _of_path(self, request: Request, caller: Caller) -> list[tuple[Output, Path]]:
        """Raises Permanent("STUDY_UNKNOWN") where there is nothing."""
        named = [request.path_params.get(name) for name in ("study", "series", "instance")]
        found = list(self._there(*named))
        if not found:
            raise Permanent("STUDY_UNKNOWN", "there is no document of this")
        self.parts.site.looked(caller, found[0][0].study)
        return found

    def _there(self, study: str | None, series: str | None, instance: str | None) -> Iterator[tuple[Output, Path]]:
        """The newest first; one whose file was given up is none."""
        with self.parts.site.store.reading() as tx:
            rows = outputs.newest(tx, study, series, instance, _LOOKED_AT)
        for each in rows:
            path = self.parts.site.spool.path(each.path)
            if path.is_file():
                yield each, path


def _attributes(path: Path) -> Attributes:
    dataset = dcmread(path, stop_before_pixels=True)
    found: dict[str, Any] = dataset.to_json_dict(1 << 10, lambda _: "")
    return {tag: _plain(value) for tag, value in found.items() if "BulkDataURI" not in value} | {
        "00080016": element("UI", str(UID(dataset.SOPClassUID)))
    }


def _plain(value: Attributes) -> Attributes:
    """Without what was too large to stand in JSON, in the items of sequences, too."""
    if value.get("vr") != "SQ":
        return value
    items = [
        {tag: _plain(inner) for tag, inner in item.items() if "BulkDataURI" not in inner}
        for item in value.get("Value", [])
    ]
    return {**value, "Value": items} if items else value


def _multipart(paths: Sequence[Path], boundary: str) -> Iterator[bytes]:
    for path in paths:
        yield f"--{boundary}\r\nContent-Type: {DICOM}\r\n\r\n".encode()
        with path.open("rb") as stream:
            while data := stream.read(_CHUNK):
                yield data
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


_UID = {"type": "string"}
STUDY: Final = Parameter("study", "Study Instance UID", _UID, in_path=True)
SERIES: Final = Parameter("series", "Series Instance UID", _UID, in_path=True)
INSTANCE: Final = Parameter("instance", "SOP Instance UID", _UID, in_path=True)
_KEYS: Final = (
    Parameter("PatientID", "or another key, by its keyword or tag"),
    Parameter("limit", "how many, at most 100", {"type": "integer", "minimum": 0}),
    Parameter("offset", "after so many", {"type": "integer", "minimum": 0}),
)
_SETS: Final = {dicomweb.JSON: shapes.DATA_SETS, "multipart/related": shapes.TEXT}
_FOUND: Final[Mapping[int, Mapping[str, Schema]]] = {200: _SETS, 204: {}}
_FILES: Final = {200: {"multipart/related": shapes.TEXT}}
_S, _SE = f"{BASE}/studies/{{study}}", f"{BASE}/studies/{{study}}/series/{{series}}"
OPERATIONS: Final = (
    Operation("GET", f"{BASE}/studies", "studies", _FOUND, _KEYS),
    Operation("GET", f"{_S}/series", "series", _FOUND, [STUDY, *_KEYS]),
    Operation("GET", f"{_S}/instances", "instances", _FOUND, [STUDY, *_KEYS]),
    Operation("GET", f"{_SE}/instances", "instances", _FOUND, [STUDY, SERIES, *_KEYS]),
    Operation("GET", f"{_S}/metadata", "metadata", _FOUND, [STUDY]),
    Operation("GET", f"{_SE}/metadata", "metadata", _FOUND, [STUDY, SERIES]),
    Operation("GET", f"{_SE}/instances/{{instance}}/metadata", "metadata", _FOUND, [STUDY, SERIES, INSTANCE]),
    Operation("GET", _S, "retrieve", _FILES, [STUDY]),
    Operation("GET", _SE, "retrieve", _FILES, [STUDY, SERIES]),
    Operation("GET", f"{_SE}/instances/{{instance}}", "retrieve", _FILES, [STUDY, SERIES, INSTANCE]),
)
