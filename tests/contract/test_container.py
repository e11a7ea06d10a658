"""The container file says the same as the configuration, the unit and the package."""

import re
from pathlib import Path

from cxr_node.config import Config

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Containerfile").read_text("utf-8")
FINAL = TEXT[TEXT.rindex("\nFROM ") :]
DEFAULTS = Config()


def said(instruction: str) -> list[str]:
    return re.findall(rf"^{instruction} (.*)$", FINAL, re.MULTILINE)


def test_ports_and_folders_are_those_of_the_configuration() -> None:
    assert said("EXPOSE") == [str(DEFAULTS.receive.port)]
    assert f"http://127.0.0.1:{DEFAULTS.web.port}/healthz" in FINAL
    assert said("VOLUME") == said("WORKDIR") == re.findall(r"DATA_DIR=(\S+)", FINAL)


def test_the_node_is_nobody_else_and_finds_nothing_to_build_with() -> None:
    assert said("USER") == ["cxr-node"]
    assert "uninstall --yes pip" in TEXT
    installed = re.findall(r"apt-get install -y --no-install-recommends ([a-z0-9 .-]+?) &&", FINAL)
    assert installed == ["python3"]


def test_what_is_built_from_is_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".containerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--)(.*) \S+$", TEXT, re.MULTILINE)
    assert {name.split("/")[0] for line in copied for name in line.split()} == kept
