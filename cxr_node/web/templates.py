"""The pages' templates, one environment a language. Everything that is put into a page is escaped."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cxr_node.locale import LANGUAGES, Language, catalogue

FOLDER: Final = Path(__file__).parent / "templates"


class Templates:
    """Templates by language; what a template asks for and is not given is an error."""

    def __init__(self) -> None:
        self._environments = {language: _environment(language) for language in LANGUAGES}

    def render(self, name: str, language: Language, values: Mapping[str, Any]) -> str:
        return self._environments[language].get_template(name).render(values)


def _environment(language: Language) -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, extensions=["jinja2.ext.i18n"],
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.install_gettext_translations(catalogue(language), newstyle=True)  # type: ignore[attr-defined]
    return made
