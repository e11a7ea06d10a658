"""How results are put, the same in every document: codes for the model's terms, numbers for people."""

from pydicom.sr.coding import Code

from cxr_node.documents import codes
from cxr_node.domain.finding import Analysis, Cutoffs
from cxr_node.errors import Permanent


def finding_code(name: str) -> Code:
    if name not in codes.FINDINGS:
        raise Permanent("DOCUMENT_CODE", f"the finding {name!r} of the model has no code in documents.codes")
    return codes.FINDINGS[name]


def explanation_code(name: str) -> Code:
    if name not in codes.EXPLANATIONS:
        raise Permanent("DOCUMENT_CODE", f"the explanation {name!r} has no code in documents.codes (PS3.16 CID 217)")
    return codes.EXPLANATIONS[name]


def positive(analysis: Analysis, cutoffs: Cutoffs) -> bool:
    """Whether the site reads the analysis as a finding, in whatever tier."""
    return cutoffs.positive(analysis.probability)


def likelier_kind(analysis: Analysis) -> str | None:
    """The class that the finding most likely is of, where the model tells kinds of it apart."""
    kinds = [kind for kind in codes.KINDS.get(analysis.finding, ()) if kind in analysis.probabilities]
    return max(kinds, key=analysis.probabilities.__getitem__) if kinds else None


def percent(fraction: float) -> str:
    """A fraction in percent, to a hundredth: 0.5 is 50, 0.9125 is 91.25."""
    return f"{100 * fraction:.2f}".rstrip("0").rstrip(".")
