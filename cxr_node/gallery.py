"""The page of `cxr-node analyze`: every film with its picture, to scroll; it needs nothing but the files beside it."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from cxr_node.documents.language import sentence
from cxr_node.locale import Language
from cxr_node.locale import said as spoken

if TYPE_CHECKING:
    from cxr_node.analyst import Result

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1c20; --soft: #5b5d66; --paper: #f6f6f4; --line: #d9d9d4; --bad: #a3341f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececee; --soft: #a6a8b2; --paper: #131418; --line: #2c2e36; --bad: #f08a74; }
}
body { margin: 0 auto; max-width: 1500px; padding: 1.5rem; font: 16px/1.45 system-ui, sans-serif;
  color: var(--ink); background: var(--paper); }
h1 { font-size: 1.4rem; margin: 0; } header p { color: var(--soft); margin: .2rem 0 0; }
header .use { color: var(--ink); font-weight: 600; }
figure { margin: 1.5rem 0; } img { display: block; width: 100%; height: auto; border-radius: 6px; }
figcaption { margin-top: .4rem; color: var(--soft); overflow-wrap: anywhere; }
ul { padding: 0; list-style: none; } li { padding: .5rem 0; border-top: 1px solid var(--line);
  overflow-wrap: anywhere; }
li b { color: var(--bad); } a { color: inherit; }
"""


def write_index(results: Sequence["Result"], out: Path, said: Language) -> None:
    """index.html: the films that were analysed, the most severe first, then the others with their reasons."""
    analysed = sorted((result for result in results if result.picture), key=lambda result: -(result.probability or 0.0))
    others = [result for result in results if not result.picture]
    body = [_header(results, said), *(_figure(result, said) for result in analysed)]
    if others:
        body.append(f"<ul>{''.join(_line(result, said) for result in others)}</ul>")
    title = escape(sentence("gallery.title", said))
    page = (
        f'<!doctype html>\n<html lang="{said}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title><style>{_STYLE}</style></head>\n'
        f"<body>\n{chr(10).join(body)}\n</body></html>\n"
    )
    (out / "index.html").write_text(page, "utf-8")


def _header(results: Sequence["Result"], said: Language) -> str:
    states = [result.state for result in results]
    counts = {state: states.count(state) for state in ("analysed", "not_analysed", "error")}
    positive = sum(bool(result.positive) for result in results)
    words = f"{sentence('gallery.counts', said, **counts)}; {sentence('gallery.positive', said, count=positive)}"
    return (
        f"<header><h1>{escape(sentence('gallery.title', said))}</h1><p>{escape(words)}</p>"
        f'<p class="use">{escape(sentence("intended_use.shadow", said))}</p></header>'
    )


def _figure(result: "Result", said: Language) -> str:
    name = escape(result.file)
    files = [link for link in (_link(result.sr, "SR"), _link(result.sc, "SC")) if link]
    documents = f" · {escape(sentence('gallery.documents', said))}: {', '.join(files)}" if files else ""
    alternative = escape(sentence("gallery.alt", said, file=result.file))
    picture = quote(result.picture or "")
    return (
        f'<figure><a href="{picture}"><img src="{picture}" alt="{alternative}" loading="lazy"></a>'
        f"<figcaption>{name}{documents}</figcaption></figure>"
    )


def _link(file: str | None, text: str) -> str:
    return f'<a href="{quote(file)}">{text}</a>' if file else ""


def _line(result: "Result", said: Language) -> str:
    state = escape(sentence(f"gallery.{result.state}", said))
    reason = escape(spoken(result.reason or "", said))
    return f"<li><b>{state}</b> {escape(result.file)}<br>{reason}</li>"
