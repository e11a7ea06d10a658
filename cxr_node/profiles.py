"""How a site wants its documents. Apart from `plan`, so that the daemon itself needs no highdicom."""

import cxr_node
from cxr_node.config import Mode
from cxr_node.documents import Profile
from cxr_node.domain.finding import Tier
from cxr_node.plan import Plan


def profile_of(plan: Plan, mode: Mode) -> Profile:
    """The site's profile in a mode."""
    node, config, judging = plan.config.node, plan.config, plan.judging()
    return Profile(
        mode=mode,
        language=node.language,
        cutoffs=judging.cutoffs,
        prevalence=judging.prevalence,
        triage_category={Tier(name): category for name, category in config.report.triage_category.items()},
        timezone=node.timezone,
        uid_root=node.uid_root,
        institution=node.institution,
        station=node.station,
        node_version=cxr_node.__version__,
        restricted=judging.restricted,
    )
