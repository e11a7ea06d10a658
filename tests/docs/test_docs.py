"""The documents say what is so: their links lead somewhere, their commands exist, every code is explained."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import click
import pytest

import cxr_node
from cxr_node import config as configuration
from cxr_node.cli import main
from cxr_node.dimse import contexts
from cxr_node.inference import manifest

ROOT = Path(__file__).parents[2]
TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
CARDS = "config/recipes/"
"""Model cards with places for figures: their links are those of the model folder that they go into."""
DOCUMENTS = [ROOT / name for name in TRACKED if name.endswith(".md") and not name.startswith(CARDS)]
MODEL_CARD = manifest.find(None, "cxr-pneumonia").card
FAILURES = {"CxrNodeError", "Ineligible", "Permanent", "Refusal", "Transient"}


def codes() -> set[str]:
    """Every code that the source raises or shows."""
    found = set()
    for path in (ROOT / "cxr_node").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in FAILURES
                and node.args
            ):
                first = node.args[0]
                either = (first.body, first.orelse) if isinstance(first, ast.IfExp) else (first,)
                found |= {one.value for one in either if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return found


def command_names(group: click.Group, before: str = "cxr-node") -> set[str]:
    names = set()
    for name, command in group.commands.items():
        names.add(f"{before} {name}")
        if isinstance(command, click.Group):
            names |= command_names(command, f"{before} {name}")
    return names


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_to_files(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", document.read_text("utf-8"))
    relative = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert [target for target in relative if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("code", sorted(codes()))
def test_every_code_is_explained_in_operations(code: str) -> None:
    assert re.search(rf"\b{code}\b", (ROOT / "docs" / "operations.md").read_text("utf-8"))


@pytest.mark.parametrize("name", ["README.md", "docs/operations.md", "docs/quickstart.md", "docs/quickstart.es.md"])
def test_commands_in_the_documents_exist(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    blocks = "\n".join([*re.findall(r"```sh\n(.*?)```", text, re.DOTALL), *re.findall(r"`(cxr-node [^`]+)`", text)])
    said = set(re.findall(r"\bcxr-node (?:models |audit )?[a-z]+(?= |$)", blocks, re.MULTILINE))
    assert said
    assert said <= command_names(main)


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"^make (\w+)", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE):
        assert re.search(rf"^(\w+ )*{target}( \w+)*:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md"])
def test_the_number_of_transfer_syntaxes_is_true(name: str) -> None:
    count = {12: "twelve", 13: "thirteen", 14: "fourteen"}[len({*contexts.UNCOMPRESSED, *contexts.COMPRESSED})]
    assert re.findall(r"in (\w+)\s+transfer\s+syntaxes", (ROOT / name).read_text("utf-8")) == [count]


def test_the_readme_says_the_worst_figure_of_the_model_card() -> None:
    worst = re.search(r"about (\d+) of 100 normal adult films", MODEL_CARD.read_text("utf-8"))
    assert worst
    assert worst[0] in (ROOT / "README.md").read_text("utf-8")


def test_the_sed_line_of_the_installation_finds_its_key() -> None:
    script = (ROOT / "tools" / "install.sh").read_text("utf-8")
    wanted, put = re.findall(r"sed 's\|\^(.*)\|(.*)\|'", script)[0]
    shipped = (ROOT / "config" / "cxr-node.toml").read_text("utf-8")
    installed = tomllib.loads(re.sub(f"^{wanted}", put, shipped, flags=re.MULTILINE))
    assert installed["node"]["data_dir"] == "/var/lib/cxr-node"
    assert "DATA_DIR=/var/lib/cxr-node" in (ROOT / "systemd" / "cxr-node.service").read_text("utf-8")


def test_every_fault_of_the_reliability_table_is_made_by_a_test() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    rows = re.findall(r"^\|.*\| (\d+) \| (\d+) \| (\d+) \| `(\w+)::(\w+)` \|$", page, re.MULTILINE)
    assert rows
    for times, _, lost, module, test in rows:
        assert f"def {test}(" in (ROOT / "tests" / "fault" / f"{module}.py").read_text("utf-8")
        assert (int(times) > 0, int(lost)) == (True, 0), f"{module}::{test} was not made, or lost something"


def test_the_changelog_knows_this_version() -> None:
    assert f"## {cxr_node.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_constraints_pin_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    pinned = {_name(line) for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if "==" in line}
    assert {_name(each) for each in wanted} - {"cxr-node"} <= pinned


def _name(requirement: str) -> str:
    return re.split(r"[<>=\[ ]", requirement)[0].lower().replace("_", "-")


LOGS = {"debug", "info", "warning", "error", "critical", "exception", "log"}


def log_events() -> set[str]:
    """Every event that the source logs; those whose names are made up from a role or a state with `*` for it."""
    found = set()
    for path in (ROOT / "cxr_node").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
                continue
            if node.func.attr not in LOGS or ast.unparse(node.func.value) not in ("log", "structlog.get_logger()"):
                continue
            name = node.args[1 if node.func.attr == "log" else 0]
            if isinstance(name, ast.Constant):
                found.add(str(name.value))
            elif isinstance(name, ast.JoinedStr):
                found.add("".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in name.values))
    return found


def test_every_event_of_the_log_is_explained_and_no_other() -> None:
    page = (ROOT / "docs" / "log.md").read_text("utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    explained = {name for row in rows for name in re.findall(r"`([a-z0-9_]+\.[a-z_]+)`", row)}
    logged = log_events()
    assert len(logged) > 80
    patterns = [re.compile(re.escape(name).replace(r"\*", "[a-z0-9_]+") + "$") for name in logged]
    assert [name for name in sorted(logged) if "*" not in name and name not in explained] == []
    without = [one.pattern for one in patterns if not any(one.match(name) for name in explained)]
    assert without == []
    told_by_peers = {"association.rejected", "connection.refused", "message.refused"}
    assert {name for name in explained - told_by_peers if not any(one.match(name) for one in patterns)} == set()


def headings(path: Path) -> set[str]:
    """The anchors of a page, as its readers' programs make them."""
    found = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_headings(page: Path) -> None:
    wrong = []
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", page.read_text("utf-8")):
        where = page.parent / target if target else page
        if not target.startswith("http") and anchor.replace("\n", "") not in headings(where):
            wrong.append(f"{target}#{anchor}")
    assert wrong == []


OF_THE_NODE = [page for page in sorted((ROOT / "docs").glob("*.md")) if page.stem != "training"]  # which has recipes


@pytest.mark.parametrize("page", OF_THE_NODE, ids=lambda page: page.name)
def test_every_configuration_on_a_page_is_one(page: Path, tmp_path: Path) -> None:
    for number, block in enumerate(re.findall(r"```toml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)):
        (tmp_path / f"{number}.toml").write_text(block)
        configuration.load(tmp_path / f"{number}.toml", {})


def test_the_quickstart_configures_what_there_is(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "quickstart.md").read_text("utf-8")
    (block,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "node.toml").write_text(block)
    found = configuration.load(tmp_path / "node.toml", {})
    assert (found.node.mode, found.receive.host, found.destination[0].name) == ("shadow", "0.0.0.0", "pacs")
    assert all((ROOT / name).exists() for name in ("tools/install.sh", "config/examples"))


def test_the_layers_of_the_architecture_are_those_that_are_held() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    held = next(one for one in project["tool"]["importlinter"]["contracts"] if one["type"] == "layers")["layers"]
    places = {name.removeprefix("cxr_node."): at for at, row in enumerate(held) for name in row.split(" | ")}
    (block,) = re.findall(r"```text\n(.*?)```", (ROOT / "docs" / "architecture.md").read_text("utf-8"), re.DOTALL)
    told = [places[line.split()[0]] for line in block.splitlines()]
    assert len(told) > 10
    assert told == sorted(told)
