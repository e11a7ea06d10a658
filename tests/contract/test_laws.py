"""What holds for the source as a whole, whatever it does."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "cxr_node").rglob("*.py"))
CATCH_ALL = {
    "dimse/connections.py": "what pynetdicom makes of what makes no sense is not known beforehand",
    "dimse/listener.py": "a peer is answered whatever goes wrong in the intake",
    "dimse/mpps.py": "and in the procedure; what pydicom makes of its data set is not known beforehand",
    "dimse/commitment.py": "nor what it makes of a request for commitment",
    "dimse/workitems.py": "nor of workitems, whose answers a workstation waits for",
    "imaging/part10.py": "nor of a broken file",
    "imaging/pixels.py": "nor what a decoder makes of broken pixel data",
    "stages/stage.py": "one job's failure must not become its neighbour's",
}
"""The only modules that may catch every exception, and why; each time it is turned into an answer, never swallowed."""
OWN_PACKAGE = {
    "torch": ("inference", "demo"), "ray": ("pool",), "pyarrow": ("backfill", "pool"), "pynetdicom": ("dimse",),
    "highdicom": ("documents",), "sqlite_utils": ("store",),
}  # fmt: skip
SQL = ("SELECT ", "INSERT ", "UPDATE ", "DELETE FROM ")


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT / "cxr_node"))


def catches_all(handler: ast.ExceptHandler) -> bool:
    caught = handler.type
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(each is None or ast.unparse(each) in ("Exception", "BaseException") for each in names)


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


LARGE = (
    ("cxr_node.daemon", {"torch", "highdicom", "monai", "matplotlib", "starlette", "uvicorn"}),
    ("cxr_node.cli", {"torch", "pynetdicom", "numpy", "pydicom"}),  # --help waits for none of them
    (  # even where a pool computes
        "cxr_node.cli, cxr_node.daemon, cxr_node.roles, cxr_node.analyst, cxr_node.inference.pooled, "
        "cxr_node.backfilling",
        {"ray", "pyarrow", "pandas", "grpc", "fastapi", "aiohttp"},
    ),
)


@pytest.mark.parametrize(("modules", "libraries"), LARGE)
def test_what_is_large_is_loaded_only_where_it_is_needed(modules: str, libraries: set[str]) -> None:
    program = f"import sys, {modules}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert libraries & set(found.stdout.split()) == set()


def test_the_layers_are_kept() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    found = subprocess.run([linter, "--no-logo", "--no-cache"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_only_defended_places_catch_everything(path: Path) -> None:
    handlers = [node for node in ast.walk(tree(path)) if isinstance(node, ast.ExceptHandler) and catches_all(node)]
    if name(path) in CATCH_ALL:
        assert handlers, f"{name(path)} catches everything no more: take it off the list"
    elif name(path) == "store/db.py":
        ends = [ast.unparse(handler.body[-1]) for handler in handlers]
        assert set(ends) == {"raise"}, "undone, and raised again"
    else:
        lines = [handler.lineno for handler in handlers]
        assert lines == [], f"{name(path)} catches every exception in lines {lines}"


@pytest.mark.parametrize("library", OWN_PACKAGE)
def test_a_large_library_is_known_to_one_package(library: str) -> None:
    users = {name(path).partition("/")[0] for path in SOURCES if library in imported(path)}
    assert users <= set(OWN_PACKAGE[library])


def test_sql_is_written_in_the_store_alone() -> None:
    for path in SOURCES:
        texts = [node.value for node in ast.walk(tree(path)) if isinstance(node, ast.Constant)]
        sql = [text for text in texts if isinstance(text, str) and text.lstrip().startswith(SQL)]
        assert not sql or name(path).startswith("store/"), f"{name(path)}: {sql}"


def test_sql_has_marks_or_names_and_no_numbers() -> None:
    """Python 3.12 warns of numbered marks with a sequence, and 3.14 refuses them."""
    for path in SOURCES:
        if name(path).startswith("store/"):
            assert not re.search(r"\?[0-9]", path.read_text("utf-8")), name(path)


def test_the_domain_needs_the_standard_library_only() -> None:
    for path in SOURCES:
        if name(path).startswith("domain/"):
            assert set(imported(path)) <= {*sys.stdlib_module_names, "cxr_node"}, name(path)


def test_nothing_is_printed_but_by_the_commands() -> None:
    for path in SOURCES:
        printing = [
            node.lineno
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        ]
        assert printing == [], f"{name(path)}: {printing}"
