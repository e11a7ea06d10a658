"""The configuration: one TOML file, validated at the boundary, frozen afterwards.

Every key has a default that works on one machine. `config/cxr-node.toml` lists them all, with their meaning.
"""

from cxr_node.config.basis import Called, Section
from cxr_node.config.file import DEFAULT_FILE, FILE_VARIABLE, load
from cxr_node.config.hl7 import Hl7Peer
from cxr_node.config.hub import Hub
from cxr_node.config.model import OF_NAMED
from cxr_node.config.sections import REPEATED, Destination, Mode
from cxr_node.config.whole import Config

__all__ = [
    "DEFAULT_FILE",
    "FILE_VARIABLE",
    "OF_NAMED",
    "REPEATED",
    "Called",
    "Config",
    "Destination",
    "Hl7Peer",
    "Hub",
    "Mode",
    "Section",
    "load",
]
