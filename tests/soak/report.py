"""What a part found: lines for people, and what was wrong."""

import os
import platform
import re
import subprocess
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path


@dataclass
class Outcome:
    """`lines` are Markdown, to stand under `title`; `failures` are sentences, and there is none when all is well."""

    part: str
    title: str
    lines: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def expect(self, what: str, found: object, wanted: object) -> None:
        """A row of the table, and a failure where what was found is not what was wanted."""
        self.lines.append(f"| {what} | {found} | {wanted} |")
        if found != wanted:
            self.failures.append(f"{what}: {found}, and not {wanted}")


def say(text: str) -> None:
    """A line of progress, with the time, at once: the output of a run of hours is read while it goes on."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def write(outcome: Outcome, document: Path, command: str) -> None:
    """Put what a part found into its section of a document: between its marks, or at the end."""
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    made = f"`{command}`; {datetime.now().astimezone():%Y-%m-%d}, commit {commit.stdout.strip()}, {machine}."
    begin, end = f"<!-- soak {outcome.part} -->", f"<!-- end of soak {outcome.part} -->"
    section = "\n".join([begin, f"## {outcome.title}", "", *outcome.lines, "", made, end])
    text = document.read_text("utf-8")
    place = re.compile(f"{begin}.*?{end}", re.DOTALL)
    text = place.sub(lambda _: section, text) if place.search(text) else f"{text.rstrip()}\n\n{section}\n"
    document.write_text(text, "utf-8")
