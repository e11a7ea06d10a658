"""Sentences and meanings of codes in the language of a document, from the catalogue `documents`."""

from pydicom import Dataset
from pydicom.sr.coding import Code

from cxr_node.locale import Language, messages

DOMAIN = "documents"


def sentence(key: str, language: Language, **values: object) -> str:
    """The sentence `key` with its values filled in. Raises KeyError for a key that the catalogue does not have."""
    return messages(DOMAIN, language)[key].format(**values)


def named(code: Code, language: Language) -> Code:
    """A code of ours, with its meaning in `language`. Raises KeyError for a code that is not in the catalogue."""
    if language == "en":
        return code
    return Code(
        code.value, code.scheme_designator, messages(DOMAIN, language)[f"{code.value} {code.scheme_designator}"]
    )


def translate(content: Dataset, language: Language) -> None:
    """Gives the codes in a content tree their meanings in `language`, in place; a site's own codes keep theirs."""
    if language == "en":
        return
    for element in content:
        for item in element.value if element.VR == "SQ" else ():
            if "CodeValue" in item:
                key = f"{item.CodeValue} {item.CodingSchemeDesignator}"
                item.CodeMeaning = messages(DOMAIN, language).get(key, item.CodeMeaning)
            translate(item, language)
