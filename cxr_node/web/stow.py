"""STOW-RS (PS3.18 10.5): films that come by HTTP are taken responsibility for as those over DIMSE (Law 2)."""

import asyncio
import errno
import json
import os
import re
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import anyio.from_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from cxr_node.domain.dicom_json import Attributes, element, sequence
from cxr_node.domain.intake import Answer, Intake, Received
from cxr_node.domain.multipart import boundary_of, parts
from cxr_node.errors import CxrNodeError, Permanent, Transient
from cxr_node.imaging.digest import DataSetDigest
from cxr_node.imaging.header import texts
from cxr_node.imaging.part10 import read_film_header
from cxr_node.web import dicomweb
from cxr_node.web.access import Caller, Stranger
from cxr_node.web.accounts import Role
from cxr_node.web.parts import NotSignedIn, Parts, require_no_other_site

_AT_ONCE: Final = 4
_QUIET_SECONDS: Final = 30.0
_LARGEST: Final = 4 << 30
_CLASS, _INSTANCE, _REASON = "00081150", "00081155", "00081197"
_ANY_FILM: Final = "1.2.840.10008.5.1.4.1.1.1"
"""What an object counts as that does not say what it is: so it is looked at, and found to be none."""
_UID: Final = re.compile(r"[0-9.]{1,64}")


@dataclass(frozen=True, slots=True)
class _Taken:
    """What became of one object."""

    sop_class: str
    instance: str
    study: str
    answer: int


@dataclass(frozen=True, slots=True)
class Stow:
    """The endpoint; four requests at a time, so that pages are served, too."""

    parts: Parts
    intake: Intake
    places: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(_AT_ONCE))

    async def store(self, request: Request) -> Response:
        """POST /studies, or /studies/{study}: answered when every film is synced and committed, or why it is not."""
        caller = await run_in_threadpool(self._caller, request)
        kind = request.headers.get("content-type", "")
        boundary = boundary_of(kind)
        if boundary is None or "+json" in kind or "+xml" in kind:
            return _failed(415, "FORM_INVALID", 'send multipart/related; type="application/dicom"')
        if not self.places.acquire(blocking=False):
            return _failed(503, "TOO_MANY", "others send films by HTTP at the moment; try again")
        try:
            taken = await run_in_threadpool(self._take_all, request, boundary, caller)
        except (ClientDisconnect, TimeoutError):
            return _failed(408, "FORM_INVALID", "the films did not come in time; those that came whole are stored")
        except Transient as error:
            return _failed(400, "FORM_INVALID", error.message)
        finally:
            self.places.release()
        return _answered(taken)

    def _caller(self, request: Request) -> Caller:
        caller = self.parts.door.caller(request)
        if isinstance(caller, Stranger):
            raise NotSignedIn(caller)
        if not caller.may(Role.READER):
            raise Permanent("FORBIDDEN", f"this takes the role {Role.READER}")
        if caller.how != "token":
            require_no_other_site(request)
        return caller

    def _take_all(self, request: Request, boundary: bytes, caller: Caller) -> list[_Taken]:
        meant = request.path_params.get("study")
        taken = [self._take(body, caller, meant) for body in parts(_chunks(request), boundary)]
        if studies := frozenset(one.study for one in taken if one.answer == Answer.STORED and one.study):
            self.intake.released(studies)
        return taken

    def _take(self, body: Iterator[bytes], caller: Caller, meant: str | None) -> _Taken:
        part = self.parts.site.spool.incoming / f"{uuid.uuid4().hex}.part"
        try:
            with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600), "wb+") as stream:
                digest, error = self._write(body, stream)
                said = _said(part)
                if meant not in (None, said.study):
                    return _Taken(said.sop_class, said.instance, said.study, Answer.MISMATCH)
                verdict = self.intake.accept(
                    Received(
                        path=part,
                        stream=stream,
                        digest=digest,
                        error=error,
                        sop_class_uid=said.sop_class or _ANY_FILM,
                        sop_instance_uid=said.instance,
                        transfer_syntax=said.syntax,
                        calling_ae_title=caller.name[:16],
                        address=caller.address,
                    )
                )
        finally:
            part.unlink(missing_ok=True)
        return _Taken(said.sop_class, said.instance, verdict.study or said.study, int(verdict.answer))

    def _write(self, body: Iterator[bytes], stream: BinaryIO) -> tuple[str, OSError | None]:
        """The digest of an object, and why it was not written to its end."""
        digest, error, size = DataSetDigest(), None, 0
        for chunk in body:
            size += len(chunk)
            if error is None and (size > _LARGEST or self.intake.full()):
                error = OSError(errno.EFBIG if size > _LARGEST else errno.ENOSPC, "there is no room for it")
            if error is None:
                try:
                    stream.write(chunk)
                except OSError as failure:
                    error = failure
                digest.update(chunk)
        if error is None:
            stream.flush()
        return digest.hexdigest(), error


@dataclass(frozen=True, slots=True)
class _Said:
    sop_class: str = ""
    instance: str = ""
    syntax: str = ""
    study: str = ""


def _said(part: Path) -> _Said:
    """What the file says of itself; nothing where it is no DICOM file, which the intake then finds, too."""
    try:
        header = read_film_header(part)
    except CxrNodeError:
        return _Said()
    meta = header.file_meta
    uids = [str(meta.get(name, "")) for name in ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID")]
    study = next(iter(texts(header, "StudyInstanceUID")), "")
    sop_class, instance = (uid if _UID.fullmatch(uid) else "" for uid in uids)
    return _Said(sop_class, instance, str(meta.get("TransferSyntaxUID", "")), study)


def _chunks(request: Request) -> Iterator[bytes]:
    """The body as it comes, for a thread; raises TimeoutError for a sender that is silent for too long."""
    stream = request.stream()

    async def after() -> bytes | None:
        async with asyncio.timeout(_QUIET_SECONDS):
            return await anext(stream, None)

    while (chunk := anyio.from_thread.run(after)) is not None:
        if chunk:
            yield chunk


def _answered(taken: list[_Taken]) -> Response:
    """PS3.18 table 10.5.3-2"""
    stored = [one for one in taken if one.answer == Answer.STORED]
    failed = [one for one in taken if one.answer != Answer.STORED]
    said: Attributes = {}
    if stored:
        said["00081199"] = sequence(*map(_named, stored))
    if failed:
        said["00081198"] = sequence(*(_named(one) | {_REASON: element("US", one.answer)} for one in failed))
    status = 200 if stored and not failed else 202 if stored else 409
    return Response(json.dumps(said).encode(), status, media_type=dicomweb.JSON)


def _named(one: _Taken) -> Attributes:
    return {_CLASS: element("UI", one.sop_class), _INSTANCE: element("UI", one.instance)}


def _failed(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": code, "message": message}, status, {"Connection": "close"})
