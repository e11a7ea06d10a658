"""The table [hub]: one list for many sites."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from cxr_node.config.basis import Called, PemName, is_loopback


def _hub(url: str) -> str:
    parts = urlsplit(url)
    if not parts.hostname or parts.query or "@" in parts.netloc or parts.scheme not in ("http", "https"):
        raise ValueError("write it as https://HOST/dicom-web, what stands before /workitems; a login is authorization")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("write it as https://HOST/dicom-web: patients and a login go there")
    return url


class Hub(Called):
    """Where this node tells its worklist to (`url`), or, at a hub, which sites tell it theirs."""

    url: Annotated[str, AfterValidator(_hub)] | None = None
    authorization: PemName | None = None
    sites: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")], ...] = ()
