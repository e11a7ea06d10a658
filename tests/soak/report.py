"""What a part found: lines for people, and what was wrong."""

import time
from dataclasses import dataclass, field


@dataclass
class Outcome:
    """`lines` are Markdown; `failures` are sentences, and empty when all is well."""

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
