"""What the node speaks, as plain values: SOP classes, roles and transfer syntaxes, as listener and as caller."""

from collections.abc import Iterable
from dataclasses import dataclass

from pynetdicom.presentation import PresentationContext

from cxr_node.dimse import commitment, contexts, inquiry, mpps
from cxr_node.dimse import workitems as ups


@dataclass(frozen=True, slots=True)
class Service:
    """A SOP class with its roles, and the transfer syntaxes it goes in."""

    sop_class: str
    transfer_syntaxes: tuple[str, ...]
    roles: str


def accepted(*, commits: bool, serving: bool, workitems: bool, worklist: bool) -> list[Service]:
    """What the listener accepts: with `commits` reports on storage commitment, with `serving` requests for it, too.

    With `workitems` the Unified Procedure Step service, with `worklist` the view of a Modality Worklist.
    """
    offered = [*contexts.offered(), *mpps.offered()]
    if workitems:
        offered += ups.offered()
    if worklist:
        offered += ups.offered_worklist()
    if commits:
        offered += commitment.offered(serving=serving)
    return [Service(str(one.abstract_syntax), tuple(map(str, one.transfer_syntax)), _roles(one)) for one in offered]


def _roles(context: PresentationContext) -> str:
    if context.scp_role is None:
        return "SCP"
    return "SCP of requests; SCU of reports" if context.scu_role else "SCU: takes reports, as role selection has it"


def proposed(documents: Iterable[str], *, commits: bool, workitems: bool, orders: bool, studies: bool) -> list[Service]:
    """What the node proposes where it calls: documents of these classes as it writes them, and what it asks for."""
    uncompressed, explicit = contexts.UNCOMPRESSED[:2], contexts.UNCOMPRESSED[:1]
    services = [Service(contexts.VERIFICATION, uncompressed, "SCU")]
    services += [Service(sop_class, explicit, "SCU") for sop_class in documents]
    if commits:
        services.append(Service(commitment.PUSH_MODEL, uncompressed, "SCU"))
    if commits or studies:
        services.append(Service(inquiry.STUDY_ROOT_FIND, uncompressed, "SCU"))
    if orders:
        services.append(Service(ups.MODALITY_WORKLIST, uncompressed, "SCU"))
    if workitems:
        services.append(Service(ups.EVENT, uncompressed, "SCP of reports, as role selection has it"))
    return services
