"""Films with bad frames sent to a whole node: what a decoder dies of, only the inference child may die of."""

import socket
from io import BytesIO
from random import Random
from typing import ClassVar

from pydicom import dcmread

from tests.fuzz import frames, wire
from tests.fuzz.seeds import split
from tests.fuzz.standing import AgainstANode, heard


class Whole(AgainstANode):
    """A node that analyses what it gets."""

    name = "whole"
    settings: ClassVar = {"eligibility__minimum_side": 32, "study__settle_seconds": 0}
    answer_seconds = 20.0
    borne = ("child.died", "job.set_aside", "library.complained")
    workers = 2

    def make(self, chance: Random) -> bytes:
        return frames.film(chance)

    def talk(self, peer: socket.socket, data: bytes) -> str:
        meta, data_set = split(data)
        stated = dcmread(BytesIO(meta), force=True).file_meta
        sop_class, instance = stated.MediaStorageSOPClassUID.encode(), stated.MediaStorageSOPInstanceUID.encode()
        context = [(sop_class, stated.TransferSyntaxUID.encode())]
        peer.sendall(wire.associate(wire.contexts(context), wire.user_information()))
        heard(peer)
        peer.sendall(b"".join(wire.message(1, wire.command(0x0001, sop_class, instance, data=True), data_set)))
        answer = heard(peer)
        peer.sendall(wire.RELEASE)
        return answer or heard(peer) or "silent"
