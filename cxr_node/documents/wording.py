"""How results are put, the same in every document: codes for the model's terms, numbers for people."""

from collections.abc import Sequence

from pydicom.sr.coding import Code

from cxr_node.documents import codes
from cxr_node.documents.language import named
from cxr_node.domain.finding import Analysis, Cutoffs
from cxr_node.errors import Permanent
from cxr_node.locale import Language


def finding_code(analysis: Analysis, name: str, spoken: Language) -> Code:
    """The code of an output of the model, the model's own or else ours, with its meaning in a language."""
    if own := analysis.terms.codes.get(name):
        return Code(own.value, own.scheme, own.meanings.get(spoken, own.meanings["en"]))
    if name not in codes.FINDINGS:
        raise Permanent(
            "DOCUMENT_CODE", f"the finding {name!r} has no code, neither in the model nor in documents.codes"
        )
    return named(codes.FINDINGS[name], spoken)


def explanation_code(name: str) -> Code:
    if name not in codes.EXPLANATIONS:
        raise Permanent("DOCUMENT_CODE", f"the explanation {name!r} has no code in documents.codes (PS3.16 CID 217)")
    return codes.EXPLANATIONS[name]


def positive(analysis: Analysis, cutoffs: Cutoffs) -> bool:
    """Whether the site reads the analysis as a finding, in whatever tier."""
    return cutoffs.positive(analysis.probability)


def likelier_kind(analysis: Analysis) -> str | None:
    """The class that the finding most likely is of, where the model tells kinds of it apart."""
    return _likeliest(analysis, analysis.terms.kinds)


def likeliest_other(analysis: Analysis) -> str | None:
    """The likeliest of the further findings that the model tells apart, where there are any."""
    return _likeliest(analysis, analysis.terms.others)


def _likeliest(analysis: Analysis, classes: Sequence[str]) -> str | None:
    return max(classes, key=analysis.probabilities.__getitem__, default=None)


def percent(fraction: float) -> str:
    """A fraction in percent, to a hundredth: 0.5 is 50, 0.9125 is 91.25."""
    return f"{100 * fraction:.2f}".rstrip("0").rstrip(".")
