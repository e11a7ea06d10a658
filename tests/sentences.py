"""Every sentence that `cxr-node check` may print, read from the source: where they stand is listed here.

A sentence is written as the documents write it, with an ellipsis for each value in it. Of less than two words nothing
is said that needs an explanation.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "cxr_node"
ANY = "…"
_FAILURES = {"ConfigError", "Message", "NoContext", "Permanent", "Transient", "ValueError"}
_SUBJECT_FIRST = {"_each", "_guarded", "echoed", "looked"}

SAYING: dict[str, set[str]] = {
    "checks.py": set(),
    "config/file.py": set(),
    "device_checks.py": set(),
    "hub_checks.py": set(),
    "pair_checks.py": set(),
    "plan.py": {"announcement"},
    "upkeep_checks.py": set(),
}
"""Where every text is one that people read; of some modules only in these functions."""
RAISING: dict[str, set[str]] = {
    "audit/syslog.py": set(),
    "config/basis.py": set(),
    "config/hl7.py": set(),
    "config/hub.py": set(),
    "config/inference.py": set(),
    "config/model.py": set(),
    "config/sections.py": set(),
    "config/whole.py": set(),
    "dicomweb/client.py": {"_stored", "content", "retrieve", "search"},
    "dimse/handshake.py": set(),
    "dimse/sender.py": {"_judged", "kind_of", "transmit"},
    "hl7/mllp.py": {"_answer", "exchange"},
    "inference/agreement.py": set(),
    "inference/build.py": set(),
    "inference/calibration.py": set(),
    "inference/gate_manifest.py": set(),
    "inference/manifest.py": set(),
    "inference/outputs.py": set(),
    "inference/pool.py": {"_other_build", "films_of", "unpacked"},
    "inference/site.py": set(),
    "lease.py": {"check", "guard"},
    "lineup.py": set(),
    "plan.py": set(),
    "store/db.py": {"examine", "outdated"},
    "tls.py": set(),
    "trust.py": set(),
    "web/accounts.py": {"hashed", "require_name"},
}
"""Where failures are made that `check` shows, and the functions there that it does not come to."""
PIECES = {
    "TLS only",
    "Value error,",
    "any transfer syntax",
    "log file",
    "no PEM",
    "none at all",
    "or up to",
    "the environment",
    "without TLS",
}
"""What is filled into sentences, or stands before them."""
NEVER = {
    "The model … is for the task …, …",
    "and finds nothing",
    "and is no gate",
    "model.calibration is for … …, and not for this build of it",
    "the database cannot be written: …",
    "the database stayed busy for … s",
}
"""What is said to those who name a file or folder themselves, or write."""
OF_OTHERS = {
    "Permission denied: …", "…: Field required", "…: Input should be …", "…: String should …",
}  # fmt: skip
"""What the system and pydantic say, in their words."""


def said() -> set[str]:
    """Every sentence of the source that `check` may print."""
    found = set()
    for name, only in SAYING.items():
        for function in _functions(_tree(name)):
            if not only or function.name in only:
                found |= {_written(each) for each in _texts(function, spoken=True)}
    for name, elsewhere in RAISING.items():
        for function in _functions(_tree(name)):
            if function.name not in elsewhere:
                found |= {_written(each, message=message) for each, message in _raised(function)}
    return {each.rstrip(".") for each in found if is_sentence(each)} - PIECES - NEVER


def is_sentence(text: str) -> bool:
    """Whether it has two words or more."""
    return re.search(r"[a-zA-Z]+,? [a-zA-Z]+", text) is not None


def explained(page: str) -> list[tuple[str, str]]:
    """The verdicts and sentences of the tables of a page whose first cell is a verdict, in order."""
    rows = [line.split(" | ") for line in page.splitlines() if re.match(r"\| (ok|note|warning|failed|78) \| `", line)]
    return [
        (row[0].strip("| "), sentence.strip().rstrip("."))
        for row in rows
        for _, sentence in re.findall(r"(`+)(.+?)\1", row[1])
    ]


def pattern(sentence: str) -> re.Pattern[str]:
    """What finds the sentence in what was printed."""
    return re.compile(".+?".join(re.escape(part) for part in sentence.strip(ANY).split(ANY)))


def _tree(name: str) -> ast.Module:
    return ast.parse((PACKAGE / name).read_text("utf-8"))


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _raised(function: ast.FunctionDef) -> Iterator[tuple[ast.expr, bool]]:
    """The texts that failures are made with, and whether their values stand in braces."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _FAILURES:
            for argument in node.args:
                if not isinstance(argument, ast.Call):  # a Message in it is found by itself
                    yield from ((text, node.func.id == "Message") for text in _texts(argument))


def _texts(node: ast.AST, *, spoken: bool = False) -> Iterator[ast.expr]:
    """The texts below a node, each whole; not docstrings, nor, of what is `spoken`, what it is about."""
    if isinstance(node, ast.Constant | ast.JoinedStr):
        if isinstance(node, ast.JoinedStr) or isinstance(node.value, str):
            yield node
        for value in node.values if isinstance(node, ast.JoinedStr) else ():
            if isinstance(value, ast.FormattedValue):
                yield from _texts(value.value, spoken=spoken)
        return
    children: list[ast.AST] = list(ast.iter_child_nodes(node))
    if spoken and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if spoken and isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        children = children[3 if node.func.id == "Finding" else 2 if node.func.id in _SUBJECT_FIRST else 0 :]
    for child in children:
        yield from _texts(child, spoken=spoken)


def _written(node: ast.expr, *, message: bool = False) -> str:
    if isinstance(node, ast.Constant):
        text = str(node.value)
        return re.sub(r"\{\w[^{} ]*\}", ANY, text).strip() if message else text.strip()
    assert isinstance(node, ast.JoinedStr)
    parts = (str(part.value) if isinstance(part, ast.Constant) else ANY for part in node.values)
    return re.sub(f"{ANY}+", ANY, "".join(parts)).strip()
