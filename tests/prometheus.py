"""Debian's Prometheus, as a monitor that scrapes a node; tests/run.sh unpacks it beside this interpreter."""

import json
import subprocess
import sys
import urllib.parse
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from tests.node import free_port, wait_for


def _program(name: str) -> Path | None:
    found = Path(sys.executable).with_name(name)
    return found if found.exists() else None


PROMETHEUS, PROMTOOL = _program("prometheus"), _program("promtool")


class Prometheus:
    """It scrapes `target`, a host and a port, each second, as job cxr-node and under `rules`."""

    def __init__(self, folder: Path, target: str, rules: Path) -> None:
        self.folder, self._address = folder / "prometheus", f"127.0.0.1:{free_port()}"
        self._settings = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "cxr-node", "static_configs": [{"targets": [target]}]}],
        }

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        settings = self.folder / "prometheus.yml"
        settings.write_text(json.dumps(self._settings), "utf-8")
        with (self.folder / "prometheus.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(PROMETHEUS), f"--config.file={settings}", f"--storage.tsdb.path={self.folder / 'data'}",
                 f"--web.listen-address={self._address}"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        wait_for(self._answers, what="Prometheus")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an instant query gives now: series with `metric` and `value`."""
        return list(self._get(f"/api/v1/query?{urllib.parse.urlencode({'query': expression})}")["result"])

    def rules(self) -> dict[str, dict[str, Any]]:
        """The alert rules by name, each with its `health` and `state`."""
        groups = self._get("/api/v1/rules")["groups"]
        return {rule["name"]: rule for group in groups for rule in group["rules"]}

    def _get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://{self._address}{path}", timeout=20) as answer:
            return dict(json.load(answer)["data"])

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self.folder / "prometheus.log").read_text()
        with suppress(OSError), urllib.request.urlopen(f"http://{self._address}/-/ready", timeout=2):
            return True
        return False
