"""The long run of every target of tests.fuzz."""

from pathlib import Path

from tests.fuzz.targets import TARGETS
from tests.fuzz.watch import run
from tests.soak.report import Outcome, say


def fuzzing(folder: Path, minutes: float, seed: int) -> Outcome:
    """Run each target for its share of `minutes`; inputs that found something are left in `folder`."""
    outcome = Outcome(
        "fuzz",
        "Fuzzing",
        ["| target | inputs | a second | deaths of a decoder | findings |", "| --- | ---: | ---: | ---: | ---: |"],
    )
    total = 0
    for name, target in TARGETS.items():
        found = run(target(), seed, folder, seconds=60 * minutes / len(TARGETS), say=say)
        total += found.inputs
        deaths, findings = found.deaths.total(), found.findings.total()
        outcome.lines.append(f"| {name} | {found.inputs} | {found.rate:.0f} | {deaths} | {findings} |")
        outcome.failures += [f"{name}: {sentence}" for sentence in found.findings]
    outcome.lines.append(f"| all | {total} | | | {len(outcome.failures)} |")
    return outcome
