"""The picture of a film, for who needs it: people look at it, and heat maps are drawn on it."""

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from cxr_node.domain.quality import Flag
from cxr_node.errors import Ineligible, Permanent, Transient
from cxr_node.imaging.decoded import DecodedFilm
from cxr_node.imaging.film import read_picture
from cxr_node.imaging.picture import encode_picture
from cxr_node.message import Message
from cxr_node.spool import Spool
from cxr_node.store import assessments, results, studies
from cxr_node.store.db import Store


def picture_of(store: Store, spool: Spool, digest: str) -> NDArray[np.uint8]:
    """The picture of a film that was judged: (rows, columns), 0 black to 255 white.

    It is drawn while the film is judged, and the result does not wait for it. Where the process that drew was killed
    before it was done, or a power cut left half a file, it is drawn here.

    Raises Permanent("PICTURE_MISSING") where the film was given up, or never judged, and OSError.
    """
    with suppress(Permanent):
        return read_picture(spool.picture(digest))
    with store.reading() as tx:
        stored, judged = studies.by_digest(tx, digest), results.has_any(tx, digest)
        flags = assessments.flags(tx, digest) or ()
    if stored is None or not judged:
        raise Permanent("PICTURE_MISSING", Message("there is no picture of this film yet"))
    try:
        film = DecodedFilm.read(spool.path(stored.arrival.path))
    except (Permanent, Ineligible) as error:
        raise Permanent(
            "PICTURE_MISSING", Message("the film's picture is gone; requeue the study to make it anew")
        ) from error
    picture = film.render(inverted=Flag.INVERTED in flags)
    with suppress(Transient):  # where the disk does not take it, it is drawn again
        spool.write(spool.picture(digest), encode_picture(picture))
    return picture
