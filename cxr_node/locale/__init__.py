"""What the node says to people, in gettext catalogues: `DOMAIN.pot` lists the English, `es/` has the Spanish.

A message's context (msgctxt) is the name by which the source asks for it, so that English may be changed without
touching the source; its msgid is the English text. The catalogues are read as they are, by Babel; nothing is compiled.
Whoever changes a `.pot` changes the `.po` with it, by hand or with `pybabel update`; a test compares them.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from babel.messages.pofile import read_po

Language: TypeAlias = Literal["en", "es"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

_FOLDER = Path(__file__).parent


@cache
def messages(domain: str, language: Language, folder: Path = _FOLDER) -> Mapping[str, str]:
    """By name, all that a domain has in a language. Raises OSError when `folder` has no such catalogue."""
    english = language == "en"
    path = folder / (f"{domain}.pot" if english else f"{language}/LC_MESSAGES/{domain}.po")
    with path.open("rb") as stream:
        catalogue = read_po(stream, domain=domain, abort_invalid=True)
    found = {
        str(message.context): str(message.id if english else message.string) for message in catalogue if message.id
    }
    return {name: text for name, text in found.items() if text}
