"""A port of the node's own that connections are taken at."""

import socket

from cxr_node.errors import Transient

_WAITING = 128  # connections that the system holds until they are accepted


def bound(host: str, port: int, code: str, lacking: str) -> socket.socket:
    """A socket that listens at an address of either family; with port 0 at one that is free.

    Raises Transient(`code`) when the address cannot be had; `lacking` says what is not to be had then.
    """
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_WAITING)
    except OSError as error:
        listening.close()
        raise Transient(code, f"{lacking} at {host} port {port}: {error.strerror}") from error
    return listening
