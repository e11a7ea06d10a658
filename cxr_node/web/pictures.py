"""Pictures of films for the study page: the film as the node drew it, and the heat map as a layer of its own."""

import re
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from cxr_node.errors import Permanent
from cxr_node.imaging import heat
from cxr_node.imaging.picture import encode_picture
from cxr_node.stages.picture import picture_of
from cxr_node.store import results, studies
from cxr_node.web.access import Caller
from cxr_node.web.accounts import Role
from cxr_node.web.parts import Parts, allowed

_FILM: Final = re.compile(r"[0-9a-f]{12}")
_LONGEST_SIDE: Final = 512


@dataclass(frozen=True, slots=True)
class Pictures:
    """A film of a study is named by the beginning of its digest, as in the log."""

    parts: Parts

    @allowed(Role.VIEWER)
    def film(self, request: Request, caller: Caller) -> Response:
        """GET /studies/{name}/films/{film}.png: 8 bits, grey, at most 1,024 pixels a side."""
        site, digest = self.parts.site, self._digest(request, caller)
        path = site.spool.picture(digest)
        if path.is_file():
            return FileResponse(path, media_type="image/png")
        return Response(encode_picture(picture_of(site.store, site.spool, digest)), media_type="image/png")

    @allowed(Role.VIEWER)
    def heat(self, request: Request, caller: Caller) -> Response:
        """GET /studies/{name}/films/{film}/heat.png: colour with transparency, of a finding above its threshold."""
        site, digest = self.parts.site, self._digest(request, caller)
        with site.store.reading() as tx:
            found = results.load_served(tx, digest, site.judging.model_digest)
        if found is None or not site.facts.localises or not site.judging.cutoffs.positive(found.probability):
            raise Permanent("PICTURE_MISSING", "there is no heat map of this film")
        picture = picture_of(site.store, site.spool, digest)
        scale = min(1.0, _LONGEST_SIDE / max(picture.shape))
        rows, columns = (max(1, round(side * scale)) for side in picture.shape)
        return Response(heat.layer(found.activation, rows, columns), media_type="image/png")

    def _digest(self, request: Request, caller: Caller) -> str:
        """The film that is asked for; that somebody looks at its study is recorded, by whichever way they came."""
        film = request.path_params["film"]
        study = self.parts.study(request)
        if _FILM.fullmatch(film):
            with self.parts.site.store.reading() as tx:
                digests = [one.arrival.digest for one in studies.of_study(tx, study)]
            for digest in digests:
                if digest.startswith(film):
                    self.parts.site.looked(caller, study)
                    return digest
        raise Permanent("PICTURE_MISSING", "the study has no such film")
