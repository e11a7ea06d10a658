"""`cxr-node check` in whatever situation a test makes, and what it printed there."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from cxr_node import cli
from cxr_node.inference import build, manifest
from tests.node import free_port
from tests.toml import toml

TORCH = {
    "none": "class cuda:\n    is_available = staticmethod(lambda: False)\n",
    "broken": "raise ImportError\n",
}
"""What stands in for torch, which `check` asks in a process of its own."""

MISTAKES = [
    "mode = shadow",
    "[receive]\nprot = 1",
    "[log]\nxyzzy = 1",
    "[receive]\nport = 0",
    '[node]\nae_title = ""\n[[modality]]\nae_title = "A"',
    '[[destination]]\nname = "a"\nae_title = "A"\nhost = "h"\n' * 2,
    '[node]\ntimezone = "Madrid"',
    '[tls]\ncertificate = "a"',
    '[tls]\ncertificate = "a"\nkey = "b"',
    "[eligibility]\nage = [9, 1]",
    '[[destination]]\nname = "a"',
    '[[destination]]\nname = "a"\ndicomweb = "https://h/d"\nstorage_commitment = "on"',
    '[[destination]]\nname = "a"\ndicomweb = "ftp://h"',
    "[worklist]\ntiers = { high = 0.1, medium = 0.2 }",
    '[receive]\nstorage_commitment = "pacs"',
    '[model]\nfurther = ["cxr-pneumonia"]',
    '[model]\nfurther = ["cxr-covid"]\nshadow = ["cxr-covid"]',
    "[model]\nprevalence = 2",
    '[model]\nprevalence = "much"',
    '[hl7]\ncharset = "LATIN"',
    '[hl7]\nhost = "0.0.0.0"\nport = 2575',
    "[hl7]\nport = 2575\ntls = true",
    '[hl7]\nport = 2575\ntls = true\n[tls]\ncertificate = "a"\nkey = "b"\nlistener = false',
    '[hl7]\nfinal = ["F"]\nreopen = ["F"]',
    '[[worklist.hl7]]\nname = "r"\nhost = "h"\npriorities = {}',
    '[[worklist.hl7]]\nname = "r"\nhost = "h"\naccession = "OBR-3"',
    '[[worklist.hl7]]\nname = "r"\nhost = "h"\nmessage = "ORM"\naccession = "IPC-1"',
    '[web]\nviewer_url = "pacs"',
    '[web]\nviewer_url = "https://pacs/{uid}"',
    '[web]\nhost = "0.0.0.0"',
    '[inference]\nbackend = "openvino"\ndevice = "cuda"',
    '[inference]\nbackend = "ray"',
    '[inference]\nbackend = "ray"\naddress = "gpu:8000"',
    '[inference]\nbackend = "ray"\naddress = "http://gpu:8000"\n[report]\nexplain = "gradcam"',
    '[hub]\nsites = ["north"]',
    '[node]\nrole = "hub"\n[hub]\nurl = "https://h/dicom-web"',
    '[node]\nrole = "hub"\n[hub]\nsites = ["north"]',
    '[hub]\nurl = "pacs"',
    '[hub]\nurl = "http://h/dicom-web"',
    '[audit]\nsyslog = "udp://h:1"',
    '[audit]\nsyslog = "tls://h"',
]
"""Configurations, each with a mistake that `check` names."""


class Doctor:
    """Runs `check` in a folder, and keeps each line that it prints; mistakes in the configuration as of verdict 78."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.lines: list[str] = []
        self.done = ExitStack()
        self._begun: list[subprocess.Popen[str]] = []

    def __call__(
        self, text: str = "", *arguments: str, offline: bool = True, env: dict[str, str | None] | None = None
    ) -> None:
        """`arguments` go before those that are made of `text`."""
        if not arguments:
            arguments = self._configured(text, offline=offline)
        found = CliRunner().invoke(cli.main, ["check", *arguments], env=env, catch_exceptions=False)
        self._keep(found.stdout, found.stderr)

    def begin(self, text: str, *, powerless: bool = False, offline: bool = True) -> None:
        """The same in a process of its own, of which `end` waits; `powerless`: not even root may do everything."""
        plain = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if powerless and os.geteuid() == 0 else []
        command = [*plain, sys.executable, "-m", "cxr_node", "check", *self._configured(text, offline=offline)]
        self._begun.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))

    def call(self, **tables: Any) -> None:
        """With the peers that tables name, which are lists where they may be repeated."""
        repeated = {name.replace("__", "."): each for name, each in tables.items() if isinstance(each, list)}
        self(toml({name: each for name, each in tables.items() if isinstance(each, dict)}, repeated), offline=False)

    def end(self) -> None:
        for process in self._begun:
            self._keep(*process.communicate())
        self.done.close()

    def _configured(self, text: str, *, offline: bool) -> tuple[str, ...]:
        """Options, with a file that says `text` and nothing that takes long or is taken here."""
        text += "" if "[inference]" in text else '\n[inference]\ndevice = "cpu"'
        text += "" if "[receive]" in text else f"\n[receive]\nport = {self.port}"
        file = self.folder / f"node{len(list(self.folder.glob('*.toml')))}.toml"
        file.write_text(text)
        return (*(["--offline"] if offline else []), "-c", str(file))

    def _keep(self, stdout: str, stderr: str) -> None:
        self.lines += [*stdout.splitlines(), *(f"{78:<8}{line}" for line in stderr.splitlines())]


def own(
    models: Path,
    change: Callable[[dict[str, Any]], object] = lambda _: None,
    of: str = "cxr-pneumonia",
    name: str = "cxr-own",
) -> Path:
    """A copy of a shipped model under another name, 1.0.0, with its metadata changed; its folder."""
    folder = models / name / "1.0.0"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(manifest.find(None, of).directory, folder)
    stated = json.loads((folder / build.METADATA).read_text("utf-8")) | {"name": name, "version": "1.0.0"}
    change(stated["cxr_node"])
    (folder / build.METADATA).write_text(json.dumps(stated), "utf-8")
    return folder
