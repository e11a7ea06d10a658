"""Sentences and meanings of codes in the language of a document."""

from pydicom import Dataset
from pydicom.sr.coding import Code

from cxr_node.documents.codes import MEANINGS
from cxr_node.documents.sentences import SENTENCES
from cxr_node.locale import Language, translated


def sentence(key: str, language: Language, **values: object) -> str:
    """The sentence `key` with its values filled in. Raises KeyError for a key that there is not."""
    return template(key, language).format(**values)


def template(key: str, language: Language) -> str:
    """The sentence `key` with its places open. Raises KeyError for a key that there is not."""
    return translated(SENTENCES[key], language)


def named(code: Code, language: Language) -> Code:
    """A code of ours, with its meaning in `language`."""
    if language == "en":
        return code
    return Code(code.value, code.scheme_designator, translated(code.meaning, language))


def translate(content: Dataset, language: Language) -> None:
    """Gives the codes in a content tree their meanings in `language`, in place; a site's own codes keep theirs."""
    if language == "en":
        return
    for element in content:
        for item in element.value if element.VR == "SQ" else ():
            if "CodeValue" in item and (meaning := MEANINGS.get((item.CodeValue, item.CodingSchemeDesignator))):
                item.CodeMeaning = translated(meaning, language)
            translate(item, language)
