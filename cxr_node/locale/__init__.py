"""What the node says to people, in one gettext catalogue: English stands in the source, `es/` has the Spanish.

`make messages` collects the English of the whole package into `cxr_node.pot` and brings the Spanish in step with it;
what is new there is then to be translated by hand. A test does the same and compares. The catalogue is read as people
edit it, by Babel; nothing is compiled. Where one English word needs two in another language, a context (msgctxt) tells
them apart. Places are written as their reader knows them: `{name}` in Python, `%(name)s` in the templates of Jinja.
"""

import gettext
import io
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from cxr_node.message import Message

Language: TypeAlias = Literal["en", "es"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
DOMAIN = "cxr_node"
FOLDER = Path(__file__).parent


@cache
def catalogue(language: Language, folder: Path = FOLDER) -> gettext.NullTranslations:
    """All that there is in a language. Raises OSError when `folder` has no catalogue of it."""
    if language == "en":
        return gettext.NullTranslations()
    compiled = io.BytesIO()
    with (folder / language / "LC_MESSAGES" / f"{DOMAIN}.po").open("rb") as stream:
        write_mo(compiled, read_po(stream, abort_invalid=True))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def translated(text: str, language: Language) -> str:
    """A text of the source in a language; what the catalogue does not have stays English."""
    return catalogue(language).gettext(text) if text else ""


def said(text: str, language: Language) -> str:
    """A message in a language, with its values filled in; any other text is from outside, and stays as it is."""
    if not isinstance(text, Message) or language == "en":
        return text
    values = {name: said(v, language) if isinstance(v, str) else v for name, v in text.values.items()}
    template = translated(text.text, language)
    return template.format(**values) if values else template
