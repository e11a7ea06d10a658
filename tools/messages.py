"""The catalogue of what the node says, brought in step with the source: `make messages`.

It collects the English of the package into `cxr_node.pot`, and merges that into the other languages: what is new there
has no translation yet, what nobody says any more is dropped.
"""

import io
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "cxr_node" / "locale"
TEMPLATE = FOLDER / "cxr_node.pot"
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2.ext:babel_extract")]
KEYWORDS = {"N_": None, "Message": None, "_": None, "gettext": None, "ngettext": (1, 2)}
MEANINGS = {"Code": (3,)}
"""Of the codes in documents: value, scheme, meaning."""
_HEADER = """\
# {}
msgid ""
msgstr ""
"Project-Id-Version: cxr_node\\n"
"Language: {}\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"""


def collected() -> Catalog:
    """Every text that the source marks, in the order of the alphabet."""
    found = Catalog(charset="utf-8", fuzzy=False)
    for folder, keywords in (("cxr_node", KEYWORDS), ("cxr_node/documents", MEANINGS)):
        for _, _, text, _, _ in extract_from_dir(str(ROOT / folder), METHODS, keywords=keywords):
            found.add(text)
    return found


def languages() -> Iterator[Path]:
    """The catalogues of the other languages."""
    yield from sorted(FOLDER.glob("*/LC_MESSAGES/cxr_node.po"))


def merged(path: Path) -> Catalog:
    """The catalogue of a language as it would stand with what the source says now."""
    with path.open("rb") as stream:
        catalogue = read_po(stream, abort_invalid=True)
    catalogue.update(collected(), no_fuzzy_matching=True)
    return catalogue


def written(catalogue: Catalog, title: str, language: str) -> str:
    """The file of a catalogue; the same catalogue gives the same file."""
    stream = io.BytesIO()
    write_po(
        stream, catalogue, width=10_000, no_location=True, omit_header=True, sort_output=True, ignore_obsolete=True
    )
    return _HEADER.format(title, language) + "\n" + stream.getvalue().decode().strip() + "\n"


def files() -> Iterator[tuple[Path, str]]:
    """Each file, and what stands in it when it is in step with the source."""
    yield TEMPLATE, written(collected(), "What cxr_node says to people.", "en")
    for path in languages():
        language = path.parts[-3]
        yield path, written(merged(path), f"What cxr_node says to people, in {language}.", language)


if __name__ == "__main__":
    for place, content in files():
        place.write_text(content, "utf-8")
